//! The attempt that is under way, and what becomes of it when its client leaves: an upstream that was asked for
//! a whole answer works it out whether it is read or not, so it is read on and charged.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::response::Parts;
use hyper::body::Incoming;
use tagrail_providers::{Coder, Ending, Envelope};
use tagrail_routing::DeploymentIndex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::admit::Terms;
use super::read::{ReadError, ReplyBudget, Rest, read};
use crate::account::{Account, Spent};
use crate::transport::{Lease, TransportError};

/// A whole answer is read on for no longer than this, whatever limit the client asked for.
const READ_ON: Duration = Duration::from_secs(600);

/// An attempt whose request is being sent, or was.
pub(super) struct UnderWay {
    pub(super) deployment: DeploymentIndex,
    pub(super) terms: Terms,
    /// When its time limit ends; `None` is beyond what a clock can say.
    pub(super) until: Option<Instant>,
    /// A whole answer was asked for, and not a stream.
    pub(super) is_whole: bool,
    /// Its body, where it is not the one that the call came with.
    pub(super) own: Option<Envelope>,
    /// Until the reply is there.
    pub(super) waiting: Option<Waiting>,
    /// One of `max_parallel_requests`.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// What waits for a reply, and what reads it.
pub(super) struct Waiting {
    pub(super) fetch: Fetch,
    pub(super) coder: Box<dyn Coder>,
}

/// Waits for a reply without borrowing anything.
pub(super) type Fetch = Pin<Box<dyn Future<Output = Result<Fetched, TransportError>> + Send>>;

/// What came of a request, and what reads it.
pub(super) type Came = (Result<Fetched, TransportError>, Option<Box<dyn Coder>>);

/// A reply: its head, and of a whole answer the body too.
pub(super) struct Fetched {
    pub(super) parts: Parts,
    pub(super) lease: Lease,
    pub(super) body: FetchedBody,
}

/// A reply's body.
pub(super) enum FetchedBody {
    Open(Incoming),
    Read(Result<(Bytes, Rest), ReadError>),
}

/// Waits for the head of a reply; of a whole answer, for the body too, up to its longest and within the budget.
pub(super) fn fetch(
    sent: impl Future<Output = Result<(Response<Incoming>, Lease), TransportError>> + Send + 'static,
    whole: Option<(usize, Arc<ReplyBudget>)>,
) -> Fetch {
    Box::pin(async move {
        let (reply, lease) = sent.await?;
        let (parts, body) = reply.into_parts();
        let body = match whole {
            Some((most, budget)) if parts.status.is_success() => {
                FetchedBody::Read(read(body, &lease, most, &budget).await)
            }
            _ => FetchedBody::Open(body),
        };
        Ok(Fetched { parts, lease, body })
    })
}

impl UnderWay {
    /// Waits for the reply; gives it with what reads it, once.
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        let gone = || TransportError::Broken("the reply was taken already".to_owned());
        let Some(waiting) = &mut self.waiting else { return Poll::Ready((Err(gone()), None)) };
        let fetched = ready!(waiting.fetch.as_mut().poll(cx));
        let coder = self.waiting.take().map(|waiting| waiting.coder);
        Poll::Ready((fetched, coder))
    }

    /// What it is charged for when it is given up.
    pub(super) fn unheard(&self, envelope: &Envelope) -> Spent {
        self.terms.unheard(self.own.as_ref().unwrap_or(envelope), self.is_whole)
    }
}

/// An attempt whose client has left. Dropped before it was read to its end, it is charged for what was reserved.
pub(super) struct Abandoned {
    account: Account,
    under_way: UnderWay,
    envelope: Envelope,
}

impl Abandoned {
    pub(super) fn new(account: Account, under_way: UnderWay, envelope: Envelope) -> Abandoned {
        Abandoned { account, under_way, envelope }
    }

    /// Reads a whole answer on, where there is a place for it; everything else ends here.
    pub(super) fn leave(self, readers: &Arc<Semaphore>) {
        if !self.under_way.is_whole || self.under_way.waiting.is_none() {
            return;
        }
        if let (Ok(place), Ok(runtime)) = (readers.clone().try_acquire_owned(), Handle::try_current()) {
            runtime.spawn(self.read_on(place));
        }
    }

    async fn read_on(mut self, _place: OwnedSemaphorePermit) {
        let Some(Waiting { fetch, mut coder }) = self.under_way.waiting.take() else { return };
        let longest = Instant::now() + READ_ON;
        let until = self.under_way.until.map_or(longest, |until| until.min(longest));
        let spent = match timeout_at(until, fetch).await {
            Ok(Ok(Fetched { parts, lease, body })) => {
                let FetchedBody::Read(body) = body else {
                    // The upstream has refused: nothing was used up.
                    debug_assert!(!parts.status.is_success());
                    self.account.settle_left(Spent::default());
                    return;
                };
                let Ok((body, Rest::None)) = body else { return };
                lease.give_back(Instant::now());
                if coder.whole(body).is_err() {
                    return;
                }
                let asked = self.under_way.own.as_ref().unwrap_or(&self.envelope);
                let charged = self.under_way.terms.spent(&*coder, Some(asked), Ending::Whole);
                charged.warned(self.account.snapshot(), self.under_way.deployment)
            }
            Ok(Err(TransportError::Stale | TransportError::Connect(_))) => Spent::default(),
            Ok(Err(TransportError::Broken(_))) | Err(_) => return,
        };
        self.account.settle_left(spent);
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if self.account.is_open() {
            let spent = self.under_way.unheard(&self.envelope);
            self.account.settle_left(spent);
        }
    }
}
