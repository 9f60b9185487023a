//! A stream on its way through: which frames change, which are kept back, and when it has ended.
//!
//! Nearly every frame of a stream begins with the same bytes up to the model's name. They are learnt
//! from the first frame that was read in full; a later frame that begins with exactly them needs no
//! reading, only a look at whether it carries anything else of interest. JSON escapes quotes inside
//! strings, so a key in its quotes and with its colon is never part of a text.

use bytes::Bytes;
use memchr::memmem;
use serde_json::json;

use super::amount::Amount;
use super::spans::Spans;
use crate::dialect::WireUsage;
use crate::framing::{SseFrame, SseFramer};
use crate::response_id::{renamed, spliced};
use crate::target::Secrets;
use crate::{ErrorKind, NameResponses, Operation, Passed, UpstreamError};

const DONE: &[u8] = b"data: [DONE]\n\n";

/// What one stream is up to.
pub(super) struct Stream {
    operation: Operation,
    framer: SseFramer,
    frames: Vec<SseFrame>,
    withhold_usage: bool,
    /// How much text has passed, where it is counted.
    amount: Option<Amount>,
    /// How frames begin: as they come, up to behind the model's name, and as they leave.
    learnt: Option<(Bytes, Bytes)>,
    /// A choice said why it ended, or the dialect's last event came.
    finished: bool,
    /// How many choices have not said so yet.
    outstanding: u64,
    /// Nothing of the answer is outstanding, as far as can be seen.
    answered: bool,
    /// Tokens were reported when the answer was there.
    counted: bool,
    /// Nothing may follow.
    done: bool,
}

/// What the frames are read with.
pub(super) struct Reader<'a> {
    pub(super) provider: &'static str,
    pub(super) echo: Option<&'a Bytes>,
    pub(super) secrets: &'a Secrets,
    pub(super) names: Option<&'a dyn NameResponses>,
    pub(super) usage: &'a mut WireUsage,
}

impl Reader<'_> {
    /// Whether a piece of a reply names its response, as some servers have it.
    fn renames(&self, data: &[u8]) -> bool {
        self.names.is_some() && memmem::find(data, b"\"response_id\"").is_some()
    }
}

impl Stream {
    pub(super) fn new(operation: Operation, choices: u64, withhold_usage: bool) -> Stream {
        Stream {
            operation,
            framer: SseFramer::default(),
            frames: Vec::new(),
            withhold_usage,
            amount: None,
            learnt: None,
            finished: false,
            outstanding: choices,
            answered: false,
            counted: false,
            done: false,
        }
    }

