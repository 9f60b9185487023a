//! One client's connection: the HTTP server library on its socket, and when it ends besides.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
#[cfg(target_os = "linux")]
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::app::{self, App};
use crate::caller::Peer;
use crate::client_stream::ClientStream;
use crate::connections::{Entry, linger};
use crate::inbound::MAX_HEADER_BYTES;
use crate::shutdown::Shutdown;

/// How long a client may take nothing of what is sent to it. Who stops reading would else hold its
/// connection, its upstream's and a place among `max_parallel_requests` for ever; the system counts,
/// since nothing here runs while a write waits.
#[cfg(target_os = "linux")]
const CLIENT_STALL: Duration = Duration::from_secs(600);

/// Most that is read ahead of a request, and most of a reply that waits for its client to read, beside the
/// piece that is being added. Room for a head whose fields are within their limit.
const BUFFER: usize = 2 * MAX_HEADER_BYTES;

/// What one connection is served with.
pub(crate) struct Terms {
    pub(crate) app: Arc<App>,
    pub(crate) peer: Peer,
    pub(crate) entry: Entry,
    /// Started when the listener is closed.
    pub(crate) draining: Shutdown,
    /// Dropped with the connection.
    pub(crate) alive: mpsc::Sender<()>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, terms: Terms) {
    let Terms { app, peer, entry, draining, alive: _alive } = terms;
    // Without it small frames of a stream wait for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(CLIENT_STALL)) {
        tracing::debug!(%error, "cannot limit how long a client stalls");
    }
    let arrival = app.shared.router.snapshot().general.request_arrival_timeout;
    let activity = entry.activity.clone();
    let counted = activity.clone();
    let service = service_fn(move |request| app::handle(app.clone(), peer, counted.begin(), request));
    // More than 100 header lines get hyper's own 431, which has no body: its table of more would lie on
    // the heap, and be taken from there for every request.
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(2 * MAX_HEADER_BYTES)
        .max_buf_size(BUFFER)
        // A client that sends nothing more is answered; `ClientStream` finds out when it is gone.
        .half_close(true)
        // Head and body into one buffer: one copy, and one plain write. Long bodies are requests, and
        // go the other way.
        .writev(false)
        .serve_connection(TokioIo::new(ClientStream::new(stream, activity.clone())), service);
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
        if !asked {
            asked = true;
            activity.set_waker(context.waker());
        }
        if has_begun && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(context) {
            return Poll::Ready(ended);
        }
        // What is left of an unread body is not waited for at the end.
        if (has_begun && activity.is_idle()) || activity.takes_eviction() {
            return Poll::Ready(Ok(()));
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
        // The library has refused a head that it cannot read: the client may still be writing.
        if error.is_parse() || error.is_parse_too_large() {
            linger(connection.into_parts().io.into_inner().into_inner()).await;
        }
    }
}
