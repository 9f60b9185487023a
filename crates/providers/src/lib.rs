//! Pure wire formats: bytes in, bytes out. No socket, no clock, no runtime.
//!
//! A *provider* is a dialect, an address and a way to authenticate. A request comes in as an
//! [`Envelope`] (the body's bytes and where the gateway's fields are in them); [`Provider::prepare`]
//! turns it into what goes upstream plus a [`Coder`], which turns what comes back into what the
//! client expects. Same dialect at both ends: slices of the original bytes around a new model name.
//!
//! Map: `envelope.rs` reading and splicing bodies; `provider.rs` the traits and the list;
//! `provider/` one file each, `compatible.rs` the table; `passthrough.rs` the coder where both ends
//! speak one dialect, `translation.rs` the one where they do not; `dialect/` the hub and the wire
//! formats; `framing/` bytes to frames ([`SseFramer`]); `scan.rs` the JSON scanner under the
//! envelope and under what is read of replies; `target.rs` where a deployment lives; `price.rs` the
//! model catalogue; `estimate.rs` tokens that nobody has counted; `error.rs` what upstreams answer when they refuse; `mock.rs` the reply of a
//! deployment with `mock_response`; `response_id.rs` ids of stored responses in replies; `payload.rs` and `tree.rs`
//! what keeps a translation small; `work.rs` what tests count.

mod dialect;
mod envelope;
mod error;
mod estimate;
mod framing;
mod mock;
mod operation;
mod passthrough;
mod payload;
mod price;
mod provider;
mod response_id;
mod scan;
mod secret;
mod target;
mod translation;
mod tree;
pub mod work;

pub use envelope::{
    Envelope, EnvelopeError, Fallback, MetadataRule, Rewrite, StoredState, gateway_parameters,
    is_gateway_parameter, is_price_parameter,
};
pub use error::{ErrorKind, Misconfigured, UpstreamError, retry_after};
pub use estimate::{Asked, Bound, Ending, ModelLimits, Passed, Settled, Told, prompt_tokens, settle};
pub use framing::{SseFrame, SseFramer, SseTooLong};
pub use mock::{MOCK_USAGE, Mock};
pub use operation::Operation;
pub use price::{Catalogue, Cost, ModelFacts, Price, Usage};
pub use provider::{Access, Ask, Coder, Prepared, Provider, Scheme, Shown, provider, providers};
pub use response_id::{NameResponses, ResponseNames};
pub use secret::Secret;
pub use target::{Endpoint, Place, Target, TargetError, TargetSpec, TlsVerify};
pub use tree::tree_bytes;
