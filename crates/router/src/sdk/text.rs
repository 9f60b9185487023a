//! What an answer says, wherever its API puts that.

use serde_json::Value;
use tagrail_providers::Operation;

/// The text of a whole answer: of its first choice, where there are several. `None` where it says
/// nothing, as an answer of tool calls alone.
pub(super) fn whole(operation: Operation, body: &Value) -> Option<String> {
    match operation {
        Operation::ChatCompletions => said(&body["choices"][0]["message"]["content"]),
        Operation::Completions => said(&body["choices"][0]["text"]),
        Operation::Messages => said(&body["content"]),
        Operation::Responses => {
            let items = body["output"].as_array()?.iter();
            joined(items.filter(|item| item["type"] == "message").filter_map(|item| said(&item["content"])))
        }
        Operation::Embeddings => None,
    }
}

/// The text that one event of a stream adds.
pub(super) fn added(operation: Operation, event: &Value) -> Option<&str> {
    match operation {
        Operation::ChatCompletions => event["choices"][0]["delta"]["content"].as_str(),
        Operation::Completions => event["choices"][0]["text"].as_str(),
        Operation::Messages => event["delta"]["text"].as_str(),
        Operation::Responses => {
            event["delta"].as_str().filter(|_| event["type"] == "response.output_text.delta")
        }
        Operation::Embeddings => None,
    }
}

/// A text, or the texts among parts.
fn said(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            joined(parts.iter().filter_map(|part| part["text"].as_str()).map(str::to_owned))
        }
        _ => None,
    }
}

fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    texts.reduce(|text, more| text + &more)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_api_has_its_place_for_the_text() {
        for (operation, body) in [
            (Operation::ChatCompletions, json!({"choices": [{"message": {"content": "ab"}}]})),
            (
                Operation::ChatCompletions,
                json!({"choices": [{"message": {"content": [{"text": "a"}, {"text": "b"}]}}]}),
            ),
            (Operation::Completions, json!({"choices": [{"text": "ab"}]})),
            (
                Operation::Messages,
                json!({"content": [{"type": "thinking", "thinking": "?"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            ),
            (
                Operation::Responses,
                json!({"output": [{"type": "reasoning", "content": [{"text": "?"}]}, {"type": "message", "content": [{"type": "output_text", "text": "ab"}]}]}),
            ),
        ] {
            assert_eq!(whole(operation, &body).as_deref(), Some("ab"), "{body}");
        }
        let tools = json!({"choices": [{"message": {"content": null, "tool_calls": []}}]});
        assert_eq!(whole(Operation::ChatCompletions, &tools), None);
    }

    #[test]
    fn events_add_texts() {
        for (operation, event, text) in [
            (Operation::ChatCompletions, json!({"choices": [{"delta": {"content": "a"}}]}), Some("a")),
            (Operation::ChatCompletions, json!({"choices": [], "usage": {}}), None),
            (Operation::Completions, json!({"choices": [{"text": "a"}]}), Some("a")),
            (
                Operation::Messages,
                json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
                Some("a"),
            ),
            (
                Operation::Messages,
                json!({"type": "content_block_delta", "delta": {"partial_json": "{"}}),
                None,
            ),
            (Operation::Responses, json!({"type": "response.output_text.delta", "delta": "a"}), Some("a")),
            (
                Operation::Responses,
                json!({"type": "response.function_call_arguments.delta", "delta": "a"}),
                None,
            ),
        ] {
            assert_eq!(added(operation, &event), text, "{event}");
        }
    }
}
