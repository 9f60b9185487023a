//! What the fake upstream saw: the request, and how the reply to it went.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::PATIENCE;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST`, mostly.
    pub method: Method,
    /// Path and query, as sent.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body's bytes, without transfer encoding.
    pub body: Bytes,
}

impl Received {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    /// The model asked for: the body's, else that of a path `/deployments/{model}/`.
    pub fn model(&self) -> String {
        let in_path = || self.path.split_once("/deployments/")?.1.split('/').next().map(str::to_owned);
        self.json()["model"].as_str().map(str::to_owned).or_else(in_path).unwrap_or_default()
    }
}

/// One request and the reply to it. Clones are the same exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked.
    pub request: Received,
    /// Number of the connection that it came on, from 0 in order of arrival.
    pub connection: usize,
    progress: Arc<watch::Sender<Progress>>,
    runtime: Handle,
}

/// How far the reply is.
#[derive(Clone, Debug, Default)]
struct Progress {
    bytes: u64,
    writes: Vec<Instant>,
    finished: bool,
    closed: bool,
}

impl Exchange {
    pub(crate) fn new(request: Received, connection: usize, runtime: Handle) -> Exchange {
        Exchange { request, connection, progress: Arc::default(), runtime }
    }

    /// Bytes handed to the socket so far, head and framing included.
    pub fn written(&self) -> u64 {
        self.progress.borrow().bytes
    }

    /// When each piece of the reply was handed to the socket; the head is the first.
    pub fn writes(&self) -> Vec<Instant> {
        self.progress.borrow().writes.clone()
    }

    /// Waits until `count` pieces (the head is the first) have been handed to the socket.
    pub async fn wrote(&self, count: usize) {
        self.wait("pieces of the reply", move |progress| progress.writes.len() >= count).await;
    }

    /// Waits until the reply is wholly written.
    pub async fn finished(&self) {
        self.wait("the end of the reply", |progress| progress.finished).await;
    }

    /// Waits until the other side has closed the connection.
    pub async fn closed(&self) {
        self.wait("the connection to be closed", |progress| progress.closed).await;
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.progress.borrow().closed
    }

    /// Waits until the socket has taken nothing for `quiet`: back-pressure has reached the upstream.
    /// Gives the bytes written by then.
    pub async fn blocked(&self, quiet: Duration) -> u64 {
        let mut progress = self.progress.subscribe();
        within(&self.runtime, "back-pressure", async move {
            loop {
                let seen = progress.borrow_and_update().bytes;
                if tokio::time::timeout(quiet, progress.wait_for(|now| now.bytes > seen)).await.is_err() {
                    return seen;
                }
            }
        })
        .await
    }

    pub(crate) fn has_written(&self, bytes: usize) {
        self.progress.send_modify(|progress| {
            progress.bytes += bytes as u64;
            progress.writes.push(Instant::now());
        });
    }

    pub(crate) fn has_finished(&self) {
        self.progress.send_modify(|progress| progress.finished = true);
    }

    pub(crate) fn was_closed(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    async fn wait(&self, what: &str, reached: impl FnMut(&Progress) -> bool + Send + 'static) {
        let mut progress = self.progress.subscribe();
        within(&self.runtime, what, async move { progress.wait_for(reached).await.is_ok() }).await;
    }
}

/// Waits on the upstream's own runtime, whose clock runs also when the test's is paused.
pub(crate) async fn within<T: Send + 'static>(
    runtime: &Handle,
    what: &str,
    event: impl Future<Output = T> + Send + 'static,
) -> T {
    let waiting = runtime.spawn(async move { tokio::time::timeout(PATIENCE, event).await });
    match waiting.await.expect("the fake upstream is running") {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
