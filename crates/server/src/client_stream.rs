//! A client's socket as the HTTP server library sees it, and what the library does not look for: a client that
//! ends its side while its call is answered, and one that is gone.
//!
//! A FIN says that nothing more is sent. Whether the client still reads, TCP does not say: a half-close
//! and a close look alike. So the call goes on, and the connection ends when the client answers with a
//! reset: at once to what is written to it, or to a keep-alive probe.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::activity::Activity;

/// How often a half-closed connection is looked at for a reset, which wakes no reader after a FIN.
const LOOK: Duration = Duration::from_secs(1);

/// Keep-alive probes of a half-closed connection. The system of a client that has closed answers them with a
/// reset once it has forgotten the connection (Linux: after 60 s).
const PROBE: Duration = Duration::from_secs(10);

/// The socket, and how its client is watched while a call is answered.
#[derive(Debug)]
pub(crate) struct ClientStream {
    stream: TcpStream,
    activity: Activity,
    /// There is something to read (a FIN, or the next request), so that only resets are of interest.
    look: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    pub(crate) fn new(stream: TcpStream, activity: Activity) -> ClientStream {
        ClientStream { stream, activity, look: None }
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.stream
    }

    /// Whether the client is gone while its call is answered.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.activity.is_busy() {
            // The library reads by itself, and finds out.
            self.look = None;
            return Ok(());
        }
        loop {
            if let Some(look) = &mut self.look {
                if look.as_mut().poll(cx).is_pending() {
                    return Ok(());
                }
                self.look = None;
                if let Some(error) = self.stream.take_error()? {
                    return Err(error);
                }
            }
            let mut one = [0; 1];
            match self.stream.poll_peek(cx, &mut ReadBuf::new(&mut one)) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(0)) if self.activity.half_close() => {
                    self.probe();
                    // The reply is asked whether it can find out more.
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(Ok(_)) => {}
            }
            self.look = Some(Box::pin(sleep(LOOK)));
        }
    }

    fn probe(&self) {
        let probes = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE);
        if let Err(error) = SockRef::from(&self.stream).set_tcp_keepalive(&probes) {
            tracing::debug!(%error, "cannot probe a half-closed connection");
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.set_blocked(written.is_pending());
        written
    }

    /// The library calls this whenever it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.set_blocked(false);
        self.poll_gone(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
