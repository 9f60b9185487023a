//! The coder where both ends speak the same dialect: the upstream's bytes go on as they came, but for
//! `model`, the ids of responses (row D36), and the usage chunk that only the gateway asked for (row D32).
//!
//! Serves OpenAI's chat, completions, embeddings and responses, and Anthropic's messages. What is
//! read on the way (usage, errors, the end of a stream) is what OpenAI's API reference and Anthropic's
//! Messages documentation call by these names.

mod amount;
mod spans;
mod stream;

use bytes::Bytes;
use http::HeaderMap;

use crate::dialect::WireUsage;
use crate::estimate::{prompts, reply_tokens};
use crate::response_id::{renamed, spliced};
use crate::target::Secrets;
use crate::{Ask, Coder, ErrorKind, Operation, Passed, ResponseNames, Told, UpstreamError, Usage};

use spans::Spans;
use stream::{Reader, Stream};

/// Passes replies on.
pub(crate) struct Passthrough {
    provider: &'static str,
    operation: Operation,
    /// What replies carry in `model`, as JSON.
    echo: Option<Bytes>,
    secrets: Secrets,
    /// Names of stored responses, on `/responses`.
    names: Option<ResponseNames>,
    usage: WireUsage,
    /// Tokens of a whole reply whose upstream has not counted them.
    counted: u64,
    stream: Stream,
}

impl Passthrough {
    /// A coder for one attempt. `withhold_usage` keeps back the chunk with nothing but usage.
    pub(crate) fn new(
        provider: &'static str,
        ask: &Ask<'_>,
        withhold_usage: bool,
        secrets: Secrets,
    ) -> Passthrough {
        let echo = ask.echo_model.and_then(|name| serde_json::to_vec(name).ok()).map(Bytes::from);
        let is_responses = ask.operation == Operation::Responses;
        let names = ask.responses.filter(|_| is_responses).cloned();
        Passthrough {
            provider,
            operation: ask.operation,
            echo,
            secrets,
            names,
            usage: WireUsage::default(),
            counted: 0,
            stream: Stream::new(ask.operation, choices(ask), withhold_usage),
        }
    }

    fn reader(&mut self) -> (&mut Stream, Reader<'_>) {
        let Passthrough { provider, echo, secrets, names, usage, stream, .. } = self;
        (
            stream,
            Reader {
                provider,
                echo: echo.as_ref(),
                secrets,
                names: names.as_ref().map(|names| &*names.names),
                usage,
            },
        )
    }

    fn unreadable(&self, what: &str) -> UpstreamError {
        UpstreamError::new(ErrorKind::Internal, 500, self.provider, what)
    }
}

impl Coder for Passthrough {
    fn whole(&mut self, body: Bytes) -> Result<Vec<Bytes>, UpstreamError> {
        let mut ids = Vec::new();
        let spans = match self.names {
            Some(_) => Spans::with_ids(&body, &mut ids),
            None => Spans::of(&body),
        };
        let spans = spans.map_err(|_| self.unreadable("the reply is not a JSON object"))?;
        if spans.error.is_some() && self.operation.fails_inside_200() {
            return Err(UpstreamError::from_event(self.provider, &body, &self.secrets));
        }
        if let Some(usage) = spans.usage.clone() {
            self.usage.note(&body[usage]);
        }
        if self.stream.counts() && self.usage.told().output.is_none_or(|output| output == 0) {
            self.counted = reply_tokens(&body);
        }
        if let Some(names) = self.names.as_ref().filter(|_| !ids.is_empty()) {
            let model = spans.model.zip(self.echo.clone());
            let (changes, mut pieces) =
                (renamed(&*names.names, &body, &ids).chain(model).collect(), Vec::new());
            spliced(&body, 0, changes, &mut pieces);
            return Ok(pieces);
        }
        match (spans.model, &self.echo) {
            (Some(model), Some(echo)) => {
                Ok(vec![body.slice(..model.start), echo.clone(), body.slice(model.end..)])
            }
            _ => Ok(vec![body]),
        }
    }

    fn refusal(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        let mut error = UpstreamError::from_reply(self.provider, status, headers, body, &self.secrets);
        if let Some(names) = &self.names {
            names.rename_previous(&mut error.message);
        }
        error
    }

    fn push(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) -> Result<(), UpstreamError> {
        let (stream, mut reader) = self.reader();
        stream.push(bytes, &mut reader, out)
    }

    fn finished(&self) -> bool {
        self.stream.is_done()
    }

    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), UpstreamError> {
        let (stream, mut reader) = self.reader();
        stream.end(&mut reader, out)
    }

    fn error_frame(&self, error: &UpstreamError) -> Bytes {
        stream::error_frame(self.operation, error)
    }

    fn usage(&self) -> Option<Usage> {
        self.usage.usage()
    }

    fn count(&mut self) {
        self.stream.count();
    }

    fn passed_on(&self) -> Passed {
        let passed = self.stream.passed_on();
        Passed { text: passed.text.max(self.counted), ..passed }
    }

    fn told(&self) -> Told {
        Told { is_final: self.stream.is_counted(), ..self.usage.told() }
    }

    fn answered(&self) -> bool {
        self.stream.is_answered()
    }
}

/// How many choices a stream has.
fn choices(ask: &Ask<'_>) -> u64 {
    let number = |text: &str| text.parse::<u64>().ok();
    let several = ask.envelope.raw("n").and_then(number).unwrap_or(1).max(1);
    let prompts = match (ask.operation, ask.envelope.raw("prompt")) {
        (Operation::Completions, Some(list)) => prompts(list),
        _ => 1,
    };
    several.saturating_mul(prompts)
}
