//! Tags of a request, each with where it came from, and the numbers that a table gives to tags.

use std::borrow::Cow;
use std::collections::HashMap;

/// Where a tag of a request came from. Only the operator's own origins ([`TagOrigin::is_policy`])
/// back a constraint when a group fails open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TagOrigin {
    /// Body `metadata.tags`.
    Metadata,
    /// Body `litellm_metadata.tags`.
    LitellmMetadata,
    /// Header `x-litellm-tags`.
    Header,
    /// The virtual key.
    Key,
    /// The team of the virtual key.
    Team,
    /// Body `tags`.
    Body,
}

impl TagOrigin {
    /// Whether the operator set it, not the caller.
    pub fn is_policy(self) -> bool {
        matches!(self, TagOrigin::Key | TagOrigin::Team)
    }
}

/// One tag as sent, with `!`, `&` and prefix still on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTag<'a> {
    /// The text as sent.
    pub text: Cow<'a, str>,
    /// Where it came from.
    pub origin: TagOrigin,
}

/// What a tag asks for, once prefix and sign are off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish<'a> {
    /// `t`: a deployment that carries it.
    Plain(&'a str),
    /// `!t`: none that carries it.
    Exclude(&'a str),
    /// `&t`: only what carries it.
    Require(&'a str),
    /// A lone `!` or `&`.
    Nothing,
}

impl<'a> Wish<'a> {
    /// The tag that somebody holds, or reserves, to whom an admin gave this.
    pub(crate) fn held(self) -> Option<&'a str> {
        match self {
            Wish::Plain(tag) | Wish::Require(tag) => Some(tag),
            Wish::Exclude(_) | Wish::Nothing => None,
        }
    }

    /// The tag that it is about.
    pub(crate) fn tag(self) -> Option<&'a str> {
        match self {
            Wish::Plain(tag) | Wish::Exclude(tag) | Wish::Require(tag) => Some(tag),
            Wish::Nothing => None,
        }
    }
}

/// A tag of a request, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParsedTag<'a> {
    pub(crate) wish: Wish<'a>,
    /// It came with the routing prefix, so it was meant for routing and counts as known.
    pub(crate) prefixed: bool,
}

impl<'a> ParsedTag<'a> {
    /// The prefix is stripped once and comes off before the sign is read, so `route:!free` excludes
    /// while `!route:free` excludes a tag of that odd name.
    pub(crate) fn read(text: &'a str, prefix: &str) -> ParsedTag<'a> {
        let stripped = (!prefix.is_empty()).then(|| text.strip_prefix(prefix)).flatten();
        let wish = match stripped.unwrap_or(text) {
            "!" | "&" => Wish::Nothing,
            text => match (text.strip_prefix('!'), text.strip_prefix('&')) {
                (Some(tag), _) => Wish::Exclude(tag),
                (_, Some(tag)) => Wish::Require(tag),
                _ => Wish::Plain(text),
            },
        };
        ParsedTag { wish, prefixed: stripped.is_some() }
    }
}

/// The number of a tag in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TagId(u32);

/// Every tag that a deployment of the table carries, numbered.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    ids: HashMap<Box<str>, TagId>,
}

impl Tags {
    pub(crate) fn intern(&mut self, text: &str) -> TagId {
        let next = TagId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        *self.ids.entry(text.into()).or_insert(next)
    }

    /// `None` for a tag that no deployment of the whole table carries.
    pub(crate) fn find(&self, text: &str) -> Option<TagId> {
        self.ids.get(text).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(|text| &**text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_comes_off_before_the_sign() {
        let read = |text| ParsedTag::read(text, "route:");
        assert_eq!(read("route:!free"), ParsedTag { wish: Wish::Exclude("free"), prefixed: true });
        assert_eq!(read("!route:free"), ParsedTag { wish: Wish::Exclude("route:free"), prefixed: false });
        assert_eq!(read("&vip"), ParsedTag { wish: Wish::Require("vip"), prefixed: false });
        assert_eq!(read("route:!"), ParsedTag { wish: Wish::Nothing, prefixed: true });
        assert_eq!(ParsedTag::read("x", ""), ParsedTag { wish: Wish::Plain("x"), prefixed: false });
    }
}
