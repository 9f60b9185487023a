//! One try on one deployment: prepare, send, read what is needed to know that it went well.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tagrail_providers::{Ask, Coder, Envelope, ErrorKind, Operation, Place, Prepared, Price, UpstreamError};
use tagrail_routing::DeploymentIndex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::{Attempts, Miss, Question, Walk, spent};
use crate::account::Spent;
use crate::stream::{Opened, ReplyStream, Terms};
use crate::transport::{Lease, Pieces, TransportError};
use crate::{Answer, AnswerBody, Facts, Refusal, Snapshot};

/// A reply that is longer is not a reply to a prompt.
const LONGEST_REPLY: usize = 256 * 1024 * 1024;
/// As much of an error's body is read as can hold its message.
const LONGEST_ERROR: usize = 64 * 1024;

/// The reply's head, and what its body is read with.
struct Head {
    reply: Response<Incoming>,
    lease: Lease,
    coder: Box<dyn Coder>,
}

/// One try with everything looked up.
struct Try<'a> {
    snapshot: &'a Arc<Snapshot>,
    question: Question<'a>,
    deployment: DeploymentIndex,
    upstream_model: Cow<'a, str>,
    place: Place<'a>,
    echo: Option<Cow<'a, str>>,
    price: Option<Price>,
    limit: Duration,
    began: Instant,
    /// Whether tokens are estimated where the upstream does not count them.
    estimates: bool,
}

impl<'a> Attempts<'a> {
    pub(super) async fn call_once(
        &mut self,
        question: Question<'_>,
        walk: &Walk,
        deployment: DeploymentIndex,
    ) -> Result<Answer, Miss> {
        let (snapshot, decision) = (self.snapshot, &walk.decision);
        let settings = snapshot.deployment(deployment);
        if walk.told.is_some() {
            self.still_reaches(question, deployment)?;
        }
        self.account.attempt(deployment, || walk.decided(&snapshot.table, question, self.groups));
        question.call.admitted_by(&settings.target).map_err(|error| Miss::Unfit(Refusal::Body(error)))?;
        let upstream_model = snapshot.table.upstream_model(decision, deployment);
        let mock = question.call.mock_response();
        if let Some(text) = mock.as_deref().or(settings.mock_response.as_deref()) {
            return self.mocked(question, decision, deployment, &upstream_model, text);
        }
        let mut place = settings.target.resolve(&upstream_model).map_err(misfit)?;
        let own_base = Place::own_base(&question.call.envelope);
        place.shown_base = own_base.as_deref().or(place.shown_base);
        let operation = question.call.operation;
        if !place.provider.serves(operation) {
            return Err(Miss::Unfit(Refusal::NotServed { operation, provider: place.provider.name() }));
        }
        self.account.placed(&upstream_model, &place);
        let listed = snapshot.listed(deployment, place.provider.name(), place.model);
        let price = self.admit(question, decision, deployment, listed)?;
        self.account.asks();
        let limit = self.time_limit(question, deployment);
        self.limit = Some(limit);
        let attempt = Try {
            snapshot,
            question,
            deployment,
            upstream_model: upstream_model.clone(),
            place,
            echo: self.echo(question),
            price,
            limit,
            began: Instant::now(),
            estimates: self.account.estimates(),
        };
        let answer = self.exchange(attempt).await;
        self.under_way = None;
        answer
    }

    /// One limit for all of it: a place in the queue, the head, and the body or its first bytes.
    async fn exchange(&mut self, attempt: Try<'_>) -> Result<Answer, Miss> {
        match timeout(attempt.limit, self.converse(&attempt)).await {
            Ok(answer) => answer,
            Err(_) => Err(Miss::Upstream(attempt.timed_out())),
        }
    }

    async fn converse(&mut self, attempt: &Try<'_>) -> Result<Answer, Miss> {
        let permit = attempt.permit().await;
        self.under_way = Some(attempt.price);
        let head = self.head(attempt).await?;
        let call = attempt.question.call;
        let answer = if call.envelope.stream() && call.operation != Operation::Embeddings {
            self.streamed(attempt, head, permit).await
        } else {
            self.whole(attempt, head).await
        };
        answer.map_err(Miss::Upstream)
    }

