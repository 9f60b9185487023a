//! Upstream bytes to client bytes; carries the in-flight guard, so the call ends when the stream
//! does or is dropped.
//!
//! Nothing is read ahead: the next bytes are asked of the upstream when the client has taken the
//! last ones, and the upstream waits as long as the client does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tagrail_providers::{Coder, Cost, Ending, Envelope, ErrorKind, UpstreamError, Usage};
use tagrail_routing::{Decision, DeploymentIndex, Moment};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use crate::account::{Account, Spent};
use crate::attempt::Terms;
use crate::choices::Choices;
use crate::transport::Lease;

/// How long the end of a connection's reply is waited for behind its last event, so that the
/// connection can be used again: it mostly comes with it.
const LINGER: Duration = Duration::from_millis(100);

/// A stream that its client left after the answer is read on for its count of tokens for this time, and for so
/// many bytes.
const READ_ON: Duration = Duration::from_secs(5);
const MOST_READ_ON: usize = 256 * 1024;

/// Bytes of a stream that may come without anything for the client in them: pings, comments, what the client's
/// dialect has no word for.
const LONGEST_SILENCE: usize = 16 * 1024 * 1024;

/// An upstream's stream whose head is good.
pub(crate) struct Opened {
    body: Incoming,
    lease: Option<Lease>,
    coder: Box<dyn Coder>,
    provider: &'static str,
    out: Vec<Bytes>,
    /// For the client, in order.
    ready: VecDeque<Bytes>,
    /// Bytes read since there was something for the client.
    silent: usize,
    ended: bool,
}

impl Opened {
    pub(crate) fn new(body: Incoming, lease: Lease, coder: Box<dyn Coder>, provider: &'static str) -> Opened {
        let (out, ready) = (Vec::new(), VecDeque::new());
        Opened { body, lease: Some(lease), coder, provider, out, ready, silent: 0, ended: false }
    }

    /// Waits until there is something for the client, or the stream has ended.
    pub(crate) async fn first(&mut self) -> Result<(), UpstreamError> {
        while self.ready.is_empty() && !self.ended {
            poll_fn(|cx| self.poll_more(cx)).await?;
        }
        Ok(())
    }

    /// Takes in the next bytes of the upstream, or its end. Behind the dialect's last event nothing
    /// is an error, and nothing but the end is waited for.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let whole = self.coder.finished();
        let done = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(_) if whole => {
                    self.ended = true;
                    Ok(())
                }
                Ok(data) => {
                    if let Some(lease) = &self.lease {
                        lease.delivered();
                    }
                    self.silent += data.len();
                    self.coder.push(data, &mut self.out)
                }
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
        if !self.ready.is_empty() {
            self.silent = 0;
        } else if self.silent > LONGEST_SILENCE {
            self.ended = true;
            let why = format!("{} MiB of a stream without content", LONGEST_SILENCE >> 20);
            return Poll::Ready(Err(UpstreamError::connection(self.provider, &why)));
        }
        Poll::Ready(if self.coder.finished() { Ok(()) } else { done })
    }
}

/// The body of a streamed reply. Dropping it ends the upstream call; one whose answer is there already is read on
/// for its count of tokens.
pub struct ReplyStream {
    /// `None` once it is dropped.
    live: Option<Live>,
}

/// A stream that has not been dropped.
struct Live {
    opened: Opened,
    account: Account,
    terms: StreamTerms,
    /// What the deployment was chosen by, for the scoreboard.
    decision: Option<Decision>,
    waiting: Pin<Box<Sleep>>,
    /// Whether `waiting` runs since the last bytes.
    armed: bool,
    closed: bool,
    /// What was charged, once the books are closed.
    charged: Option<Spent>,
    /// What the stream broke of.
    failure: Option<UpstreamError>,
}

