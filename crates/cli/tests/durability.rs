//! What calls cost survives `kill -9` at any moment: every reply that a client received whole has one
//! row, and nothing is there twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod gateway;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, PATIENCE, Postgres, Program, Reply, config_text, deployment};
use tempfile::TempDir;

/// How often it is killed.
const LIVES: usize = 50;

/// How many call at a time.
const CLIENTS: usize = 6;

/// A life under load is shorter than this.
const LONGEST_LIFE: Duration = Duration::from_millis(300);

/// A call id that every client uses again and again.
const REPEATED: &str = "the-same-again";

const MASTER: &str = "sk-1234";

/// US dollars for one of the upstream's answers are a multiple of this.
const PRICE: f64 = 0.001;

/// A gateway in a directory that outlives it.
struct Life {
    program: Program,
    address: SocketAddr,
}

impl Life {
    fn begin(directory: &Path, environment: &[(&str, &str)]) -> Life {
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let arguments =
            ["--config", &path("config.yaml"), "--host", "127.0.0.1", "--port", "0", "--data-dir", &path("")];
        let mut program = Program::start(env!("CARGO_BIN_EXE_tagrail"), arguments, environment);
        let line = program.line("on http://");
        let address = line.split("http://").nth(1).unwrap().split(": ").next().unwrap();
        Life { address: address.parse().unwrap(), program }
    }

    /// With SIGKILL: nothing of it runs any more.
    fn kill(self) {
        drop(self.program);
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut client = Client::connect(self.address).expect("it accepts");
        let reply = client.call(method, path, MASTER, "", body).expect("it answers");
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    /// All rows, page by page.
    fn rows(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = all.len() / 1000 + 1;
            let rows = self.ask("GET", &format!("/spend/logs?page={page}"), &Value::Null);
            let rows = rows.as_array().unwrap();
            all.extend_from_slice(rows);
            if rows.len() < 1000 {
                return all;
            }
        }
    }
}

/// A connection that may end at any moment.
struct Client(BufReader<TcpStream>);

/// A reply that came whole, to its last byte.
struct Whole {
    status: u16,
    call_id: String,
    body: String,
}

impl Client {
    fn connect(address: SocketAddr) -> Option<Client> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).ok()?;
        Some(Client(BufReader::new(stream)))
    }

    fn call(&mut self, method: &str, path: &str, key: &str, id: &str, body: &Value) -> Option<Whole> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n");
        head += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        if !id.is_empty() {
            head += &format!("x-litellm-call-id: {id}\r\n");
        }
        self.0.get_mut().write_all(format!("{head}\r\n{body}").as_bytes()).ok()?;
        self.whole()
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        Some(line.strip_suffix("\r\n")?.to_owned())
    }

    fn bytes(&mut self, count: usize) -> Option<String> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).ok()?;
        Some(String::from_utf8(bytes).unwrap())
    }

    fn whole(&mut self) -> Option<Whole> {
        let status = self.line()?.split(' ').nth(1)?.parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = String::new();
        match headers.get("content-length") {
            Some(length) => body = self.bytes(length.parse().unwrap())?,
            None => loop {
                let length = usize::from_str_radix(&self.line()?, 16).unwrap();
                body += &self.bytes(length)?;
                self.line()?;
                if length == 0 {
                    break;
                }
            },
        }
        Some(Whole { status, call_id: headers.remove("x-litellm-call-id").unwrap_or_default(), body })
    }
}

/// What clients know of their calls, by call id.
#[derive(Default)]
struct Known {
    /// Requests that were sent, as far as clients know.
    sent: BTreeMap<String, usize>,
    /// Replies that came whole.
    whole: BTreeMap<String, usize>,
}

impl Known {
    fn add(&mut self, other: Known) {
        for (all, some) in [(&mut self.sent, other.sent), (&mut self.whole, other.whole)] {
            for (id, count) in some {
                *all.entry(id).or_default() += count;
            }
        }
    }
}

