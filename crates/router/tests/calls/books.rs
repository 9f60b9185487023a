//! Books for tests: rows that keep everything, and a purse that writes down what is asked of it.

use std::sync::{Arc, Mutex};

use tagrail::routing::{Policy, RequestTag, TagOrigin};
use tagrail::{
    Allowance, AllowanceFacts, Caller, Identity, Money, Need, Outcome, OverLimit, Reservation, Usage, Used,
};

use crate::rig::Records;

/// An outcome, owned.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) status: u16,
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<f64>,
    pub(crate) cut_short: bool,
    pub(crate) key: String,
    pub(crate) call_id: String,
    pub(crate) model: String,
    pub(crate) upstream_model: String,
    pub(crate) provider: String,
    pub(crate) api_base: String,
    pub(crate) tags: Vec<String>,
    pub(crate) end_user: Option<String>,
    pub(crate) estimated: bool,
    pub(crate) decision: String,
    pub(crate) started: std::time::SystemTime,
}

impl Row {
    pub(crate) fn of(outcome: &Outcome<'_>) -> Row {
        Row {
            group: outcome.group.to_owned(),
            status: outcome.status,
            usage: outcome.usage,
            cost: outcome.cost.map(Money::dollars),
            cut_short: outcome.cut_short,
            key: outcome.caller.identity.key.clone(),
            call_id: outcome.call_id.to_owned(),
            model: outcome.model.to_owned(),
            upstream_model: outcome.upstream_model.to_owned(),
            provider: outcome.provider.to_owned(),
            api_base: outcome.api_base.to_owned(),
            tags: outcome.tags.to_vec(),
            end_user: outcome.end_user.map(str::to_owned),
            estimated: outcome.estimated,
            decision: outcome.decision.to_owned(),
            started: outcome.started,
        }
    }

    /// (input, output)
    pub(crate) fn tokens(&self) -> Option<(u64, u64)> {
        self.usage.map(|usage| (usage.input, usage.output))
    }
}

/// What a call was settled for, in dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spent {
    pub(crate) tokens: u64,
    pub(crate) cost: f64,
}

/// What was asked of a purse.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Reserved {
        model: String,
        tags: Vec<String>,
        tokens: u64,
        cost: Option<f64>,
    },
    Extended {
        model: String,
        tokens: u64,
        cost: Option<f64>,
    },
    Refused {
        model: String,
    },
    Settled(Spent),
    /// Dropped without having been settled.
    Lost,
}

/// An allowance with room for anything but the names in `closed`.
#[derive(Clone, Default)]
pub(crate) struct Purse {
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) closed: Vec<&'static str>,
    pub(crate) budget: bool,
    /// Where a call's row must be before its reservation is settled.
    pub(crate) records: Option<Arc<Records>>,
}

struct Held {
    purse: Purse,
    settled: bool,
}

impl Purse {
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What the only reservation was settled with; it was settled once, and none was lost.
    pub(crate) fn settled(&self) -> Spent {
        let asked = self.asked();
        let count = |such: fn(&Asked) -> bool| asked.iter().filter(|asked| such(asked)).count();
        assert_eq!(count(|asked| matches!(asked, Asked::Reserved { .. })), 1, "{asked:?}");
        assert_eq!(count(|asked| matches!(asked, Asked::Lost)), 0, "{asked:?}");
        let used: Vec<Spent> = asked
            .iter()
            .filter_map(|asked| if let Asked::Settled(used) = asked { Some(*used) } else { None })
            .collect();
        assert_eq!(used.len(), 1, "{asked:?}");
        assert!(matches!(asked.last(), Some(Asked::Settled(_))), "{asked:?}");
        used[0]
    }

    pub(crate) fn caller(&self) -> Arc<Caller> {
        Arc::new(Caller { allowance: Some(Arc::new(self.clone())), ..caller() })
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
    }

    fn room(&self, need: &Need<'_>) -> Result<(), OverLimit> {
        if !self.closed.contains(&need.model) {
            return Ok(());
        }
        self.note(Asked::Refused { model: need.model.to_owned() });
        let message = format!("no room for {}", need.model);
        Err(OverLimit { kind: "throttling_error", message, retry_after: None, headers: Vec::new() })
    }
}

impl Allowance for Purse {
    fn reserve(&self, need: &Need<'_>) -> Result<Box<dyn Reservation>, OverLimit> {
        self.room(need)?;
        self.note(Asked::Reserved {
            model: need.model.to_owned(),
            tags: need.tags.iter().map(|tag| tag.text.to_string()).collect(),
            tokens: need.tokens,
            cost: need.cost.map(Money::dollars),
        });
        Ok(Box::new(Held { purse: self.clone(), settled: false }))
    }

    fn has_budget(&self, _: &[RequestTag<'_>]) -> bool {
        self.budget
    }

    fn facts(&self) -> AllowanceFacts {
        AllowanceFacts::default()
    }
}

impl Reservation for Held {
    fn extend(&mut self, need: &Need<'_>) -> Result<(), OverLimit> {
        self.purse.room(need)?;
        let (model, tokens, cost) = (need.model.to_owned(), need.tokens, need.cost.map(Money::dollars));
        self.purse.note(Asked::Extended { model, tokens, cost });
        Ok(())
    }

    fn settle(mut self: Box<Self>, used: Used) {
        self.settled = true;
        if let Some(records) = &self.purse.records {
            records.row();
        }
        let (tokens, cost) = (used.tokens, used.cost.dollars());
        self.purse.note(Asked::Settled(Spent { tokens, cost }));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.settled {
            self.purse.note(Asked::Lost);
        }
    }
}

fn caller() -> Caller {
    Caller { identity: Identity { key: "hash".into(), ..Identity::default() }, ..Caller::default() }
}

/// Somebody with these tags of a team and nothing counted.
pub(crate) fn team(tags: &[&str], policy: Policy) -> Arc<Caller> {
    let tags = tags.iter().map(|tag| ((*tag).to_owned(), TagOrigin::Team)).collect();
    Arc::new(Caller { policy: Some(Policy { tags, ..policy }), ..caller() })
}