    /// Whether the dialect's last event has passed.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn count(&mut self) {
        self.amount = Some(Amount::new(self.operation));
    }

    pub(super) fn counts(&self) -> bool {
        self.amount.is_some()
    }

    /// Tokens of what has passed, as far as it is counted.
    pub(super) fn passed_on(&self) -> Passed {
        self.amount.as_ref().map_or(Passed::default(), Amount::passed)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// The next bytes.
    pub(super) fn push(
        &mut self,
        bytes: Bytes,
        reader: &mut Reader<'_>,
        out: &mut Vec<Bytes>,
    ) -> Result<(), UpstreamError> {
        let mut frames = std::mem::take(&mut self.frames);
        let fits = self.framer.push(bytes, &mut frames);
        for frame in frames.drain(..) {
            self.frame(&frame, reader, out)?;
        }
        self.frames = frames;
        fits.map_err(|_| UpstreamError::connection(reader.provider, "an event of the stream is too long"))
    }

    /// The upstream has ended.
    pub(super) fn end(&mut self, reader: &mut Reader<'_>, out: &mut Vec<Bytes>) -> Result<(), UpstreamError> {
        if let Some(rest) = self.framer.end() {
            self.rest(&rest, reader, out)?;
        }
        if self.done {
            return Ok(());
        }
        if !self.finished {
            return Err(UpstreamError::connection(
                reader.provider,
                "the upstream ended the stream too early",
            ));
        }
        // Some servers leave out OpenAI's last frame; clients wait for it.
        if self.operation.ends_with_done() {
            out.push(Bytes::from_static(DONE));
        }
        Ok(())
    }

    /// What stands behind the last blank line. A cut can leave anything there; a server that forgets
    /// the blank line leaves a whole event, which is then ended for it.
    fn rest(
        &mut self,
        rest: &SseFrame,
        reader: &mut Reader<'_>,
        out: &mut Vec<Bytes>,
    ) -> Result<(), UpstreamError> {
        let whole = rest.is_complete()
            || rest.data().is_some_and(|data| data.as_ref() == b"[DONE]" || Spans::of(&data).is_ok());
        if !whole {
            return Ok(());
        }
        let before = out.len();
        self.frame(rest, reader, out)?;
        if !rest.is_complete() && out.len() > before {
            out.push(Bytes::from_static(b"\n\n"));
        }
        Ok(())
    }

    fn frame(
        &mut self,
        frame: &SseFrame,
        reader: &mut Reader<'_>,
        out: &mut Vec<Bytes>,
    ) -> Result<(), UpstreamError> {
        if self.done {
            return Ok(());
        }
        let bytes = frame.bytes();
        if let Some((comes, leaves)) = &self.learnt
            && bytes.starts_with(comes)
            && is_plain(&bytes[comes.len()..])
        {
            note(&mut self.amount, &bytes[comes.len()..]);
            out.push(leaves.clone());
            out.push(bytes.slice(comes.len()..));
            return Ok(());
        }
        match frame.data_span() {
            Some(span) if is_delta(&bytes[span.clone()]) && !reader.renames(&bytes[span.clone()]) => {
                self.answered = false;
                note(&mut self.amount, &bytes[span]);
                out.push(bytes.clone());
            }
            Some(span) => self.read(bytes, span.start, &bytes[span], reader, out)?,
            None => match frame.data() {
                Some(data) => {
                    let (bytes, start) = on_one_line(frame.event(), &data);
                    let end = bytes.len() - 2;
                    self.read(&bytes, start, &bytes[start..end], reader, out)?;
                }
                None => out.push(bytes.clone()),
            },
        }
        Ok(())
    }

    /// Reads a frame in full: `data` is what stands in `bytes` from `start`.
    fn read(
        &mut self,
        bytes: &Bytes,
        start: usize,
        data: &[u8],
        reader: &mut Reader<'_>,
        out: &mut Vec<Bytes>,
    ) -> Result<(), UpstreamError> {
        if data == b"[DONE]" {
            self.done = true;
            out.push(bytes.clone());
            return Ok(());
        }
        let mut ids = Vec::new();
        let spans = match reader.names {
            Some(_) => Spans::with_ids(data, &mut ids),
            None => Spans::of(data),
        };
        let spans = spans.map_err(|_| {
            UpstreamError::new(
                ErrorKind::Internal,
                500,
                reader.provider,
                "an event of the stream is not JSON",
            )
        })?;
        let kind = spans.kind.clone().map(|kind| &data[kind]);
        if spans.error.is_some() || kind == Some(b"error") {
            return Err(UpstreamError::from_event(reader.provider, data, reader.secrets));
        }
        let finished = spans.finished(data);
        self.follow(kind, finished);
        if let Some(usage) = spans.usage.clone() {
            reader.usage.note(&data[usage]);
            self.counted |= self.answered;
            if self.withhold_usage && spans.has_no_choice(data) {
                return Ok(());
            }
        }
        note(&mut self.amount, data);
        self.done = !self.operation.ends_with_done() && kind.is_some_and(is_last);
        self.finished |= self.done || finished > 0;
        if let Some(names) = reader.names.filter(|_| !ids.is_empty()) {
            let model = spans.model.zip(reader.echo.cloned());
            spliced(bytes, start, renamed(names, data, &ids).chain(model).collect(), out);
            return Ok(());
        }
        let (Some(model), Some(echo)) = (spans.model, reader.echo) else {
            out.push(bytes.clone());
            return Ok(());
        };
        let comes = bytes.slice(..start + model.end);
        let leaves = Bytes::from([&bytes[..start + model.start], echo].concat());
        out.push(leaves.clone());
        out.push(bytes.slice(start + model.end..));
        self.learnt = Some((comes, leaves));
        Ok(())
    }
}

