//! Reservations: which deployments are within a caller's reach.
//!
//! A deployment is within reach of everybody when it carries no reserved tag, or `default`; else of who
//! holds a reserved tag that it carries. What is out of reach is as if it were not there: the stages ask
//! the [`View`] for the [`Reach`] of a group and know nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bits::Bits;
use crate::group::{DEFAULT_TAG, GroupId, ModelGroup};
use crate::tag::{ParsedTag, TagId};
use crate::{Access, DeploymentIndex, Policy, Reservations, RoutingTable};

/// Reservations resolved against one table: see [`RoutingTable::reserve`]. One that belongs to no table,
/// or to another than is asked, counts as not known, so that a mix-up opens nothing.
#[derive(Clone, Debug, Default)]
pub struct Reserved {
    known: Option<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    /// Of the table.
    identity: Arc<()>,
    /// Those that somebody in the table carries, ascending.
    tags: Vec<TagId>,
    /// All of them, also those that nobody carries: limits and budgets are by name.
    names: BTreeSet<String>,
    /// By group; `None` where nothing is reserved. Not longer than it has to be.
    groups: Vec<Option<Reach>>,
}

/// What of one group is within reach, or, in [`Known`], within everybody's.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) members: Bits,
    /// Of the deployments that were left out for a mistake.
    pub(crate) left_out: Bits,
}

/// What there is for one caller.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    /// Everything.
    All,
    /// Everything as far as the stages go; but what may be reserved serves nobody.
    Doubtful,
    /// What is reserved for others is not there.
    Within {
        /// Whose table it is.
        table: &'a RoutingTable,
        /// What is reserved.
        reserved: &'a Reserved,
        /// The caller's.
        policy: &'a Policy,
    },
}

/// What is left of a name's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Somebody may serve.
    Open,
    /// All of it was left out for a mistake.
    Deserted,
    /// All of it is out of reach.
    Closed,
}

impl Reserved {
    pub(crate) fn new(table: &RoutingTable, reservations: &Reservations) -> Reserved {
        let Reservations::Known(texts) = reservations else { return Reserved::default() };
        let mut tags: Vec<TagId> = texts.iter().filter_map(|text| table.tags.find(text)).collect();
        tags.sort_unstable();
        let mut groups: Vec<Option<Reach>> = Vec::new();
        if !tags.is_empty() {
            groups.extend(table.groups.iter().map(|group| open_to_all(group, &tags)));
        }
        let (identity, names) = (table.identity.clone(), texts.clone());
        Reserved { known: Some(Known { identity, tags, names, groups }) }
    }
}

impl Known {
    fn reserves(&self, tag: TagId) -> bool {
        self.tags.binary_search(&tag).is_ok()
    }
}

/// `None` when that is the whole group.
fn open_to_all(group: &ModelGroup, reserved: &[TagId]) -> Option<Reach> {
    let (all, left_out) = (group.all(), group.left_out());
    let mut reach = Reach { members: all.clone(), left_out: left_out.all().clone() };
    for tag in reserved {
        group.carriers(*tag).into_iter().for_each(|carriers| reach.members.drop(carriers));
        left_out.carriers(*tag).into_iter().for_each(|carriers| reach.left_out.drop(carriers));
    }
    reach.members.add(group.defaults());
    reach.left_out.add(left_out.defaults());
    let whole = reach.members == *all && reach.left_out == *left_out.all();
    (!whole).then_some(reach)
}

