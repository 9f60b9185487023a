//! The retry and fallback loop; there is no other.
//!
//! `fallbacks( retries( pick, call ) )`: a group's plan is walked, first choice first, until one
//! deployment answers or the plan, the retries or the caller's patience are spent; then the names
//! that the table gives as fallbacks are asked the same way, with the same tags. The plan never
//! leaves what tags permit, so nothing here can. (Contract: retries and fallbacks.)

mod admit;
mod call_once;
mod fall_back;
mod mock;
mod policy;
mod read;
mod under_way;
mod walk;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tagrail_providers::UpstreamError;
use tagrail_routing::{Decision, DeploymentIndex, NoRoute, RequestTag, RouteRequest};

pub(crate) use self::admit::Terms;
use self::policy::pause;
pub(crate) use self::read::ReplyBudget;
use self::under_way::{Abandoned, UnderWay};
use self::walk::{Told, Walk};
use crate::account::{Account, Spent};
use crate::choices::Choices;
use crate::response_id::continued;
use crate::router::Router;
use crate::{Answer, Blame, Call, CallError, Refusal, ResponseRefusal, Snapshot};

/// A call on its way: what all its attempts share.
pub(crate) struct Attempts<'a> {
    pub(crate) router: &'a Router,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    /// The call as it came in; a fallback may override fields of it.
    pub(crate) original: &'a Call,
    pub(crate) account: Account,
    /// The limit of the last attempt, for `x-litellm-timeout`.
    pub(crate) limit: Option<Duration>,
    /// Groups that did not answer: no call asks one twice.
    asked: Vec<Asked>,
    /// Groups entered so far.
    groups: u32,
    /// A limit of the caller's had no room for a fallback: the call is over.
    over: Option<Refusal>,
    /// Whose failure is told, where it is a deployment's: of the first group, as the failure is.
    blamed: Option<Blame>,
    /// The attempt that was sent and not answered yet.
    under_way: Option<UnderWay>,
    /// Attempts in all groups: what `max_attempts_per_call` bounds.
    attempts: u32,
    /// The last attempt waits, or ran out of time waiting, for a place among `max_parallel_requests`.
    unasked: bool,
    /// Whether `max_attempts_per_call` has ended the call.
    exhausted: bool,
}

/// A group that did not answer.
struct Asked {
    model: String,
    /// Why, where its own fallbacks were not asked because they were nested too deeply.
    unwalked: Option<Refusal>,
}

/// The name and the fields that one group is asked with.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) call: &'a Call,
    /// The call's, gathered once.
    pub(crate) tags: &'a [RequestTag<'a>],
    /// Those that it counts under; see [`tagrail_routing::RoutingTable::counted`].
    pub(crate) counted: &'a [RequestTag<'a>],
    pub(crate) model: &'a str,
    /// Nested fallbacks; 0 is the call itself.
    pub(crate) depth: u32,
    /// The configuration named the model as a fallback, not the caller.
    pub(crate) operators_choice: bool,
}

impl<'a> Question<'a> {
    /// The name behind the caller's own alias. What the configuration names is no alias of anybody's.
    fn behind_alias(self) -> &'a str {
        let policy = self.call.caller.policy.as_ref().filter(|_| !self.operators_choice);
        policy.and_then(|policy| policy.aliases.get(self.model)).map_or(self.model, String::as_str)
    }
}

/// Why one try did not answer.
enum Miss {
    /// Another deployment may: the upstream failed.
    Upstream(UpstreamError),
    /// This deployment cannot serve this call, now or later: it does not allow a field of the
    /// client's, or its provider lacks the operation, a credential or an address.
    Unfit(Refusal),
    /// The caller's fault, whoever is asked.
    Caller(Refusal),
}

/// Answers a call.
pub(crate) async fn run(
    router: &Router,
    snapshot: &Arc<Snapshot>,
    call: &Call,
) -> Result<Answer, Box<CallError>> {
    let forced = snapshot.general.completion_model.as_deref().map(Cow::Borrowed);
    let model = forced.or_else(|| call.model());
    let mut attempts = Attempts::new(router, snapshot, call);
    let (refusal, at_fault) = match check(call, model.as_deref()) {
        Err(refusal) => (refusal, None),
        Ok(model) => {
            let tags = call.tags(snapshot.table.rules());
            let counted = snapshot.as_caller(&call.caller, |access| snapshot.table.counted(&tags, access));
            attempts.account.tagged(&tags, &counted);
            let (tags, counted) = (&*tags, &*counted);
            let question = Question { call, tags, counted, model, depth: 0, operators_choice: false };
            match attempts.admit_fallbacks(question) {
                Err(denied) => (denied.0, Some(denied.1)),
                Ok(()) => match attempts.answer(question).await {
                    Ok(mut answer) => {
                        answer.facts.attempts = attempts.account.tried().1;
                        return Ok(answer);
                    }
                    Err(refusal) => (refusal, None),
                },
            }
        }
    };
    attempts.account.settle_refused(&refusal);
    let (timeout, (_, tries), blame) = (attempts.limit, attempts.account.tried(), attempts.blamed.take());
    let model = at_fault.unwrap_or_else(|| model.unwrap_or_default().into_owned());
    // A limit is nobody's failure.
    let blame = blame.filter(|_| !matches!(refusal, Refusal::OverLimit(_)));
    let is_pinned = continued(snapshot, call).is_ok_and(|it| it.is_some_and(|it| it.deployment.is_some()));
    let error = CallError::new(call, snapshot.clone(), model, refusal);
    let exhausted = attempts.exhausted;
    Err(Box::new(CallError { timeout, blame, attempts: tries, exhausted, is_pinned, ..error }))
}

