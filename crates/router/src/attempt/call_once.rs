//! One try on one deployment: prepare, send, read what is needed to know that it went well.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, Method, Request, Uri};
use tagrail_providers::{
    Ask, Coder, Ending, Endpoint, Envelope, ErrorKind, Operation, Place, Prepared, ResponseNames,
    UpstreamError,
};
use tagrail_routing::{DeploymentIndex, Moment};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::admit::Terms;
use super::read::{ReadError, ReplyBudget, Rest, read};
use super::under_way::{Fetched, FetchedBody, UnderWay, Waiting, fetch};
use super::{Attempts, Miss, Question, Walk};
use crate::account::Spent;
use crate::choices::Choices;
use crate::stream::{Opened, ReplyStream, StreamTerms};
use crate::transport::{Lease, Pieces, Ready, Transport, TransportError};
use crate::{Answer, AnswerBody, Facts, Refusal, Snapshot, egress, response_id};

/// As much of an error's body is read as can hold its message.
const LONGEST_ERROR: usize = 64 * 1024;

/// The reply, and what its body is read with.
struct Head {
    parts: Parts,
    body: FetchedBody,
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
    terms: Terms,
    limit: Duration,
    choices: Choices<'a>,
    captured: Option<&'a str>,
    began: Instant,
    responses: Option<ResponseNames>,
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
        self.attempts += 1;
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
        let named = (place.provider.name(), place.model);
        let terms = self.admit(question, decision, deployment, listed, named)?;
        self.account.asks();
        let limit = self.time_limit(question, deployment);
        self.limit = Some(limit);
        question.call.pause_if_long().await;
        let attempt = Try {
            snapshot,
            question,
            deployment,
            upstream_model: upstream_model.clone(),
            place,
            echo: self.echo(question),
            terms,
            limit,
            choices: self.choices(question, deployment),
            captured: decision.captured(),
            began: Instant::now(),
            responses: self.responses(question, deployment)?,
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
            Err(_) => {
                self.give_up(&attempt);
                Err(Miss::Upstream(attempt.timed_out()))
            }
        }
    }

    /// The time limit has ended an attempt. Where it is the caller's own limit, the caller has left the upstream
    /// at work, and is charged for it.
    fn give_up(&mut self, attempt: &Try<'_>) {
        let is_own = attempt.question.call.timeout().is_some();
        if let Some(under_way) = self.under_way.take().filter(|_| is_own && attempt.estimates) {
            self.account.owe(under_way.unheard(&attempt.question.call.envelope));
        }
    }

    async fn converse(&mut self, attempt: &Try<'_>) -> Result<Answer, Miss> {
        self.unasked = true;
        let permit = attempt.permit().await;
        self.unasked = false;
        let head = self.head(attempt, permit).await?;
        let answer = if attempt.is_whole() {
            self.whole(attempt, head).await
        } else {
            let permit = self.under_way.as_mut().and_then(|under_way| under_way.permit.take());
            self.streamed(attempt, head, permit).await
        };
        answer.map_err(Miss::Upstream)
    }

    /// Sends and waits for a reply that promises an answer. What is rare is boxed: the future of
    /// every call is as large as the largest way through it.
    async fn head(&mut self, attempt: &Try<'_>, permit: Option<OwnedSemaphorePermit>) -> Result<Head, Miss> {
        let sent = match self.send(attempt, permit, false).await {
            Err(SendError::Transport(TransportError::Stale)) => {
                let permit = self.under_way.take().and_then(|under_way| under_way.permit);
                Box::pin(self.send(attempt, permit, true)).await
            }
            other => other,
        };
        let head = sent.map_err(|error| error.miss(attempt))?;
        if head.parts.status.is_success() {
            return Ok(head);
        }
        // What the upstream refuses it does not work on.
        self.under_way = None;
        Err(Box::pin(refused(head, self.router.replies())).await)
    }

    async fn send(
        &mut self,
        attempt: &Try<'_>,
        permit: Option<OwnedSemaphorePermit>,
        fresh: bool,
    ) -> Result<Head, SendError> {
        let Prepared { endpoint, chosen_by, path, headers, body, mut coder } =
            attempt.prepare().map_err(SendError::Prepare)?;
        if attempt.estimates {
            coder.count();
        }
        let mut request = Request::new(Pieces::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers;
        let ready = match chosen_by {
            Some(field) => {
                Box::pin(attempt.connect_chosen(self.router.transport(), field, &endpoint)).await?
            }
            None => {
                let ready = self.router.transport().connect(&endpoint, fresh, attempt.began).await;
                ready.map_err(SendError::Transport)?
            }
        };
        // From here on the upstream is asked, and works whether its reply is waited for or not.
        let is_whole = attempt.is_whole();
        let most = attempt.snapshot.general.max_reply_bytes;
        let whole = is_whole.then(|| (most, self.router.replies().clone()));
        self.under_way = Some(UnderWay {
            deployment: attempt.deployment,
            terms: attempt.terms,
            until: attempt.began.checked_add(attempt.limit),
            is_whole,
            own: (!std::ptr::eq(attempt.question.call, self.original))
                .then(|| attempt.question.call.envelope.clone()),
            waiting: Some(Waiting { fetch: fetch(ready.send(request), whole), coder }),
            permit,
        });
        let reply = poll_fn(|cx| match &mut self.under_way {
            Some(under_way) => under_way.poll_reply(cx),
            None => Poll::Ready((Err(TransportError::Stale), None)),
        });
        match reply.await {
            (Ok(Fetched { parts, lease, body }), Some(coder)) => Ok(Head { parts, body, lease, coder }),
            (Err(error), _) => Err(SendError::Transport(error)),
            (Ok(_), None) => Err(SendError::Transport(TransportError::Broken("no reader".to_owned()))),
        }
    }

    async fn whole(&mut self, attempt: &Try<'_>, head: Head) -> Result<Answer, UpstreamError> {
        let Head { parts, body, lease, mut coder } = head;
        let most = attempt.snapshot.general.max_reply_bytes;
        let body = match body {
            FetchedBody::Read(body) => body,
            FetchedBody::Open(body) => read(body, &lease, most, self.router.replies()).await,
        };
        let body = match body {
            Err(ReadError::Broken(error)) => {
                return Err(attempt.broken(&format!("the reply broke off: {error}")));
            }
            Err(ReadError::NoRoom) => return Err(attempt.no_room()),
            Ok((_, Rest::Some)) => {
                return Err(attempt.broken("the reply is longer than general_settings.max_response_size_mb"));
            }
            Ok((body, Rest::None)) => body,
        };
        let now = Instant::now();
        lease.give_back(now);
        let pieces = coder.whole(body)?;
        let charged = attempt.terms.spent(&*coder, attempt.asked(), Ending::Whole);
        let spent = charged.warned(attempt.snapshot, attempt.deployment);
        self.account.settle_whole(spent, now);
        let Spent { usage, cost, .. } = spent;
        attempt.succeeded(self.router.moment(now));
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
        let Head { parts, body, lease, coder } = head;
        let FetchedBody::Open(body) = body else { return Err(attempt.broken("the stream was read already")) };
        let mut opened = Opened::new(body, lease, coder, attempt.place.provider.name());
        opened.first().await?;
        let now = Instant::now();
        self.account.first_byte(now);
        let facts = attempt.facts(parts.headers, self.account.started(), now);
        let account = self.account.hand_over();
        let terms = StreamTerms {
            deployment: attempt.deployment,
            charged_by: attempt.terms,
            tails: self.router.tails().clone(),
            choices: attempt.choices.of_reply(),
            asked: attempt.asked().cloned(),
            patience: attempt.limit,
            opened: (now, self.router.moment(now)),
            permit,
        };
        let stream = ReplyStream::new(opened, account, terms);
        Ok(Answer { facts, body: AnswerBody::Stream(Box::new(stream)) })
    }

    /// One attempt's limit: the call's own, else the configured one.
    fn time_limit(&self, question: Question<'_>, deployment: DeploymentIndex) -> Duration {
        question.call.timeout().unwrap_or_else(|| self.configured_limit(question, deployment))
    }

    /// The deployment's limit, else the router's.
    fn configured_limit(&self, question: Question<'_>, deployment: DeploymentIndex) -> Duration {
        let settings = self.snapshot.deployment(deployment);
        let router = &self.snapshot.router;
        let stream = question.call.envelope.stream();
        let of_stream = |time: Option<Duration>| time.filter(|_| stream);
        of_stream(settings.stream_timeout)
            .or(settings.timeout)
            .or_else(|| of_stream(router.stream_timeout))
            .unwrap_or(router.timeout)
    }

    /// What the caller chose for its call at a deployment.
    pub(super) fn choices<'q>(&self, question: Question<'q>, deployment: DeploymentIndex) -> Choices<'q> {
        Choices::of(question.call, self.configured_limit(question, deployment))
    }

    /// What the call's responses are called, where they have ids of the gateway's.
    fn responses(
        &self,
        question: Question<'_>,
        deployment: DeploymentIndex,
    ) -> Result<Option<ResponseNames>, Miss> {
        let call = question.call;
        let continued = response_id::continued(self.snapshot, call).map_err(Miss::Caller)?;
        Ok(response_id::names(self.snapshot, call, deployment, continued))
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
            responses: self.responses.as_ref(),
            created: created(),
        })
    }

    /// Whether a whole answer is asked for, and not a stream.
    fn is_whole(&self) -> bool {
        let call = self.question.call;
        !call.envelope.stream() || call.operation == Operation::Embeddings
    }

    /// Notes an answer for the deployment.
    fn succeeded(&self, moment: Moment) {
        if !self.choices.steers {
            self.snapshot.state(self.deployment).succeeded(moment, self.choices.caller, self.captured);
        }
    }

    /// A connection to the address that the call's client chose, once that is judged.
    async fn connect_chosen(
        &self,
        transport: &Transport,
        field: &'static str,
        endpoint: &Endpoint,
    ) -> Result<Ready, SendError> {
        let listed = &self.snapshot.general.client_destinations;
        match egress::judge(endpoint, listed).await {
            Some(judged) => {
                let ready = transport.connect_to(&judged, endpoint).await;
                ready.map_err(SendError::Transport)
            }
            None => Err(SendError::Prepare(not_to_be_chosen(field))),
        }
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

    /// Too many long replies are held. That is no failure of the deployment's, and waiting helps.
    fn no_room(&self) -> UpstreamError {
        let text = "the gateway holds too many long replies at the moment";
        let error = UpstreamError::new(ErrorKind::Connection, 503, self.place.provider.name(), text);
        UpstreamError { retry_after: Some(1.0), ..error }
    }

    /// The connection broke. LiteLLM's class for it is 500 and never cools.
    fn broken(&self, why: &str) -> UpstreamError {
        UpstreamError::connection(self.place.provider.name(), why)
    }
}

/// Reads what an upstream says that does not answer.
async fn refused(Head { parts, body, lease, coder }: Head, budget: &Arc<ReplyBudget>) -> Miss {
    let (text, rest) = match body {
        FetchedBody::Open(body) => read(body, &lease, LONGEST_ERROR, budget).await.unwrap_or_default(),
        FetchedBody::Read(read) => read.unwrap_or_default(),
    };
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

/// The answer is the same whatever is wrong with the address, or clients could find out what there is.
fn not_to_be_chosen(field: &'static str) -> UpstreamError {
    let text = format!(
        "litellm.BadRequestError: {field} does not lead to an address that clients may choose: it has to be a public one, or the operator lists it in general_settings.provider_url_destination_allowed_hosts"
    );
    let error = UpstreamError::plain(ErrorKind::BadRequest, 400, text);
    UpstreamError { param: Some(field.to_owned()), ..error }
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
