//! The upstream of `tagrail demo`: answers OpenAI and Anthropic requests on a loopback port, without a
//! model behind it. Every answer says which upstream model was asked, so a reader sees where a request
//! went.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Sleep;

/// Between two words of a streamed answer: fast, but to be seen.
const PAUSE: Duration = Duration::from_millis(25);

/// The gateway in front has a limit of its own; this one only keeps a stray client out.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Answers whoever connects, until the future is dropped.
pub async fn serve(listener: TcpListener) -> Infallible {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "demo upstream: cannot set TCP_NODELAY");
        }
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "demo upstream: connection ended");
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
    let path = request.uri().path().to_owned();
    if request.method() != Method::POST {
        return Ok(refuse(StatusCode::METHOD_NOT_ALLOWED, "the demo upstream knows POST"));
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "the body did not arrive"));
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "the body is not JSON"));
    };
    Ok(match Question::read(&body) {
        question if path.ends_with("/chat/completions") => question.chat(),
        question if path.ends_with("/completions") => question.completion(),
        question if path.ends_with("/embeddings") => question.embeddings(),
        question if path.ends_with("/responses") => question.response(),
        question if path.ends_with("/messages") => question.message(),
        _ => refuse(StatusCode::NOT_FOUND, "the demo upstream has no such route"),
    })
}

/// What matters of a request.
struct Question<'a> {
    body: &'a Value,
    model: &'a str,
    text: String,
    stream: bool,
}

