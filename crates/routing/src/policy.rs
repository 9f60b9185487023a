//! What a caller holds, and which tags are reserved: access control by model names and tags.

use std::collections::{BTreeMap, BTreeSet};

use crate::tag::{ParsedTag, Wish};
use crate::{Reserved, TagOrigin};

/// Who asks. Whatever is here was set by an admin; nothing of it comes from the request.
#[derive(Clone, Copy, Debug, Default)]
pub enum Access<'a> {
    /// Everything is open: the master key, or a program's own router.
    #[default]
    Admin,
    /// What the policy opens and the reservations leave.
    Caller {
        /// The caller's.
        policy: &'a Policy,
        /// Resolved against the very table that is asked; see [`crate::RoutingTable::reserve`].
        reserved: &'a Reserved,
    },
}

/// What a caller holds. Tags are text, so that neither a reload that numbers tags anew nor a new
/// reservation can leave an old answer in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The tags of key and team as the admin wrote them, prefix and sign still on; the key's first.
    /// They are tags of every call, and what the caller holds: `t` and `&t` alike, `!t` nothing.
    pub tags: Vec<(String, TagOrigin)>,
    /// Names that stand for others, for this caller alone: the key's before the team's. Followed after
    /// the name as sent was found admissible; one hop.
    pub aliases: BTreeMap<String, String>,
    /// Every list must admit a name. None: every name is open.
    pub models: Vec<AccessList>,
}

/// Whose list it is, for the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The virtual key.
    Key,
    /// Its team.
    Team,
    /// Its user.
    User,
}

/// `models` of a key, team or user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    /// Whose.
    pub holder: Holder,
    /// As written: names, access groups, wildcards, `*`, `all-proxy-models`, `no-default-models`. Empty
    /// admits everything. (`all-team-models` is the business of whoever makes the policy: such a key has
    /// no list of its own.)
    pub models: Vec<String>,
    /// Names that it admits besides: the team's own aliases.
    pub also: Vec<String>,
}

/// Which tags are reserved, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservations {
    /// These.
    Known(BTreeSet<String>),
    /// They could not be read: every tag but `default` is in doubt.
    Unknown,
}

impl Default for Reservations {
    fn default() -> Self {
        Reservations::Known(BTreeSet::new())
    }
}

impl<'a> Access<'a> {
    /// What the name means to this caller: its own alias followed, one hop.
    pub fn behind_alias(self, name: &'a str) -> &'a str {
        let Access::Caller { policy, .. } = self else { return name };
        policy.aliases.get(name).map_or(name, String::as_str)
    }

    /// Whether `&t` and `!t` of the caller leave a deployment with these tags.
    pub(crate) fn is_left(self, tags: &[String], prefix: &str) -> bool {
        let carried = |tag: &str| tags.iter().any(|own| own == tag);
        self.granted().iter().all(|(text, _)| match ParsedTag::read(text, prefix).wish {
            Wish::Require(tag) => carried(tag),
            Wish::Exclude(tag) => !carried(tag),
            Wish::Plain(_) | Wish::Nothing => true,
        })
    }

    /// The tags that an admin gave to the caller.
    pub(crate) fn granted(self) -> &'a [(String, TagOrigin)] {
        match self {
            Access::Admin => &[],
            Access::Caller { policy, .. } => &policy.tags,
        }
    }
}

impl Policy {
    /// The names of the tags held, behind `tag_routing_prefix`.
    pub(crate) fn held<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.tags.iter().filter_map(|(text, _)| ParsedTag::read(text, prefix).wish.held())
    }
}
