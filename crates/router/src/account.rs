//! The books of one call: what it reserved and who wants to know of it. Closed once, whichever way the
//! call ends; a call that is dropped, too.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tagrail_money::Money;
use tagrail_providers::{Cost, Operation, Place, Usage};
use tagrail_routing::{DeploymentIndex, RequestTag};
use tokio::time::Instant;

use crate::decided::Decided;
use crate::{
    Allowance, Call, Caller, Need, Outcome, OverLimit, Recorder, Refusal, Reservation, Snapshot, Used,
};

/// What a client gets that left before its answer came; no reply carries it.
const CLIENT_LEFT: u16 = 499;
/// More of an end user's name is not kept: it is the client's to choose.
const LONGEST_USER: usize = 256;

pub(crate) struct Account {
    recorder: Arc<dyn Recorder>,
    snapshot: Arc<Snapshot>,
    caller: Arc<Caller>,
    operation: Operation,
    started: Instant,
    deployment: Option<DeploymentIndex>,
    attempts: u32,
    asked: bool,
    first_byte: Option<Duration>,
    held: Option<Held>,
    /// What attempts cost that the caller gave up, and that were followed by others.
    owed: Option<Spent>,
    /// Boxed and mostly not there: what only a recorder asks for that wants it all.
    details: Option<Box<Details>>,
    open: bool,
}

/// What is reserved, and for what: the name asked last and the most that an attempt needed so far.
struct Held {
    reservation: Box<dyn Reservation>,
    model: String,
    tokens: u64,
    cost: Money,
}

/// What takes an allocation to tell.
#[derive(Default)]
struct Details {
    call_id: Option<HeaderValue>,
    started: Option<SystemTime>,
    model: String,
    tags: Vec<String>,
    /// Where these are more.
    routed_on: Option<Vec<String>>,
    end_user: Option<String>,
    upstream_model: String,
    provider: &'static str,
    api_base: String,
    decided: Decided,
}

/// What a call has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<Cost>,
    /// The upstream has not counted the tokens.
    pub(crate) estimated: bool,
}

impl Spent {
    fn tokens(&self) -> u64 {
        self.usage.map_or(0, |usage| usage.input.saturating_add(usage.output))
    }

    fn total(&self) -> Money {
        self.cost.map_or_else(Money::default, Cost::total)
    }

