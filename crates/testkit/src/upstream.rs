//! An upstream that answers what the test says, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::exchange::within;
use crate::{Exchange, Received, Reply, connection, tls};

/// A server on a loopback port with a thread of its own; dropping it closes everything.
///
/// A request is answered by the first of: the next reply queued for its model
/// ([`reply_for`](FakeUpstream::reply_for)), the next reply queued for anything
/// ([`reply`](FakeUpstream::reply)), what its model always gets ([`always`](FakeUpstream::always)),
/// what everything gets ([`otherwise`](FakeUpstream::otherwise)): a well-formed answer, to begin with.
#[derive(Debug)]
pub struct FakeUpstream {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the connections share.
#[derive(Debug)]
pub(crate) struct State {
    script: Mutex<Script>,
    exchanges: watch::Sender<Vec<Exchange>>,
    /// How many of them [`FakeUpstream::exchange`] has given out.
    given: AtomicUsize,
    connections: watch::Sender<usize>,
    refusing: AtomicBool,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Script {
    queue: VecDeque<Reply>,
    queue_for: HashMap<String, VecDeque<Reply>>,
    always: HashMap<String, Reply>,
    otherwise: Reply,
}

impl FakeUpstream {
    /// Starts it over plain TCP.
    pub fn start() -> FakeUpstream {
        FakeUpstream::launch("http", None)
    }

    /// Starts it under TLS, with a certificate that only [`crate::ca_file`] vouches for.
    pub fn start_tls() -> FakeUpstream {
        FakeUpstream::launch("https", Some(tls::acceptor()))
    }

    /// An address at which nobody listens.
    pub fn refused() -> SocketAddr {
        StdListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback has ports")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, Anthropic's kind of base.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// `http://127.0.0.1:PORT/v1`, OpenAI's kind of base.
    pub fn base(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// The next request that nothing else is queued for gets this reply. Replies queue up.
    pub fn reply(&self, reply: Reply) -> &FakeUpstream {
        self.script(|script| script.queue.push_back(reply))
    }

    /// The next request for this upstream model gets this reply. Replies queue up.
    pub fn reply_for(&self, model: &str, reply: Reply) -> &FakeUpstream {
        self.script(|script| script.queue_for.entry(model.to_owned()).or_default().push_back(reply))
    }

    /// Every request for this upstream model gets this reply.
    pub fn always(&self, model: &str, reply: Reply) -> &FakeUpstream {
        self.script(|script| {
            script.always.insert(model.to_owned(), reply);
        })
    }

    /// Every request that nothing else is said for gets this reply.
    pub fn otherwise(&self, reply: Reply) -> &FakeUpstream {
        self.script(|script| script.otherwise = reply)
    }

    /// Resets new connections as soon as they are accepted, or stops doing so.
    pub fn refuse(&self, refusing: bool) -> &FakeUpstream {
        self.state.refusing.store(refusing, Ordering::SeqCst);
        self
    }

    /// The next exchange that was not given out yet; waits for it.
    pub async fn exchange(&self) -> Exchange {
        let number = self.state.given.fetch_add(1, Ordering::SeqCst);
        self.exchanges(number + 1).await.swap_remove(number)
    }

    /// The next request that was not given out yet; waits for it.
    pub async fn request(&self) -> Received {
        self.exchange().await.request
    }

    /// Waits until `count` requests have arrived; gives all exchanges so far.
    pub async fn exchanges(&self, count: usize) -> Vec<Exchange> {
        let mut exchanges = self.state.exchanges.subscribe();
        let what = format!("{count} requests at the upstream ({} arrived)", exchanges.borrow().len());
        let arrived = async move {
            exchanges.wait_for(|seen| seen.len() >= count).await.map(|seen| seen.clone()).unwrap_or_default()
        };
        within(&self.state.runtime, &what, arrived).await
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.state.exchanges.borrow().iter().map(|exchange| exchange.request.clone()).collect()
    }

    /// The models of all requests so far, in order of arrival.
    pub fn models(&self) -> Vec<String> {
        self.requests().iter().map(Received::model).collect()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    fn script(&self, change: impl FnOnce(&mut Script)) -> &FakeUpstream {
        change(&mut self.state.script.lock().expect("no reply panics"));
        self
    }

    fn launch(scheme: &'static str, tls: Option<TlsAcceptor>) -> FakeUpstream {
        let listener = StdListener::bind("127.0.0.1:0").expect("loopback has ports");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let state = Arc::new(State {
            script: Mutex::default(),
            exchanges: watch::Sender::default(),
            given: AtomicUsize::default(),
            connections: watch::Sender::default(),
            refusing: AtomicBool::default(),
            runtime: runtime.handle().clone(),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
                tokio::select! {
                    () = accept(&listener, tls, &shared) => {}
                    _ = stopped => {}
                }
            });
        });
        FakeUpstream { address, scheme, state, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl State {
    /// Remembers a request and says what to answer.
    pub(crate) fn received(&self, request: Received, connection: usize) -> (Exchange, Reply) {
        let reply = {
            let model = request.model();
            let mut script = self.script.lock().expect("no reply panics");
            let queued = script.queue_for.get_mut(&model).and_then(VecDeque::pop_front);
            queued
                .or_else(|| script.queue.pop_front())
                .or_else(|| script.always.get(&model).cloned())
                .unwrap_or_else(|| script.otherwise.clone())
        };
        let exchange = Exchange::new(request, connection, self.runtime.clone());
        self.exchanges.send_modify(|exchanges| exchanges.push(exchange.clone()));
        (exchange, reply)
    }
}

async fn accept(listener: &TcpListener, tls: Option<TlsAcceptor>, state: &Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if state.refusing.load(Ordering::SeqCst) {
            stream.set_zero_linger().ok();
            continue;
        }
        let number = *state.connections.borrow();
        state.connections.send_modify(|connections| *connections += 1);
        tokio::spawn(connect(stream, tls.clone(), number, state.clone()));
    }
}

async fn connect(stream: TcpStream, tls: Option<TlsAcceptor>, number: usize, state: Arc<State>) {
    stream.set_nodelay(true).ok();
    match tls {
        None => connection::serve(stream, number, &state).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                connection::serve(stream, number, &state).await;
            }
        }
    }
}
