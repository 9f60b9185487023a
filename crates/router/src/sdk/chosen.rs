//! Why this deployment: what an answer was decided by.

use std::fmt;

use tagrail_routing::{Decision, Resolution};

use crate::decided::Decided;
use crate::{Call, Facts};

/// What an answer was decided by. Its `Display` is a sentence; [`Router::explain`](crate::Router::explain) says
/// of every deployment why it was taken or left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// By which step the name was found.
    pub found_by: Resolution,
    /// The name that the group was asked by; after a fallback, the fallback's.
    pub name: String,
    /// `model_name` of the group, as configured.
    pub group: String,
    /// The tags that were routed on.
    pub tags: Vec<String>,
    /// The ids of all deployments that name and tags permitted, healthy or not. Nothing else could have
    /// answered.
    pub permitted: Vec<String>,
    /// How many deployments the group has.
    pub group_size: usize,
    /// Who answered.
    pub deployment: String,
    /// Retries within the group.
    pub retries: u32,
    /// Groups and levels of `order` that had failed before.
    pub fallbacks: u32,
    asked: String,
}

impl Chosen {
    pub(super) fn of(call: &Call, facts: &Facts, decision: &Decision) -> Chosen {
        let table = &facts.snapshot.table;
        let id = |index| facts.snapshot.spec(index).id.clone();
        let of_call = || call.tags(table.rules()).into_iter().map(|tag| tag.text.into_owned()).collect();
        Chosen {
            found_by: decision.resolution(),
            name: facts.group.clone(),
            group: facts.snapshot.spec(facts.deployment).group.clone(),
            tags: facts.tags.clone().unwrap_or_else(of_call),
            permitted: decision.permitted(table).into_iter().map(id).collect(),
            group_size: decision.group_size(),
            deployment: id(facts.deployment),
            retries: facts.retries,
            fallbacks: facts.fallbacks,
            asked: call.model().unwrap_or_default().into_owned(),
        }
    }

    /// The same as one line for logs, as the books have it: `exact gpt-4 free->gpt-4-free 1/3 r0 f0`.
    pub fn line(&self) -> String {
        let decided = Decided {
            how: Some(self.found_by),
            name: self.name.clone(),
            permitted: self.permitted.len(),
            size: self.group_size,
            retries: self.retries,
            fallbacks: self.fallbacks,
        };
        decided.text(&self.asked, &self.tags, &self.deployment)
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chosen { name, group, permitted, group_size, deployment, .. } = self;
        if *name != self.asked {
            write!(f, "{} did not answer, {name} did: ", self.asked)?;
        }
        match self.found_by {
            Resolution::DeploymentId => write!(f, "{name} is a deployment's id")?,
            Resolution::Exact if name == group => write!(f, "{name} is a model_name")?,
            Resolution::Exact => write!(f, "{name} stands for {group}")?,
            Resolution::Wildcard => write!(f, "{name} matches {group}")?,
            Resolution::GuessedProvider => write!(f, "{name} matches {group} behind its guessed provider")?,
            Resolution::UpstreamName => write!(f, "{name} is a litellm_params.model")?,
        }
        if self.tags.is_empty() {
            write!(f, "; without tags,")?;
        } else {
            write!(f, "; under the tags {},", self.tags.join(", "))?;
        }
        write!(f, " {} of {group_size} could answer ({})", permitted.len(), permitted.join(", "))?;
        write!(f, "; {deployment} did, after {} retries", self.retries)
    }
}