    /// Sends and waits for a head that promises an answer. What is rare is boxed: the future of
    /// every call is as large as the largest way through it.
    async fn head(&self, attempt: &Try<'_>) -> Result<Head, Miss> {
        let sent = match self.send(attempt, false).await {
            Err(SendError::Transport(TransportError::Stale)) => Box::pin(self.send(attempt, true)).await,
            other => other,
        };
        let head = sent.map_err(|error| error.miss(attempt))?;
        if head.reply.status().is_success() { Ok(head) } else { Err(Box::pin(refused(head)).await) }
    }

    async fn send(&self, attempt: &Try<'_>, fresh: bool) -> Result<Head, SendError> {
        let Prepared { endpoint, path, headers, body, mut coder } =
            attempt.prepare().map_err(SendError::Prepare)?;
        if attempt.estimates {
            coder.count();
        }
        let mut request = Request::new(Pieces::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers;
        let sent = self.router.transport().send(&endpoint, request, fresh, attempt.began).await;
        sent.map(|(reply, lease)| Head { reply, lease, coder }).map_err(SendError::Transport)
    }

    async fn whole(&mut self, attempt: &Try<'_>, head: Head) -> Result<Answer, UpstreamError> {
        let Head { reply, lease, mut coder } = head;
        let (parts, body) = reply.into_parts();
        let body = match read(body, LONGEST_REPLY).await {
            Err(error) => return Err(attempt.broken(&format!("the reply broke off: {error}"))),
            Ok((_, Rest::Some)) => return Err(attempt.broken("the reply is too long")),
            Ok((body, Rest::None)) => body,
        };
        let now = Instant::now();
        lease.give_back(now);
        let pieces = coder.whole(body)?;
        let spent = spent(coder.usage(), coder.passed_on(), attempt.asked(), attempt.price);
        self.account.settle_whole(spent, now);
        let Spent { usage, cost, .. } = spent;
        attempt.snapshot.state(attempt.deployment).succeeded(self.router.moment(now));
        let facts = Facts { usage, cost, ..attempt.facts(parts.headers, self.account.started(), now) };
        Ok(Answer { facts, body: AnswerBody::Whole(pieces) })
    }

    /// The first bytes for the client are awaited here: until they come, another try is possible.
    async fn streamed(
        &mut self,
        attempt: &Try<'_>,
        head: Head,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, UpstreamError> {
        let Head { reply, lease, coder } = head;
        let (parts, body) = reply.into_parts();
        let mut opened = Opened::new(body, lease, coder, attempt.place.provider.name());
        opened.first().await?;
        let now = Instant::now();
        self.account.first_byte(now);
        let facts = attempt.facts(parts.headers, self.account.started(), now);
        let account = self.account.hand_over();
        let terms = Terms {
            deployment: attempt.deployment,
            price: attempt.price,
            asked: attempt.asked().cloned(),
            patience: attempt.limit,
            opened: (now, self.router.moment(now)),
            permit,
        };
        let stream = ReplyStream::new(opened, account, terms);
        Ok(Answer { facts, body: AnswerBody::Stream(Box::new(stream)) })
    }

    /// One attempt's limit: the call's own, the deployment's, the router's.
    fn time_limit(&self, question: Question<'_>, deployment: DeploymentIndex) -> Duration {
        let settings = self.snapshot.deployment(deployment);
        let router = &self.snapshot.router;
        let stream = question.call.envelope.stream();
        let of_stream = |time: Option<Duration>| time.filter(|_| stream);
        question
            .call
            .timeout()
            .or_else(|| of_stream(settings.stream_timeout))
            .or(settings.timeout)
            .or_else(|| of_stream(router.stream_timeout))
            .unwrap_or(router.timeout)
    }

    /// What replies carry in `model`: the name asked for. A whole reply of a fallback, and of a path
    /// that alone names the model, keeps the upstream's, and so does every reply within a process, whose program knows what it asked.
    fn echo(&self, question: Question<'_>) -> Option<Cow<'a, str>> {
        if self.original.in_process {
            return None;
        }
        let asked = self.original.envelope.model();
        if question.depth > 0 && !question.call.envelope.stream() {
            return None;
        }
        asked
    }
}

impl<'a> Try<'a> {
    fn prepare(&self) -> Result<Prepared<'_>, UpstreamError> {
        let call = self.question.call;
        self.place.provider.prepare(&Ask {
            operation: call.operation,
            envelope: &call.envelope,
            target: &self.snapshot.deployment(self.deployment).target,
            upstream_model: &self.upstream_model,
            echo_model: self.echo.as_deref(),
            client_headers: &call.headers,
            in_process: call.is_operators(),
            created: created(),
        })
    }

    /// Waits while `max_parallel_requests` are under way.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permits = self.snapshot.state(self.deployment).permits.clone()?;
        permits.acquire_owned().await.ok()
    }

    /// The body, where tokens are estimated by it.
    fn asked(&self) -> Option<&Envelope> {
        self.estimates.then_some(&self.question.call.envelope)
    }

    fn facts(&self, upstream_headers: HeaderMap, started: Instant, now: Instant) -> Facts {
        let spec = self.snapshot.spec(self.deployment);
        let labels = self.snapshot.labels(self.deployment);
        let shown = self.place.shown_base;
        let usual = labels.base.as_ref().map(|base| base.as_bytes());
        Facts {
            snapshot: self.snapshot.clone(),
            deployment: self.deployment,
            group: self.question.model.to_owned(),
            upstream_model: (*self.upstream_model != *spec.model).then(|| self.upstream_model.to_string()),
            shown_base: shown.filter(|base| usual != Some(base.as_bytes())).map(str::to_owned),
            retries: 0,
            max_retries: None,
            fallbacks: 0,
            attempts: 0,
            tags: None,
            decision: None,
            upstream_headers,
            started: started.into_std(),
            upstream_time: now.saturating_duration_since(self.began),
            usage: None,
            cost: None,
            caller: self.question.call.caller.clone(),
        }
    }

    fn timed_out(&self) -> UpstreamError {
        let seconds = self.limit.as_secs_f64();
        let text = format!("litellm.Timeout: APITimeoutError - Request timed out. Limit was {seconds} s.");
        UpstreamError::plain(ErrorKind::Timeout, 408, text)
    }

    /// The connection broke. LiteLLM's class for it is 500 and never cools.
    fn broken(&self, why: &str) -> UpstreamError {
        UpstreamError::connection(self.place.provider.name(), why)
    }
}

/// Reads what an upstream says that does not answer.
async fn refused(Head { reply, lease, coder }: Head) -> Miss {
    let (parts, body) = reply.into_parts();
    let (text, rest) = read(body, LONGEST_ERROR).await.unwrap_or_default();
    if rest == Rest::None {
        lease.give_back(Instant::now());
    }
    let mut error = coder.refusal(parts.status.as_u16(), &parts.headers, &text);
    error.headers = Some(Box::new(parts.headers));
    Miss::Upstream(error)
}

/// Nothing was sent. Below 500 the request is at fault: its model has no provider, or it cannot be
/// said in the dialect. Else the deployment is: it has no credential, no address, or a provider that
/// this release does not speak to.
fn misfit(error: UpstreamError) -> Miss {
    let at_fault = if error.status < 500 { Miss::Caller } else { Miss::Unfit };
    at_fault(Refusal::Upstream(UpstreamError { unsent: true, ..error }))
}

enum SendError {
    Prepare(UpstreamError),
    Transport(TransportError),
}

impl SendError {
    fn miss(self, attempt: &Try<'_>) -> Miss {
        let name = attempt.place.provider.name();
        match self {
            SendError::Prepare(error) => misfit(error),
            SendError::Transport(TransportError::Connect(why)) => {
                tracing::warn!(deployment = %attempt.snapshot.spec(attempt.deployment).id, %why, "cannot connect");
                Miss::Upstream(UpstreamError::new(ErrorKind::Internal, 500, name, "Connection error."))
            }
            SendError::Transport(TransportError::Broken(why)) => Miss::Upstream(attempt.broken(&why)),
            SendError::Transport(TransportError::Stale) => {
                Miss::Upstream(attempt.broken("connection closed"))
            }
        }
    }
}

pub(super) fn created() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

/// Whether a body went on behind what was read of it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Rest {
    #[default]
    None,
    Some,
}

/// Reads a body up to a length. One frame is handed on as it came.
async fn read(mut body: Incoming, most: usize) -> Result<(Bytes, Rest), hyper::Error> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut rest = Rest::None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            if more.is_empty() {
                more.reserve(announced.min(most).max(first.len() + data.len()));
                more.extend_from_slice(&first);
            }
            more.extend_from_slice(&data);
        }
        if first.len().max(more.len()) > most {
            rest = Rest::Some;
            break;
        }
    }
    Ok((if more.is_empty() { first } else { more.freeze() }, rest))
}
