//! A model group: the deployments that one name stands for, with everything about them that a
//! decision asks, as sets over their positions in the group.

use regex::Regex;

use crate::bits::Bits;
use crate::left_out::LeftOut;
use crate::pattern::ModelPattern;
use crate::reserved::Reach;
use crate::tag::{TagId, Tags};
use crate::{DeploymentIndex, DeploymentSpec};

/// Position of a group in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(pub(crate) u32);

/// The tag that makes up the default pool.
pub(crate) const DEFAULT_TAG: &str = "default";

/// Deployments of one name, in the order of the file; a deployment's place among them is its
/// *position*.
#[derive(Debug)]
pub(crate) struct ModelGroup {
    name: Box<str>,
    pattern: Option<ModelPattern>,
    members: Box<[DeploymentIndex]>,
    all: Bits,
    paused: Bits,
    fail_open: Bits,
    /// Ascending by tag.
    carriers: Box<[(TagId, Bits)]>,
    tagged: Bits,
    defaults: Bits,
    regexes: Box<[(usize, Box<[Regex]>)]>,
    with_regex: Bits,
    filtering: Option<bool>,
    left_out: LeftOut,
    /// For a group made of members of other groups: by position, whose.
    homes: Box<[GroupId]>,
    /// One of the homes declares tags.
    beside_tagged: bool,
    /// Ascending by `order`.
    levels: Box<[(i64, Bits)]>,
    /// For each of `weight`, `rpm`, `tpm` that somebody sets: one share for every position.
    shares: Box<[Box<[f64]>]>,
}

/// A group while it is put together.
#[derive(Debug, Default)]
pub(crate) struct GroupBuilder<'a> {
    members: Vec<Member<'a>>,
    left_out: Vec<&'a [String]>,
    homes: Vec<GroupId>,
    beside_tagged: bool,
}

/// One deployment of a group to be.
#[derive(Debug)]
struct Member<'a> {
    index: DeploymentIndex,
    spec: &'a DeploymentSpec,
    regexes: Vec<Regex>,
}

impl<'a> GroupBuilder<'a> {
    pub(crate) fn add(
        &mut self,
        index: DeploymentIndex,
        spec: &'a DeploymentSpec,
        regexes: Vec<Regex>,
    ) -> &mut Self {
        self.members.push(Member { index, spec, regexes });
        self
    }

    /// For a group made of members of other groups: where the one just added is from.
    pub(crate) fn belongs_to(&mut self, home: Option<GroupId>, declares_tags: bool) {
        self.homes.extend(home);
        self.beside_tagged |= declares_tags;
    }

    /// By its tags.
    pub(crate) fn leave_out(&mut self, tags: &'a [String]) {
        self.left_out.push(tags);
    }

    pub(crate) fn build(self, name: &str, pattern: Option<ModelPattern>, tags: &mut Tags) -> ModelGroup {
        let members = &self.members;
        let size = members.len();
        let set = |holds: &dyn Fn(&Member<'_>) -> bool| {
            let mut bits = Bits::none(size);
            members
                .iter()
                .enumerate()
                .filter(|(_, m)| holds(m))
                .for_each(|(position, _)| bits.insert(position));
            bits
        };
        ModelGroup {
            name: name.into(),
            pattern,
            all: Bits::all(size),
            paused: set(&|m| m.spec.blocked),
            fail_open: set(&|m| m.spec.allow_fail_open),
            tagged: set(&|m| !m.spec.tags.is_empty()),
            defaults: set(&|m| m.spec.tags.iter().any(|tag| tag == DEFAULT_TAG)),
            with_regex: set(&|m| !m.regexes.is_empty()),
            filtering: members.iter().find_map(|m| m.spec.tag_filtering),
            carriers: carriers(size, self.members.iter().map(|m| m.spec.tags.as_slice()), tags),
            levels: self.levels(),
            shares: self.shares(),
            members: members.iter().map(|m| m.index).collect(),
            beside_tagged: self.beside_tagged,
            left_out: LeftOut::new(&self.left_out, tags),
            homes: self.homes.into_boxed_slice(),
            regexes: (self.members.into_iter().enumerate())
                .filter(|(_, m)| !m.regexes.is_empty())
                .map(|(position, m)| (position, m.regexes.into_boxed_slice()))
                .collect(),
        }
    }

    fn levels(&self) -> Box<[(i64, Bits)]> {
        let orders = self.members.iter().enumerate();
        let pairs = orders.filter_map(|(position, m)| Some((m.spec.order?, position))).collect();
        gathered(self.members.len(), pairs)
    }

    fn shares(&self) -> Box<[Box<[f64]>]> {
        type Key = fn(&DeploymentSpec) -> Option<f64>;
        let keys: [Key; 3] = [|spec| spec.weight, |spec| spec.rpm, |spec| spec.tpm];
        // A negative or endless weight loads in LiteLLM too; here it attracts no traffic.
        let share = |value: Option<f64>| value.filter(|v| v.is_finite() && *v > 0.0).unwrap_or(0.0);
        (keys.iter())
            .map(|key| self.members.iter().map(|m| share(key(m.spec))).collect::<Box<[f64]>>())
            .filter(|shares| shares.iter().any(|share| *share > 0.0))
            .collect()
    }
}

