//! `bench-upstream`: an OpenAI-shaped provider that costs next to nothing, for benchmarks of clients.
//!
//!     bench-upstream [--chunks N] [--gap-ms N]
//!
//! Listens on a free port of 127.0.0.1, writes that port on standard output, and ends when its standard
//! input does, so that it outlives nobody. Answers chat completions over connections that stay open,
//! plain, or in events where the body says `"stream":true`: `N` chunks, each written by itself, `gap`
//! apart. What an answer says ends with the model that was asked for, so that its reader can tell whether
//! the right deployment was called.
//!
//! One thread a connection, blocking: of what needs no dependency, this takes the fewest system calls.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// What every answer says before the model's name. The benchmark compares with it.
const TEXT: &str = "A fixed answer, about as long as that of a model that was told to be brief: whoever decodes it \
    has something to decode, and the name at its end tells who was asked:";

/// Such as providers send with every answer.
const HEADERS: &str = "x-request-id: req_0123456789abcdef0123456789abcdef\r\nopenai-processing-ms: 12\r\n\
    openai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n\
    x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999900\r\n\
    x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 3ms\r\n";

const USAGE: &str = r#"{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}"#;
const STACK: usize = 64 << 10;

#[derive(Clone, Copy)]
struct Pace {
    chunks: usize,
    gap: Duration,
}

fn main() -> ExitCode {
    match flags().and_then(|pace| serve(pace).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench-upstream: {error}");
            ExitCode::from(2)
        }
    }
}

fn flags() -> Result<Pace, String> {
    let mut pace = Pace { chunks: 20, gap: Duration::ZERO };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let number = given.next().and_then(|value| value.parse::<u64>().ok());
        match (flag.as_str(), number) {
            ("--chunks", Some(number @ 1..=10_000)) => pace.chunks = number as usize,
            ("--gap-ms", Some(number)) => pace.gap = Duration::from_millis(number),
            _ => return Err("usage: bench-upstream [--chunks N] [--gap-ms N]".to_owned()),
        }
    }
    Ok(pace)
}

fn serve(pace: Pace) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that leaves ends its thread, and nothing else.
            let _ = thread::Builder::new().stack_size(STACK).spawn(move || answer_all(stream, pace));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

fn answer_all(mut stream: TcpStream, pace: Pace) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(8 << 10);
    let mut reply = Vec::with_capacity(4 << 10);
    while let Some((body, end)) = read(&mut stream, &mut bytes)? {
        let body = bytes.get(body..end).unwrap_or_default();
        let model = text_of(body, b"\"model\"").unwrap_or("no model");
        if says_true(body, b"\"stream\"") {
            stream_answer(&mut stream, &mut reply, model, says_true(body, b"\"include_usage\""), pace)?;
        } else {
            whole_answer(&mut reply, model);
            stream.write_all(&reply)?;
        }
        bytes.drain(..end);
    }
    Ok(())
}

/// Reads until a request is there as a whole: where its body begins, and where it ends.
fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<Option<(usize, usize)>> {
    let mut more = [0; 16 << 10];
    loop {
        if let Some(head) = find(bytes, b"\r\n\r\n") {
            let body = head + 4;
            let length = length_of(bytes.get(..head).unwrap_or_default())
                .ok_or_else(|| io::Error::other("a request without content-length"))?;
            if bytes.len() >= body + length {
                return Ok(Some((body, body + length)));
            }
        }
        match stream.read(&mut more)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(more.get(..count).unwrap_or_default()),
        }
    }
}

fn length_of(head: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(head).ok()?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

/// The text that follows a key. Bodies are the benchmark's own: the key stands in no message.
fn text_of<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = value_of(body, key)?.strip_prefix(b"\"")?;
    std::str::from_utf8(rest.get(..find(rest, b"\"")?)?).ok()
}

fn says_true(body: &[u8], key: &[u8]) -> bool {
    value_of(body, key).is_some_and(|value| value.starts_with(b"true"))
}

fn value_of<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = body.get(find(body, key)? + key.len()..)?;
    Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn whole_answer(reply: &mut Vec<u8>, model: &str) {
    let body = format!(
        r#"{{"id":"chatcmpl-9maCcqQYTqdJrtvfakIawMOIUbEZx","object":"chat.completion","created":1721365934,"model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{TEXT} {model}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{USAGE},"system_fingerprint":"fp_c4e5b6fa31"}}"#
    );
    reply.clear();
    reply.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n");
    reply.extend_from_slice(HEADERS.as_bytes());
    reply.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

fn stream_answer(
    stream: &mut TcpStream,
    reply: &mut Vec<u8>,
    model: &str,
    usage: bool,
    pace: Pace,
) -> io::Result<()> {
    reply.clear();
    reply.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
    reply.extend_from_slice(HEADERS.as_bytes());
    reply.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    stream.write_all(reply)?;
    let text = format!("{TEXT} {model}");
    for place in 0..pace.chunks {
        thread::sleep(pace.gap);
        let role = if place == 0 { r#""role":"assistant","# } else { "" };
        let delta = format!(r#"{{{role}"content":"{}"}}"#, piece(&text, place, pace.chunks));
        event(stream, reply, &chunk(model, &choices(&delta, "null"), None))?;
    }
    event(stream, reply, &chunk(model, &choices("{}", r#""stop""#), None))?;
    if usage {
        event(stream, reply, &chunk(model, "[]", Some(USAGE)))?;
    }
    event(stream, reply, "[DONE]")?;
    stream.write_all(b"0\r\n\r\n")
}

/// One of equal pieces. Names of models that are no ASCII may lose a piece, and are found out by the reader.
fn piece(text: &str, place: usize, of: usize) -> &str {
    text.get(text.len() * place / of..text.len() * (place + 1) / of).unwrap_or_default()
}

fn choices(delta: &str, finish: &str) -> String {
    format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]"#)
}

fn chunk(model: &str, choices: &str, usage: Option<&str>) -> String {
    let usage = usage.map(|usage| format!(r#","usage":{usage}"#)).unwrap_or_default();
    format!(
        r#"{{"id":"chatcmpl-9maCcqQYTqdJrtvfakIawMOIUbEZx","object":"chat.completion.chunk","created":1721365934,"model":"{model}","system_fingerprint":"fp_c4e5b6fa31","choices":{choices}{usage}}}"#
    )
}

/// One event in one chunk of the transfer, with one write: a reader that keeps up reads it by itself.
fn event(stream: &mut TcpStream, reply: &mut Vec<u8>, data: &str) -> io::Result<()> {
    reply.clear();
    write!(reply, "{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8)?;
    stream.write_all(reply)
}
