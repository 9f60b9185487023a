//! The stages that keep a caller within its reach.

use crate::NoRoute;
use crate::course::Course;
use crate::explain::Collector;

impl Course<'_> {
    /// What is reserved for others.
    pub(crate) fn drop_reserved(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        let Some(reach) = &self.reach else { return Ok(()) };
        let beyond = self.candidates.without(&reach.members);
        seen.remove("reserved", &beyond, |position| self.why_beyond(position));
        self.candidates.keep(&reach.members);
        if self.candidates.is_empty() { Err(self.tag_mismatch()) } else { Ok(()) }
    }

    /// What may be reserved for others, while that cannot be known.
    pub(crate) fn drop_doubtful(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        let Some(doubtful) = self.view.in_doubt(self.group) else { return Ok(()) };
        seen.remove("reserved", &self.candidates.and(&doubtful), |_| {
            "it is not known whether its tags are reserved".into()
        });
        self.candidates.drop(&doubtful);
        self.before_tags.iter_mut().for_each(|before| before.drop(&doubtful));
        if self.candidates.is_empty() { Err(NoRoute::ReservationsUnknown) } else { Ok(()) }
    }

    /// Whether anything is left that can ever serve this caller, whatever its health and tags.
    pub(crate) fn can_serve(&self) -> bool {
        let mut left = self.candidates.clone();
        self.view.in_doubt(self.group).iter().for_each(|doubtful| left.drop(doubtful));
        if self.is_confined() {
            left = self.tag_filter().constrained(&left);
        }
        !left.is_empty()
    }

    /// An admin's `&t` and `!t` confine a caller also where tags do not count otherwise.
    pub(super) fn confine(&mut self, seen: &mut impl Collector) -> Result<(), NoRoute> {
        if !self.is_confined() {
            return Ok(());
        }
        let filter = self.tag_filter();
        let left = filter.constrained(&self.candidates);
        seen.remove("tags", &self.candidates.without(&left), |position| filter.why_not_left(position));
        if left.is_empty() {
            return Err(self.refusal());
        }
        self.candidates = left;
        Ok(())
    }

    fn is_confined(&self) -> bool {
        self.table.tag_grants && !self.request.access.granted().is_empty()
    }

    fn why_beyond(&self, position: usize) -> String {
        let reserved = self.view.reserved_tags(self.group, position).join("`, `");
        format!("carries `{reserved}`, which the caller does not hold")
    }
}
