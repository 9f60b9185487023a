//! The only file that opens a socket to a provider: connections of one's own, kept per endpoint, TLS
//! by rustls, `HTTPS_PROXY` and its kin by CONNECT. HTTP/1.1 framing stays hyper's.
//!
//! A connection belongs to one runtime: its task runs where it was opened. A request of another runtime that
//! took it over would wake that one for every byte, and wait for ever where that one is idle. So each core
//! has a `Transport` of its own, and of one that several share none hands a connection from one to another.

mod chosen;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tagrail_providers::{Endpoint, TlsVerify};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::gather::Gather;
use crate::idle_budget::{IdleBudget, KeptIdle};
use crate::watch::{LONGEST_EMPTY, Socket, Watched, Wire};

mod tls;

/// Longest wait for a connection, TLS and proxy included.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections are not used again after this: most servers close theirs at 60 s or later.
const IDLE: Duration = Duration::from_secs(50);
/// Idle connections kept per endpoint and runtime.
const KEPT: usize = 512;
/// Largest head of a reply, and most that is read ahead of a slow client (twice: what is handed over, and what
/// was read behind it).
pub(crate) const READ_AHEAD: usize = 64 * 1024;
/// An upstream that has not shown that it keeps connections open gets this time to close one behind its answer,
/// before the connection is used again.
const REST: Duration = Duration::from_millis(250);
/// The same for one that has closed a connection behind its first answer.
const LONG_REST: Duration = Duration::from_secs(5);
/// Connections kept per endpoint and runtime while they have to rest.
const RESTING: usize = 64;
/// This many connections in a row have to serve a second request before every connection is used again at once.
const PROVEN: u32 = 4;
/// Beyond this many endpoints, those without connections are forgotten: callers may be allowed to name them.
const ENDPOINTS: usize = 256;
/// What the system holds of a reply that is not read yet; Linux takes twice as much, its own records included.
const RECEIVED: usize = 128 * 1024;
/// At most, idle connections of one runtime are looked through so often for those that are over.
const SWEEP: Duration = Duration::from_secs(1);

/// Why no reply came.
#[derive(Debug)]
pub(crate) enum TransportError {
    /// No connection: refused, unresolved, TLS, proxy.
    Connect(String),
    /// A kept connection had been closed meanwhile and the request was not read; a fresh one may do.
    Stale,
    /// The connection broke before the head of the reply. The upstream may have begun to work.
    Broken(String),
}

/// Connections, mostly of one runtime.
pub(crate) struct Transport {
    way: Arc<Way>,
    pools: Mutex<HashMap<Endpoint, Arc<Pool>>>,
    swept: Mutex<Option<Instant>>,
}

/// How the outside is reached; shared by all runtimes.
pub(crate) struct Way {
    tls: OnceLock<Result<TlsConnector, String>>,
    /// Of deployments with an `ssl_verify` of their own.
    own_tls: Mutex<HashMap<TlsVerify, Result<TlsConnector, String>>>,
    proxies: Matcher,
    budget: Arc<IdleBudget>,
}

struct Pool {
    idle: Mutex<Vec<Connection>>,
    standing: Standing,
    budget: Arc<IdleBudget>,
}

/// Whether an endpoint keeps its connections open behind an answer, as far as it has shown.
#[derive(Default)]
struct Standing {
    /// Connections that served a second request since one was closed behind its first.
    kept: AtomicU32,
    /// Whether one was closed behind its first answer, without a word, since as many as [`PROVEN`] were kept.
    closes: AtomicBool,
}

struct Connection {
    sender: SendRequest<Pieces>,
    task: AbortHandle,
    /// Where its task runs.
    runtime: Id,
    idle_since: Instant,
    wire: Arc<Wire>,
    /// Replies read to their end.
    answers: u32,
    /// What the last reply says of it.
    promise: Promise,
    /// Plain requests to a proxy name the whole URL.
    absolute: Option<(Authority, Option<HeaderValue>)>,
    /// While it is idle.
    kept: Option<KeptIdle>,
}

/// A connection that nothing was sent on yet.
pub(crate) struct Ready {
    pool: Arc<Pool>,
    connection: Connection,
    /// It has served before, and may have been closed meanwhile.
    reused: bool,
}

/// What a reply says of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    Nothing,
    KeepAlive,
    Close,
}

/// A connection in use. Given back when its reply was read to the end; otherwise closed, which is
/// what ends the call upstream.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    connection: Option<Connection>,
}

impl Transport {
    pub(crate) fn new(way: Arc<Way>) -> Transport {
        Transport { way, pools: Mutex::default(), swept: Mutex::default() }
    }

