//! A whole reply, encoded.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::Usage;
use crate::dialect::{Call, ChatReply, Finish};

/// The body of a chat completion. `created` is in seconds since 1970.
pub(crate) fn reply(reply: ChatReply, model: &str, created: u64) -> Bytes {
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), reply.text.into());
    if let Some(reasoning) = reply.reasoning {
        message.insert("reasoning_content".to_owned(), reasoning.into());
    }
    if !reply.thinking.is_empty() {
        message.insert("thinking_blocks".to_owned(), reply.thinking.into());
    }
    if !reply.calls.is_empty() {
        message.insert("tool_calls".to_owned(), reply.calls.into_iter().map(call).collect());
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(reply.finish)});
    let mut body = json!({
        "id": reply.id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
    });
    if let Some(usage) = &reply.usage {
        body["usage"] = self::usage(usage);
    }
    Bytes::from(body.to_string())
}

/// Tokens as OpenAI counts them, and the two parts that LiteLLM adds where there was a cache.
pub(super) fn usage(usage: &Usage) -> Value {
    let mut value = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
    });
    if usage.cache_read > 0 || usage.cache_creation > 0 {
        value["cache_read_input_tokens"] = usage.cache_read.into();
        value["cache_creation_input_tokens"] = usage.cache_creation.into();
    }
    value
}

pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Tools => "tool_calls",
        Finish::Refused => "content_filter",
    }
}

fn call(call: Call) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    })
}
