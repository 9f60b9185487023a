//! What the fake upstream answers, and how it misbehaves while doing so.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Gate, Received, answers};

/// A reply to play. The default is a well-formed answer in the dialect of the request's path, streamed
/// when the request asks for it.
#[derive(Clone, Debug)]
pub struct Reply {
    content: Content,
    status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
    before_head: Option<Step>,
    at_piece: Vec<(usize, Fault)>,
    pace: Option<Duration>,
    close: bool,
    at_end: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Content {
    /// Made from the request.
    Answer(Option<String>),
    Whole(&'static str, Bytes),
    Events(Vec<Bytes>),
    Endless(Bytes),
    /// Not even HTTP.
    Raw(Bytes),
    /// The same without end: first these bytes, then those over and over.
    RawForever(Bytes, Bytes),
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    /// Content-Length for a whole body, chunks for a stream.
    Fitting,
    ContentLength(u64),
    UntilClose,
}

#[derive(Clone, Debug)]
enum Fault {
    Reset,
    HalfThenClose,
    Hold(Gate),
}

/// One thing that the connection does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(Bytes),
    /// The same bytes for as long as the other side takes them.
    WriteForever(Bytes),
    Pause(Duration),
    Hold(Gate),
    Reset,
    Close,
}

impl Default for Reply {
    fn default() -> Reply {
        Reply {
            content: Content::Answer(None),
            status: 200,
            headers: Vec::new(),
            framing: Framing::Fitting,
            before_head: None,
            at_piece: Vec::new(),
            pace: None,
            close: false,
            at_end: Vec::new(),
        }
    }
}

/// Contents.
impl Reply {
    /// A well-formed answer that says `text`.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply { content: Content::Answer(Some(text.into())), ..Reply::default() }
    }

    /// JSON with a status.
    pub fn json(status: u16, body: &Value) -> Reply {
        Reply { status, ..Reply::whole("application/json", body.to_string()) }
    }

    /// A 200 with any body: an HTML page, a huge one, not JSON.
    pub fn whole(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply { content: Content::Whole(content_type, body.into()), ..Reply::default() }
    }

    /// OpenAI's error object with a status.
    pub fn error(status: u16) -> Reply {
        let message = format!("the fake upstream answers {status}");
        Reply::json(
            status,
            &json!({"error": {"message": message, "type": "fake_error", "param": null, "code": "fake"}}),
        )
    }

    /// Server-sent events, one `data:` each; `[DONE]` has to be written when it is wanted.
    pub fn events<T: AsRef<str>>(data: impl IntoIterator<Item = T>) -> Reply {
        let frames = data.into_iter().map(|data| Bytes::from(format!("data: {}\n\n", data.as_ref())));
        Reply::frames(frames)
    }

    /// A stream of exactly these bytes, one chunk each.
    pub fn frames<T: Into<Bytes>>(frames: impl IntoIterator<Item = T>) -> Reply {
        Reply { content: Content::Events(frames.into_iter().map(Into::into).collect()), ..Reply::default() }
    }

    /// A stream that repeats one event until nobody takes it any more.
    pub fn endless(frame: impl Into<Bytes>) -> Reply {
        Reply { content: Content::Endless(frame.into()), ..Reply::default() }
    }

    /// These bytes instead of an HTTP response, then the connection is closed.
    pub fn raw(bytes: impl Into<Bytes>) -> Reply {
        Reply { content: Content::Raw(bytes.into()), close: true, ..Reply::default() }
    }

    /// `start` instead of an HTTP response, then `again` until nobody takes it any more.
    pub fn raw_forever(start: impl Into<Bytes>, again: impl Into<Bytes>) -> Reply {
        Reply { content: Content::RawForever(start.into(), again.into()), ..Reply::default() }
    }

    /// The connection is reset before a byte of the reply.
    pub fn reset() -> Reply {
        Reply { before_head: Some(Step::Reset), ..Reply::default() }
    }
}

/// How it is given.
impl Reply {
    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Reply {
        self.status = status;
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Holds back the head until the gate opens.
    #[must_use]
    pub fn hold(mut self, gate: &Gate) -> Reply {
        self.before_head = Some(Step::Hold(gate.clone()));
        self
    }

    /// Goes on after `pieces` events (or, for a whole body, with 0 after the head) once the gate opens.
    #[must_use]
    pub fn hold_after(mut self, pieces: usize, gate: &Gate) -> Reply {
        self.at_piece.push((pieces, Fault::Hold(gate.clone())));
        self
    }

    /// Resets the connection after `pieces` events.
    #[must_use]
    pub fn reset_after(mut self, pieces: usize) -> Reply {
        self.at_piece.push((pieces, Fault::Reset));
        self
    }

    /// After `pieces` events, half of the next one, then the connection is closed.
    #[must_use]
    pub fn cut_after(mut self, pieces: usize) -> Reply {
        self.at_piece.push((pieces, Fault::HalfThenClose));
        self
    }

    /// A pause before every event but the first.
    #[must_use]
    pub fn pace(mut self, pause: Duration) -> Reply {
        self.pace = Some(pause);
        self
    }

    /// Says this length, whatever the body is, and closes the connection after it.
    #[must_use]
    pub fn content_length(mut self, bytes: u64) -> Reply {
        self.framing = Framing::ContentLength(bytes);
        self.close = true;
        self
    }

    /// No length and no chunks: the body ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Reply {
        self.framing = Framing::UntilClose;
        self.close()
    }