impl<'a> View<'a> {
    pub(crate) fn of(table: &'a RoutingTable, access: Access<'a>) -> View<'a> {
        let Access::Caller { policy, reserved } = access else { return View::All };
        if !table.tag_grants {
            return View::All;
        }
        match &reserved.known {
            Some(known) if Arc::ptr_eq(&known.identity, &table.identity) => {
                View::Within { table, reserved, policy }
            }
            _ => View::Doubtful,
        }
    }

    /// What of a group the stages may see; `None` is everything.
    pub(crate) fn reach(&self, group: GroupId) -> Option<Reach> {
        let View::Within { table, reserved: Reserved { known: Some(known) }, policy } = *self else {
            return None;
        };
        let mut reach = known.groups.get(group.0 as usize)?.clone()?;
        let group = table.group(group);
        let held = policy.held(&table.tag_prefix).filter_map(|text| table.tags.find(text));
        for tag in held.filter(|tag| known.reserves(*tag)) {
            group.carriers(tag).into_iter().for_each(|carriers| reach.members.add(carriers));
            group.left_out().carriers(tag).into_iter().for_each(|carriers| reach.left_out.add(carriers));
        }
        Some(reach)
    }

    /// Whether the deployment is there; the group is its own.
    pub(crate) fn has(&self, deployment: DeploymentIndex, group: GroupId) -> bool {
        let View::Within { table, .. } = self else { return true };
        let Some(reach) = self.reach(group) else { return true };
        table.group(group).position(deployment).is_some_and(|position| reach.members.contains(position))
    }

    /// Whether anything of the group is there that can serve.
    pub(crate) fn has_some(&self, group: GroupId) -> bool {
        self.reach(group).is_none_or(|reach| !reach.members.is_empty())
    }

    /// What a name that stands for the group is worth. `deserted`: all of it was left out.
    pub(crate) fn standing(&self, group: GroupId, deserted: bool) -> Standing {
        match self.reach(group) {
            Some(reach) if !reach.members.is_empty() => Standing::Open,
            Some(reach) if reach.left_out.is_empty() => Standing::Closed,
            Some(_) => Standing::Deserted,
            None if deserted => Standing::Deserted,
            None => Standing::Open,
        }
    }

    /// Whether the group is about tags at all: its own, or those of the groups that its members are from.
    pub(crate) fn declares_tags(&self, group: &ModelGroup, reach: Option<&Reach>) -> bool {
        let View::Within { table, .. } = self else { return group.declares_tags() };
        let there = |position: &usize| reach.is_none_or(|reach| reach.members.contains(*position));
        let mut homes = group.homes().iter().enumerate().filter(|(position, _)| there(position));
        group.declares_tags_within(reach)
            || homes.any(|(_, home)| table.group(*home).declares_tags_within(self.reach(*home).as_ref()))
    }

    /// Those that serve nobody while it is not known what is reserved: whose reach depends on it.
    pub(crate) fn in_doubt(&self, group: &ModelGroup) -> Option<Bits> {
        matches!(self, View::Doubtful).then(|| group.tagged().without(group.defaults()))
    }

    /// What of a group may be spoken of to the caller, `None` is everything.
    pub(crate) fn told(&self, id: GroupId, group: &ModelGroup) -> Option<Bits> {
        let certain = || self.in_doubt(group).map(|doubtful| group.all().without(&doubtful));
        self.reach(id).map(|reach| reach.members).or_else(certain)
    }

    /// The reserved ones among the tags of a member.
    pub(crate) fn reserved_tags(&self, group: &ModelGroup, position: usize) -> Vec<&'a str> {
        let View::Within { table, reserved: Reserved { known: Some(known) }, .. } = *self else {
            return Vec::new();
        };
        let tags = table.deployment(group.member(position)).map_or(&[][..], |spec| &spec.tags);
        let is_reserved = |tag: &&str| table.tags.find(tag).is_some_and(|id| known.reserves(id));
        tags.iter().map(String::as_str).filter(is_reserved).collect()
    }

    /// Whether a call that says this is one of the tag's: not where the tag is reserved and the caller does
    /// not hold it. While that is not known, the client is taken at its word.
    pub(crate) fn counts(&self, text: &str) -> bool {
        let View::Within { table, reserved: Reserved { known: Some(known) }, policy } = *self else {
            return true;
        };
        let prefix = &table.tag_prefix;
        let Some(tag) = ParsedTag::read(text, prefix).wish.held() else { return true };
        !known.names.contains(tag) || policy.held(prefix).any(|held| held == tag)
    }

    /// The formula itself, for one deployment by its tags.
    pub(crate) fn reaches(&self, tags: &[String]) -> bool {
        let is_default = tags.iter().any(|tag| tag == DEFAULT_TAG);
        match *self {
            View::All => true,
            View::Doubtful => tags.is_empty() || is_default,
            View::Within { table, reserved: Reserved { known }, policy } => {
                let is_reserved = |text: &str| {
                    let id = table.tags.find(text);
                    id.is_some_and(|id| known.as_ref().is_none_or(|known| known.reserves(id)))
                };
                let mut reserved = tags.iter().filter(|tag| is_reserved(tag)).peekable();
                let held = |tag: &String| policy.held(&table.tag_prefix).any(|held| held == tag);
                is_default || reserved.peek().is_none() || reserved.any(held)
            }
        }
    }
}
