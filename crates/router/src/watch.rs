//! What a connection has seen of its current request: whether any byte of it was written, whether a reply has
//! started, and how much was read that carried nothing. By this `transport.rs` separates a request that the upstream
//! cannot have read, which may be sent again, from one that it may already serve.
//!
//! Two observations prove that a request was not read:
//!
//! - Nothing of it was written. Directly before the first byte the socket is asked, past the runtime's cached
//!   readiness, whether the other side has closed it meanwhile.
//! - The other side's FIN came instead of a reply, and then a reset. It had closed before all of the request was
//!   there; an upstream that reads a request whole and then closes sends no reset.
//!
//! A FIN alone, or a reset alone, proves nothing: the upstream may have read everything.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::client::TlsStream;

/// Bytes that may be read without a head or a part of a body coming of them: interim responses, a head, what
/// stands around chunks. Twice what hyper buffers, so that it never ends a reply that is being delivered.
pub(crate) const LONGEST_EMPTY: usize = 2 * crate::transport::READ_AHEAD;
/// The waits for a reset behind a FIN: from one millisecond, doubled up to this one. A quarter of a second together.
const LAST_WAIT: Duration = Duration::from_millis(128);

/// No request is under way.
const IDLE: u8 = 0;
/// A request was handed over; nothing of it is written.
const BEGUN: u8 = 1;
/// Some of it is written.
const SENT: u8 = 2;
/// Some of the reply was read.
const ANSWERED: u8 = 3;

/// What is known of the request under way; shared by the connection's task and the call that waits for the reply.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    phase: AtomicU8,
    /// Whether the connection had served another request before.
    reused: AtomicBool,
    /// Whether the upstream closed before it had read the request.
    unread: AtomicBool,
    /// Bytes read since the last delivery.
    empty: AtomicUsize,
}

/// A socket below a connection.
pub(crate) trait Socket {
    /// The TCP connection; `None` where it cannot be reached, as below a proxy's tunnel.
    fn tcp(&self) -> Option<&TcpStream>;
}

/// A stream that keeps a [`Wire`] up to date.
pub(crate) struct Watched<T> {
    io: T,
    wire: Arc<Wire>,
    closing: Option<Closing>,
}

/// A FIN came instead of a reply: is there a reset behind it?
struct Closing {
    sleep: Pin<Box<Sleep>>,
    wait: Duration,
    /// How TLS reported the end, where it did.
    end: Option<io::Error>,
}

impl Wire {
    /// A request is handed over.
    pub(crate) fn begin(&self, reused: bool) {
        self.reused.store(reused, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        self.empty.store(0, Ordering::Relaxed);
        self.phase.store(BEGUN, Ordering::Relaxed);
    }

    /// A head, or a part of a body that holds something, has reached the call that waits for it.
    pub(crate) fn delivered(&self) {
        self.empty.store(0, Ordering::Relaxed);
    }

    /// The reply is complete.
    pub(crate) fn idle(&self) {
        self.phase.store(IDLE, Ordering::Relaxed);
    }

    /// Whether the upstream cannot have read the request.
    pub(crate) fn is_unread(&self) -> bool {
        self.phase() == BEGUN || self.unread.load(Ordering::Relaxed)
    }

    /// Whether more was read than may be without a delivery.
    pub(crate) fn is_flooded(&self) -> bool {
        self.empty.load(Ordering::Relaxed) >= LONGEST_EMPTY
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn waits_on_reused(&self) -> bool {
        self.phase() == SENT && self.reused.load(Ordering::Relaxed)
    }

    fn has_read(&self, bytes: usize) {
        if self.phase() != IDLE {
            self.phase.store(ANSWERED, Ordering::Relaxed);
        }
        self.empty.fetch_add(bytes, Ordering::Relaxed);
    }

    fn has_written(&self) {
        if self.phase() == BEGUN {
            self.phase.store(SENT, Ordering::Relaxed);
        }
    }
}

impl Socket for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl<T: Socket> Socket for TlsStream<T> {
    fn tcp(&self) -> Option<&TcpStream> {
        self.get_ref().0.tcp()
    }
}

impl Socket for TokioIo<Upgraded> {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl<T: Socket> Watched<T> {
    pub(crate) fn new(io: T, wire: Arc<Wire>) -> Watched<T> {
        Watched { io, wire, closing: None }
    }

    /// Refuses to write the first byte of a request to a kept connection that has ended meanwhile. Bytes that
    /// wait there end it, too: nothing was asked, so they announce its end (a 408, TLS's close_notify).
    fn check_open(&self) -> io::Result<()> {
        if self.wire.phase() != BEGUN || !self.wire.reused.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(tcp) = self.io.tcp() else { return Ok(()) };
        match SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "closed by the upstream while it was idle",
            )),
        }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) if *bytes > 0 => self.wire.has_written(),
            // The reset behind the FIN is reported to whichever call comes first.
            Poll::Ready(Err(_)) if self.closing.is_some() => self.wire.unread.store(true, Ordering::Relaxed),
            _ => {}
        }
        written
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(closing) = &mut self.closing else { return Poll::Ready(Ok(())) };
            let reset = self.io.tcp().map(TcpStream::take_error);
            if matches!(reset, Some(Ok(Some(_)) | Err(_))) {
                self.wire.unread.store(true, Ordering::Relaxed);
            }
            if closing.wait > LAST_WAIT || reset.is_none() || self.wire.unread.load(Ordering::Relaxed) {
                let end = closing.end.take();
                self.closing = None;
                // Not asked a second time.
                self.wire.reused.store(false, Ordering::Relaxed);
                return Poll::Ready(end.map_or(Ok(()), Err));
            }
            ready!(closing.sleep.as_mut().poll(cx));
            closing.wait *= 2;
            closing.sleep.as_mut().reset(Instant::now() + closing.wait);
        }
    }
}