    /// The same way out, with connections of its own.
    pub(crate) fn fork(&self) -> Transport {
        Transport::new(self.way.clone())
    }

    /// A connection to send on: a kept one, or a new one. Until it is there nothing is sent.
    pub(crate) fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        fresh: bool,
        now: Instant,
    ) -> impl Future<Output = Result<Ready, TransportError>> + Send + 'a {
        if self.way.budget.is_short() {
            self.sweep(now);
        }
        let pool = self.pool(endpoint);
        let kept = if fresh { None } else { pool.take(now) };
        async move {
            let reused = kept.is_some();
            let connection = match kept {
                Some(connection) => connection,
                None => Box::pin(self.way.open(endpoint)).await?,
            };
            Ok(Ready { pool, connection, reused })
        }
    }

    fn pool(&self, endpoint: &Endpoint) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(endpoint) {
            return pool.clone();
        }
        if pools.len() >= ENDPOINTS {
            pools.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.has_open());
        }
        pools.entry(endpoint.clone()).or_insert_with(|| Pool::new(&self.way.budget)).clone()
    }

    /// Closes idle connections that are over, of endpoints too that are not called any more.
    fn sweep(&self, now: Instant) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP) {
            return;
        }
        *swept = Some(now);
        self.way.budget.looked_through();
        let pools: Vec<_> =
            self.pools.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for pool in pools {
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| {
                let is_over = known.is_over(now);
                if is_over {
                    known.task.abort();
                }
                !is_over
            });
        }
    }
}

impl Ready {
    /// Sends a request whose URI is path and query alone; waits for the head of the reply. What waits borrows
    /// nothing, so that it can go on when the client has left. Not an `async fn`, whose future would hold the
    /// request twice.
    pub(crate) fn send(
        self,
        mut request: Request<Pieces>,
    ) -> impl Future<Output = Result<(Response<Incoming>, Lease), TransportError>> + Send + 'static {
        let Ready { pool, mut connection, reused } = self;
        async move {
            connection.address(&mut request);
            connection.wire.begin(reused);
            match connection.sender.try_send_request(request).await {
                Ok(reply) => {
                    connection.wire.delivered();
                    connection.promise = Promise::of(&reply);
                    Ok((reply, Lease { pool, connection: Some(connection) }))
                }
                Err(mut failed) => {
                    connection.task.abort();
                    if reused && connection.answers == 1 {
                        pool.standing.closed();
                    }
                    // In every other case a second try may be a second call for the upstream: that is for the
                    // retries to decide.
                    if reused && (failed.take_message().is_some() || connection.wire.is_unread()) {
                        return Err(TransportError::Stale);
                    }
                    Err(TransportError::Broken(connection.broken(&failed.into_error())))
                }
            }
        }
    }
}

impl Pool {
    fn new(budget: &Arc<IdleBudget>) -> Arc<Pool> {
        Arc::new(Pool { idle: Mutex::default(), standing: Standing::default(), budget: budget.clone() })
    }

    /// The connection used last that is open and may be used: the warmest.
    fn take(&self, now: Instant) -> Option<Connection> {
        let runtime = Handle::current().id();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let known = &idle[at];
            if known.is_over(now) {
                let over = idle.swap_remove(at);
                self.note_closed(&over);
                over.task.abort();
            } else if known.runtime == runtime && known.sender.is_ready() && self.may_use(known, now) {
                let mut connection = idle.swap_remove(at);
                connection.kept = None;
                return Some(connection);
            }
        }
        None
    }

    /// An upstream that closes its connections behind its answers, and does not say so, may not have done it
    /// yet: a request that meets the close is lost.
    fn may_use(&self, known: &Connection, now: Instant) -> bool {
        let rest = if self.standing.closes.load(Ordering::Relaxed) { LONG_REST } else { REST };
        self.is_trusted(known) || now.saturating_duration_since(known.idle_since) >= rest
    }

    fn is_trusted(&self, known: &Connection) -> bool {
        known.answers > 1
            || self.standing.is_good()
            || (known.promise == Promise::KeepAlive && !self.standing.closes.load(Ordering::Relaxed))
    }

    /// The other side has closed a connection that was to be kept.
    fn note_closed(&self, connection: &Connection) {
        if connection.answers == 1 && connection.sender.is_closed() {
            self.standing.closed();
        }
    }

    fn has_open(&self) -> bool {
        let now = Instant::now();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().any(|known| !known.is_over(now))
    }
}

