//! `Router::explain`: the decision for a call and the reason for every deployment, as things stand, or
//! under the assumption that some deployments cool. Nothing is sent. `grounds.rs` words it.

mod grounds;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tagrail_providers::Operation;
use tagrail_routing::{DeploymentIndex, Explanation, Moment, Observed, RouteRequest, Signals, TagOrigin};

pub use grounds::Grounds;

use crate::response_id::continued;
use crate::{Call, CallError, Caller, Refusal, Refused, Router, Snapshot};

/// A decision with its reasons and the configuration it was taken with.
pub struct Explained {
    /// The decision. Its notes also say what is looked at once a deployment is chosen: whether that one
    /// lets the call set what it sets.
    pub explanation: Explanation,
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// The name asked for.
    pub model: String,
    /// The tags and where each came from.
    pub tags: Vec<(String, TagOrigin)>,
    operation: Operation,
    caller: Arc<Caller>,
    in_process: bool,
    is_privy: bool,
    moment: Moment,
    assumed: Vec<(DeploymentIndex, Moment)>,
}

/// What is observed, but for the deployments of which something else is assumed.
struct Assumed<'a> {
    observed: &'a dyn Signals,
    assumed: &'a [(DeploymentIndex, Moment)],
}

impl Signals for Assumed<'_> {
    fn observe(&self, deployment: DeploymentIndex, captured: Option<&str>) -> Observed {
        match self.assumed.iter().find(|(assumed, _)| *assumed == deployment) {
            Some((_, until)) => Observed { cooling_until: Some(*until) },
            None => self.observed.observe(deployment, captured),
        }
    }
}

impl Explained {
    /// The answer of `POST /route/explain`.
    pub fn to_json(&self) -> Value {
        self.on_grounds(|grounds| grounds.to_json())
    }

    /// The same for a person, as `tagrail explain` prints it.
    pub fn to_text(&self) -> String {
        self.on_grounds(|grounds| grounds.to_text())
    }

    fn on_grounds<T>(&self, tell: impl FnOnce(&Grounds<'_>) -> T) -> T {
        let Explained { operation, caller, in_process, .. } = self;
        let (snapshot, model) = (&*self.snapshot, &*self.model);
        let refused = Refused { operation: *operation, snapshot, model, caller, in_process: *in_process };
        self.snapshot.as_caller(&self.caller, |access| {
            tell(&Grounds {
                explanation: &self.explanation,
                model: &self.model,
                tags: &self.tags,
                table: &self.snapshot.table,
                left_out: &self.snapshot.left_out,
                num_retries: self.snapshot.router.num_retries,
                signals: &Assumed { observed: self.snapshot.board(), assumed: &self.assumed },
                moment: self.moment,
                audience: (!self.is_privy).then_some(access),
                words: &|no_route| refused.no_route(no_route).message,
            })
        })
    }
}

impl Router {
    /// The decision for a call and its reasons; nothing is sent.
    ///
    /// # Errors
    /// The call names no model.
    pub fn explain(&self, call: &Call) -> Result<Explained, Box<CallError>> {
        self.explained(call, false, &[])
    }

    /// The same, told to an admin: also of what the caller does not reach, and why.
    ///
    /// # Errors
    /// The call names no model.
    pub fn explain_as(&self, call: &Call) -> Result<Explained, Box<CallError>> {
        self.explained(call, true, &[])
    }

    /// One or the other, as if these deployments, by id, were cooling for so long from now on, whatever is
    /// known of them; with no time at all, as if they were healthy.
    ///
    /// # Errors
    /// The call names no model.
    pub fn explain_assuming(
        &self,
        call: &Call,
        is_privy: bool,
        cooling: &[(&str, Duration)],
    ) -> Result<Explained, Box<CallError>> {
        self.explained(call, is_privy, cooling)
    }

    fn explained(
        &self,
        call: &Call,
        is_privy: bool,
        cooling: &[(&str, Duration)],
    ) -> Result<Explained, Box<CallError>> {
        let snapshot = self.snapshot();
        let named =
            snapshot.general.completion_model.clone().or_else(|| call.model().map(|name| name.into_owned()));
        let Some(model) = named else {
            return Err(Box::new(CallError::new(call, snapshot, String::new(), Refusal::MissingModel)));
        };
        let moment = self.now();
        let is_told = |deployment| {
            is_privy || snapshot.as_caller(&call.caller, |access| snapshot.table.reaches(deployment, access))
        };
        let (assumed, thoughts) = assume(&snapshot, cooling, moment, &is_told);
        let tags = call.tags(snapshot.table.rules());
        let signals = Assumed { observed: snapshot.board(), assumed: &assumed };
        let continued = continued(&snapshot, call);
        let pinned = continued.as_ref().ok().and_then(|it| it.as_ref()?.deployment);
        let mut explanation = snapshot.as_caller(&call.caller, |access| {
            let request = RouteRequest {
                model: &model,
                tags: &tags,
                user_agent: call.user_agent(),
                force_tag_filtering: call.forces_tag_filtering(),
                access,
                operators_choice: false,
                moment,
                chance: self.chance(),
            };
            if let Some(deployment) = pinned {
                snapshot.table.explain_pinned(&request, deployment, &signals, is_privy)
            } else if is_privy {
                snapshot.table.explain_as(&request, &signals)
            } else {
                snapshot.table.explain(&request, &signals)
            }
        });
        explanation.notes.extend(thoughts);
        let refused = steering(call, &snapshot, &explanation);
        explanation.notes.extend(refused);
        if let Err(refusal) = continued {
            let told = CallError::new(call, snapshot.clone(), model.clone(), refusal).told();
            explanation.notes.push(format!("the call is refused with {}: {}", told.status, told.text()));
        }
        let tags = tags.iter().map(|tag| (tag.text.to_string(), tag.origin)).collect();
        let (operation, caller, in_process) = (call.operation, call.caller.clone(), call.in_process);
        let explained = Explained {
            explanation,
            snapshot,
            model,
            tags,
            operation,
            caller,
            in_process,
            is_privy,
            moment,
            assumed,
        };
        Ok(explained)
    }
}

/// Which deployments are thought of as cooling until when, and a note on each thought. An id that no
/// deployment has is a slip that would leave the answer as it was; one that the caller does not reach
/// looks to it like that.
fn assume(
    snapshot: &Snapshot,
    cooling: &[(&str, Duration)],
    now: Moment,
    is_told: &dyn Fn(DeploymentIndex) -> bool,
) -> (Vec<(DeploymentIndex, Moment)>, Vec<String>) {
    let (mut assumed, mut notes) = (Vec::new(), Vec::new());
    for (id, time) in cooling {
        let Some(deployment) = snapshot.table.by_id(id).filter(|index| is_told(*index)) else {
            notes.push(format!("no deployment has the id {id}: nothing is assumed of it"));
            continue;
        };
        let until = now.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        assumed.push((deployment, Moment(until)));
        notes.push(match time.is_zero() {
            true => format!("{id} is assumed to be healthy"),
            false => format!("{id} is assumed to cool for {} s", time.as_secs_f64()),
        });
    }
    (assumed, notes)
}

/// What is looked at only once a deployment is chosen: whether it lets the call set what it sets.
fn steering(call: &Call, snapshot: &Snapshot, explanation: &Explanation) -> Option<String> {
    let first = explanation.decision.as_ref().ok()?.first();
    let refused = call.admitted_by(&snapshot.deployment(first).target).err()?;
    let id = &snapshot.spec(first).id;
    Some(format!("{id} refuses the call with {}: {}", refused.status, refused.message))
}