impl<'a> Question<'a> {
    fn read(body: &'a Value) -> Question<'a> {
        let model = body["model"].as_str().unwrap_or("no model");
        let text = format!("Hello from the demo upstream, which was asked for {model}.");
        Question { body, model, text, stream: body["stream"] == true }
    }

    /// A word is about a token, and a token about four bytes: near enough for a demo.
    fn tokens(&self) -> (usize, usize) {
        ((self.body.to_string().len() / 4).max(1), self.words().count())
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split_inclusive(' ')
    }

    fn usage(&self) -> Value {
        let (input, output) = self.tokens();
        json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
    }

    fn chat(&self) -> Response<Pieces> {
        let object = |kind: &str, choices: Value| json!({"id": "chatcmpl-demo", "object": kind, "created": now(), "model": self.model, "choices": choices});
        if !self.stream {
            let message = json!({"role": "assistant", "content": self.text});
            let mut whole =
                object("chat.completion", json!([{"index": 0, "message": message, "finish_reason": "stop"}]));
            whole["usage"] = self.usage();
            return json_reply(StatusCode::OK, &whole);
        }
        let chunk = |delta: Value, finish: Value| {
            object("chat.completion.chunk", json!([{"index": 0, "delta": delta, "finish_reason": finish}]))
        };
        let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
        chunks.extend(self.words().map(|word| chunk(json!({"content": word}), Value::Null)));
        chunks.push(chunk(json!({}), json!("stop")));
        if self.body["stream_options"]["include_usage"] == true {
            let mut last = object("chat.completion.chunk", json!([]));
            last["usage"] = self.usage();
            chunks.push(last);
        }
        openai_stream(&chunks)
    }

    fn completion(&self) -> Response<Pieces> {
        let object = |text: &str, finish: Value| {
            json!({
                "id": "cmpl-demo", "object": "text_completion", "created": now(), "model": self.model,
                "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": null}],
            })
        };
        if !self.stream {
            let mut whole = object(&self.text, json!("stop"));
            whole["usage"] = self.usage();
            return json_reply(StatusCode::OK, &whole);
        }
        let mut chunks: Vec<Value> = self.words().map(|word| object(word, Value::Null)).collect();
        chunks.push(object("", json!("stop")));
        openai_stream(&chunks)
    }

    fn embeddings(&self) -> Response<Pieces> {
        let count = self.body["input"].as_array().map_or(1, Vec::len);
        let data: Vec<Value> = (0..count)
            .map(|index| json!({"object": "embedding", "index": index, "embedding": [0.25, -0.5, 0.75]}))
            .collect();
        let (input, _) = self.tokens();
        let usage = json!({"prompt_tokens": input, "total_tokens": input});
        json_reply(
            StatusCode::OK,
            &json!({"object": "list", "data": data, "model": self.model, "usage": usage}),
        )
    }

    fn response(&self) -> Response<Pieces> {
        let (input, output) = self.tokens();
        let whole = json!({
            "id": "resp_demo", "object": "response", "created_at": now(), "status": "completed",
            "model": self.model,
            "output": [{
                "type": "message", "id": "msg_demo", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": self.text, "annotations": []}],
            }],
            "usage": {"input_tokens": input, "output_tokens": output, "total_tokens": input + output},
        });
        if !self.stream {
            return json_reply(StatusCode::OK, &whole);
        }
        let mut created = whole.clone();
        created["status"] = json!("in_progress");
        created["output"] = json!([]);
        created["usage"] = Value::Null;
        let mut events = vec![json!({"type": "response.created", "response": created})];
        events.extend(self.words().map(|word| {
            json!({
                "type": "response.output_text.delta", "item_id": "msg_demo", "output_index": 0,
                "content_index": 0, "delta": word,
            })
        }));
        events.push(json!({"type": "response.completed", "response": whole}));
        for (number, event) in events.iter_mut().enumerate() {
            event["sequence_number"] = json!(number);
        }
        named_stream(&events)
    }

    fn message(&self) -> Response<Pieces> {
        let (input, output) = self.tokens();
        let object = |content: Value, stop: Value, output: usize| {
            json!({
                "id": "msg_demo", "type": "message", "role": "assistant", "model": self.model,
                "content": content, "stop_reason": stop, "stop_sequence": null,
                "usage": {"input_tokens": input, "output_tokens": output},
            })
        };
        if !self.stream {
            let content = json!([{"type": "text", "text": self.text}]);
            return json_reply(StatusCode::OK, &object(content, json!("end_turn"), output));
        }
        let mut events = vec![
            json!({"type": "message_start", "message": object(json!([]), Value::Null, 1)}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ];
        events.extend(self.words().map(|word| {
            let delta = json!({"type": "text_delta", "text": word});
            json!({"type": "content_block_delta", "index": 0, "delta": delta})
        }));
        let stop = json!({"stop_reason": "end_turn", "stop_sequence": null});
        events.extend([
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": output}}),
            json!({"type": "message_stop"}),
        ]);
        named_stream(&events)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn refuse(status: StatusCode, message: &str) -> Response<Pieces> {
    json_reply(status, &json!({"error": {"message": message, "type": "invalid_request_error", "code": null}}))
}

fn json_reply(status: StatusCode, body: &Value) -> Response<Pieces> {
    reply(status, "application/json", Pieces::new([Bytes::from(body.to_string())]))
}

/// OpenAI's framing: data alone, `[DONE]` at the end.
fn openai_stream(chunks: &[Value]) -> Response<Pieces> {
    let chunks = chunks.iter().map(|chunk| Bytes::from(format!("data: {chunk}\n\n")));
    stream(chunks.chain([Bytes::from_static(b"data: [DONE]\n\n")]))
}

/// Events with their names, as Anthropic's and OpenAI's newer streams have them.
fn named_stream(events: &[Value]) -> Response<Pieces> {
    let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    stream(events.iter().map(|event| Bytes::from(format!("event: {}\ndata: {event}\n\n", name(event)))))
}

fn stream(pieces: impl IntoIterator<Item = Bytes>) -> Response<Pieces> {
    reply(StatusCode::OK, "text/event-stream; charset=utf-8", Pieces::new(pieces))
}

fn reply(status: StatusCode, content_type: &'static str, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// A body in pieces with a pause between two of them.
struct Pieces {
    left: VecDeque<Bytes>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = Bytes>) -> Pieces {
        Pieces { left: pieces.into_iter().collect(), pause: None }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
        }
        let piece = self.left.pop_front();
        self.pause = (!self.left.is_empty()).then(|| Box::pin(tokio::time::sleep(PAUSE)));
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // A stream gets no length, so that it arrives in chunks as streams do.
        match self.left.as_slices() {
            ([whole], []) => SizeHint::with_exact(whole.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
