//! Where each top-level field of a body is.

use super::field::{Name, READ, Role, field};

/// One field: offsets into the body. `start` is its key's opening quote, `key_end` its closing one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) start: u32,
    pub(super) key_end: u32,
    pub(super) value: u32,
    pub(super) end: u32,
    /// The row of [`super::field`]'s table, or how the key of a field of the provider's is written:
    /// [`PLAIN`], or [`ESCAPED`] plus the place of its text in [`Members::escaped`].
    pub(super) row: u32,
}

/// No row: the key is the provider's, and its bytes are its text.
pub(super) const PLAIN: u32 = u32::MAX;
/// No row: the key is the provider's and holds escapes.
pub(super) const ESCAPED: u32 = 1 << 31;

/// What a key is.
pub(super) enum Key {
    /// A row of [`super::field`]'s table.
    Row(u32),
    /// The provider's, its bytes being its text.
    Plain,
    /// The provider's, decoded.
    Escaped(String),
}

/// As many fields as requests usually have; more of them cost an allocation.
const INLINE: usize = 16;

/// All fields of a body, in its order, and by name those that are read.
#[derive(Clone, Debug)]
pub(super) struct Members {
    inline: [Member; INLINE],
    count: usize,
    more: Vec<Member>,
    by_name: [u16; READ],
    /// The text of keys that hold escapes. Decoded once: a body is asked for fields by name many times.
    escaped: Vec<Box<str>>,
}

impl Member {
    pub(super) fn role(&self) -> Option<Role> {
        field(self.row).map(|field| field.role)
    }
}

impl Members {
    pub(super) fn new() -> Self {
        Members {
            inline: [Member::default(); INLINE],
            count: 0,
            more: Vec::new(),
            by_name: [u16::MAX; READ],
            escaped: Vec::new(),
        }
    }

    /// Adds a field; its `row` is set by what its key is.
    #[inline]
    pub(super) fn push(&mut self, key: Key, mut member: Member) {
        member.row = match key {
            Key::Row(row) => row,
            Key::Plain => PLAIN,
            Key::Escaped(text) => {
                self.escaped.push(text.into_boxed_str());
                ESCAPED + (self.escaped.len() - 1) as u32
            }
        };
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

    /// The text of a key that holds escapes.
    pub(super) fn escaped(&self, member: &Member) -> Option<&str> {
        if member.row == PLAIN || member.row < ESCAPED {
            return None;
        }
        self.escaped.get((member.row - ESCAPED) as usize).map(|text| &**text)
    }
}
