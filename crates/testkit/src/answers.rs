//! Well-formed answers in every dialect, plain and streamed. They all cost 9 tokens in and 3 out.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Received;

pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";

/// An answer before it is framed.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) stream: bool,
}

/// The answer that fits the request's path; it says `text`, or which model answered.
pub(crate) fn answer(request: &Received, text: Option<&str>) -> Answer {
    let body = request.json();
    let model = request.model();
    let text = text.map_or_else(|| format!("Hello from {model}"), str::to_owned);
    let stream = body["stream"] == true;
    let path = request.path.split('?').next().unwrap_or_default();
    let ends = |suffix: &str| path.ends_with(suffix);
    if ends("/chat/completions") {
        if stream { events(chat_chunks(&model, &text, &body)) } else { whole(200, &chat(&model, &text)) }
    } else if ends("/completions") {
        if stream { events(completion_chunks(&model, &text)) } else { whole(200, &completion(&model, &text)) }
    } else if ends("/embeddings") {
        whole(200, &embeddings(&model, &body))
    } else if ends("/responses") {
        let reply = response(&model, &text);
        if stream { named_events(&response_events(reply, &text)) } else { whole(200, &reply) }
    } else if ends("/messages") {
        if stream {
            named_events(&message_events(&model, &text))
        } else {
            whole(200, &message(&model, &text))
        }
    } else {
        whole(
            404,
            &json!({"error": {"message": format!("no route {path}"), "type": "invalid_request_error"}}),
        )
    }
}

fn whole(status: u16, body: &Value) -> Answer {
    Answer { status, content_type: JSON, pieces: vec![Bytes::from(body.to_string())], stream: false }
}

/// OpenAI's framing: data alone, `[DONE]` at the end.
fn events(chunks: Vec<Value>) -> Answer {
    let mut pieces: Vec<Bytes> =
        chunks.iter().map(|chunk| Bytes::from(format!("data: {chunk}\n\n"))).collect();
    pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Answer { status: 200, content_type: EVENT_STREAM, pieces, stream: true }
}

/// Framing with the event's name, which is also its `type`.
fn named_events(events: &[Value]) -> Answer {
    let frame = |event: &Value| {
        Bytes::from(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
    };
    Answer {
        status: 200,
        content_type: EVENT_STREAM,
        pieces: events.iter().map(frame).collect(),
        stream: true,
    }
}

fn usage() -> Value {
    json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})
}

fn chat(model: &str, text: &str) -> Value {
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 1_700_000_000, "model": model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }],
        "usage": usage(),
    })
}

fn chat_chunks(model: &str, text: &str, request: &Value) -> Vec<Value> {
    let chunk = |choices: Value| {
        json!({
            "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": model, "choices": choices,
        })
    };
    let delta = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]))
    };
    let mut chunks = vec![delta(json!({"role": "assistant", "content": ""}), None)];
    chunks.extend(text.split_inclusive(' ').map(|word| delta(json!({"content": word}), None)));
    chunks.push(delta(json!({}), Some("stop")));
    if request["stream_options"]["include_usage"] == true {
        let mut last = chunk(json!([]));
        last["usage"] = usage();
        chunks.push(last);
    }
    chunks
}

fn completion(model: &str, text: &str) -> Value {
    json!({
        "id": "cmpl-fake", "object": "text_completion", "created": 1_700_000_000, "model": model,
        "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": null}],
        "usage": usage(),
    })
}

fn completion_chunks(model: &str, text: &str) -> Vec<Value> {
    let chunk = |text: &str, finish: Option<&str>| {
        json!({
            "id": "cmpl-fake", "object": "text_completion", "created": 1_700_000_000, "model": model,
            "choices": [{"index": 0, "text": text, "finish_reason": finish}],
        })
    };
    let mut chunks: Vec<Value> = text.split_inclusive(' ').map(|word| chunk(word, None)).collect();
    chunks.push(chunk("", Some("stop")));
    chunks
}

fn embeddings(model: &str, request: &Value) -> Value {
    let count = request["input"].as_array().map_or(1, Vec::len);
    let data: Vec<Value> = (0..count)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": [0.25, -0.5]}))
        .collect();
    json!({
        "object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    })
}

fn response(model: &str, text: &str) -> Value {
    json!({
        "id": "resp_fake", "object": "response", "created_at": 1_700_000_000, "status": "completed",
        "model": model,
        "output": [{
            "type": "message", "id": "msg_fake", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }],
        "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
    })
}

fn response_events(reply: Value, text: &str) -> Vec<Value> {
    let mut created = reply.clone();
    created["status"] = json!("in_progress");
    created["output"] = json!([]);
    created["usage"] = Value::Null;
    let mut events = vec![json!({"type": "response.created", "sequence_number": 0, "response": created})];
    events.extend(text.split_inclusive(' ').map(|word| {
        json!({
            "type": "response.output_text.delta", "item_id": "msg_fake", "output_index": 0,
            "content_index": 0, "delta": word,
        })
    }));
    events.push(json!({"type": "response.completed", "response": reply}));
    events
}

fn message(model: &str, text: &str) -> Value {
    json!({
        "id": "msg_fake", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    })
}

fn message_events(model: &str, text: &str) -> Vec<Value> {
    let mut start = message(model, "");
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    let mut events = vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(text.split_inclusive(' ').map(|word| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    }));
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({
            "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 3},
        }),
        json!({"type": "message_stop"}),
    ]);
    events
}