/// One call, every other one a stream; `None` when its reply did not come whole.
fn call(client: &mut Client, key: &str, id: &str, number: usize, known: &mut Known) -> Option<()> {
    let body = json!({
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": number.is_multiple_of(2),
    });
    *known.sent.entry(id.to_owned()).or_default() += 1;
    let reply = client.call("POST", "/v1/chat/completions", key, id, &body)?;
    assert_eq!((reply.status, reply.call_id.as_str()), (200, id), "{}", reply.body);
    *known.whole.entry(id.to_owned()).or_default() += 1;
    Some(())
}

/// Calls until the gateway is gone.
fn keep_calling(address: SocketAddr, key: &str, name: &str) -> Known {
    let mut known = Known::default();
    let Some(mut client) = Client::connect(address) else { return known };
    for number in 0.. {
        let id = if number % 5 == 4 { REPEATED.to_owned() } else { format!("{name}-{number}") };
        if call(&mut client, key, &id, number, &mut known).is_none() {
            break;
        }
    }
    known
}

/// One life: it begins, is called, and is killed at some moment.
fn live(directory: &Path, environment: &[(&str, &str)], key: &str, number: usize) -> Known {
    let life = Life::begin(directory, environment);
    let address = life.address;
    let nanoseconds = RandomState::new().hash_one(number) % u64::try_from(LONGEST_LIFE.as_nanos()).unwrap();
    let mut known = Known::default();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || keep_calling(address, key, &format!("{number}-{client}"))))
            .collect();
        // Not waiting for anything: any moment will do.
        thread::sleep(Duration::from_nanos(nanoseconds));
        life.kill();
        clients.into_iter().for_each(|client| known.add(client.join().unwrap()));
    });
    known
}

/// A directory with a configuration.
fn directory(upstream: &FakeUpstream) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    // So that streams are there to be cut.
    upstream.otherwise(Reply::default().pace(Duration::from_millis(1)));
    let mut priced = deployment("m", "up", &[], &upstream.base());
    priced["litellm_params"]["input_cost_per_token"] = json!(PRICE);
    priced["litellm_params"]["output_cost_per_token"] = json!(PRICE);
    let config = config_text(&[priced], &json!({"general_settings": {"master_key": MASTER}}));
    std::fs::write(directory.path().join("config.yaml"), config).unwrap();
    directory
}

fn survives(environment: &[(&str, &str)]) {
    let upstream = FakeUpstream::start();
    let directory = directory(&upstream);
    let first = Life::begin(directory.path(), environment);
    let made = first.ask("POST", "/key/generate", &json!({"key_alias": "clients"}));
    let (key, hash) = (made["key"].as_str().unwrap(), made["token"].as_str().unwrap());
    first.kill();
    let mut known = Known::default();
    (0..LIVES).for_each(|number| known.add(live(directory.path(), environment, key, number)));
    let calls: usize = known.whole.values().sum();
    assert!(calls > LIVES, "only {calls} replies came whole");

    let last = Life::begin(directory.path(), environment);
    let rows = last.rows();
    check(&known, &rows);
    let info = last.ask("GET", &format!("/key/info?key={hash}"), &Value::Null);
    let sum: f64 = rows.iter().map(|row| row["spend"].as_f64().unwrap()).sum();
    let spend = info["info"]["spend"].as_f64().unwrap();
    assert!(
        sum > 0.0 && (sum - spend).abs() < PRICE / 10.0,
        "rows cost {sum}, and the key has spent {spend}"
    );
    last.program.terminate();
    let (status, lines) = last.program.end();
    assert!(status.success(), "{lines:#?}");
    // A file that was killed before it got its name has nothing in it, and is swept away later.
    let left = std::fs::read_dir(directory.path().join("tagrail-journal")).unwrap().map(Result::unwrap);
    let left: Vec<_> = left.filter(|entry| entry.path().extension().is_none_or(|it| it != "new")).collect();
    assert!(left.is_empty(), "everything is settled: {left:?}");
}

