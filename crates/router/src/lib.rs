//! Tagrail in your own program: build a [`Router`] of a model list, and call it. There is no server.
//!
//! ```
//! use std::time::Duration;
//! use tagrail::{Completion, Deployment, Router};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router = Router::builder()
//!     .model_list([
//!         Deployment::new("anthropic/*", "anthropic/*").api_key("os.environ/ANTHROPIC_API_KEY"),
//!         Deployment::new("chat", "groq/llama-3.1-8b-instant").tags(["free"]).mock_response("in brief"),
//!         Deployment::new("chat", "openai/gpt-4o").tags(["paid"]).mock_response("at length"),
//!     ])
//!     .tag_filtering(true)
//!     .fallbacks("anthropic/*", ["chat"])
//!     .build()?;
//!
//! let request = Completion::new("chat").user("Hi").tags(["paid"]).deadline(Duration::from_secs(30));
//! let reply = router.completion(request).await?;
//! assert_eq!(reply.text().as_deref(), Some("at length"));
//! assert_eq!(reply.facts.model(), "openai/gpt-4o");
//! assert_eq!(reply.decision().ok_or("decided")?.permitted.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! - **Configuration**: [`Router::builder`] with [`Deployment`]s or plain [`serde_json::Value`]s;
//!   [`Router::from_yaml`] and [`Router::from_file`] read LiteLLM's `config.yaml`. What is wrong is a
//!   [`ConfigError`] that names all of it. [`Router::set_model_list`] and its siblings change the model list
//!   of a router that runs.
//! - **Calls**: [`Router::completion`], [`Router::stream`], [`Router::embedding`], [`Router::text_completion`],
//!   [`Router::responses`], [`Router::messages`]. They take a [`Request`] or a plain value in the shape of the
//!   API. They run on the caller's tokio runtime, and dropping their future ends the upstream call.
//! - **Answers**: [`Reply`] and [`Chunks`], each with its [`Facts`]: who answered, after how many tries, what it
//!   cost, what the provider leaves ([`RateLimits`]), and [what it was decided by](Chosen).
//! - **Errors**: [`Error`], which says whose [fault](Fault) it was.
//! - **Reasons**: [`Router::explain`] says of every deployment why it would be taken or left; nothing is sent.
//! - **Callers**: whoever has users of its own confines a call to what one of them may use: [`Caller`].
//!
//! Below that is what the gateway itself is made of: a [`Call`] of a body that came over the wire, answered
//! by [`Router::call`].
//!
//! ```
//! use std::sync::Arc;
//! use serde_json::json;
//! use tagrail::{AnswerBody, Call, Operation, Router, config::load_value};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let params = json!({"model": "openai/gpt-4o", "mock_response": "Good morning"});
//! let config = json!({"model_list": [{"model_name": "hello", "litellm_params": params}]});
//! let loaded = load_value(&config, &|name| std::env::var(name).ok());
//! let router = Router::new(loaded.resolved.ok_or("a mistake: see loaded.diagnostics")?, Arc::new(()));
//! let body = r#"{"model": "hello", "messages": [{"role": "user", "content": "Hi"}]}"#;
//! let call = Call::read(Operation::ChatCompletions, http::HeaderMap::new(), body.into(), None)?;
//! let answer = router.call(&call).await?;
//! let AnswerBody::Whole(pieces) = answer.body else { return Err("a stream was not asked for".into()) };
//! assert!(String::from_utf8(pieces.concat())?.contains("Good morning"));
//! # Ok(())
//! # }
//! ```
//!
//! Map: `sdk.rs` what a program in Rust uses, with a map of its own; `call.rs` what is asked; `router.rs`
//! admits, decides, hands over; `attempt.rs` the retry and fallback loop (there is no other); `transport.rs`
//! the only file that opens a socket to a provider, `idle_budget.rs` how many it keeps, `watch.rs` what such a
//! connection has seen; `stream.rs` upstream bytes to client bytes;
//! `scoreboard.rs` cooldowns and what is in flight, `choices.rs` which failures are its caller's and no deployment's
//! (`references.rs` by what a request names); `caller.rs` and `admission.rs` on whose behalf, and how
//! much of it; `account.rs` the books of a call, `decided.rs` how it was decided in one line, `explained.rs`
//! how one would be, `told.rs` what is said of one that failed, `outcome.rs` what is recorded; `snapshot.rs`
//! the configuration in use, swapped as one; `response_id.rs` who may continue a stored response, `egress.rs`
//! where clients may send their calls.

mod account;
mod admission;
mod attempt;
mod call;
mod caller;
mod choices;
mod decided;
mod egress;
mod error;
mod explained;
mod gather;
mod header_text;
mod idle_budget;
mod outcome;
mod references;
mod response_id;
mod router;
mod scoreboard;
mod sdk;
mod snapshot;
mod stream;
mod told;
mod transport;
mod watch;

pub use admission::{Allowance, AllowanceFacts, Need, OverLimit, Reservation, Used};
pub use call::Call;
pub use caller::{Caller, Identity};
pub use error::{Blame, CallError, Refusal, ResponseRefusal};
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
pub use tagrail_money::Money;
pub use tagrail_providers::{
    Cost, EnvelopeError, ErrorKind, Operation, SseFrame, SseFramer, UpstreamError, Usage,
};
pub use tagrail_routing as routing;
pub use told::{Refused, Told, python_list};

/// The page on the SDK, whose Rust is run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sdk.md")]
struct Page;
