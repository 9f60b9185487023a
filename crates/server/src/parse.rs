//! Reading a call out of its body, away from the core where that takes long.

use bytes::Bytes;
use http::HeaderMap;
use tagrail::{Call, Operation};
use tagrail_providers::EnvelopeError;
use tokio::task::{JoinError, spawn_blocking};

/// Longer bodies are read by a thread of their own: a core that serves others reads up to this many bytes
/// without a break, which takes a few milliseconds at most.
const LONG: usize = 1024 * 1024;

/// As [`Call::read`].
///
/// # Errors
/// As [`Call::read`].
pub(crate) async fn call(
    operation: Operation,
    headers: HeaderMap,
    body: Bytes,
    model: Option<String>,
) -> Result<Call, EnvelopeError> {
    if body.len() <= LONG {
        return Call::read(operation, headers, body, model);
    }
    elsewhere(operation, headers, body, model).await
}

/// Boxed, because it is rare: the future of every call is as large as the largest way through it.
fn elsewhere(
    operation: Operation,
    headers: HeaderMap,
    body: Bytes,
    model: Option<String>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Call, EnvelopeError>> + Send>> {
    let reading = spawn_blocking(move || Call::read(operation, headers, body, model));
    Box::pin(async move {
        match reading.await.map_err(JoinError::try_into_panic) {
            Ok(call) => call,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this future with it.
            Err(Err(_)) => std::future::pending().await,
        }
    })
}