impl Standing {
    fn is_good(&self) -> bool {
        self.kept.load(Ordering::Relaxed) >= PROVEN
    }

    fn kept(&self) {
        if self.kept.fetch_add(1, Ordering::Relaxed) + 1 >= PROVEN {
            self.closes.store(false, Ordering::Relaxed);
        }
    }

    fn closed(&self) {
        self.kept.store(0, Ordering::Relaxed);
        self.closes.store(true, Ordering::Relaxed);
    }
}

impl Promise {
    fn of(reply: &Response<Incoming>) -> Promise {
        let says = |value: &HeaderValue, word: &str| {
            let text = value.to_str().unwrap_or_default();
            text.split(',').any(|said| said.trim().eq_ignore_ascii_case(word))
        };
        match reply.headers().get(header::CONNECTION) {
            Some(value) if says(value, "close") => Promise::Close,
            Some(value) if says(value, "keep-alive") => Promise::KeepAlive,
            _ if reply.version() < Version::HTTP_11 => Promise::Close,
            _ => Promise::Nothing,
        }
    }
}

impl Connection {
    /// Whether it is closed, or idle for too long.
    fn is_over(&self, now: Instant) -> bool {
        self.sender.is_closed() || now.saturating_duration_since(self.idle_since) > IDLE
    }

    /// Why no reply came.
    fn broken(&self, error: &hyper::Error) -> String {
        if self.wire.is_flooded() {
            return format!("{} KiB without an answer: interim responses or padding", LONGEST_EMPTY / 1024);
        }
        error.to_string()
    }

    fn address(&self, request: &mut Request<Pieces>) {
        let Some((authority, authorization)) = &self.absolute else { return };
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(authority.clone());
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        if let Some(value) = authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
    }
}

impl Lease {
    /// A part of the reply's body has come.
    pub(crate) fn delivered(&self) {
        if let Some(connection) = &self.connection {
            connection.wire.delivered();
        }
    }

    /// The reply was read to its end: others may use the connection.
    pub(crate) fn give_back(mut self, now: Instant) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.answers += 1;
        if connection.promise == Promise::Close {
            connection.task.abort();
            return;
        }
        if connection.sender.is_closed() {
            self.pool.note_closed(&connection);
            return;
        }
        if connection.answers == 2 {
            self.pool.standing.kept();
        }
        connection.idle_since = now;
        connection.wire.delivered();
        connection.wire.idle();
        let most = if self.pool.is_trusted(&connection) { KEPT } else { RESTING };
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < most
            && let Some(kept) = self.pool.budget.keep()
        {
            connection.kept = Some(kept);
            idle.push(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.task.abort();
        }
    }
}

impl Way {
    /// Reads proxies from the environment. Certificates are read at the first use of TLS.
    pub(crate) fn new() -> Way {
        Way {
            tls: OnceLock::new(),
            own_tls: Mutex::default(),
            proxies: Matcher::from_env(),
            budget: IdleBudget::new(),
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Connection, TransportError> {
        let opening = self.open_now(endpoint);
        match timeout(CONNECT, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(why)) => Err(TransportError::Connect(why)),
            Err(_) => Err(TransportError::Connect(format!("no connection within {} s", CONNECT.as_secs()))),
        }
    }

    async fn open_now(&self, endpoint: &Endpoint) -> Result<Connection, String> {
        let authority = authority(endpoint);
        let scheme = if endpoint.https { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(authority.as_str()).path_and_query("/").build();
        let proxy = uri.ok().and_then(|uri| self.proxies.intercept(&uri));
        let authority = Authority::try_from(authority).map_err(|error| error.to_string())?;
        match (proxy, endpoint.https) {
            (None, false) => handshake(tcp(&endpoint.host, endpoint.port).await?, None).await,
            (None, true) => {
                handshake(self.tls(tcp(&endpoint.host, endpoint.port).await?, endpoint).await?, None).await
            }
            (Some(proxy), false) => {
                let authorization = proxy.basic_auth().cloned();
                handshake(to_proxy(&proxy).await?, Some((authority, authorization))).await
            }
            (Some(proxy), true) => {
                let tunnel = tunnel(&proxy, &authority).await?;
                handshake(self.tls(tunnel, endpoint).await?, None).await
            }
        }
    }

    async fn tls<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
        endpoint: &Endpoint,
    ) -> Result<tokio_rustls::client::TlsStream<T>, String> {
        let connector = self.connector(&endpoint.tls_verify)?;
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| error.to_string())?;
        connector.connect(name, stream).await.map_err(|error| format!("TLS with {}: {error}", endpoint.host))
    }
}