    /// Both together.
    fn and(self, other: Spent) -> Spent {
        let add = |one: Usage, other: Usage| Usage {
            input: one.input.saturating_add(other.input),
            output: one.output.saturating_add(other.output),
            cache_read: one.cache_read.saturating_add(other.cache_read),
            cache_creation: one.cache_creation.saturating_add(other.cache_creation),
        };
        let sum = |one: Cost, other: Cost| Cost {
            input: one.input + other.input,
            output: one.output + other.output,
        };
        Spent {
            usage: both(self.usage, other.usage, add),
            cost: both(self.cost, other.cost, sum),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// Two values as one, or the one that is there.
fn both<T>(one: Option<T>, other: Option<T>, sum: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(sum(one, other)),
        (one, other) => one.or(other),
    }
}

/// How a call ended.
#[derive(Clone, Copy)]
struct End {
    status: u16,
    cut_short: bool,
    at: Instant,
}

impl Account {
    pub(crate) fn open(recorder: Arc<dyn Recorder>, snapshot: Arc<Snapshot>, call: &Call) -> Account {
        let details = recorder.wants_details().then(|| Box::new(Details::of(call)));
        Account {
            recorder,
            snapshot,
            caller: call.caller.clone(),
            operation: call.operation,
            started: Instant::now(),
            deployment: None,
            attempts: 0,
            asked: false,
            first_byte: None,
            held: None,
            owed: None,
            details,
            open: true,
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn recorder(&self) -> &dyn Recorder {
        &*self.recorder
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Who was tried last, and how many tries there were.
    pub(crate) fn tried(&self) -> (Option<DeploymentIndex>, u32) {
        (self.deployment, self.attempts)
    }

    /// Whether tokens are worth an estimate where the upstream says none: something is counted against
    /// the caller, or somebody writes it down.
    pub(crate) fn estimates(&self) -> bool {
        self.details.is_some() || self.caller.allowance.is_some()
    }

    /// The tags that the call is routed on, and those of them that it counts under.
    pub(crate) fn tagged(&mut self, tags: &[RequestTag<'_>], counted: &[RequestTag<'_>]) {
        if let Some(details) = &mut self.details {
            let texts = |tags: &[RequestTag<'_>]| tags.iter().map(|tag| storable(&tag.text)).collect();
            details.tags = texts(counted);
            details.routed_on = (counted.len() < tags.len()).then(|| texts(tags));
        }
    }

    /// Nothing stands in the way of the try any more.
    pub(crate) fn asks(&mut self) {
        self.asked = true;
    }

    /// A deployment is being tried.
    pub(crate) fn attempt(&mut self, deployment: DeploymentIndex, decided: impl FnOnce() -> Decided) {
        self.deployment = Some(deployment);
        self.attempts += 1;
        if let Some(details) = &mut self.details {
            details.decided = decided();
            (details.upstream_model, details.provider, details.api_base) = Default::default();
        }
    }

    /// Where it is.
    pub(crate) fn placed(&mut self, upstream_model: &str, place: &Place<'_>) {
        if let Some(details) = &mut self.details {
            details.upstream_model = storable(upstream_model);
            details.provider = place.provider.name();
            details.api_base = place.shown_base.map(storable).unwrap_or_default();
        }
    }

    /// Charges an attempt that the caller gave up and whose upstream may be working on it; the call goes on.
    pub(crate) fn owe(&mut self, spent: Spent) {
        self.owed = Some(self.owed.take().map_or(spent, |owed| owed.and(spent)));
    }

    /// Reserves what an attempt may use up; of a further one what it needs beyond the ones before.
    pub(crate) fn reserve(&mut self, allowance: &dyn Allowance, need: &Need<'_>) -> Result<(), OverLimit> {
        let (tokens, cost) = self.owed.map_or_else(Default::default, |owed| (owed.tokens(), owed.total()));
        let need = &Need {
            tokens: need.tokens.saturating_add(tokens),
            tokens_least: need.tokens_least.saturating_add(tokens),
            cost: need.cost.map(|own| own + cost),
            ..*need
        };
        let cost = need.cost.unwrap_or_default();
        let Some(held) = &mut self.held else {
            let reservation = allowance.reserve(need)?;
            let model = need.model.to_owned();
            self.held = Some(Held { reservation, model, tokens: need.tokens, cost });
            return Ok(());
        };
        let renamed = held.model != need.model;
        if !renamed && need.tokens <= held.tokens && cost <= held.cost {
            return Ok(());
        }
        held.reservation.extend(need)?;
        if renamed {
            need.model.clone_into(&mut held.model);
        }
        (held.tokens, held.cost) = (held.tokens.max(need.tokens), held.cost.max(cost));
        Ok(())
    }

    /// The call goes on with other tags, under which nothing is reserved: what is reserved goes back, and the
    /// next attempt reserves for itself.
    pub(crate) fn give_back(&mut self) {
        self.held = None;
    }

    /// The first byte of a stream is ready for the client.
    pub(crate) fn first_byte(&mut self, now: Instant) {
        self.first_byte = Some(now.saturating_duration_since(self.started));
    }

    /// Leaves the books to whoever goes on with the call.
    pub(crate) fn hand_over(&mut self) -> Account {
        self.open = false;
        Account {
            recorder: self.recorder.clone(),
            snapshot: self.snapshot.clone(),
            caller: self.caller.clone(),
            operation: self.operation,
            started: self.started,
            deployment: self.deployment,
            attempts: self.attempts,
            asked: self.asked,
            first_byte: self.first_byte,
            held: self.held.take(),
            owed: self.owed.take(),
            details: self.details.take(),
            open: true,
        }
    }

    pub(crate) fn settle_whole(&mut self, spent: Spent, at: Instant) {
        self.settle(End { status: 200, cut_short: false, at }, spent);
    }

    pub(crate) fn settle_stream(&mut self, spent: Spent, cut_short: bool, at: Instant) {
        self.settle(End { status: 200, cut_short, at }, spent);
    }

    pub(crate) fn settle_refused(&mut self, refusal: &Refusal) {
        let end = End { status: refusal.status(), cut_short: false, at: Instant::now() };
        self.settle(end, Spent::default());
    }

    /// The client has left before there was anything for it.
    pub(crate) fn settle_left(&mut self, spent: Spent) {
        self.settle(End { status: CLIENT_LEFT, cut_short: true, at: Instant::now() }, spent);
    }

    fn settle(&mut self, end: End, spent: Spent) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let spent = self.owed.take().map_or(spent, |owed| owed.and(spent));
        let cost = spent.cost.map(Cost::total);
        let held = self.held.take();
        let spec = self.deployment.map(|deployment| self.snapshot.spec(deployment));
        let deployment = spec.map_or("", |spec| &spec.id);
        let nothing = Details::default();
        let details = self.details.as_deref();
        let decision = details.map(|details| {
            let tags = details.routed_on.as_ref().unwrap_or(&details.tags);
            details.decided.text(&details.model, tags, deployment)
        });
        let details = details.unwrap_or(&nothing);
        let outcome = Outcome {
            operation: self.operation,
            group: spec.map_or("", |spec| &spec.group),
            deployment,
            status: end.status,
            duration: end.at.saturating_duration_since(self.started),
            first_byte: self.first_byte,
            usage: spent.usage,
            cost,
            attempts: self.attempts,
            asked: self.asked,
            cut_short: end.cut_short,
            caller: &self.caller,
            call_id: details.call_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default(),
            model: &details.model,
            upstream_model: &details.upstream_model,
            provider: details.provider,
            api_base: &details.api_base,
            tags: &details.tags,
            end_user: details.end_user.as_deref(),
            estimated: spent.estimated,
            decision: decision.as_deref().unwrap_or_default(),
            started: details.started.unwrap_or(SystemTime::UNIX_EPOCH),
        };
        outcome.log();
        self.recorder.record(&outcome);
        // After it is recorded: what a call costs is reserved or spent, and at no moment neither.
        if let Some(held) = held {
            let tokens = spent.tokens();
            held.reservation.settle(Used { tokens, cost: cost.unwrap_or_default() });
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle_left(Spent::default());
    }
}

impl Details {
    fn of(call: &Call) -> Details {
        let end_user = call.envelope.end_user(call.operation);
        Details {
            call_id: Some(call.id.clone()),
            started: Some(SystemTime::now()),
            model: call.model().map(|name| storable(&name)).unwrap_or_default(),
            end_user: end_user.map(|user| storable(&user[..user.floor_char_boundary(LONGEST_USER)])),
            ..Details::default()
        }
    }
}

/// What a client wrote, for the books: PostgreSQL's texts have no NUL, and one in a name must not keep
/// the row from being written.
fn storable(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}
