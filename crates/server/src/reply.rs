//! The bodies that leave: whole, in pieces, streamed, or made by axum. Each carries what must live
//! as long as the reply does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tagrail::{AnswerBody, ReplyStream};

use crate::activity::Busy;
use crate::inbound::held::Held;
use crate::metrics::InFlight;

/// An event stream's way to say nothing.
const COMMENT: &[u8] = b":\n\n";

/// A reply's body, and the count of what is in flight, which goes down when the body is dropped.
pub(crate) struct Reply {
    content: Content,
    _in_flight: Option<InFlight>,
    busy: Option<Busy>,
    /// The request's body, where the reply needs it still.
    _held: Option<Held>,
}

enum Content {
    One(Bytes),
    Pieces { pieces: std::vec::IntoIter<Bytes>, left: u64 },
    Stream { stream: Box<ReplyStream>, probed: bool },
    Other(axum::body::Body),
}

impl Reply {
    /// One buffer.
    pub(crate) fn of(bytes: impl Into<Bytes>) -> Reply {
        Reply { content: Content::One(bytes.into()), _in_flight: None, busy: None, _held: None }
    }

    /// What a route behind axum answers.
    pub(crate) fn other(body: axum::body::Body) -> Reply {
        Reply { content: Content::Other(body), _in_flight: None, busy: None, _held: None }
    }

    /// An answer of the router.
    pub(crate) fn answer(body: AnswerBody, in_flight: InFlight, held: Option<Held>) -> Reply {
        let content = match body {
            AnswerBody::Whole(pieces) | AnswerBody::Events(pieces) => whole(pieces),
            AnswerBody::Stream(stream) => Content::Stream { stream, probed: false },
        };
        Reply { content, _in_flight: Some(in_flight), busy: None, _held: held }
    }

    /// The connection is busy until this reply is dropped.
    pub(crate) fn hold(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

fn whole(mut pieces: Vec<Bytes>) -> Content {
    pieces.retain(|piece| !piece.is_empty());
    let left = pieces.iter().map(|piece| piece.len() as u64).sum();
    Content::Pieces { pieces: pieces.into_iter(), left }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Reply { content, busy, .. } = &mut *self;
        match content {
            Content::One(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::One(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Pieces { pieces, left } => Poll::Ready(pieces.next().map(|piece| {
                *left -= piece.len() as u64;
                Ok(Frame::data(piece))
            })),
            Content::Stream { stream, probed } => match Pin::new(stream).poll_frame(context) {
                // A client that has ended its side reads on, or has left; one that has left answers this with a
                // reset. Nothing is ready, so the last event is whole.
                Poll::Pending if !*probed && busy.as_ref().is_some_and(Busy::is_half_closed) => {
                    *probed = true;
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))))
                }
                frame => frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            },
            Content::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::One(bytes) => bytes.is_empty(),
            Content::Pieces { left, .. } => *left == 0,
            Content::Stream { stream, .. } => stream.is_end_stream(),
            Content::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::One(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pieces { left, .. } => SizeHint::with_exact(*left),
            Content::Stream { stream, .. } => stream.size_hint(),
            Content::Other(body) => body.size_hint(),
        }
    }
}