/// For every tag in the lists: the places of those that carry it. Ascending by tag.
pub(crate) fn carriers<'a>(
    size: usize,
    lists: impl Iterator<Item = &'a [String]>,
    tags: &mut Tags,
) -> Box<[(TagId, Bits)]> {
    let mut pairs: Vec<(TagId, usize)> = Vec::new();
    for (place, list) in lists.enumerate() {
        pairs.extend(list.iter().map(|tag| (tags.intern(tag), place)));
    }
    gathered(size, pairs)
}

/// One set for each key, ascending.
fn gathered<K: Ord>(size: usize, mut pairs: Vec<(K, usize)>) -> Box<[(K, Bits)]> {
    pairs.sort_unstable();
    let mut sets: Vec<(K, Bits)> = Vec::new();
    for (key, place) in pairs {
        match sets.last_mut().filter(|(last, _)| *last == key) {
            Some((_, bits)) => bits.insert(place),
            None => sets.push((key, Bits::only(size, place))),
        }
    }
    sets.into_boxed_slice()
}

impl ModelGroup {
    /// `model_name` as configured, or the upstream name of a group that was found by it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pattern(&self) -> Option<&ModelPattern> {
        self.pattern.as_ref()
    }

    pub(crate) fn members(&self) -> &[DeploymentIndex] {
        &self.members
    }

    /// The deployment at a position that one of the group's own sets gave.
    pub(crate) fn member(&self, position: usize) -> DeploymentIndex {
        self.members[position]
    }

    pub(crate) fn position(&self, deployment: DeploymentIndex) -> Option<usize> {
        // Ascending, as they are added in the order of the file.
        self.members.binary_search(&deployment).ok()
    }

    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn all(&self) -> &Bits {
        &self.all
    }

    pub(crate) fn paused(&self) -> &Bits {
        &self.paused
    }

    pub(crate) fn fail_open(&self) -> &Bits {
        &self.fail_open
    }

    /// Those that carry the tag.
    pub(crate) fn carriers(&self, tag: TagId) -> Option<&Bits> {
        self.carriers.binary_search_by_key(&tag, |(id, _)| *id).ok().map(|place| &self.carriers[place].1)
    }

    pub(crate) fn tagged(&self) -> &Bits {
        &self.tagged
    }

    pub(crate) fn defaults(&self) -> &Bits {
        &self.defaults
    }

    pub(crate) fn with_regex(&self) -> &Bits {
        &self.with_regex
    }

    /// `enable_tag_filtering` of the first deployment that sets it.
    pub(crate) fn filtering(&self) -> Option<bool> {
        self.filtering
    }

    /// Those that were left out for a mistake.
    pub(crate) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// For a group made of members of other groups: by position, whose.
    pub(crate) fn homes(&self) -> &[GroupId] {
        &self.homes
    }

    /// Whether anything in the group is about tags at all, or in those that its members are from.
    pub(crate) fn declares_tags(&self) -> bool {
        self.beside_tagged || self.declares_tags_within(None)
    }

    /// Whether anything of the group that is there for a caller is about tags.
    pub(crate) fn declares_tags_within(&self, reach: Option<&Reach>) -> bool {
        let left_out = self.left_out.tagged().meets(self.left_out.within(reach));
        let members = reach.map_or(&self.all, |reach| &reach.members);
        left_out || self.tagged.meets(members) || self.with_regex.meets(members)
    }

    /// Those whose `tag_regex` finds something in `line`.
    pub(crate) fn regex_hits(&self, line: &str) -> Bits {
        let mut hits = Bits::none(self.size());
        for (position, regexes) in &self.regexes {
            if regexes.iter().any(|regex| regex.is_match(line)) {
                hits.insert(*position);
            }
        }
        hits
    }

    /// The candidates of the smallest `order` and that order; all of them when none has one.
    pub(crate) fn first_level(&self, candidates: &Bits) -> (Option<i64>, Bits) {
        match self.levels.iter().find(|(_, level)| level.meets(candidates)) {
            Some((order, level)) => (Some(*order), level.and(candidates)),
            None => (None, candidates.clone()),
        }
    }

    /// Takes out those without `order` when a candidate has one.
    pub(crate) fn drop_unordered(&self, candidates: &mut Bits) {
        let mut ordered = Bits::none(self.size());
        self.levels.iter().for_each(|(_, level)| ordered.add(level));
        if ordered.meets(candidates) {
            candidates.keep(&ordered);
        }
    }

    /// Those of a greater order.
    pub(crate) fn ordered_after(&self, order: i64) -> Bits {
        let mut after = Bits::none(self.size());
        self.levels.iter().filter(|(level, _)| *level > order).for_each(|(_, level)| after.add(level));
        after
    }

    pub(crate) fn order(&self, position: usize) -> Option<i64> {
        self.levels.iter().find(|(_, level)| level.contains(position)).map(|(order, _)| *order)
    }

    /// See the field.
    pub(crate) fn shares(&self) -> &[Box<[f64]>] {
        &self.shares
    }
}
