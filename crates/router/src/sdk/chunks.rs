//! An answer that comes in pieces.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use serde_json::Value;
use tagrail_providers::{Operation, SseFrame, SseFramer, Usage};
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::{broken, overdue};
use super::text;
use crate::{Answer, AnswerBody, Call, Chosen, Error, Facts, ReplyStream};

/// Ends a stream of OpenAI's; it says nothing.
const DONE: &[u8] = b"[DONE]";

/// A streamed answer. Dropping it ends the upstream call; nothing is read ahead of
/// [`Chunks::next`], so that an upstream waits for whoever reads. It is a [`Stream`] too, for whatever takes
/// one.
pub struct Chunks {
    /// Who answers, and how. Tokens and cost are not known before the end, see [`Chunks::usage`] and
    /// [`Chunks::cost`].
    pub facts: Facts,
    source: Source,
    framer: SseFramer,
    ready: VecDeque<Chunk>,
    call: Call,
    limit: Option<Limit>,
}

/// The call's deadline.
struct Limit {
    until: Instant,
    /// How long that was from the call's start.
    deadline: Duration,
    /// Made when there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Where pieces come from.
enum Source {
    Upstream(Box<ReplyStream>),
    /// All there already.
    Here(VecDeque<Bytes>),
    Over(Option<Last>),
}

/// What is known of a stream that is over.
#[derive(Default)]
struct Last {
    usage: Option<Usage>,
    cost: Option<f64>,
    decision: Option<Chosen>,
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct Chunk {
    data: Bytes,
    event: Option<Box<str>>,
    operation: Operation,
}

impl Chunks {
    pub(super) fn of(answer: Answer, call: Call, until: Option<(Instant, Duration)>) -> Chunks {
        let Answer { facts, body } = answer;
        let source = match body {
            AnswerBody::Stream(stream) => Source::Upstream(stream),
            AnswerBody::Events(pieces) | AnswerBody::Whole(pieces) => Source::Here(pieces.into()),
        };
        let limit = until.map(|(until, deadline)| Limit { until, deadline, timer: None });
        Chunks { facts, source, framer: SseFramer::default(), ready: VecDeque::new(), call, limit }
    }

    /// The next chunk; `None` behind the last. After an error there is nothing more: what came before it
    /// is the upstream's and stands.
    ///
    /// A future of it that is dropped has taken nothing: the chunk comes with the next one.
    pub async fn next(&mut self) -> Option<Result<Chunk, Error>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// A stream that is whole is an answer, however late that is noticed; nothing else counts behind the
    /// deadline, also not what an upstream has ready that never lets anybody wait.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        let next = self.poll_awaited(cx);
        let Some(limit) = &mut self.limit else { return next };
        let is_over = match &next {
            Poll::Ready(Some(Ok(_))) => Instant::now() >= limit.until,
            Poll::Ready(_) => false,
            Poll::Pending => {
                let timer = limit.timer.get_or_insert_with(|| Box::pin(sleep_until(limit.until)));
                timer.as_mut().poll(cx).is_ready()
            }
        };
        if !is_over {
            return next;
        }
        let error = overdue(&self.call, limit.deadline);
        self.finish();
        Poll::Ready(Some(Err(error)))
    }

    fn poll_awaited(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            let piece = match &mut self.source {
                Source::Over(_) => None,
                Source::Here(pieces) => pieces.pop_front(),
                Source::Upstream(stream) => {
                    let frame = ready!(Pin::new(&mut **stream).poll_frame(cx));
                    if let Some(failure) = stream.failure() {
                        let error = broken(&self.call, &self.facts, failure.clone());
                        self.finish();
                        return Poll::Ready(Some(Err(error)));
                    }
                    frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok())
                }
            };
            if let Some(piece) = piece {
                self.take(piece);
            } else if let Some(frame) = self.framer.end() {
                // Not everybody ends the last event with a blank line.
                self.ready.extend(Chunk::of(&frame, self.call.operation));
            } else {
                self.finish();
                return Poll::Ready(None);
            }
        }
    }

    fn take(&mut self, piece: Bytes) {
        let mut frames = Vec::new();
        // A frame that is too long was too long for the router, which has said so.
        let _ = self.framer.push(piece, &mut frames);
        let operation = self.call.operation;
        self.ready.extend(frames.iter().filter_map(|frame| Chunk::of(frame, operation)));
    }

    /// What the rest says, joined.
    ///
    /// # Errors
    /// The stream broke; what it had said is lost, so that half an answer is never taken for one.
    pub async fn text(&mut self) -> Result<String, Error> {
        let mut text = String::new();
        while let Some(chunk) = self.next().await {
            text.push_str(&chunk?.text().unwrap_or_default());
        }
        Ok(text)
    }

    /// Tokens, as far as the stream has told them: all of them behind the last chunk.
    pub fn usage(&self) -> Option<Usage> {
        match &self.source {
            Source::Upstream(stream) => stream.usage(),
            Source::Here(_) => self.facts.usage,
            Source::Over(last) => last.as_ref()?.usage,
        }
    }

    /// US dollars, as far as the stream has told what they depend on; behind the last chunk, or where it
    /// broke, what was charged.
    pub fn cost(&self) -> Option<f64> {
        match &self.source {
            Source::Upstream(stream) => stream.cost().map(|cost| cost.total().dollars()),
            Source::Here(_) => self.facts.cost(),
            Source::Over(last) => last.as_ref()?.cost,
        }
    }

    /// What it was decided by.
    pub fn decision(&self) -> Option<Chosen> {
        let decision = match &self.source {
            Source::Upstream(stream) => stream.decision(),
            Source::Here(_) => self.facts.decision.as_ref(),
            Source::Over(last) => return last.as_ref()?.decision.clone(),
        };
        Some(Chosen::of(&self.call, &self.facts, decision?))
    }

    /// Lets the upstream go.
    fn finish(&mut self) {
        if matches!(self.source, Source::Over(_)) {
            return;
        }
        let decision = self.decision();
        // Half an event that had come is none.
        (self.ready, self.framer) = (VecDeque::new(), SseFramer::default());
        let last = match std::mem::replace(&mut self.source, Source::Over(None)) {
            Source::Upstream(mut stream) => {
                stream.leave();
                Last {
                    usage: stream.usage(),
                    cost: stream.cost().map(|cost| cost.total().dollars()),
                    decision,
                }
            }
            _ => Last { usage: self.facts.usage, cost: self.facts.cost(), decision },
        };
        self.source = Source::Over(Some(last));
    }
}

impl Chunk {
    fn of(frame: &SseFrame, operation: Operation) -> Option<Chunk> {
        let data = match frame.data_span() {
            Some(span) => frame.bytes().slice(span),
            None => frame.data()?.into_owned().into(),
        };
        (&*data != DONE).then(|| Chunk { data, event: frame.event().map(Into::into), operation })
    }

    /// Its data, as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// The event's name, where the API gives names.
    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// Its data.
    ///
    /// # Errors
    /// The upstream said something that is not JSON.
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.data)
    }

    /// What it adds to the text of the first choice; `None` where it adds none.
    pub fn text(&self) -> Option<String> {
        text::added(self.operation, &self.json().ok()?).map(str::to_owned)
    }
}

impl Stream for Chunks {
    type Item = Result<Chunk, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("facts", &self.facts).finish_non_exhaustive()
    }
}
