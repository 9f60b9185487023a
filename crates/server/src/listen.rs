//! Cores: one thread with one current-thread runtime and one listener each; the accept loop; the
//! limit on connections.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tagrail::Router;
use tagrail_providers::Catalogue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::activity::Activity;
use crate::app::{self, App};
use crate::caller::Peer;
use crate::inbound::MAX_HEADER_BYTES;
use crate::shutdown::{self, Shutdown};
use crate::{Ledger, Metrics};

/// How many connections may wait to be accepted, per core.
const BACKLOG: i32 = 1024;

/// After an error that is not the connection's own (no file descriptors left), so that the loop
/// does not spin on it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take nothing of what is sent to it. Who stops reading would else hold its
/// connection, its upstream's and a place among `max_parallel_requests` for ever; the system counts,
/// since nothing here runs while a write waits.
#[cfg(target_os = "linux")]
const CLIENT_STALL: Duration = Duration::from_secs(600);

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
    /// A core ended by a panic.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for core in self.cores {
            if core.join().is_err() {
                result = Err(io::Error::other("a core of the server panicked"));
            }
        }
        self.ledger.close();
        result
    }

    /// Blocks until SIGTERM or SIGINT has come and every core has drained.
    ///
    /// # Errors
    /// Signals cannot be listened for, or as [`Running::join`].
    pub fn run_until_signal(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(shutdown::signal())?;
        tracing::info!("stopping: no new requests, those in flight may finish");
        self.shutdown.begin();
        self.join()
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
    let shutdown = Shutdown::new();
    let snapshot = parts.router.snapshot();
    let permits = Arc::new(Semaphore::new(snapshot.general.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
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
            permits: permits.clone(),
            shutdown: shutdown.clone(),
            drain: parts.drain,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let started = thread::Builder::new()
            .name(format!("core-{number}"))
            .spawn(move || runtime.block_on(core.run(listener)));
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
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One thread's share of the server.
struct Core {
    app: App,
    permits: Arc<Semaphore>,
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
        let draining = Shutdown::new();
        let accepting = accept(&listener, &app, &self.permits, &draining, &alive);
        tokio::select! {
            () = accepting => {}
            () = self.shutdown.begun() => {}
        }
        drop(listener);
        draining.begin();
        drop(alive);
        // Every connection holds a sender; `recv` ends when the last is gone.
        if tokio::time::timeout(self.drain, finished.recv()).await.is_err() {
            tracing::warn!(seconds = self.drain.as_secs(), "calls in flight were cut off");
        }
    }
}

/// Accepts for ever.
async fn accept(
    listener: &TcpListener,
    app: &Arc<App>,
    permits: &Arc<Semaphore>,
    draining: &Shutdown,
    alive: &mpsc::Sender<()>,
) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if of_the_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Asked for after the accept: a core that waits for clients must not hold a permit that
        // another core needs.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let connection =
            connection(app.clone(), stream, Peer::of(address), permit, draining.clone(), alive.clone());
        tokio::spawn(connection);
    }
}

/// Errors that say something about one connection and nothing about the next.
fn of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(
    app: Arc<App>,
    stream: TcpStream,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
    draining: Shutdown,
    _alive: mpsc::Sender<()>,
) {
    // Without it small frames of a stream wait for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(CLIENT_STALL)) {
        tracing::debug!(%error, "cannot limit how long a client stalls");
    }
    let arrival = app.shared.router.snapshot().general.request_arrival_timeout;
    let activity = Activity::default();
    let counted = activity.clone();
    let service = service_fn(move |request| app::handle(app.clone(), peer, counted.begin(), request));
    // More than 100 header lines get hyper's own 431, which has no body: its table of more would lie on
    // the heap, and be taken from there for every request.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(2 * MAX_HEADER_BYTES)
        // Head and body into one buffer: one copy, and one plain write. Long bodies are requests, and
        // go the other way.
        .writev(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut begun = pin!(draining.begun());
    let mut told = false;
    // The signal is polled once, which leaves it this task's waker; after that a flag is looked at.
    // Asking it again at every step of every request would take its lock each time.
    let mut asked = false;
    let mut watch = pin!(tokio::time::sleep(arrival));
    let mut watching = false;
    let mut seen = 0;
    let ended = poll_fn(|context| {
        let has_begun = if asked { draining.has_begun() } else { begun.as_mut().poll(context).is_ready() };
        asked = true;
        if has_begun && !told {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        // The timer has this task's waker as well, once it was polled.
        if watching && !watch.is_elapsed() {
            return Poll::Pending;
        }
        watching = true;
        while watch.as_mut().poll(context).is_ready() {
            if activity.rests(&mut seen) {
                return Poll::Ready(Ok(()));
            }
            watch.as_mut().reset(tokio::time::Instant::now() + arrival);
        }
        Poll::Pending
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
