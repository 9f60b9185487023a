//! A whole message, decoded.

use serde_json::{Value, json};

use super::schema::{Block, Message};
use crate::dialect::{Call, ChatReply, Finish};

/// Why a reply or an event cannot be read.
pub(crate) enum Broken {
    /// The upstream says in it that something went wrong.
    Refused,
    /// It is none of Anthropic's.
    Unreadable,
}

/// Reads a message.
///
/// # Errors
/// It is none.
pub(crate) fn reply(body: &[u8]) -> Result<ChatReply, Broken> {
    let message: Message = serde_json::from_slice(body).map_err(|_| Broken::Unreadable)?;
    if message.kind == "error" {
        return Err(Broken::Refused);
    }
    let mut reply = ChatReply {
        id: message.id,
        model: message.model,
        text: None,
        reasoning: None,
        thinking: Vec::new(),
        calls: Vec::new(),
        finish: finish(message.stop_reason.as_deref()),
        usage: message.usage.and_then(|usage| usage.usage()),
        counted: message.usage,
    };
    for block in message.content.ok_or(Broken::Unreadable)? {
        match block {
            Block::Text { text } => reply.text.get_or_insert_default().push_str(&text),
            Block::Thinking { thinking, signature } => {
                reply.reasoning.get_or_insert_default().push_str(&thinking);
                reply.thinking.push(thought(&thinking, &signature));
            }
            Block::RedactedThinking { data } => reply.thinking.push(redacted(&data)),
            Block::ToolUse { id, name, input } => {
                reply.calls.push(Call { id, name, arguments: arguments(&input) })
            }
            Block::Other => {}
        }
    }
    Ok(reply)
}

/// Why a message ended. A turn that Anthropic paused is complete as far as chat can say.
pub(super) fn finish(stop_reason: Option<&str>) -> Finish {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::Tools,
        Some("refusal") => Finish::Refused,
        _ => Finish::Stop,
    }
}

pub(super) fn thought(thinking: &str, signature: &str) -> Value {
    json!({"type": "thinking", "thinking": thinking, "signature": signature})
}

pub(super) fn redacted(data: &str) -> Value {
    json!({"type": "redacted_thinking", "data": data})
}

/// A call's input as text; chat clients parse it, so that nothing is an object, too.
fn arguments(input: &Value) -> String {
    if input.is_null() { "{}".to_owned() } else { input.to_string() }
}
