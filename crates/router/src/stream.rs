//! Upstream bytes to client bytes; carries the in-flight guard, so the call ends when the stream
//! does or is dropped.
//!
//! Nothing is read ahead: the next bytes are asked of the upstream when the client has taken the
//! last ones, and the upstream waits as long as the client does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tagrail_providers::{Coder, ErrorKind, Price, UpstreamError, Usage};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use crate::outcome::Account;
use crate::transport::Lease;

/// An upstream's stream whose head is good.
pub(crate) struct Opened {
    body: Incoming,
    lease: Option<Lease>,
    coder: Box<dyn Coder>,
    provider: &'static str,
    out: Vec<Bytes>,
    /// For the client, in order.
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Opened {
    pub(crate) fn new(body: Incoming, lease: Lease, coder: Box<dyn Coder>, provider: &'static str) -> Opened {
        let (out, ready) = (Vec::new(), VecDeque::new());
        Opened { body, lease: Some(lease), coder, provider, out, ready, ended: false }
    }

    /// Waits until there is something for the client, or the stream has ended.
    pub(crate) async fn first(&mut self) -> Result<(), UpstreamError> {
        while self.ready.is_empty() && !self.ended {
            poll_fn(|cx| self.poll_more(cx)).await?;
        }
        Ok(())
    }

    /// Takes in the next bytes of the upstream, or its end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let done = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.coder.push(data, &mut self.out),
                // Trailers say nothing to the client.
                Err(_) => Ok(()),
            },
            Some(Err(error)) => {
                self.ended = true;
                Err(UpstreamError::connection(self.provider, &format!("the stream broke off: {error}")))
            }
            None => {
                self.ended = true;
                if let Some(lease) = self.lease.take() {
                    lease.give_back(Instant::now());
                }
                self.coder.end(&mut self.out)
            }
        };
        self.ready.extend(self.out.drain(..).filter(|piece| !piece.is_empty()));
        Poll::Ready(done)
    }
}

/// The body of a streamed reply. Dropping it ends the upstream call.
pub struct ReplyStream {
    opened: Opened,
    account: Account,
    price: Option<Price>,
    /// Longest wait for the next bytes.
    patience: Duration,
    waiting: Pin<Box<Sleep>>,
    /// Whether `waiting` runs since the last bytes.
    armed: bool,
    failed: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl ReplyStream {
    pub(crate) fn new(
        opened: Opened,
        account: Account,
        price: Option<Price>,
        permit: Option<OwnedSemaphorePermit>,
        patience: Duration,
    ) -> ReplyStream {
        let waiting = Box::pin(sleep(patience));
        ReplyStream {
            opened,
            account,
            price,
            patience,
            waiting,
            armed: false,
            failed: false,
            _permit: permit,
        }
    }

    /// Tokens, as far as the stream has told them.
    pub fn usage(&self) -> Option<Usage> {
        self.opened.coder.usage()
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        if !self.armed {
            self.armed = true;
            let until = Instant::now() + self.patience;
            self.waiting.as_mut().reset(until);
        }
        ready!(self.waiting.as_mut().poll(cx));
        let seconds = self.patience.as_secs_f64();
        let text = format!("litellm.Timeout: APITimeoutError - no data from the upstream for {seconds} s.");
        Poll::Ready(UpstreamError::plain(ErrorKind::Timeout, 408, text))
    }

    /// The stream is over for the client: the upstream is let go, the books are closed.
    fn close(&mut self, cut_short: bool) {
        self.opened.ended = true;
        self.opened.lease = None;
        let usage = self.opened.coder.usage();
        let cost = usage.zip(self.price).map(|(usage, price)| price.cost(&usage));
        self.account.settle_stream(usage, cost, cut_short);
    }

    /// The client is told in its dialect; what had come before stands.
    fn fail(&mut self, error: &UpstreamError) {
        tracing::debug!(message = %error.message, "a stream broke");
        self.failed = true;
        let frame = self.opened.coder.error_frame(error);
        self.opened.ready.push_back(frame);
        self.close(true);
    }
}

impl Body for ReplyStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.opened.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if this.opened.ended {
                if !this.failed {
                    this.close(false);
                }
                return Poll::Ready(None);
            }
            match this.opened.poll_more(cx) {
                Poll::Ready(Ok(())) => this.armed = false,
                Poll::Ready(Err(error)) => this.fail(&error),
                Poll::Pending => match this.poll_waiting(cx) {
                    Poll::Ready(error) => this.fail(&error),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        if !self.opened.ended {
            self.close(true);
        }
    }
}

impl std::fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyStream")
    }
}