impl Way {
    fn connector(&self, verify: &TlsVerify) -> Result<TlsConnector, String> {
        if *verify == TlsVerify::System {
            return self.tls.get_or_init(system).clone();
        }
        let mut own = self.own_tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = own.get(verify) {
            return made.clone();
        }
        let made = match verify {
            TlsVerify::System => system(),
            TlsVerify::Off => tls::unverified(),
            TlsVerify::Bundle(file) => tls::bundle(file).and_then(tls::verified),
        };
        // A file that cannot be read now may be there at the next connection.
        if made.is_ok() {
            own.insert(verify.clone(), made.clone());
        }
        made
    }
}

/// The system's roots, or those of `SSL_CERT_FILE` / `SSL_CERT_DIR`.
fn system() -> Result<TlsConnector, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!("no root certificates found; set SSL_CERT_FILE ({})", why.join("; ")));
    }
    tls::verified(roots)
}

fn authority(endpoint: &Endpoint) -> String {
    let v6 = endpoint.host.contains(':');
    let (open, close) = if v6 { ("[", "]") } else { ("", "") };
    format!("{open}{}{close}:{}", endpoint.host, endpoint.port)
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let connected = TcpStream::connect((host, port)).await;
    let stream = connected.map_err(|error: io::Error| format!("{host}:{port}: {error}"))?;
    tuned(stream)
}

/// Sets what every connection to an upstream has.
fn tuned(stream: TcpStream) -> Result<TcpStream, String> {
    // Without it the last part of a request waits for the acknowledgement of the one before.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    // Without it the system lets the buffer grow to several megabytes, which a client that does not read fills.
    SockRef::from(&stream).set_recv_buffer_size(RECEIVED).map_err(|error| error.to_string())?;
    Ok(stream)
}

async fn to_proxy(proxy: &Intercept) -> Result<TcpStream, String> {
    if proxy.uri().scheme() != Some(&Scheme::HTTP) {
        return Err(format!("proxies are reached by http:// only, not {:?}", proxy.uri().scheme_str()));
    }
    let host = proxy.uri().host().ok_or("the proxy's URL has no host")?;
    tcp(host, proxy.uri().port_u16().unwrap_or(80)).await.map_err(|why| format!("proxy {why}"))
}

/// A tunnel through a proxy, by CONNECT.
async fn tunnel(proxy: &Intercept, to: &Authority) -> Result<TokioIo<hyper::upgrade::Upgraded>, String> {
    let failed = |error: hyper::Error| format!("proxy: {error}");
    let stream = TokioIo::new(to_proxy(proxy).await?);
    let (mut sender, connection) = http1::handshake::<_, Pieces>(stream).await.map_err(failed)?;
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::new(Pieces::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::from(to.clone());
    let host = HeaderValue::from_str(to.as_str()).map_err(|error| error.to_string())?;
    request.headers_mut().insert(header::HOST, host);
    if let Some(value) = proxy.basic_auth() {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
    }
    let reply = sender.send_request(request).await.map_err(failed)?;
    if !reply.status().is_success() {
        return Err(format!("proxy refused CONNECT with {}", reply.status().as_u16()));
    }
    hyper::upgrade::on(reply).await.map(TokioIo::new).map_err(failed)
}

async fn handshake<T>(
    stream: T,
    absolute: Option<(Authority, Option<HeaderValue>)>,
) -> Result<Connection, String>
where
    T: AsyncRead + AsyncWrite + Socket + Send + Unpin + 'static,
{
    let wire = Arc::<Wire>::default();
    let stream = Watched::new(Gather(stream), wire.clone());
    let made = http1::Builder::new().max_buf_size(READ_AHEAD).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = made.map_err(|error| error.to_string())?;
    let task = tokio::spawn(async move {
        // What goes wrong here is told to whoever waits for the reply.
        let _ = connection.await;
    });
    let (task, runtime) = (task.abort_handle(), Handle::current().id());
    let (idle_since, promise) = (Instant::now(), Promise::Nothing);
    Ok(Connection { sender, task, runtime, idle_since, wire, answers: 0, promise, absolute, kept: None })
}

/// A request body in pieces of known length.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    left: VecDeque<Bytes>,
    length: u64,
}

impl Pieces {
    pub(crate) fn new(pieces: Vec<Bytes>) -> Pieces {
        let length = pieces.iter().map(|piece| piece.remaining() as u64).sum();
        Pieces { left: pieces.into(), length }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.left.pop_front();
        if let Some(piece) = &next {
            self.length -= piece.len() as u64;
        }
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
