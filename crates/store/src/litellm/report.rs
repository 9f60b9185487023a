//! What came of an import.

use std::collections::BTreeMap;

use serde::Serialize;

/// What came, what was there already, what could not come, and what of it has no effect here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Teams, users, keys and tags, in this order.
    pub teams: Counts,
    /// See `teams`.
    pub users: Counts,
    /// See `teams`.
    pub keys: Counts,
    /// See `teams`.
    pub tags: Counts,
    /// Ids of records that were there, and were left alone.
    pub present: Vec<String>,
    /// Records that did not come, each with the reason.
    pub refused: Vec<Refused>,
    /// Tags that are reserved now, because a team that came holds them.
    pub reserved: Vec<String>,
    /// Settings that were kept, and that nothing here acts on.
    pub unenforced: Vec<Unenforced>,
    /// What came otherwise than it was.
    pub notes: Vec<String>,
    /// What LiteLLM's database holds besides, and stays there.
    pub left_behind: Vec<LeftBehind>,
}

/// How many records of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In LiteLLM's table.
    pub found: u64,
    /// Brought by this run.
    pub brought: u64,
    /// There before.
    pub present: u64,
    /// Not brought.
    pub refused: u64,
}

/// A record that did not come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// `team`, `user`, `key`, `tag`.
    pub kind: &'static str,
    /// As people call it; of a key never more than its last four characters and its hash.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A setting that nothing here acts on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unenforced {
    /// `team`, `user`, `key`, `tag`.
    pub kind: &'static str,
    /// The column, or `metadata.` and the name in it.
    pub field: String,
    /// What that means.
    pub means: &'static str,
    /// How many have it.
    pub count: u64,
    /// The first of them.
    pub names: Vec<String>,
}

/// Rows that stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// Of what.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// What to do instead.
    pub instead: &'static str,
}

/// So many names are enough to go looking.
const NAMES: usize = 5;

/// Collects settings without an effect.
#[derive(Debug, Default)]
pub(super) struct Ineffective(BTreeMap<(&'static str, String), Unenforced>);

impl Ineffective {
    /// Notes one.
    pub(super) fn note(&mut self, kind: &'static str, field: &str, means: &'static str, name: &str) {
        let entry = self.0.entry((kind, field.to_owned()));
        let seen = entry.or_insert_with(|| Unenforced {
            kind,
            field: field.to_owned(),
            means,
            count: 0,
            names: Vec::new(),
        });
        seen.count += 1;
        if seen.names.len() < NAMES {
            seen.names.push(name.to_owned());
        }
    }

    pub(super) fn into_list(self) -> Vec<Unenforced> {
        self.0.into_values().collect()
    }
}

/// Columns that protect something in LiteLLM, and what is the case here.
pub(super) const UNENFORCED: &[(&str, &str)] = &[
    ("model_max_budget", "budgets by model are not kept"),
    ("budget_limits", "budgets by model are not kept"),
    ("policies", "requests and replies pass unchecked"),
    ("object_permission_id", "permissions for MCP servers, vector stores and agents are not asked"),
    ("access_group_ids", "only access groups of the configuration open models"),
    ("allowed_cache_controls", "no reply is cached"),
    ("permissions", "permissions of a key are not asked"),
    ("router_settings", "the router's settings are those of the configuration"),
    ("project_id", "limits of a project are not kept"),
    ("auto_rotate", "no key is changed by itself"),
    ("allowed_models", "models of a member are those of the team"),
    ("default_team_member_models", "models of a member are those of the team"),
];

/// The same within `metadata`.
pub(super) const UNENFORCED_METADATA: &[(&str, &str)] = &[
    ("guardrails", "requests and replies pass unchecked"),
    ("disable_global_guardrails", "requests and replies pass unchecked"),
    ("policies", "requests and replies pass unchecked"),
    ("enforced_params", "requests need no such parameters"),
    ("allowed_passthrough_routes", "no pass-through route is served"),
    ("team_member_budget_id", "members have the budget that they were given by name"),
    ("model_max_budget", "budgets by model are not kept"),
    ("temp_budget_increase", "a budget is what it says"),
    ("tag_budget_config", "a tag has the budget of its own record"),
    ("blocked_models", "which models are open is said by `models`"),
    ("allowed_vector_store_indexes", "no vector store is asked"),
];
