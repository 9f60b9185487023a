//! On whose behalf a call is made.

use std::sync::Arc;

use tagrail_routing::{AccessList, Holder, Policy, TagOrigin};

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

    /// A caller that holds nothing: every name is open to it, and of what is behind one whatever is not
    /// reserved for others.
    ///
    /// ```
    /// use tagrail::Caller;
    ///
    /// let caller = Caller::confined().team_tags(["team-a"]).key_models(["gpt-4", "claude-*"]);
    /// ```
    pub fn confined() -> Caller {
        Caller { policy: Some(Policy::default()), ..Caller::default() }
    }

    /// Tags of its team: they are tags of every call of its, and it reaches what is reserved for them. With
    /// `&` in front it reaches nothing else.
    #[must_use]
    pub fn team_tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Caller {
        let tags = tags.into_iter().map(|tag| (tag.into(), TagOrigin::Team));
        self.with(|policy| policy.tags.extend(tags))
    }

    /// Tags of its own.
    #[must_use]
    pub fn key_tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Caller {
        let tags: Vec<_> = tags.into_iter().map(|tag| (tag.into(), TagOrigin::Key)).collect();
        self.with(|policy| policy.tags.splice(0..0, tags).for_each(drop))
    }

    /// The names that its team may use; wildcards too.
    #[must_use]
    pub fn team_models(self, models: impl IntoIterator<Item = impl Into<String>>) -> Caller {
        self.models(Holder::Team, models)
    }

    /// The names that it may use itself.
    #[must_use]
    pub fn key_models(self, models: impl IntoIterator<Item = impl Into<String>>) -> Caller {
        self.models(Holder::Key, models)
    }

    /// A name of its team's that stands for another. The lists of [`Caller::team_models`] that are said
    /// before it need not have it.
    #[must_use]
    pub fn team_alias(self, alias: impl Into<String>, model: impl Into<String>) -> Caller {
        let alias = alias.into();
        self.with(|policy| {
            for list in policy.models.iter_mut().filter(|list| list.holder == Holder::Team) {
                list.also.push(alias.clone());
            }
            policy.aliases.entry(alias).or_insert_with(|| model.into());
        })
    }

    /// A name of its own that stands for another, before its team's.
    #[must_use]
    pub fn key_alias(self, alias: impl Into<String>, model: impl Into<String>) -> Caller {
        self.with(|policy| {
            policy.aliases.insert(alias.into(), model.into());
        })
    }

    /// What is said in several calls is one list: of several, each has to admit a name.
    fn models(self, holder: Holder, models: impl IntoIterator<Item = impl Into<String>>) -> Caller {
        let models = models.into_iter().map(Into::into);
        self.with(|policy| match policy.models.iter_mut().find(|list| list.holder == holder) {
            Some(list) => list.models.extend(models),
            None => policy.models.push(AccessList { holder, models: models.collect(), also: Vec::new() }),
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Policy)) -> Caller {
        change(self.policy.get_or_insert_with(Policy::default));
        self
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").field("identity", &self.identity).finish_non_exhaustive()
    }
}
