//! Tagrail in your own program: build a [`Router`] from a configuration and call it, no server.
//!
//! Map: `call.rs` what is asked; `router.rs` admits, decides, hands over; `attempt.rs` the retry and
//! fallback loop (there is no other); `transport.rs` the only file that opens a socket to a
//! provider; `stream.rs` upstream bytes to client bytes; `scoreboard.rs` cooldowns and what is in
//! flight; `snapshot.rs` the configuration in use, swapped as one; `outcome.rs` what is recorded.

mod attempt;
mod call;
mod error;
mod header_text;
mod outcome;
mod router;
mod scoreboard;
mod snapshot;
mod stream;
mod transport;

pub use call::Call;
pub use error::{CallError, Refusal};
pub use header_text::header_text;
pub use outcome::{Answer, AnswerBody, Facts, Outcome, Recorder};
pub use router::{Explained, Router};
pub use snapshot::{Labels, Snapshot};
pub use stream::ReplyStream;
pub use tagrail_config as config;
pub use tagrail_providers::{Cost, Operation, UpstreamError, Usage};
pub use tagrail_routing as routing;