/// What every operation needs, before anything is decided.
fn check<'a>(call: &Call, model: Option<&'a str>) -> Result<&'a str, Refusal> {
    use tagrail_providers::Operation;
    let model = model.ok_or(Refusal::MissingModel)?;
    let needed = match call.operation {
        Operation::ChatCompletions | Operation::Messages => "messages",
        Operation::Completions => "prompt",
        Operation::Embeddings => "input",
        // A stored prompt or an earlier response can stand for the input.
        Operation::Responses => return Ok(model),
    };
    if call.envelope.has(needed) { Ok(model) } else { Err(Refusal::MissingField(needed)) }
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(router: &'a Router, snapshot: &'a Arc<Snapshot>, original: &'a Call) -> Attempts<'a> {
        let account = Account::open(router.recorder().clone(), snapshot.clone(), original);
        Attempts {
            router,
            snapshot,
            original,
            account,
            limit: None,
            asked: Vec::new(),
            groups: 0,
            over: None,
            blamed: None,
            attempts: 0,
            under_way: None,
            unasked: false,
            exhausted: false,
        }
    }
}

impl Attempts<'_> {
    /// A group, then its fallbacks. The first error is the one that is told, but for a limit that a
    /// fallback ran into: more may not be asked, and that is what the caller can change.
    async fn answer(&mut self, question: Question<'_>) -> Result<Answer, Refusal> {
        match self.group(question).await {
            Ok(answer) => Ok(answer),
            Err(refusal) => match self.fall_back(question, &refusal).await {
                Some(answer) => Ok(answer),
                None => Err(self.over.take().unwrap_or(refusal)),
            },
        }
    }

    /// Nested answers are boxed: a future cannot hold itself.
    fn nested<'b>(
        &'b mut self,
        question: Question<'b>,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send + 'b>> {
        Box::pin(self.answer(question))
    }

    /// Walks one group's plan.
    async fn group(&mut self, question: Question<'_>) -> Result<Answer, Refusal> {
        let snapshot = self.snapshot;
        self.groups += 1;
        let mut walk = Walk::new(self.decide(snapshot, question)?);
        let mut current = walk.decision.first();
        loop {
            let miss = match self.call_once(question, &walk, current).await {
                Ok(answer) if walk.retries == 0 => return Ok(walk.sign(answer, 0)),
                Ok(answer) => return Ok(walk.sign(answer, self.retry_limit(question, current))),
                Err(miss) => miss,
            };
            let (told, next, pause) = match miss {
                Miss::Caller(refusal) => {
                    self.blame(question, &walk, current);
                    return Err(refusal);
                }
                Miss::Unfit(refusal) => {
                    walk.unfit.push(current);
                    let (next, pause) = self.instead(snapshot, &mut walk);
                    (Told::unfit(refusal, current), next, pause)
                }
                Miss::Upstream(error) => {
                    let (now, recorder) = (self.router.now(), &**self.router.recorder());
                    let unasked = std::mem::take(&mut self.unasked);
                    let choices = Choices { unasked, ..self.choices(question, current) };
                    snapshot.note_failure(&walk.decision, current, &error, now, choices, recorder);
                    let (next, pause) = self.after(question, snapshot, &mut walk, current, &error);
                    (Told::failed(error, current), next, pause)
                }
            };
            let told = told.or(walk.told.take());
            let Some(next) = next.filter(|_| self.may_attempt()) else {
                self.blame(question, &walk, told.by);
                return Err(*told.refusal);
            };
            (current, walk.told) = (next, Some(told));
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Whether `max_attempts_per_call` leaves another attempt. Asked where there would be one.
    fn may_attempt(&mut self) -> bool {
        let has_left = self.attempts < self.snapshot.router.max_attempts_per_call;
        self.exhausted |= !has_left;
        has_left
    }

    /// Notes whose failure is told.
    fn blame(&mut self, question: Question<'_>, walk: &Walk, deployment: DeploymentIndex) {
        if question.depth == 0 {
            let upstream_model = self.snapshot.table.upstream_model(&walk.decision, deployment).into_owned();
            self.blamed = Some(Blame { deployment, upstream_model, retries: walk.retries });
        }
    }

    /// Who is tried after a failure, and after which pause: a retry while there are any, then a
    /// further order. Nobody is waited for who is cooling.
    fn after(
        &self,
        question: Question<'_>,
        snapshot: &Snapshot,
        walk: &mut Walk,
        current: DeploymentIndex,
        error: &UpstreamError,
    ) -> (Option<DeploymentIndex>, Duration) {
        walk.failed.push(current);
        if !self.may_retry(question, walk, current, error) {
            return (self.next_level(snapshot, walk), Duration::ZERO);
        }
        let next = self.next(snapshot, walk);
        let pause = match next {
            Some(next) if walk.failed.contains(&next) => {
                pause(walk.retries, error, snapshot.router.retry_after)
            }
            _ => Duration::ZERO,
        };
        walk.retries += 1;
        (next, pause)
    }

    /// Who is tried instead of one that cannot serve this. Who has failed before is asked again only
    /// where that one was to be a retry.
    fn instead(&self, snapshot: &Snapshot, walk: &mut Walk) -> (Option<DeploymentIndex>, Duration) {
        let next = self.next(snapshot, walk);
        if !next.is_some_and(|next| walk.failed.contains(&next)) {
            return (next, Duration::ZERO);
        }
        match walk.told.as_ref().map(|told| &*told.refusal) {
            Some(Refusal::Upstream(error)) if walk.retries > 0 => {
                (next, pause(walk.retries - 1, error, snapshot.router.retry_after))
            }
            _ => (None, Duration::ZERO),
        }
    }

    fn decide(&self, snapshot: &Snapshot, question: Question<'_>) -> Result<Decision, Refusal> {
        // The clock is not cheap: a call's first question is asked when it came.
        let moment =
            if question.depth == 0 { self.router.moment(self.account.started()) } else { self.router.now() };
        let pinned = self.pinned(snapshot, question)?;
        let decided = snapshot.as_caller(&question.call.caller, |access| {
            let request = RouteRequest {
                model: question.model,
                tags: question.tags,
                user_agent: question.call.user_agent(),
                force_tag_filtering: question.call.forces_tag_filtering(),
                access,
                operators_choice: question.operators_choice,
                moment,
                chance: self.router.chance(),
            };
            match pinned {
                Some(deployment) => snapshot.table.decide_pinned(&request, deployment, snapshot.board()),
                None => snapshot.table.decide(&request, snapshot.board()),
            }
        });
        decided.map_err(|no_route| match no_route {
            NoRoute::NoDeployments if pinned.is_some() => {
                Refusal::Response(ResponseRefusal::Elsewhere { model: question.model.to_owned() })
            }
            other => Refusal::NoRoute(other),
        })
    }

    /// The deployment that alone can serve a call, because it has the response that the call continues.
    fn pinned(
        &self,
        snapshot: &Snapshot,
        question: Question<'_>,
    ) -> Result<Option<DeploymentIndex>, Refusal> {
        Ok(continued(snapshot, question.call)?.and_then(|continued| continued.deployment))
    }

    /// The plan's next choice that can serve this call. A round yields every deployment once, so
    /// that two rounds find it if it is there.
    fn next(&self, snapshot: &Snapshot, walk: &mut Walk) -> Option<DeploymentIndex> {
        let (now, board) = (self.router.now(), snapshot.board());
        for _ in 0..=2 * walk.unfit.len() {
            let next = walk.decision.next(&snapshot.table, board, now, self.router.chance())?;
            if !walk.unfit.contains(&next) {
                return Some(next);
            }
        }
        None
    }

    /// When the retries are spent, a further `order` is still tried: LiteLLM counts it a fallback.
    fn next_level(&self, snapshot: &Snapshot, walk: &mut Walk) -> Option<DeploymentIndex> {
        let next = walk.decision.next_level(
            &snapshot.table,
            snapshot.board(),
            self.router.now(),
            self.router.chance(),
        )?;
        walk.retries = 0;
        walk.levels += 1;
        Some(next)
    }
}

/// A call that is dropped before it was answered: its client has left. What was asked of an upstream is charged.
impl Drop for Attempts<'_> {
    fn drop(&mut self) {
        if !self.account.is_open() {
            return;
        }
        match self.under_way.take() {
            Some(under_way) if self.account.estimates() => {
                let envelope = self.original.envelope.clone();
                Abandoned::new(self.account.hand_over(), under_way, envelope).leave(self.router.readers());
            }
            _ => self.account.settle_left(Spent::default()),
        }
    }
}

/// Whether a refusal may lead to another group at all.
fn may_fall_back(snapshot: &Snapshot, call: &Call, refusal: &Refusal) -> bool {
    if call.envelope.disable_fallbacks() {
        return false;
    }
    match refusal {
        Refusal::Body(_) | Refusal::MissingModel | Refusal::MissingField(_) | Refusal::Response(_) => false,
        Refusal::OverLimit(_) | Refusal::Unpriced { .. } => false,
        Refusal::NoRoute(NoRoute::ModelDenied { .. }) => false,
        // LiteLLM's proxy refuses an unknown name before its router sees it, unless the config has
        // a wildcard (row D26).
        Refusal::NoRoute(NoRoute::UnknownModel { wildcards_configured }) => {
            *wildcards_configured || call.in_process || snapshot.table.rules().default_fallbacks_always
        }
        Refusal::NoRoute(_) | Refusal::NotServed { .. } | Refusal::Upstream(_) => true,
    }
}
