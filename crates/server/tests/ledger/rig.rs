//! A started server on a database of the test's choice, and its admin.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tagrail::Router;
use tagrail_server::{Clock, Ledger, LedgerParts, Metrics, Opening, Parts, Running, serve};
use tagrail_testkit::{Client, FakeUpstream, PATIENCE, Postgres, Response, config_text, deployment, post};

pub(crate) const CHAT: &str = "/v1/chat/completions";

const MASTER: (&str, &str) = ("authorization", "Bearer sk-1234");

/// Drops last what is needed longest.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) router: Router,
    running: Option<Running>,
    _home: tempfile::TempDir,
}

/// An empty database of each kind. The folder is the SQLite file's, and must outlive it.
pub(crate) fn databases() -> (tempfile::TempDir, [String; 2]) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("tagrail.db").display().to_string();
    (home, [file, Postgres::database()])
}

/// One group `m` with a deployment that costs a cent for each of a reply's three tokens, and nothing else.
pub(crate) fn priced(upstream: &FakeUpstream) -> String {
    let mut only = deployment("m", "one", &[], &upstream.base());
    only["litellm_params"]["input_cost_per_token"] = json!(0.0);
    only["litellm_params"]["output_cost_per_token"] = json!(0.01);
    config_text(&[only], &json!({}))
}

impl Server {
    pub(crate) fn start(config: &str, database: &str) -> Server {
        Server::start_at(config, database, Clock::default(), 1)
    }

    pub(crate) fn start_at(config: &str, database: &str, clock: Clock, threads: usize) -> Server {
        let loaded = tagrail::config::load_text(config, Path::new("config.yaml"), &|_| None);
        let resolved = loaded.resolved.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let metrics = Arc::new(Metrics::new());
        let router = Router::new(resolved, metrics.clone());
        let home = tempfile::tempdir().unwrap();
        let may_come_later = database.starts_with("postgres");
        let database = database.to_owned();
        let open = move || {
            let database = database.clone();
            async move { tagrail_store::open(&database).await }
        };
        let ledger = Ledger::open(LedgerParts {
            store: Opening::with(open, may_come_later),
            journal: home.path().join("journal"),
            router: router.clone(),
            metrics: metrics.clone(),
            clock,
        });
        let parts = Parts {
            router: router.clone(),
            metrics,
            ledger: ledger.unwrap(),
            address: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
            threads: NonZeroUsize::new(threads),
            drain: PATIENCE,
        };
        let running = serve(parts).unwrap();
        Server { address: running.address(), router, running: Some(running), _home: home }
    }

    /// As the master key's holder.
    pub(crate) async fn admin(&self, path: &str, body: Value) -> Value {
        let response = post(self.address, path, &[MASTER], &body).await;
        assert_eq!(response.status, 200, "{path} {body}: {}", response.text());
        response.json()
    }

    /// A new key.
    pub(crate) async fn key(&self, body: Value) -> String {
        self.admin("/key/generate", body).await["key"].as_str().unwrap().to_owned()
    }

    /// A new team.
    pub(crate) async fn team(&self, body: Value) -> String {
        self.admin("/team/new", body).await["team_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> Response {
        post(self.address, path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Response {
        let mut client = Client::connect(self.address).await;
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\r\n", self.address);
        client.send(head).await;
        client.response().await
    }

    /// As the master key's holder.
    pub(crate) async fn look(&self, path: &str) -> Response {
        self.get(path, "sk-1234").await
    }

    /// A chat with `m`.
    pub(crate) async fn chat(&self, key: &str) -> Response {
        self.post(CHAT, key, &chat("m")).await
    }

    /// Asks until it is so; panics with the last answer when it never is.
    pub(crate) async fn until(&self, what: &str, ask: impl AsyncFn(&Server) -> (bool, String)) {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let (is_so, answer) = ask(self).await;
            if is_so {
                return;
            }
            assert!(std::time::Instant::now() < end, "waited in vain: {what}; at last {answer}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        let running = self.running.take().unwrap();
        running.shutdown().begin();
        running.join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().begin();
            // The store's file must not go before the store.
            let _ = running.join();
        }
    }
}

pub(crate) fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3})
}

/// `type` and `message` of an error.
pub(crate) fn told(response: &Response) -> (String, String) {
    let error = &response.json()["error"];
    let text =
        |field: &str| error[field].as_str().unwrap_or_else(|| panic!("{}", response.text())).to_owned();
    (text("type"), text("message"))
}
