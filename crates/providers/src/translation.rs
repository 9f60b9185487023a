//! The coder where the client speaks OpenAI's chat and the upstream Anthropic's messages.

use bytes::Bytes;
use http::HeaderMap;
use serde::de::IgnoredAny;

use crate::dialect::WireUsage;
use crate::dialect::anthropic_messages::{self, Broken, Events};
use crate::dialect::openai_chat::{self, Chunks};
use crate::estimate::{reply_tokens, tokens};
use crate::framing::{SseFrame, SseFramer};
use crate::target::Secrets;
use crate::{Ask, Coder, ErrorKind, Passed, Told, UpstreamError, Usage};

/// Translates the answers of one call.
pub(crate) struct Translation {
    provider: &'static str,
    echo: Option<String>,
    created: u64,
    secrets: Secrets,
    /// Of a whole reply.
    whole: Option<WireUsage>,
    framer: SseFramer,
    events: Events,
    chunks: Chunks,
    /// Bytes passed on in a stream, and events with any: of text and of reasoning.
    text: (u64, u64),
    reasoning: (u64, u64),
    counted: u64,
}

impl Translation {
    /// A coder for one attempt.
    pub(crate) fn new(provider: &'static str, ask: &Ask<'_>, secrets: Secrets) -> Translation {
        Translation {
            provider,
            echo: ask.echo_model.map(str::to_owned),
            created: ask.created,
            secrets,
            whole: None,
            framer: SseFramer::default(),
            events: Events::default(),
            chunks: Chunks::new(ask.created, ask.echo_model, ask.envelope.wants_usage()),
            text: (0, 0),
            reasoning: (0, 0),
            counted: 0,
        }
    }

    fn frame(&mut self, frame: &SseFrame, out: &mut Vec<Bytes>) -> Result<(), UpstreamError> {
        let Some(data) = frame.data().filter(|_| !self.events.ended()) else { return Ok(()) };
        let mut events = Vec::new();
        let read = self.events.read(&data, &mut events);
        read.map_err(|broken| self.broken(&broken, &data))?;
        let usage = self.events.usage();
        for event in events {
            let (text, reasoning) = event.text();
            add(&mut self.text, text);
            add(&mut self.reasoning, reasoning);
            self.chunks.write(event, usage, out);
        }
        Ok(())
    }

    fn broken(&self, broken: &Broken, body: &[u8]) -> UpstreamError {
        match broken {
            Broken::Refused => UpstreamError::from_event(self.provider, body, &self.secrets),
            Broken::Unreadable => {
                let what = "the reply is not one that Anthropic describes";
                UpstreamError::new(ErrorKind::Internal, 500, self.provider, what)
            }
        }
    }
}

impl Coder for Translation {
    fn whole(&mut self, body: Bytes) -> Result<Vec<Bytes>, UpstreamError> {
        let reply = anthropic_messages::reply(&body).map_err(|broken| self.broken(&broken, &body))?;
        self.whole = reply.counted;
        if self.told().output.is_none_or(|output| output == 0) {
            self.counted = reply_tokens(&body);
        }
        let model = self.echo.clone().unwrap_or_else(|| reply.model.clone());
        Ok(vec![openai_chat::reply(reply, &model, self.created)])
    }

    fn refusal(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        UpstreamError::from_reply(self.provider, status, headers, body, &self.secrets)
    }

    fn push(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) -> Result<(), UpstreamError> {
        let mut frames = Vec::new();
        let fits = self.framer.push(bytes, &mut frames);
        for frame in frames {
            self.frame(&frame, out)?;
        }
        fits.map_err(|_| UpstreamError::connection(self.provider, "an event of the stream is too long"))
    }

    fn finished(&self) -> bool {
        self.events.ended()
    }

    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), UpstreamError> {
        if let Some(rest) = self.framer.end() {
            // What a cut left behind is no event; what was only not ended is one.
            let whole = |data: &[u8]| serde_json::from_slice::<IgnoredAny>(data).is_ok();
            if rest.is_complete() || rest.data().is_some_and(|data| whole(&data)) {
                self.frame(&rest, out)?;
            }
        }
        if self.events.ended() {
            return Ok(());
        }
        Err(UpstreamError::connection(self.provider, "the upstream ended the stream too early"))
    }

    fn error_frame(&self, error: &UpstreamError) -> Bytes {
        openai_chat::error_frame(error)
    }

    fn usage(&self) -> Option<Usage> {
        self.whole.and_then(|usage| usage.usage()).or_else(|| self.events.usage())
    }

    fn passed_on(&self) -> Passed {
        let of = |(bytes, events): (u64, u64)| tokens(bytes).max(events);
        Passed { text: of(self.text).max(self.counted), reasoning: of(self.reasoning) }
    }

    fn told(&self) -> Told {
        match self.whole {
            Some(usage) => usage.told(),
            None => self.events.told(),
        }
    }

    fn answered(&self) -> bool {
        self.events.answered()
    }
}

fn add(sum: &mut (u64, u64), bytes: usize) {
    *sum = (sum.0 + bytes as u64, sum.1 + u64::from(bytes > 0));
}