    /// Closes the connection after the reply.
    #[must_use]
    pub fn close(mut self) -> Reply {
        self.close = true;
        self
    }

    /// Closes the connection after the reply, without having said so, once `pause` is over.
    #[must_use]
    pub fn hang_up(mut self, pause: Duration) -> Reply {
        self.at_end.extend([Step::Pause(pause), Step::Close]);
        self
    }

    /// Resets the connection after the reply, without having said so.
    #[must_use]
    pub fn reset_at_end(mut self) -> Reply {
        self.at_end.push(Step::Reset);
        self
    }

    /// The steps that play this reply to a request.
    pub(crate) fn steps(&self, request: &Received) -> Vec<Step> {
        let mut steps: Vec<Step> = self.before_head.iter().cloned().collect();
        let (status, content_type, pieces, stream) = match &self.content {
            Content::Raw(bytes) => {
                steps.extend([Step::Write(bytes.clone()), Step::Close]);
                return steps;
            }
            Content::RawForever(start, again) => {
                steps.extend([Step::Write(start.clone()), Step::WriteForever(again.clone())]);
                return steps;
            }
            Content::Answer(text) => {
                let answer = answers::answer(request, text.as_deref());
                let status = if self.status == 200 { answer.status } else { self.status };
                (status, answer.content_type, answer.pieces, answer.stream)
            }
            Content::Whole(content_type, body) => (self.status, *content_type, vec![body.clone()], false),
            Content::Events(frames) => (self.status, answers::EVENT_STREAM, frames.clone(), true),
            Content::Endless(_) => (self.status, answers::EVENT_STREAM, Vec::new(), true),
        };
        let length = (!stream).then(|| pieces.iter().map(|piece| piece.len() as u64).sum());
        let chunked = length.is_none() && matches!(self.framing, Framing::Fitting);
        steps.push(Step::Write(self.head(status, content_type, length)));
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                steps.extend(self.pace.map(Step::Pause));
            }
            if !self.misbehave(number, Some(piece), chunked, &mut steps) {
                return steps;
            }
            steps.push(Step::Write(framed(piece.clone(), chunked)));
        }
        if let Content::Endless(frame) = &self.content {
            steps.push(Step::WriteForever(framed(frame.clone(), chunked)));
        }
        if !self.misbehave(pieces.len(), None, chunked, &mut steps) {
            return steps;
        }
        if chunked {
            steps.push(Step::Write(Bytes::from_static(b"0\r\n\r\n")));
        }
        steps.extend(self.at_end.iter().cloned());
        steps.extend(self.close.then_some(Step::Close));
        steps
    }

    /// Adds the faults at a piece; false when the reply ends there.
    fn misbehave(&self, number: usize, piece: Option<&Bytes>, chunked: bool, steps: &mut Vec<Step>) -> bool {
        for (_, fault) in self.at_piece.iter().filter(|(at, _)| *at == number) {
            match fault {
                Fault::Hold(gate) => steps.push(Step::Hold(gate.clone())),
                Fault::Reset => {
                    steps.push(Step::Reset);
                    return false;
                }
                Fault::HalfThenClose => {
                    let half =
                        piece.map(|piece| piece.slice(..piece.len() / 2)).filter(|half| !half.is_empty());
                    steps.extend(half.map(|half| Step::Write(framed(half, chunked))));
                    steps.push(Step::Close);
                    return false;
                }
            }
        }
        true
    }

    fn head(&self, status: u16, content_type: &str, length: Option<u64>) -> Bytes {
        let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Fake"));
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        add("content-type", content_type);
        match (self.framing, length) {
            (Framing::ContentLength(bytes), _) | (Framing::Fitting, Some(bytes)) => {
                add("content-length", &bytes.to_string());
            }
            (Framing::Fitting, None) => add("transfer-encoding", "chunked"),
            (Framing::UntilClose, _) => {}
        }
        if self.close {
            add("connection", "close");
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        head.push_str("\r\n");
        Bytes::from(head)
    }
}

fn framed(piece: Bytes, chunked: bool) -> Bytes {
    if !chunked {
        return piece;
    }
    let mut frame = format!("{:x}\r\n", piece.len()).into_bytes();
    frame.extend_from_slice(&piece);
    frame.extend_from_slice(b"\r\n");
    Bytes::from(frame)
}
