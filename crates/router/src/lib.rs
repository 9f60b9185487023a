//! Tagrail in your own program: build a [`Router`] from a configuration and call it, no server.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use tagrail::{AnswerBody, Call, Operation, Router, config::load_text};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = "
//! model_list:
//!   - model_name: hello
//!     litellm_params: {model: openai/gpt-4o, mock_response: Good morning}
//! ";
//! let loaded = load_text(config, Path::new("config.yaml"), &|name| std::env::var(name).ok());
//! let router = Router::new(loaded.resolved.ok_or("a mistake: see loaded.diagnostics")?, Arc::new(()));
//! let body = r#"{"model": "hello", "messages": [{"role": "user", "content": "Hi"}]}"#;
//! let call = Call::read(Operation::ChatCompletions, http::HeaderMap::new(), body.into(), None)?;
//! let answer = router.call(&call).await.map_err(|error| format!("{:?}", error.refusal))?;
//! let AnswerBody::Whole(pieces) = answer.body else { return Err("a stream was not asked for".into()) };
//! assert!(String::from_utf8(pieces.concat())?.contains("Good morning"));
//! # Ok(())
//! # }
//! ```
//!
//! Map: `call.rs` what is asked; `router.rs` admits, decides, hands over; `attempt.rs` the retry and
//! fallback loop (there is no other); `transport.rs` the only file that opens a socket to a
//! provider; `stream.rs` upstream bytes to client bytes; `scoreboard.rs` cooldowns and what is in
//! flight; `caller.rs` and `admission.rs` on whose behalf, and how much of it; `account.rs` the books of
//! a call, `told.rs` what is said of one that failed, `decided.rs` how it was decided in one line,
//! `explained.rs` how one would be, `outcome.rs` what is recorded; `snapshot.rs` the
//! configuration in use, swapped as one.

mod account;
mod admission;
mod attempt;
mod call;
mod caller;
mod decided;
mod error;
mod explained;
mod gather;
mod header_text;
mod outcome;
mod router;
mod scoreboard;
mod sdk;
mod snapshot;
mod stream;
mod told;
mod transport;

pub use admission::{Allowance, AllowanceFacts, Need, OverLimit, Reservation, Used};
pub use call::Call;
pub use caller::{Caller, Identity};
pub use error::{CallError, Refusal};
pub use explained::{Explained, Grounds};
pub use header_text::header_text;
pub use outcome::{Answer, AnswerBody, Facts, Outcome, Recorder};
pub use router::Router;
pub use sdk::{
    Chosen, Chunk, Chunks, Completion, ConfigError, Deployment, Embedding, Error, Failure, Fault, Kind,
    Messages, ModelList, RateLimits, Reply, Request, Responses, RouterBuilder, TextCompletion, Window, kind,
};
pub use snapshot::{Labels, Snapshot};
pub use stream::ReplyStream;
pub use tagrail_config as config;
pub use tagrail_providers::{
    Cost, EnvelopeError, ErrorKind, Operation, SseFrame, SseFramer, UpstreamError, Usage,
};
pub use tagrail_routing as routing;
pub use told::{Refused, Told, python_list};
