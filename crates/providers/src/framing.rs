//! Framing: a provider's bytes, however cut, to the frames of its streaming protocol.

mod sse;

pub use sse::{SseFrame, SseFramer, SseTooLong};
