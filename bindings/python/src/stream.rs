//! An upstream's stream on its way to Python: a few chunks ahead, never more.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use pyo3::prelude::*;
use tagrail::{AnswerBody, Cost, ReplyStream, SseFrame, SseFramer, UpstreamError, Usage};
use tokio::sync::Notify;

use crate::wait::lost;
use crate::{failure, json};

/// As much is taken from the upstream before somebody asks for it: chunks, and their bytes. One by one
/// every chunk would wake a thread; without a bound, a program that stops reading would be sent everything.
const AHEAD: usize = 64;
const BYTES_AHEAD: usize = 256 * 1024;

/// The chunks of one stream.
pub(crate) struct Incoming {
    state: Mutex<State>,
    /// Somebody has taken something.
    room: Notify,
    /// What the failure is told with.
    about: failure::About,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Bytes>,
    bytes: usize,
    ended: Option<Ended>,
    /// More than one, where several threads or tasks read the same stream.
    watchers: Vec<Watcher>,
    spent: Option<(Option<Usage>, Option<Cost>)>,
}

enum Ended {
    Whole,
    Failed(Box<UpstreamError>),
    Closed,
    Lost,
}

/// Tells somebody that there is something.
pub(crate) type Watcher = Box<dyn FnOnce() + Send>;

impl Incoming {
    pub(crate) fn new(about: failure::About) -> Arc<Incoming> {
        Arc::new(Incoming { state: Mutex::default(), room: Notify::new(), about })
    }

    /// Reads the upstream to its end. Aborting it ends the upstream call.
    pub(crate) async fn fill(self: Arc<Incoming>, body: AnswerBody) {
        let unless_lost = UnlessLost(self.clone());
        let ended = match body {
            AnswerBody::Stream(stream) => self.read(*stream).await,
            AnswerBody::Events(pieces) | AnswerBody::Whole(pieces) => {
                let mut framer = SseFramer::default();
                for piece in pieces {
                    self.push(&mut framer, piece).await;
                }
                Ended::Whole
            }
        };
        self.end(ended);
        drop(unless_lost);
    }

    async fn read(&self, mut stream: ReplyStream) -> Ended {
        let mut framer = SseFramer::default();
        while let Some(frame) = Pin::new(&mut stream).frame().await {
            if let Some(failure) = stream.failure() {
                return Ended::Failed(Box::new(failure.clone()));
            }
            if let Ok(Ok(data)) = frame.map(Frame::into_data) {
                self.push(&mut framer, data).await;
            }
        }
        self.state().spent = Some((stream.usage(), stream.cost()));
        Ended::Whole
    }

    /// Tokens and cost of a stream that has come to its end.
    pub(crate) fn spent(&self) -> (Option<Usage>, Option<Cost>) {
        self.state().spent.unwrap_or_default()
    }

    /// Takes in bytes of the upstream. `[DONE]` is for clients over HTTP.
    async fn push(&self, framer: &mut SseFramer, bytes: Bytes) {
        let mut frames = Vec::new();
        // A frame that is too long was too long for the router, which has said so.
        let _ = framer.push(bytes, &mut frames);
        for data in frames.iter().filter_map(data).filter(|data| &**data != b"[DONE]") {
            self.put(data).await;
        }
    }

    async fn put(&self, data: Bytes) {
        while !self.has_room() {
            self.room.notified().await;
        }
        let mut state = self.state();
        state.bytes += data.len();
        state.ready.push_back(data);
        self.tell(state);
    }

    fn has_room(&self) -> bool {
        let state = self.state();
        state.ready.len() < AHEAD && state.bytes < BYTES_AHEAD
    }

    fn end(&self, ended: Ended) {
        let mut state = self.state();
        state.ended.get_or_insert(ended);
        self.tell(state);
    }

    /// Tells all that wait: each finds a chunk, or waits again.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        for watcher in watchers {
            watcher();
        }
    }

    /// Tells this one as soon as there is something; at once, if there is.
    pub(crate) fn watch(&self, watcher: Watcher) {
        let mut state = self.state();
        state.watchers.push(watcher);
        if !state.ready.is_empty() || state.ended.is_some() {
            self.tell(state);
        }
    }

    /// Nothing is to come any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        (state.bytes, state.ended) = (0, Some(Ended::Closed));
        state.ready.clear();
        self.tell(state);
    }

    /// The next chunk, None at the end, or the failure; nothing where it has to be waited for.
    pub(crate) fn take(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let mut state = self.state();
        if let Some(data) = state.ready.pop_front() {
            state.bytes -= data.len();
            drop(state);
            self.room.notify_one();
            return Some(json::parsed(py, &data));
        }
        let failure = match state.ended.as_ref()? {
            Ended::Whole | Ended::Closed => return Some(Ok(py.None())),
            Ended::Lost => return Some(Err(lost())),
            Ended::Failed(error) => error.clone(),
        };
        // Told once; whoever asks again is at the end.
        state.ended = Some(Ended::Closed);
        drop(state);
        Some(Err(failure::of_upstream(py, &failure, &self.about)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for a stream whose reader is gone is told so.
struct UnlessLost(Arc<Incoming>);

impl Drop for UnlessLost {
    fn drop(&mut self) {
        self.0.end(Ended::Lost);
    }
}

/// What a frame says; comments say nothing.
fn data(frame: &SseFrame) -> Option<Bytes> {
    match frame.data_span() {
        Some(span) => Some(frame.bytes().slice(span)),
        None => frame.data().map(|data| Bytes::from(data.into_owned())),
    }
}
