//! The tag stage: which candidates of a group the tags of a request permit.
//!
//! Every tag is one look-up and one AND or OR over the words of the group's sets. What plain tags,
//! constraints, `tag_regex`, the default pool and failing open mean together is `select` and
//! `fail_open` below; the wording of the reasons is in `tag_reasons.rs`.

use std::collections::HashSet;

use crate::bits::Bits;
use crate::explain::Collector;
use crate::group::ModelGroup;
use crate::reserved::Reach;
use crate::tag::{ParsedTag, TagId, Tags, Wish};
use crate::{RequestTag, Rules, TagOrigin};

/// One run of the stage.
pub(crate) struct TagFilter<'a> {
    pub(crate) group: &'a ModelGroup,
    pub(crate) tags: &'a Tags,
    pub(crate) rules: &'a Rules,
    /// `tag_routing_prefix`.
    pub(crate) prefix: &'a str,
    /// `tag_filtering_match_any`.
    pub(crate) match_any: bool,
    /// Whether the group's own tags count as known (row D21).
    pub(crate) knows_tags: bool,
    /// The candidates are one deployment that was asked for by its id, or that alone can serve the call.
    pub(crate) by_id: bool,
    pub(crate) request: &'a [RequestTag<'a>],
    /// What an admin gave to the caller: constraints among these hold whatever else is dropped, also
    /// where the client sent the same text first.
    pub(crate) granted: &'a [(String, TagOrigin)],
    pub(crate) user_agent: Option<&'a str>,
    /// What of the group is there for the caller; `None` is everything.
    pub(crate) reach: Option<&'a Reach>,
    /// Whether anything that is there is about tags.
    pub(crate) declares_tags: bool,
}

/// By which rule deployments were permitted, or none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// The group declares no tags, so it is open (row D5).
    Open,
    /// Plain tags, or a regex beside them.
    Matched,
    /// Only `&` and `!`, searched in the whole group.
    Required,
    /// No plain tag, but a regex that fits the client.
    Regex,
    /// No plain tag: the default pool.
    Default,
    /// Plain tags that the group does not know: the default pool.
    DefaultForUnknown,
    /// No plain tag and no default pool: everything.
    Everything,
    /// No plain tag, no default pool, and no regex fits: what has no regex (row D23).
    WithoutRegex,
    /// The same under LiteLLM's rule: nothing.
    RegexMiss,
    /// Nothing was permitted, and the group fails open.
    FailedOpen,
}

/// Why nothing is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The tags fit nothing.
    Mismatch,
    /// The request belongs to the default pool, and nothing of that can serve at all.
    NoDefaultLeft,
}

/// The tags of a request, as sets over the group.
pub(crate) struct Wishes {
    plain: bool,
    any: Bits,
    every: Bits,
    excluded: Bits,
    requires: bool,
    required: Bits,
}

impl<'a> TagFilter<'a> {
    /// The stage.
    pub(crate) fn permitted(&self, candidates: &Bits, seen: &mut impl Collector) -> Result<Bits, Refusal> {
        if self.rules.untagged_groups_are_open && !self.declares_tags {
            return self.report(candidates, self.constrained(candidates), Pool::Open, seen);
        }
        let (pool, permitted) = self.select(candidates);
        if !permitted.is_empty() {
            return self.report(candidates, permitted, pool, seen);
        }
        if let Some(permitted) = self.fail_open(candidates) {
            return self.report(candidates, permitted, Pool::FailedOpen, seen);
        }
        let refused = self.report(candidates, permitted, pool, seen);
        if self.is_deserted(pool, candidates) { Err(Refusal::NoDefaultLeft) } else { refused }
    }