impl Stream {
    /// Follows how much of the answer is outstanding.
    fn follow(&mut self, kind: Option<&[u8]>, finished: u64) {
        if self.operation.ends_with_done() {
            self.outstanding = self.outstanding.saturating_sub(finished);
            self.answered = self.outstanding == 0;
            return;
        }
        match kind {
            Some(kind) if is_last(kind) || ends_part(kind) => self.answered = true,
            Some(b"content_block_start" | b"response.output_item.added" | b"response.content_part.added") => {
                self.answered = false;
            }
            _ => {}
        }
    }
}

fn note(amount: &mut Option<Amount>, data: &[u8]) {
    if let Some(amount) = amount {
        amount.note(data);
    }
}

/// The frame that tells a client that its stream broke.
pub(super) fn error_frame(operation: Operation, error: &UpstreamError) -> Bytes {
    match operation {
        Operation::Messages => {
            let kind = crate::dialect::anthropic_messages::error_type(error.status);
            let body = json!({"type": "error", "error": {"type": kind, "message": error.message}});
            format!("event: error\ndata: {body}\n\n").into()
        }
        Operation::Responses => {
            let code = error.upstream_code.clone().unwrap_or_else(|| error.status.to_string());
            let body = json!({"type": "error", "code": code, "message": error.message, "param": error.param});
            format!("event: error\ndata: {body}\n\n").into()
        }
        Operation::ChatCompletions | Operation::Completions | Operation::Embeddings => {
            crate::dialect::openai_chat::error_frame(error)
        }
    }
}

/// Whether nothing of interest is behind the model's name.
fn is_plain(rest: &[u8]) -> bool {
    nulled(rest, b"\"usage\":")
        && nulled(rest, b"\"finish_reason\":")
        && memmem::find(rest, b"\"error\":").is_none()
        && memmem::find(rest, b"\"choices\":").is_some()
}

/// Whether the key is missing or null everywhere.
fn nulled(rest: &[u8], key: &[u8]) -> bool {
    memmem::find_iter(rest, key).all(|at| rest[at + key.len()..].trim_ascii_start().starts_with(b"null"))
}

/// Whether the event is one of the many that carry a piece of the reply: their `type`, which both
/// OpenAI's responses and Anthropic put first, says so.
fn is_delta(data: &[u8]) -> bool {
    let Some(rest) = data.strip_prefix(b"{\"type\":") else { return false };
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"\"") else { return false };
    let kind = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
    kind == b"content_block_delta" || kind.starts_with(b"response.") && kind.ends_with(b".delta")
}

/// The events that end a stream of messages or of responses.
fn is_last(kind: &[u8]) -> bool {
    matches!(kind, b"message_stop" | b"response.completed" | b"response.incomplete" | b"response.failed")
}

/// The events that end a part of the answer: it may be the last.
fn ends_part(kind: &[u8]) -> bool {
    matches!(kind, b"content_block_stop" | b"message_delta")
        || kind.starts_with(b"response.") && kind.ends_with(b".done")
}

/// The same event with its data in one field. JSON allows line feeds only where it allows blanks.
fn on_one_line(event: Option<&str>, data: &[u8]) -> (Bytes, usize) {
    let mut frame = event.map_or_else(String::new, |event| format!("event: {event}\n")).into_bytes();
    frame.extend_from_slice(b"data: ");
    let start = frame.len();
    frame.extend(data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    frame.extend_from_slice(b"\n\n");
    (frame.into(), start)
}
