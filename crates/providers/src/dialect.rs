//! The hub between dialects: what a chat request, a reply and an event of a stream mean, whoever
//! spells them.

mod anthropic_messages;
mod usage;

pub(crate) use anthropic_messages::error_type as anthropic_error_type;
pub(crate) use usage::WireUsage;