    /// What is permitted when nothing else is and a candidate has `allow_fail_open`: the operator's
    /// own constraints hold, everything else is dropped. An invented `&tag` may not hide a rest of
    /// required tags that could be met.
    pub(crate) fn fail_open(&self, candidates: &Bits) -> Option<Bits> {
        // It is the group that fails open, so one asked for by its id has it from any other.
        let opens = self.group.fail_open().meets(if self.by_id { self.all() } else { candidates });
        if !opens || self.invents_requirement(candidates) {
            return None;
        }
        let pool = self.constrained(candidates);
        let defaults = pool.and(self.group.defaults());
        let permitted = if defaults.is_empty() { pool } else { defaults };
        (!permitted.is_empty()).then_some(permitted)
    }

    fn select(&self, candidates: &Bits) -> (Pool, Bits) {
        let wishes = self.wishes(self.texts());
        let mut pool = candidates.without(&wishes.excluded);
        pool.keep(&wishes.required);
        // `None`: nothing that is left looks at the client, or the client does not say what it is.
        let hits = self.agent_line(&pool).map(|line| self.agent_hits(&line).and(&pool));
        if wishes.plain {
            return self.select_plain(&wishes, &pool, hits);
        }
        if wishes.requires {
            return (Pool::Required, pool);
        }
        match hits {
            Some(hits) if !hits.is_empty() => (Pool::Regex, hits),
            _ if self.has_default(candidates) => (Pool::Default, pool.and(self.group.defaults())),
            None => (Pool::Everything, pool),
            Some(_) if self.rules.regex_miss_is_local => {
                (Pool::WithoutRegex, pool.without(self.group.with_regex()))
            }
            Some(none) => (Pool::RegexMiss, none),
        }
    }

    fn select_plain(&self, wishes: &Wishes, pool: &Bits, hits: Option<Bits>) -> (Pool, Bits) {
        let mut matched = if self.match_any { wishes.any.clone() } else { wishes.every.clone() };
        if let Some(hits) = hits {
            matched.add(&hits);
        }
        matched.keep(pool);
        if matched.is_empty() && !self.knows_a_plain_tag() {
            return (Pool::DefaultForUnknown, pool.and(self.group.defaults()));
        }
        (Pool::Matched, matched)
    }

    /// Row D4: by the config, else by what is there. A deployment asked for by its id is its own
    /// pool, or ids would be of no use without tags.
    pub(crate) fn has_default(&self, candidates: &Bits) -> bool {
        if self.rules.default_pool_by_config && !self.by_id {
            // A default pool is within everybody's reach.
            let left_out = self.rules.left_out_count && !self.group.left_out().defaults().is_empty();
            return left_out || !self.group.defaults().is_empty();
        }
        self.group.defaults().meets(candidates)
    }

    /// Whether the request belongs to a default pool that the config has, and nothing of it can serve:
    /// nobody's tags are wrong then.
    fn is_deserted(&self, pool: Pool, candidates: &Bits) -> bool {
        matches!(pool, Pool::Default | Pool::DefaultForUnknown)
            && self.has_default(candidates)
            && !self.group.defaults().meets(candidates)
    }

    /// The candidates that the operator's own constraints leave.
    pub(crate) fn constrained(&self, candidates: &Bits) -> Bits {
        let sent = self.request.iter().filter(|tag| tag.origin.is_policy()).map(|tag| &*tag.text);
        let policy = self.wishes(sent.chain(self.granted.iter().map(|(text, _)| text.as_str())));
        let mut pool = candidates.without(&policy.excluded);
        pool.keep(&policy.required);
        pool
    }

    /// Whether dropping the required tags that nothing here carries would reveal an answer. A tag
    /// that came with the prefix was meant, so it is never invented.
    fn invents_requirement(&self, candidates: &Bits) -> bool {
        let mut pool = candidates.without(&self.wishes(self.texts()).excluded);
        let meant = self.meant();
        let (mut met, mut invented) = (false, false);
        for tag in self.parsed() {
            let Wish::Require(text) = tag.wish else { continue };
            match self.carriers(text).filter(|carriers| carriers.meets(candidates)) {
                Some(carriers) => {
                    met = true;
                    pool.keep(carriers);
                }
                None if meant.contains(text) => return false,
                None => invented = true,
            }
        }
        met && invented && !pool.is_empty()
    }

