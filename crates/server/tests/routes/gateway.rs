//! A started server for one test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tagrail::Router;
use tagrail_server::{Clock, Ledger, LedgerParts, Metrics, Opening, Parts, Running, Shutdown, serve};
use tagrail_testkit::{Client, FakeUpstream, PATIENCE, Postgres, Response, config_text, deployment};

/// The header that [`config_text`]'s master key goes into.
pub(crate) const KEY: (&str, &str) = ("authorization", "Bearer sk-1234");

/// The system chooses the port.
const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A server on a loopback port, stopped when it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    running: Option<Running>,
    home: Option<tempfile::TempDir>,
}

impl Gateway {
    /// Starts one thread on a configuration.
    pub(crate) fn start(text: &str) -> Gateway {
        Gateway::start_on(text, 1)
    }

    /// Starts several.
    pub(crate) fn start_on(text: &str, threads: usize) -> Gateway {
        Gateway::of(Gateway::serve(text, LOOPBACK, threads, PATIENCE).unwrap())
    }

    /// Starts one with a limit of its own for calls in flight at the end.
    pub(crate) fn start_with(text: &str, drain: Duration) -> Gateway {
        Gateway::of(Gateway::serve(text, LOOPBACK, 1, drain).unwrap())
    }

    /// Starts one that keeps teams, keys and spend, in a directory of its own: `tagrail.db` and the
    /// journal.
    pub(crate) fn keeping(text: &str) -> Gateway {
        Gateway::keeping_at(text, Clock::default())
    }

    /// The same by a clock of the test's.
    pub(crate) fn keeping_at(text: &str, clock: Clock) -> Gateway {
        let home = tempfile::tempdir().unwrap();
        // `TAGRAIL_TEST_STORE=postgresql` runs the same tests on the other store.
        let database = match std::env::var("TAGRAIL_TEST_STORE").as_deref() {
            Ok("postgresql") => Postgres::database(),
            _ => home.path().join("tagrail.db").display().to_string(),
        };
        let (router, metrics) = router(text);
        let open = move || {
            let database = database.clone();
            async move { tagrail_store::open(&database).await }
        };
        let ledger = Ledger::open(LedgerParts {
            store: Opening::with(open, false),
            journal: home.path().join("journal"),
            router: router.clone(),
            metrics: metrics.clone(),
            clock,
        });
        let (ledger, threads) = (ledger.unwrap(), NonZeroUsize::new(1));
        let parts = Parts { router, metrics, ledger, address: LOOPBACK, threads, drain: PATIENCE };
        let mut gateway = Gateway::of(serve(parts).unwrap());
        gateway.home = Some(home);
        gateway
    }

    /// Where a gateway that keeps something keeps it.
    pub(crate) fn home(&self) -> &Path {
        self.home.as_ref().unwrap().path()
    }

    fn of(running: Running) -> Gateway {
        let (address, shutdown) = (running.address(), running.shutdown());
        Gateway { address, shutdown, running: Some(running), home: None }
    }

    /// Starts a server at an address.
    pub(crate) fn serve(
        text: &str,
        address: SocketAddr,
        threads: usize,
        drain: Duration,
    ) -> io::Result<Running> {
        let (router, metrics) = router(text);
        let ledger = Arc::new(Ledger::none());
        serve(Parts { router, metrics, ledger, address, threads: NonZeroUsize::new(threads), drain })
    }

    /// One group `m` with deployments `free`, `paid` and `default`, each tagged like its id.
    pub(crate) fn tagged(upstream: &FakeUpstream, more: &Value) -> Gateway {
        let deployments =
            ["free", "paid", "default"].map(|tag| deployment("m", tag, &[tag], &upstream.base()));
        Gateway::start(&config_text(&deployments, more))
    }

    /// A request without a body, on a connection of its own.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut client = Client::connect(self.address).await;
        client.send(format!("{request}\r\n")).await;
        if method == "HEAD" { client.head().await } else { client.response().await }
    }

    /// A GET with the master key.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[KEY]).await
    }

    /// A POST with the master key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        tagrail_testkit::post(self.address, path, &[KEY], body).await
    }

    /// Begins to drain.
    pub(crate) fn stop(&self) {
        self.shutdown.begin();
    }

    /// Waits for the end of the drain.
    pub(crate) fn join(&mut self) {
        self.running.take().unwrap().join().unwrap();
    }
}

fn router(text: &str) -> (Router, Arc<Metrics>) {
    let loaded = tagrail::config::load_text(text, Path::new("config.yaml"), &|_| None);
    let resolved = loaded.resolved.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let metrics = Arc::new(Metrics::new());
    (Router::new(resolved, metrics.clone()), metrics)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// A body that every chat deployment takes.
pub(crate) fn chat(model: &str) -> Value {
    serde_json::json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// The message of an error body.
pub(crate) fn message(response: &Response) -> String {
    response.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("{}", response.text())).to_owned()
}