/// What a stream runs under.
pub(crate) struct StreamTerms {
    pub(crate) deployment: DeploymentIndex,
    pub(crate) charged_by: Terms,
    /// Places for streams that are read on.
    pub(crate) tails: Arc<Semaphore>,
    /// What its caller chose.
    pub(crate) choices: Choices<'static>,
    /// The request's body, where tokens are estimated by it should the upstream not count them.
    pub(crate) asked: Option<Envelope>,
    /// Longest wait for the next bytes.
    pub(crate) patience: Duration,
    /// The same time on the clock and on the scoreboard's.
    pub(crate) opened: (Instant, Moment),
    /// One of `max_parallel_requests`, given back when the stream is over.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl ReplyStream {
    pub(crate) fn new(opened: Opened, account: Account, terms: StreamTerms) -> ReplyStream {
        let waiting = Box::pin(sleep(terms.patience));
        let live = Live {
            opened,
            account,
            terms,
            decision: None,
            waiting,
            armed: false,
            closed: false,
            charged: None,
            failure: None,
        };
        ReplyStream { live: Some(live) }
    }

    /// Has the deployment's failures noted as those of this choice.
    pub(crate) fn chosen_by(&mut self, decision: Decision) {
        if let Some(live) = &mut self.live {
            live.decision = Some(decision);
        }
    }

    /// What the deployment was chosen by.
    pub fn decision(&self) -> Option<&Decision> {
        self.live.as_ref()?.decision.as_ref()
    }

    /// Tokens, as far as the stream has told them.
    pub fn usage(&self) -> Option<Usage> {
        self.live.as_ref()?.opened.coder.usage()
    }

    /// US dollars, when prices are known: what the tokens told so far cost, and at the end what was
    /// charged.
    pub fn cost(&self) -> Option<Cost> {
        let live = self.live.as_ref()?;
        match live.charged {
            Some(charged) => charged.cost,
            None => Some(live.terms.charged_by.price?.cost(&self.usage()?)),
        }
    }

    /// What the stream broke of, as soon as the frame is out that tells a client so in its dialect:
    /// nothing comes behind that, and what came before it is the upstream's.
    pub fn failure(&self) -> Option<&UpstreamError> {
        let live = self.live.as_ref()?;
        live.failure.as_ref().filter(|_| live.opened.ready.is_empty())
    }

    /// Nobody wants the rest.
    pub(crate) fn leave(&mut self) {
        if let Some(live) = &mut self.live {
            live.leave();
        }
    }
}

impl Live {
    fn leave(&mut self) {
        if !self.closed {
            let whole = self.opened.ended || self.opened.coder.finished();
            self.close(None, !whole || !self.opened.ready.is_empty());
        }
    }

    /// A place to read on, where the answer is there and only its count of tokens is outstanding.
    fn reader(&self) -> Option<(OwnedSemaphorePermit, Handle)> {
        let coder = &self.opened.coder;
        let is_over = self.closed || self.opened.ended || coder.finished();
        if is_over || self.terms.asked.is_none() || !coder.answered() || coder.told().is_final {
            return None;
        }
        Some((self.terms.tails.clone().try_acquire_owned().ok()?, Handle::try_current().ok()?))
    }

