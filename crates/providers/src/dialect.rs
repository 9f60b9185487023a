//! The hub between dialects: what a chat request, a reply and an event of a stream mean, whoever
//! spells them.
//!
//! A dialect that clients speak decodes into [`ChatRequest`] and encodes [`ChatReply`] and
//! [`ChatEvent`]; a dialect that upstreams speak does the reverse. Only what both sides can mean is
//! typed; a provider's own additions travel as JSON in [`ChatRequest::other`] and [`Part::Native`].

pub(crate) mod anthropic_messages;
pub(crate) mod openai_chat;
mod usage;

use serde_json::{Map, Number, Value};

use crate::Usage;

pub(crate) use usage::WireUsage;

/// A chat, asked for.
#[derive(Debug, Default)]
pub(crate) struct ChatRequest {
    /// Instructions, in their order, wherever in the conversation they stood.
    pub(crate) system: Vec<Text>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once, if the client says.
    pub(crate) parallel_tools: Option<bool>,
    /// Limit of the output, tokens.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    /// Whom the call is made for.
    pub(crate) user: Option<String>,
    /// How hard to think: `low`, `medium`, `high`.
    pub(crate) effort: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) stream: bool,
    /// Whatever else the client sent.
    pub(crate) other: Map<String, Value>,
}

/// One side's say.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

/// A text, and Anthropic's `cache_control` when the client put one there.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) cache: Option<Value>,
}

/// A piece of a turn.
#[derive(Debug)]
pub(crate) enum Part {
    Text(Text),
    Image {
        source: Source,
        cache: Option<Value>,
    },
    Document {
        source: Source,
        title: Option<String>,
        cache: Option<Value>,
    },
    /// The assistant called a tool.
    Call {
        id: String,
        name: String,
        input: Value,
        cache: Option<Value>,
    },
    /// What the tool said.
    Answer {
        call: String,
        parts: Vec<Part>,
        cache: Option<Value>,
    },
    /// A block in the upstream's own spelling.
    Native(Value),
}

/// Where an image or a file is.
#[derive(Debug)]
pub(crate) enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url(String),
    /// The provider's own id of an uploaded file.
    File(String),
}

#[derive(Debug)]
pub(crate) enum Tool {
    Function {
        name: String,
        description: Option<String>,
        schema: Option<Value>,
        cache: Option<Value>,
    },
    /// A tool in the upstream's own spelling, which it runs itself.
    Native(Value),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    Never,
    Any,
    Named(String),
}

/// What the reply's text has to be.
#[derive(Debug)]
pub(crate) enum Format {
    /// Any JSON object.
    Json,
    /// JSON of this schema.
    Schema(Value),
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct ChatReply {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) text: Option<String>,
    /// What was thought, as text.
    pub(crate) reasoning: Option<String>,
    /// The same with its signatures, as the upstream wants it back.
    pub(crate) thinking: Vec<Value>,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Finish,
    pub(crate) usage: Option<Usage>,
    /// What the usage was read from.
    pub(crate) counted: Option<WireUsage>,
}

/// A tool to be called.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text.
    pub(crate) arguments: String,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    Tools,
    Refused,
}

/// A step of a streamed reply. Calls are counted from 0, in the order of their beginning.
#[derive(Debug)]
pub(crate) enum ChatEvent {
    Start {
        id: String,
        model: String,
    },
    Text(String),
    Reasoning(String),
    Thinking(Value),
    Call {
        index: usize,
        id: String,
        name: String,
    },
    Arguments {
        index: usize,
        json: String,
    },
    Finish(Finish),
    /// Nothing follows.
    End,
}

impl ChatEvent {
    /// Bytes of text and of reasoning that it carries.
    pub(crate) fn text(&self) -> (usize, usize) {
        match self {
            ChatEvent::Text(text) | ChatEvent::Arguments { json: text, .. } => (text.len(), 0),
            ChatEvent::Reasoning(text) => (0, text.len()),
            // Its text was counted as it came; its signature holds what is thought and not shown.
            ChatEvent::Thinking(block) => {
                let bytes = |key| block.get(key).and_then(Value::as_str).map_or(0, str::len);
                (0, bytes("signature") + bytes("data"))
            }
            _ => (0, 0),
        }
    }
}
