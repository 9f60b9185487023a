//! Tags of a request, each with where it came from.

use std::borrow::Cow;

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