    /// Waits no longer than the upstream may be silent, or than the end of a whole reply is worth.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let whole = self.opened.coder.finished();
        if !self.armed {
            self.armed = true;
            let until = Instant::now() + if whole { LINGER } else { self.terms.patience };
            self.waiting.as_mut().reset(until);
        }
        ready!(self.waiting.as_mut().poll(cx));
        if whole {
            self.opened.ended = true;
            return Poll::Ready(Ok(()));
        }
        let seconds = self.terms.patience.as_secs_f64();
        let text = format!("litellm.Timeout: APITimeoutError - no data from the upstream for {seconds} s.");
        Poll::Ready(Err(UpstreamError::plain(ErrorKind::Timeout, 408, text)))
    }

    /// The next bytes for the client. With the last of them it has the whole reply, and a reply that
    /// somebody has is in the books, whatever happens next: they are closed before it leaves.
    fn next_piece(&mut self) -> Option<Bytes> {
        if self.opened.ready.len() == 1 && (self.opened.ended || self.opened.coder.finished()) {
            self.settle(None, false);
        }
        self.opened.ready.pop_front()
    }

    /// The stream is over for the client: the upstream is let go, the books are closed.
    fn close(&mut self, error: Option<&UpstreamError>, cut_short: bool) {
        self.closed = true;
        self.opened.ended = true;
        self.opened.lease = None;
        drop(self.terms.permit.take());
        self.settle(error, cut_short);
    }

    fn settle(&mut self, error: Option<&UpstreamError>, cut_short: bool) {
        if !self.account.is_open() {
            return;
        }
        let now = Instant::now();
        self.score(error, now);
        let ending = match (error, cut_short) {
            (Some(_), _) => Ending::Broken,
            (None, true) => Ending::CutShort,
            (None, false) => Ending::Whole,
        };
        let StreamTerms { deployment, charged_by, asked, .. } = &self.terms;
        let charged = charged_by.spent(&*self.opened.coder, asked.as_ref(), ending);
        let spent = charged.warned(self.account.snapshot(), *deployment);
        self.charged = Some(spent);
        self.account.settle_stream(spent, cut_short, now);
    }

    /// A deployment has done well when its stream was whole, or was left by the client.
    fn score(&self, error: Option<&UpstreamError>, now: Instant) {
        let (snapshot, deployment) = (self.account.snapshot(), self.terms.deployment);
        let choices = self.terms.choices;
        let (then, moment) = self.terms.opened;
        let past = now.saturating_duration_since(then).as_millis();
        let moment = Moment(moment.0.saturating_add(u64::try_from(past).unwrap_or(u64::MAX)));
        match (error, &self.decision) {
            (Some(error), Some(decision)) => {
                snapshot.note_failure(decision, deployment, error, moment, choices, self.account.recorder());
            }
            (Some(_), None) => {}
            (None, _) if choices.steers => {}
            (None, decision) => {
                let captured = decision.as_ref().and_then(Decision::captured);
                snapshot.state(deployment).succeeded(moment, choices.caller, captured);
            }
        }
    }

    /// The client is told in its dialect; what had come before stands.
    fn fail(&mut self, error: UpstreamError) {
        tracing::debug!(message = %error.message, "a stream broke");
        let frame = self.opened.coder.error_frame(&error);
        self.opened.ready.push_back(frame);
        self.close(Some(&error), true);
        self.failure = Some(error);
    }
}

impl Body for ReplyStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(this) = &mut self.get_mut().live else { return Poll::Ready(None) };
        loop {
            if let Some(piece) = this.next_piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if this.opened.ended {
                if !this.closed {
                    this.close(None, false);
                }
                return Poll::Ready(None);
            }
            let more = match this.opened.poll_more(cx) {
                Poll::Ready(more) => {
                    this.armed = false;
                    more
                }
                Poll::Pending => ready!(this.poll_waiting(cx)),
            };
            if let Err(error) = more {
                this.fail(error);
            }
        }
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        let Some(mut live) = self.live.take() else { return };
        match live.reader() {
            Some((place, runtime)) => drop(runtime.spawn(Remainder(live).read(place))),
            None => live.leave(),
        }
    }
}

/// The rest of a stream whose client has left. Its books are closed when it is dropped.
struct Remainder(Live);

impl Remainder {
    /// Reads on until the tokens are counted, within a time and an amount.
    async fn read(mut self, _place: OwnedSemaphorePermit) {
        let until = Instant::now() + READ_ON;
        let opened = &mut self.0.opened;
        let mut left = MOST_READ_ON;
        while !opened.ended && !opened.coder.finished() && !opened.coder.told().is_final {
            let more = timeout_at(until, poll_fn(|cx| opened.poll_more(cx))).await;
            let read: usize = opened.ready.drain(..).map(|piece| piece.len()).sum();
            match (more, left.checked_sub(read)) {
                (Ok(Ok(())), Some(rest)) => left = rest,
                _ => break,
            }
        }
    }
}

impl Drop for Remainder {
    fn drop(&mut self) {
        if !self.0.closed {
            self.0.close(None, true);
        }
    }
}

impl std::fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyStream")
    }
}
