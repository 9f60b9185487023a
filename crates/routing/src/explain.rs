//! Reasons. The stages report to a [`Collector`]; `decide` passes one that keeps nothing and costs
//! nothing, `explain` one that keeps a verdict for every deployment. There is one set of stages.

use std::fmt;

use crate::bits::Bits;
use crate::group::ModelGroup;
use crate::{Decision, DeploymentIndex, NoRoute};

/// A decision with its reasons.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What `decide` says to the same question.
    pub decision: Result<Decision, NoRoute>,
    /// The group that the name led to, if any: `model_name` as configured.
    pub group: Option<String>,
    /// One verdict for every deployment of the group that may be spoken of, in the order of the config.
    pub verdicts: Vec<Verdict>,
    /// Notes on the name and the tags: alias followed, provider guessed, prefix stripped, failed open.
    pub notes: Vec<String>,
}

/// What became of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub deployment: DeploymentIndex,
    /// Why it was kept or removed.
    pub reason: Reason,
}

/// Why a deployment was kept or removed. `Display` is made to be read: it names the tag, the order,
/// the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// In the plan; `text` says why (which tags matched, default pool, ...).
    Kept {
        /// For a person.
        text: String,
    },
    /// Not in the plan.
    Removed {
        /// The stage: `name`, `access`, `reserved`, `blocked`, `tags`, `health`, `order`.
        stage: &'static str,
        /// For a person.
        text: String,
    },
}

impl Reason {
    /// Whether the deployment is in the plan.
    pub fn is_kept(&self) -> bool {
        matches!(self, Reason::Kept { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Kept { text } => write!(f, "kept: {text}"),
            Reason::Removed { stage, text } => write!(f, "removed by {stage}: {text}"),
        }
    }
}

/// Hears what every stage does. The texts are made only when somebody keeps them.
pub(crate) trait Collector {
    /// Whether anything is kept; a stage may then look at what a decision alone does not need.
    const KEEPS: bool;

    /// Whether it hears what the caller may not; it then hears it all.
    fn is_privy(&self) -> bool;

    /// Something about the request as a whole.
    fn note(&mut self, text: impl FnOnce() -> String);

    /// The name has led to this group, of which the caller may hear of those that `told` gives.
    fn enter(&mut self, group: &ModelGroup, told: impl FnOnce() -> Option<Bits>);

    /// A stage took these out.
    fn remove(&mut self, stage: &'static str, positions: &Bits, why: impl Fn(usize) -> String);

    /// A stage kept these, and says why; a later stage may say more.
    fn keep(&mut self, positions: &Bits, why: impl Fn(usize) -> String);
}

impl Collector for () {
    const KEEPS: bool = false;

    fn is_privy(&self) -> bool {
        false
    }

    fn note(&mut self, _: impl FnOnce() -> String) {}

    fn enter(&mut self, _: &ModelGroup, _: impl FnOnce() -> Option<Bits>) {}

    fn remove(&mut self, _: &'static str, _: &Bits, _: impl Fn(usize) -> String) {}

    fn keep(&mut self, _: &Bits, _: impl Fn(usize) -> String) {}
}

/// Keeps everything that may be told.
pub(crate) struct Reasons {
    is_privy: bool,
    /// By position: those that may be told of, `None` for all.
    told: Option<Bits>,
    group: Option<String>,
    members: Vec<DeploymentIndex>,
    notes: Vec<String>,
    /// By position.
    kept: Vec<Vec<String>>,
    removed: Vec<Option<(&'static str, String)>>,
}

impl Collector for Reasons {
    const KEEPS: bool = true;

    fn is_privy(&self) -> bool {
        self.is_privy
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        self.notes.push(text());
    }

    fn enter(&mut self, group: &ModelGroup, told: impl FnOnce() -> Option<Bits>) {
        self.told = if self.is_privy { None } else { told() };
        if self.told.as_ref().is_some_and(Bits::is_empty) {
            // Neither what the group is called nor how the name led there.
            self.notes.clear();
        } else {
            self.group = Some(group.name().to_owned());
        }
        self.members = group.members().to_vec();
        self.kept = vec![Vec::new(); group.size()];
        self.removed = vec![None; group.size()];
    }

    fn remove(&mut self, stage: &'static str, positions: &Bits, why: impl Fn(usize) -> String) {
        for position in positions.iter() {
            self.removed[position].get_or_insert_with(|| (stage, why(position)));
        }
    }

    fn keep(&mut self, positions: &Bits, why: impl Fn(usize) -> String) {
        for position in positions.iter() {
            let why = why(position);
            if !self.kept[position].contains(&why) {
                self.kept[position].push(why);
            }
            // What a stage refused at first, failing open takes back.
            self.removed[position] = None;
        }
    }
}

impl Reasons {
    pub(crate) fn new(is_privy: bool) -> Reasons {
        Reasons {
            is_privy,
            told: None,
            group: None,
            members: Vec::new(),
            notes: Vec::new(),
            kept: Vec::new(),
            removed: Vec::new(),
        }
    }

    pub(crate) fn explanation(self, decision: Result<Decision, NoRoute>) -> Explanation {
        let reasons = self.kept.into_iter().zip(self.removed).map(|(kept, removed)| match removed {
            Some((stage, text)) => Reason::Removed { stage, text },
            None => Reason::Kept { text: kept.join("; ") },
        });
        let all = self.members.into_iter().zip(reasons);
        let verdicts = all.map(|(deployment, reason)| Verdict { deployment, reason });
        let told = |position| self.told.as_ref().is_none_or(|told| told.contains(position));
        Explanation {
            decision,
            group: self.group,
            verdicts: (0..).zip(verdicts).filter(|(at, _)| told(*at)).map(|(_, verdict)| verdict).collect(),
            notes: self.notes,
        }
    }
}
