//! Where each top-level field of a body is.

use super::field::{Name, READ, Role, field};

/// One field: offsets into the body. `start` is its key's opening quote, `key_end` its closing one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) start: u32,
    pub(super) key_end: u32,
    pub(super) value: u32,
    pub(super) end: u32,
    /// The row of [`super::field`]'s table, [`NO_ROW`] for a field that is the provider's.
    pub(super) row: u32,
}

pub(super) const NO_ROW: u32 = u32::MAX;

/// As many fields as requests usually have; more of them cost an allocation.
const INLINE: usize = 16;

/// All fields of a body, in its order, and by name those that are read.
#[derive(Clone, Debug)]
pub(super) struct Members {
    inline: [Member; INLINE],
    count: usize,
    more: Vec<Member>,
    by_name: [u16; READ],
}

impl Member {
    pub(super) fn role(&self) -> Option<Role> {
        field(self.row).map(|field| field.role)
    }
}

impl Members {
    pub(super) fn new() -> Self {
        Members { inline: [Member::default(); INLINE], count: 0, more: Vec::new(), by_name: [u16::MAX; READ] }
    }

    pub(super) fn push(&mut self, member: Member) {
        if let Some(Role::Read(name)) = member.role() {
            self.by_name[name as usize] = u16::try_from(self.count).unwrap_or(u16::MAX);
        }
        match self.inline.get_mut(self.count) {
            Some(place) => *place = member,
            None => self.more.push(member),
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Member> {
        self.inline[..self.count.min(INLINE)].iter().chain(&self.more)
    }

    pub(super) fn named(&self, name: Name) -> Option<&Member> {
        let at = usize::from(self.by_name[name as usize]);
        if at < INLINE { self.inline.get(at) } else { self.more.get(at - INLINE) }
    }
}