impl<T: AsyncRead + Socket + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_some() {
            return this.poll_closing(cx);
        }
        if this.wire.is_flooded() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "bytes without content")));
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut this.io).poll_read(cx, buf));
        let bytes = buf.filled().len() - before;
        let end = match read {
            Ok(()) if bytes > 0 => {
                this.wire.has_read(bytes);
                return Poll::Ready(Ok(()));
            }
            Ok(()) => None,
            // TLS without a close_notify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(error),
            Err(error) => return Poll::Ready(Err(error)),
        };
        if !this.wire.waits_on_reused() || buf.remaining() == 0 {
            return Poll::Ready(end.map_or(Ok(()), Err));
        }
        let wait = Duration::from_millis(1);
        this.closing = Some(Closing { sleep: Box::pin(sleep(wait)), wait, end });
        this.poll_closing(cx)
    }
}

impl<T: AsyncWrite + Socket + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open()?;
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open()?;
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (Watched<TcpStream>, Arc<Wire>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let wire = Arc::<Wire>::default();
        (Watched::new(client.unwrap(), wire.clone()), wire, server.unwrap().0)
    }

    /// A kept connection whose upstream reads the first byte of a request and closes.
    async fn closed_after_a_byte() -> (Watched<TcpStream>, Arc<Wire>) {
        let (mut client, wire, mut server) = pair().await;
        wire.begin(true);
        client.write_all(b"a").await.unwrap();
        server.read_u8().await.unwrap();
        drop(server);
        client.io.readable().await.unwrap();
        (client, wire)
    }

    #[tokio::test]
    async fn an_upstream_that_read_everything_before_it_closed_is_not_taken_for_one_that_read_nothing() {
        let (mut client, wire) = closed_after_a_byte().await;
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(!wire.is_unread());
    }

    #[tokio::test]
    async fn a_reset_behind_the_end_says_that_the_request_was_not_read() {
        let (mut client, wire) = closed_after_a_byte().await;
        client.write_all(b"b").await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(wire.is_unread());
    }

    #[tokio::test]
    async fn a_reset_alone_proves_nothing() {
        let (mut client, wire, server) = pair().await;
        wire.begin(true);
        client.write_all(b"a").await.unwrap();
        server.readable().await.unwrap();
        // What was not read makes a reset of the end.
        drop(server);
        client.read(&mut [0; 8]).await.unwrap_err();
        assert!(!wire.is_unread());
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_kept_connection_that_has_ended() {
        for farewell in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let (mut client, wire, mut server) = pair().await;
            server.write_all(farewell).await.unwrap();
            drop(server);
            client.io.readable().await.unwrap();
            wire.begin(true);
            client.write_all(b"a").await.unwrap_err();
            assert!(wire.is_unread());
        }
    }

    #[tokio::test]
    async fn bytes_without_content_are_bounded_and_those_with_it_are_not() {
        let (mut client, wire, mut server) = pair().await;
        let sending = tokio::spawn(async move { while server.write_all(&[b' '; 4096]).await.is_ok() {} });
        wire.begin(false);
        let mut buffer = vec![0; 4096];
        let mut read = 0;
        while read < 4 * LONGEST_EMPTY {
            read += client.read(&mut buffer).await.unwrap();
            wire.delivered();
        }
        let mut more = 0;
        while let Ok(bytes) = client.read(&mut buffer).await {
            more += bytes;
        }
        assert!((LONGEST_EMPTY..LONGEST_EMPTY + buffer.len()).contains(&more), "{more}");
        assert!(wire.is_flooded());
        drop(client);
        sending.await.unwrap();
    }
}
