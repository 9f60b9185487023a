//! On whose behalf a call is made.

use std::sync::Arc;

use tagrail_routing::Policy;

use crate::Allowance;

/// A caller. [`Caller::default`] is the operator: everything is open, and nothing is limited.
#[derive(Clone, Default)]
pub struct Caller {
    /// For the books.
    pub identity: Identity,
    /// What it may use and holds; `None` for the operator.
    pub policy: Option<Policy>,
    /// What it may use up; `None` is without limits.
    pub allowance: Option<Arc<dyn Allowance>>,
}

/// Who it is, for the books. Nothing here is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Lower-case hex of the SHA-256 of the key; a label for the master key; empty without keys.
    pub key: String,
    /// `key_alias`.
    pub key_alias: Option<String>,
    /// `team_id`.
    pub team: Option<String>,
    /// `user_id`.
    pub user: Option<String>,
}

thread_local! {
    static OPERATOR: Arc<Caller> = Arc::default();
}

impl Caller {
    /// The operator, shared by all calls of a thread: one of its own for every call would be an
    /// allocation, and one for all threads a count that they pass around.
    pub fn operator() -> Arc<Caller> {
        OPERATOR.with(Arc::clone)
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").field("identity", &self.identity).finish_non_exhaustive()
    }
}
