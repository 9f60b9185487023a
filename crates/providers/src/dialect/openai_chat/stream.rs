//! A streamed reply, encoded: one chunk for each event, in a server-sent event of its own.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{finish_reason, usage};
use crate::dialect::ChatEvent;
use crate::{UpstreamError, Usage};

/// Writes the chunks of one stream.
pub(crate) struct Chunks {
    created: u64,
    /// The name to show; the upstream's own when there is none.
    model: Option<String>,
    with_usage: bool,
    /// What every chunk begins with, once the reply's id is known.
    head: String,
}

impl Chunks {
    /// `created` is in seconds since 1970; `with_usage` adds the chunk that a client asked for.
    pub(crate) fn new(created: u64, model: Option<&str>, with_usage: bool) -> Chunks {
        Chunks { created, model: model.map(str::to_owned), with_usage, head: String::new() }
    }

    /// Writes an event. `tokens` is what is known of the usage by then.
    pub(crate) fn write(&mut self, event: ChatEvent, tokens: Option<Usage>, out: &mut Vec<Bytes>) {
        let delta = match event {
            ChatEvent::Start { id, model } => {
                let model = self.model.as_ref().unwrap_or(&model);
                self.head = format!(
                    r#"data: {{"id":{},"object":"chat.completion.chunk","created":{},"model":{},"choices":["#,
                    json!(id),
                    self.created,
                    json!(model)
                );
                json!({"role": "assistant", "content": ""})
            }
            ChatEvent::Text(text) => json!({ "content": text }),
            ChatEvent::Reasoning(text) => json!({ "reasoning_content": text }),
            ChatEvent::Thinking(block) => json!({ "thinking_blocks": [block] }),
            ChatEvent::Call { index, id, name } => {
                let function = json!({"name": name, "arguments": ""});
                json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
            }
            ChatEvent::Arguments { index, json } => {
                json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]})
            }
            ChatEvent::Finish(finish) => {
                out.push(self.choice(&json!({}), &json!(finish_reason(finish))));
                return;
            }
            ChatEvent::End => {
                if let Some(tokens) = tokens.filter(|_| self.with_usage) {
                    out.push(format!("{}],\"usage\":{}}}\n\n", self.head, usage(&tokens)).into());
                }
                out.push(Bytes::from_static(b"data: [DONE]\n\n"));
                return;
            }
        };
        out.push(self.choice(&delta, &Value::Null));
    }

    fn choice(&self, delta: &Value, finish: &Value) -> Bytes {
        format!("{}{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n", self.head).into()
    }
}

/// The frame that tells a client that its stream broke. OpenAI documents none: the shape is LiteLLM's,
/// which OpenAI's clients raise as an error.
pub(crate) fn error_frame(error: &UpstreamError) -> Bytes {
    let inner = json!({
        "message": error.message,
        "type": error.upstream_type,
        "param": error.param,
        "code": error.upstream_code.clone().unwrap_or_else(|| error.status.to_string()),
    });
    format!("data: {}\n\n", json!({ "error": inner })).into()
}
