//! What a provider is, and the list of them.

use bytes::Bytes;
use http::HeaderMap;

use crate::{Envelope, Operation, Target, UpstreamError, Usage};

/// One call to be prepared.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What the client asks for.
    pub operation: Operation,
    /// Its body.
    pub envelope: &'a Envelope,
    /// The deployment's target.
    pub target: &'a Target,
    /// The provider-qualified upstream model, captures filled in.
    pub upstream_model: &'a str,
    /// The name that replies carry in `model`; `None` leaves the upstream's own (after a fallback,
    /// and on path-model routes without a model in the body).
    pub echo_model: Option<&'a str>,
    /// Headers of the client's request, of which few are passed on (`anthropic-version`,
    /// `anthropic-beta` on Messages).
    pub client_headers: &'a HeaderMap,
}

/// What goes upstream, and how to read what comes back.
pub struct Prepared<'a> {
    /// Where to connect.
    pub endpoint: &'a crate::Endpoint,
    /// Path and query.
    pub path: String,
    /// All headers but `content-length`; `host` included.
    pub headers: HeaderMap,
    /// The body in pieces.
    pub body: Vec<Bytes>,
    /// For the answer.
    pub coder: Box<dyn Coder>,
}

/// Turns an upstream's answer into the client's. One per attempt.
pub trait Coder: Send {
    /// A whole 2xx reply.
    ///
    /// # Errors
    /// The body is not what the dialect promises.
    fn whole(&mut self, body: Bytes) -> Result<Vec<Bytes>, UpstreamError>;

    /// A reply with another status (headers for `Retry-After`).
    fn refusal(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamError;

    /// The next bytes of a stream, cut anywhere; pushes what can leave now onto `out`.
    ///
    /// # Errors
    /// The upstream sent an error event or something that is not its dialect.
    fn push(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) -> Result<(), UpstreamError>;

    /// The upstream ended its stream; pushes what is left.
    ///
    /// # Errors
    /// It ended in the middle of an event, or before the dialect's last one.
    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), UpstreamError>;

    /// The frame that tells the client, in its dialect, that the stream broke.
    fn error_frame(&self, error: &UpstreamError) -> Bytes;

    /// Tokens, as far as they are known.
    fn usage(&self) -> Option<Usage>;
}

/// A dialect, an address and authentication.
pub trait Provider: Send + Sync {
    /// LiteLLM's name: `openai`, `anthropic`, `groq`.
    fn name(&self) -> &'static str;

    /// Whether the operation can be answered at all (the others are 501).
    fn serves(&self, operation: Operation) -> bool;

    /// What to send for this call.
    ///
    /// # Errors
    /// The request cannot be said in the provider's dialect (400), a credential is missing (500),
    /// or the operation is not served (501).
    fn prepare<'a>(&self, ask: &Ask<'a>) -> Result<Prepared<'a>, UpstreamError>;
}
