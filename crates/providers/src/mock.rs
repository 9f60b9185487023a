//! `mock_response`: the reply that a deployment gives without an upstream, in the client's dialect.
//! LiteLLM counts 10 prompt and 20 completion tokens for it, whatever the text.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Operation, Usage};

/// The tokens that a mocked reply claims.
pub const MOCK_USAGE: Usage = Usage { input: 10, output: 20, cache_read: 0, cache_creation: 0 };

/// What a mocked reply says.
#[derive(Clone, Copy, Debug)]
pub struct Mock<'a> {
    /// The name asked for.
    pub model: &'a str,
    /// `mock_response`.
    pub text: &'a str,
    /// The id of a response, on `/responses`.
    pub response_id: &'a str,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether a stream is to close with a usage chunk.
    pub wants_usage: bool,
}

impl Mock<'_> {
    /// A whole reply.
    pub fn whole(&self, operation: Operation) -> Bytes {
        let Mock { model, text, created, .. } = self;
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30});
        let reply = match operation {
            Operation::ChatCompletions => json!({
                "id": "chatcmpl-mock", "object": "chat.completion", "created": created, "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": usage,
            }),
            Operation::Completions => json!({
                "id": "cmpl-mock", "object": "text_completion", "created": created, "model": model,
                "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}],
                "usage": usage,
            }),
            Operation::Embeddings => json!({
                "object": "list", "model": model,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.0, 0.0, 0.0]}],
                "usage": {"prompt_tokens": 10, "total_tokens": 10},
            }),
            Operation::Messages => self.message("end_turn", json!([{"type": "text", "text": text}])),
            Operation::Responses => self.response("completed"),
        };
        Bytes::from(reply.to_string())
    }

    /// The frames of a streamed reply.
    pub fn stream(&self, operation: Operation) -> Vec<Bytes> {
        match operation {
            Operation::ChatCompletions => self.chat_frames(),
            Operation::Completions | Operation::Embeddings => vec![data(&self.completion()), done()],
            Operation::Messages => self.message_frames(),
            Operation::Responses => self.response_frames(),
        }
    }

    fn chat_frames(&self) -> Vec<Bytes> {
        let chunk = |choices: Value| {
            json!({"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": self.created,
                   "model": self.model, "choices": choices})
        };
        let delta =
            |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let mut frames = vec![
            data(&chunk(delta(json!({"role": "assistant", "content": self.text}), Value::Null))),
            data(&chunk(delta(json!({}), json!("stop")))),
        ];
        if self.wants_usage {
            let mut last = chunk(json!([]));
            last["usage"] = json!({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30});
            frames.push(data(&last));
        }
        frames.push(done());
        frames
    }

    fn completion(&self) -> Value {
        json!({"id": "cmpl-mock", "object": "text_completion", "created": self.created, "model": self.model,
               "choices": [{"index": 0, "text": self.text, "logprobs": null, "finish_reason": "stop"}]})
    }

    fn message(&self, stop_reason: &str, content: Value) -> Value {
        json!({"id": "msg_mock", "type": "message", "role": "assistant", "model": self.model, "content": content,
               "stop_reason": stop_reason, "stop_sequence": null,
               "usage": {"input_tokens": 10, "output_tokens": 20}})
    }

    fn message_frames(&self) -> Vec<Bytes> {
        let mut start = self.message("end_turn", json!([]));
        start["stop_reason"] = Value::Null;
        vec![
            event(&json!({"type": "message_start", "message": start})),
            event(
                &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            event(&json!({"type": "content_block_delta", "index": 0,
                          "delta": {"type": "text_delta", "text": self.text}})),
            event(&json!({"type": "content_block_stop", "index": 0})),
            event(
                &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                          "usage": {"output_tokens": 20}}),
            ),
            event(&json!({"type": "message_stop"})),
        ]
    }

    fn item(&self) -> Value {
        json!({"type": "message", "id": "msg_mock", "status": "completed", "role": "assistant",
               "content": [{"type": "output_text", "text": self.text, "annotations": []}]})
    }

    fn response(&self, status: &str) -> Value {
        let output = if status == "completed" { json!([self.item()]) } else { json!([]) };
        json!({"id": self.response_id, "object": "response", "created_at": self.created, "status": status,
               "model": self.model, "output": output, "error": null, "incomplete_details": null,
               "usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}})
    }

    fn response_frames(&self) -> Vec<Bytes> {
        vec![
            event(
                &json!({"type": "response.created", "sequence_number": 0, "response": self.response("in_progress")}),
            ),
            event(&json!({"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_mock",
                          "output_index": 0, "content_index": 0, "delta": self.text})),
            event(&json!({"type": "response.output_item.done", "sequence_number": 2, "output_index": 0,
                          "item": self.item()})),
            event(
                &json!({"type": "response.completed", "sequence_number": 3, "response": self.response("completed")}),
            ),
        ]
    }
}

fn data(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

fn event(value: &Value) -> Bytes {
    let name = value["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}

fn done() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}