fn check(known: &Known, rows: &[Value]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        let call_id = row["metadata"]["litellm_call_id"].as_str().unwrap();
        *counts.entry(call_id).or_default() += 1;
        *by_id.entry(row["request_id"].as_str().unwrap()).or_default() += 1;
    }
    assert!(by_id.values().all(|count| *count == 1), "rows have ids of their own");
    for (call_id, whole) in &known.whole {
        let (found, sent) = (counts.get(call_id.as_str()).copied().unwrap_or(0), known.sent[call_id]);
        assert!(found >= *whole && found <= sent, "{call_id}: {whole} of {sent} replies, {found} rows");
    }
    for (call_id, found) in counts {
        let sent = known.sent.get(call_id).copied().unwrap_or(0);
        assert!(found <= sent, "{call_id}: sent {sent} times, {found} rows");
    }
}

#[test]
fn every_reply_that_came_whole_has_one_row_after_kill_9_on_sqlite() {
    survives(&[]);
}

#[test]
fn every_reply_that_came_whole_has_one_row_after_kill_9_on_postgresql() {
    survives(&[("DATABASE_URL", &Postgres::database())]);
}

#[test]
fn what_a_killed_gateway_left_is_settled_by_another_that_lives() {
    let upstream = FakeUpstream::start();
    let directory = directory(&upstream);
    let database = Postgres::database();
    let environment = [("DATABASE_URL", database.as_str())];
    let (killed, living) =
        (Life::begin(directory.path(), &environment), Life::begin(directory.path(), &environment));
    let known = thread::scope(|scope| {
        let address = killed.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || keep_calling(address, MASTER, &format!("{client}"))))
            .collect();
        upstream_has_answered(&upstream, 100);
        killed.kill();
        let mut known = Known::default();
        clients.into_iter().for_each(|client| known.add(client.join().unwrap()));
        known
    });
    let whole: usize = known.whole.values().sum();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows = living.rows();
        if rows.len() >= whole || Instant::now() > deadline {
            check(&known, &rows);
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_spent_while_the_database_is_gone_survives_kill_9_and_a_start_without_it() {
    let upstream = FakeUpstream::start();
    let directory = directory(&upstream);
    let postgres = Postgres::start_own();
    let database = postgres.create();
    let environment = [("DATABASE_URL", database.as_str())];
    let life = Life::begin(directory.path(), &environment);
    let made = life.ask("POST", "/key/generate", &json!({}));
    let key = made["key"].as_str().unwrap();
    let mut known = Known::default();
    let mut client = Client::connect(life.address).unwrap();
    for number in 0..20 {
        if number == 1 {
            // The key is known by now.
            postgres.stop();
        }
        assert!(call(&mut client, key, &format!("call-{number}"), number, &mut known).is_some());
    }
    life.kill();
    let life = Life::begin(directory.path(), &environment);
    postgres.start();
    let deadline = Instant::now() + PATIENCE;
    let rows: Value = loop {
        let mut client = Client::connect(life.address).unwrap();
        let reply = client.call("GET", "/spend/logs", MASTER, "", &Value::Null).unwrap();
        if reply.status == 200 {
            break serde_json::from_str(&reply.body).unwrap();
        }
        assert!(Instant::now() < deadline, "{}: {}", reply.status, reply.body);
        thread::sleep(Duration::from_millis(50));
    };
    check(&known, rows.as_array().unwrap());
}

fn upstream_has_answered(upstream: &FakeUpstream, calls: usize) {
    let deadline = Instant::now() + PATIENCE;
    while upstream.requests().len() < calls {
        assert!(Instant::now() < deadline, "only {} calls arrive", upstream.requests().len());
        thread::yield_now();
    }
}
