//! What deployments that were left out for a mistake still count for (row D30): their group's default
//! pool, and which tags it knows.

use crate::bits::Bits;
use crate::group::{DEFAULT_TAG, carriers};
use crate::reserved::Reach;
use crate::tag::{TagId, Tags};

/// Those of one group, as sets over their places among each other.
#[derive(Debug)]
pub(crate) struct LeftOut {
    all: Bits,
    /// Ascending by tag.
    carriers: Box<[(TagId, Bits)]>,
    tagged: Bits,
    defaults: Bits,
}

impl LeftOut {
    /// Of the tags of each.
    pub(crate) fn new(lists: &[&[String]], tags: &mut Tags) -> LeftOut {
        let set = |holds: &dyn Fn(&[String]) -> bool| {
            let mut bits = Bits::none(lists.len());
            let those = (0..).zip(lists).filter(|(_, list)| holds(list));
            those.for_each(|(place, _)| bits.insert(place));
            bits
        };
        LeftOut {
            all: Bits::all(lists.len()),
            tagged: set(&|list| !list.is_empty()),
            defaults: set(&|list| list.iter().any(|tag| tag == DEFAULT_TAG)),
            carriers: carriers(lists.len(), lists.iter().copied(), tags),
        }
    }

    /// What of them there is for a caller.
    pub(crate) fn within<'a>(&'a self, reach: Option<&'a Reach>) -> &'a Bits {
        reach.map_or(&self.all, |reach| &reach.left_out)
    }

    pub(crate) fn all(&self) -> &Bits {
        &self.all
    }

    pub(crate) fn tagged(&self) -> &Bits {
        &self.tagged
    }

    pub(crate) fn defaults(&self) -> &Bits {
        &self.defaults
    }

    /// Those that carried the tag.
    pub(crate) fn carriers(&self, tag: TagId) -> Option<&Bits> {
        self.carriers.binary_search_by_key(&tag, |(id, _)| *id).ok().map(|place| &self.carriers[place].1)
    }
}