    fn wishes<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Wishes {
        let size = self.group.size();
        let none = Bits::none(size);
        let mut wishes = Wishes {
            plain: false,
            any: none.clone(),
            every: self.group.all().clone(),
            excluded: none.clone(),
            requires: false,
            required: self.group.all().clone(),
        };
        for text in texts {
            match ParsedTag::read(text, self.prefix).wish {
                Wish::Plain(text) => {
                    let carriers = self.carriers(text).unwrap_or(&none);
                    wishes.plain = true;
                    wishes.any.add(carriers);
                    wishes.every.keep(carriers);
                }
                Wish::Exclude(text) => wishes.excluded.add(self.carriers(text).unwrap_or(&none)),
                Wish::Require(text) => {
                    wishes.requires = true;
                    wishes.required.keep(self.carriers(text).unwrap_or(&none));
                }
                Wish::Nothing => (),
            }
        }
        wishes
    }

    fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.request.iter().map(|tag| &*tag.text)
    }

    fn all(&self) -> &Bits {
        self.reach.map_or(self.group.all(), |reach| &reach.members)
    }

    pub(crate) fn parsed(&self) -> impl Iterator<Item = ParsedTag<'a>> {
        let (request, prefix) = (self.request, self.prefix);
        request.iter().map(move |tag| ParsedTag::read(&tag.text, prefix))
    }

    pub(crate) fn carriers(&self, text: &str) -> Option<&'a Bits> {
        self.group.carriers(self.tags.find(text)?)
    }

    /// Whether matching nothing is a refusal, and not a stranger's tag: somebody in the group
    /// carries a plain tag, or the request names it behind the routing prefix, with whatever sign.
    fn knows_a_plain_tag(&self) -> bool {
        let meant = self.meant();
        self.parsed().any(|tag| match tag.wish {
            Wish::Plain(text) => {
                let carried = || self.tags.find(text).is_some_and(|id| self.group_knows(id));
                meant.contains(text) || self.knows_tags && carried()
            }
            _ => false,
        })
    }

    /// The tags that came with the prefix.
    fn meant(&self) -> HashSet<&'a str> {
        self.parsed().filter(|tag| tag.prefixed).filter_map(|tag| tag.wish.tag()).collect()
    }

    fn group_knows(&self, tag: TagId) -> bool {
        let left_out = || {
            let left_out = self.group.left_out();
            left_out.carriers(tag).is_some_and(|carriers| carriers.meets(left_out.within(self.reach)))
        };
        self.group.carriers(tag).is_some_and(|carriers| carriers.meets(self.all()))
            || self.rules.left_out_count && left_out()
    }

    /// What `tag_regex` is searched in.
    fn agent_line(&self, pool: &Bits) -> Option<String> {
        let agent = self.user_agent.filter(|agent| !agent.is_empty())?;
        self.group.with_regex().meets(pool).then(|| format!("User-Agent: {agent}"))
    }

    fn agent_hits(&self, line: &str) -> Bits {
        let mut hits = self.group.regex_hits(line);
        if !self.match_any {
            // Where all tags must be there, a regex cannot stand in for them.
            hits.drop(self.group.tagged());
        }
        hits
    }

    fn report(
        &self,
        candidates: &Bits,
        permitted: Bits,
        pool: Pool,
        seen: &mut impl Collector,
    ) -> Result<Bits, Refusal> {
        seen.remove("tags", &candidates.without(&permitted), |position| self.why_removed(position, pool));
        seen.keep(&permitted, |position| self.why_kept(position, pool));
        if permitted.is_empty() { Err(Refusal::Mismatch) } else { Ok(permitted) }
    }
}
