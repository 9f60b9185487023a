//! Cores: one thread with one current-thread runtime and one listener each, and the accept loop.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::StatusCode;
use socket2::{Domain, Protocol, Socket, Type};
use tagrail::Router;
use tagrail_providers::Catalogue;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::caller::Peer;
use crate::connection::{self, Terms};
use crate::connections::Connections;
use crate::shutdown::{Shutdown, Signals};
use crate::supervise::{self, Pulse};
use crate::{Ledger, Metrics, file_limit};

/// How many connections may wait to be accepted, per core.
const BACKLOG: i32 = 1024;

/// After an error that is not the connection's own (no file descriptors left), so that the loop
/// does not spin on it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection's socket holds of a reply that is not sent yet: a client that does not read must not take
/// the system's memory either. What is under way to one that reads is not bounded by it.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 64 * 1024;

/// What a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// Answers the calls; every core takes [`Router::core`] of it, with a recorder of
    /// [`Parts::metrics`].
    pub router: Router,
    /// What every core records into, and `GET /metrics` answers.
    pub metrics: Arc<Metrics>,
    /// Teams, keys and spend.
    pub ledger: Arc<Ledger>,
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Threads; `None` takes one for every core that the process may use.
    pub threads: Option<NonZeroUsize>,
    /// How long calls in flight may go on once the shutdown has begun.
    pub drain: Duration,
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    cores: Vec<JoinHandle<()>>,
    ledger: Arc<Ledger>,
}

impl Running {
    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that stops it.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Blocks until every core has drained, and what their calls cost is in the store, as far as that is
    /// quick.
    ///
    /// # Errors
    /// Something ended that the server cannot do without; it says what.
    pub fn join(self) -> io::Result<()> {
        for core in self.cores {
            // Its panic was caught and is the failure below.
            let _ = core.join();
        }
        self.ledger.close();
        match self.shutdown.failure() {
            Some(reason) => Err(io::Error::other(reason.to_owned())),
            None => Ok(()),
        }
    }

    /// Blocks until SIGTERM or SIGINT has come, or a part of the server is gone, and every core has drained. A second
    /// signal ends the drain, a third one everything.
    ///
    /// # Errors
    /// As [`Running::join`], or a third signal has come.
    pub fn run_until_signal(self, signals: Signals) -> io::Result<()> {
        let shutdown = self.shutdown.clone();
        let (done, finished) = oneshot::channel();
        // Where the receiver is gone, the process is over.
        thread::Builder::new().name("join".to_owned()).spawn(move || drop(done.send(self.join())))?;
        signals.attend(&shutdown, finished)
    }
}

/// Binds the address and starts to serve on threads of its own.
///
/// # Errors
/// The address cannot be bound, or a thread cannot be started.
pub fn serve(parts: Parts) -> io::Result<Running> {
    let threads = match parts.threads {
        Some(threads) => threads.get(),
        None => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let listeners = listeners(parts.address, threads)?;
    let address = listeners[0].local_addr()?;
    let vitals = parts.ledger.vitals();
    let shutdown = vitals.shutdown.clone();
    let snapshot = parts.router.snapshot();
    let connections = Connections::new(file_limit::max_connections(snapshot.general.max_connections));
    // The catalogue is parsed at its first use, which should be nobody's call.
    drop(thread::spawn(|| Catalogue.provider_of("")));
    let mut cores = Vec::with_capacity(threads);
    for (number, listener) in listeners.into_iter().enumerate() {
        let core = Core {
            app: App::new(
                parts.router.core(parts.ledger.recorder(number, parts.metrics.recorder())),
                parts.metrics.clone(),
                parts.ledger.clone(),
            ),
            connections: connections.clone(),
            pulse: vitals.pulses.add(format!("core-{number}")),
            shutdown: shutdown.clone(),
            drain: parts.drain,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (name, ends) = (format!("core-{number}"), shutdown.clone());
        let started = thread::Builder::new().name(name.clone()).spawn(move || {
            supervise::guard(&name, &ends, move || runtime.block_on(core.run(listener)));
        });
        match started {
            Ok(thread) => cores.push(thread),
            Err(error) => {
                shutdown.begin();
                return Err(error);
            }
        }
    }
    Ok(Running { address, shutdown, cores, ledger: parts.ledger })
}

/// One listener for every core, all on one port.
fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    if address.port() != 0 {
        // With SO_REUSEPORT a second gateway would silently take half of the connections; a bind
        // without it finds that out.
        bind(address, false)?;
    }
    let first = bind(address, true)?;
    first.listen(BACKLOG)?;
    let first = StdListener::from(first);
    let address = first.local_addr()?;
    let mut all = vec![first];
    while all.len() < count {
        let next = if cfg!(target_os = "linux") {
            let socket = bind(address, true)?;
            socket.listen(BACKLOG)?;
            StdListener::from(socket)
        } else {
            // Elsewhere the kernel does not spread connections over such sockets.
            all[0].try_clone()?
        };
        all.push(next);
    }
    Ok(all)
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(shared)?;
    #[cfg(not(target_os = "linux"))]
    let _ = shared;
    // Accepted connections have it from their listener.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One thread's share of the server.
struct Core {
    app: App,
    connections: Connections,
    pulse: Arc<Pulse>,
    shutdown: Shutdown,
    drain: Duration,
}

impl Core {
    async fn run(self, listener: StdListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "cannot listen");
                return;
            }
        };
        let (alive, mut finished) = mpsc::channel::<()>(1);
        let app = Arc::new(self.app);
        // The connections' own signal: they are told to end when nobody can connect any more.
        let draining = Shutdown::default();
        let accepting = accept(&listener, &app, &self.connections, &self.pulse, &draining, &alive);
        tokio::select! {
            () = accepting => {}
            // On the same future as the accept loop: it beats when that gets its turn.
            () = self.pulse.run() => {}
            () = self.shutdown.begun() => {}
        }
        drop(listener);
        draining.begin();
        drop(alive);
        // Every connection holds a sender; `recv` ends when the last is gone.
        tokio::select! {
            _ = finished.recv() => {}
            () = tokio::time::sleep(self.drain) => {
                tracing::warn!(seconds = self.drain.as_secs(), "calls in flight were cut off");
            }
            () = self.shutdown.hastened() => {}
        }
    }
}

/// Accepts for ever.
async fn accept(
    listener: &TcpListener,
    app: &Arc<App>,
    connections: &Connections,
    pulse: &Arc<Pulse>,
    draining: &Shutdown,
    alive: &mpsc::Sender<()>,
) {
    let mut failing = false;
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if of_the_connection(&error) => continue,
            Err(error) => {
                // Mostly no descriptor is left, and idle connections have some.
                let evicted = connections.evict();
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, evicted, "cannot accept connections; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if std::mem::take(&mut failing) {
            tracing::info!("connections are accepted again");
        }
        // Asked for after the accept: a core that waits for clients must not hold a place that
        // another core needs.
        let Some(entry) = connections.enter(pulse).await else {
            app.shared.metrics.refused(StatusCode::SERVICE_UNAVAILABLE);
            connections.refuse(stream);
            continue;
        };
        let (app, peer) = (app.clone(), Peer::of(address));
        let terms = Terms { app, peer, entry, draining: draining.clone(), alive: alive.clone() };
        tokio::spawn(connection::serve(stream, terms));
    }
}

/// Errors that say something about one connection and nothing about the next.
fn of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
