//! A model group: the deployments that one name stands for, with everything about them that a
//! decision asks, as sets over their positions in the group.

use regex::Regex;

use crate::bits::Bits;
use crate::pattern::ModelPattern;
use crate::tag::{TagId, Tags};
use crate::{DeploymentIndex, DeploymentSpec, LeftOutSpec};

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
    declares_tags: bool,
    /// Ascending by `order`.
    levels: Box<[(i64, Bits)]>,
    /// For each of `weight`, `rpm`, `tpm` that somebody sets: one share for every position.
    shares: Box<[Box<[f64]>]>,
}

/// What deployments that were left out for a mistake still count for (row D30).
#[derive(Debug, Default)]
struct LeftOut {
    count: usize,
    tags: Vec<TagId>,
    default: bool,
}

/// A group while it is put together.
#[derive(Debug, Default)]
pub(crate) struct GroupBuilder<'a> {
    members: Vec<Member<'a>>,
    left_out: LeftOut,
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

    /// For a group made of members of other groups: whether one of those declares tags.
    pub(crate) fn belongs_to_tagged(&mut self, declares: bool) {
        self.beside_tagged |= declares;
    }

    pub(crate) fn leave_out(&mut self, spec: &LeftOutSpec, tags: &mut Tags) {
        self.left_out.count += 1;
        self.left_out.default |= spec.tags.iter().any(|tag| tag == DEFAULT_TAG);
        self.left_out.tags.extend(spec.tags.iter().map(|tag| tags.intern(tag)));
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
            carriers: self.carriers(tags),
            levels: self.levels(),
            shares: self.shares(),
            members: members.iter().map(|m| m.index).collect(),
            declares_tags: self.beside_tagged
                || !self.left_out.tags.is_empty()
                || members.iter().any(|m| !m.spec.tags.is_empty() || !m.regexes.is_empty()),
            left_out: self.left_out,
            regexes: (self.members.into_iter().enumerate())
                .filter(|(_, m)| !m.regexes.is_empty())
                .map(|(position, m)| (position, m.regexes.into_boxed_slice()))
                .collect(),
        }
    }

    fn carriers(&self, tags: &mut Tags) -> Box<[(TagId, Bits)]> {
        let mut pairs: Vec<(TagId, usize)> = Vec::new();
        for (position, member) in self.members.iter().enumerate() {
            pairs.extend(member.spec.tags.iter().map(|tag| (tags.intern(tag), position)));
        }
        self.gathered(pairs)
    }

    fn levels(&self) -> Box<[(i64, Bits)]> {
        let orders = self.members.iter().enumerate();
        self.gathered(orders.filter_map(|(position, m)| Some((m.spec.order?, position))).collect())
    }

    /// One set for each key, ascending.
    fn gathered<K: Ord>(&self, mut pairs: Vec<(K, usize)>) -> Box<[(K, Bits)]> {
        pairs.sort_unstable();
        let mut sets: Vec<(K, Bits)> = Vec::new();
        for (key, position) in pairs {
            match sets.last_mut().filter(|(last, _)| *last == key) {
                Some((_, bits)) => bits.insert(position),
                None => sets.push((key, Bits::only(self.members.len(), position))),
            }
        }
        sets.into_boxed_slice()
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

    pub(crate) fn left_out(&self) -> usize {
        self.left_out.count
    }

    /// A deployment that was left out carried `default`.
    pub(crate) fn left_out_default(&self) -> bool {
        self.left_out.default
    }

    pub(crate) fn left_out_carried(&self, tag: TagId) -> bool {
        self.left_out.tags.contains(&tag)
    }

    /// Whether anything in the group is about tags at all.
    pub(crate) fn declares_tags(&self) -> bool {
        self.declares_tags
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
