//! Replies of the dialect that was asked in: what leaves is what came, but for the model's name and
//! what only the gateway asked for; and however a stream is cut, the same bytes leave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use bytes::Bytes;
use http::HeaderMap;
use tagrail_providers::{
    Ask, Coder, Envelope, ErrorKind, Operation, Secret, Target, TargetSpec, UpstreamError, Usage,
};

/// The body that goes upstream and the coder for the answer.
fn prepare(operation: Operation, model: &str, body: &str, echo: Option<&str>) -> (String, Box<dyn Coder>) {
    let spec = TargetSpec {
        model: model.to_owned(),
        api_key: Some(Secret::new("sk-very-secret")),
        ..TargetSpec::default()
    };
    let target = Target::build(&spec, &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let envelope = Envelope::read(Bytes::from(body.to_owned())).unwrap();
    let headers = HeaderMap::new();
    let ask = Ask {
        operation,
        envelope: &envelope,
        target: &target,
        upstream_model: model,
        echo_model: echo,
        client_headers: &headers,
        in_process: false,
        responses: None,
        created: 0,
    };
    let place = target.resolve(model).unwrap();
    let prepared = place.provider.prepare(&ask).unwrap();
    (String::from_utf8(prepared.body.concat()).unwrap(), prepared.coder)
}

fn coder(operation: Operation, body: &str) -> Box<dyn Coder> {
    let model = if operation == Operation::Messages { "anthropic/up" } else { "openai/up" };
    prepare(operation, model, body, Some("asked \"x\"")).1
}

const CHAT: &str = r#"{"model":"asked","stream":true,"messages":[]}"#;

/// Feeds a stream in pieces of `size` bytes.
fn stream(coder: &mut dyn Coder, text: &str, size: usize) -> Result<String, UpstreamError> {
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(size) {
        coder.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    coder.end(&mut out)?;
    Ok(String::from_utf8(out.concat()).unwrap())
}

/// The outcome of a stream, which must be the same at every size of pieces.
fn streamed(operation: Operation, body: &str, text: &str) -> (Result<String, UpstreamError>, Option<Usage>) {
    let run = |size| {
        let mut coder = coder(operation, body);
        (stream(coder.as_mut(), text, size), coder.usage())
    };
    let whole = run(text.len().max(1));
    for size in 1..text.len() {
        assert_eq!(run(size), whole, "in pieces of {size} bytes");
    }
    whole
}

fn whole(operation: Operation, reply: &str) -> Result<String, UpstreamError> {
    let mut coder = coder(operation, r#"{"model":"asked"}"#);
    coder.whole(Bytes::from(reply.to_owned())).map(|parts| String::from_utf8(parts.concat()).unwrap())
}

#[test]
fn a_reply_keeps_its_bytes_but_for_the_model() {
    let reply = "{ \"id\":1e3, \"model\" : \"up-2024\",\"choices\":[{\"message\":{\"content\":\"\\u00e9 \\\"model\\\":\\\"x\\\"\"}}],\
                 \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n";
    let mut coder = coder(Operation::ChatCompletions, CHAT);
    let parts = coder.whole(Bytes::from(reply)).unwrap();
    let expected = reply.replace("\"up-2024\"", r#""asked \"x\"""#);
    assert_eq!(parts.concat(), expected.as_bytes());
    assert_eq!(coder.usage(), Some(Usage { input: 9, output: 3, ..Usage::default() }));
}

#[test]
fn without_a_name_to_echo_the_upstreams_stays() {
    let reply = r#"{"model":"up","data":[]}"#;
    let (_, mut coder) = prepare(Operation::Embeddings, "openai/up", r#"{"input":"x"}"#, None);
    assert_eq!(coder.whole(Bytes::from(reply)).unwrap().concat(), reply.as_bytes());
}

#[test]
fn a_reply_that_is_none_is_worth_a_retry() {
    for reply in ["", "{not json", "[]", "<html>"] {
        let error = whole(Operation::ChatCompletions, reply).unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::Internal, 500), "{reply}");
    }
    let error = whole(Operation::ChatCompletions, r#"{"error":{"message":"late","code":429}}"#).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::RateLimit, 429));
}

#[test]
fn a_failed_response_object_is_a_reply() {
    let reply = r#"{"id":"r","status":"failed","error":{"code":"server_error","message":"x"},"model":"up"}"#;
    let expected = reply.replace("\"up\"", r#""asked \"x\"""#);
    assert_eq!(whole(Operation::Responses, reply), Ok(expected));
}

fn chunk(rest: &str) -> String {
    format!("data: {{\"id\":\"c\",\"created\":1,\"model\":\"up\",{rest}}}\n\n")
}

fn chat_stream() -> Vec<String> {
    vec![
        ": keep-alive\n\n".to_owned(),
        chunk(
            r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null"#,
        ),
        chunk(
            r#""choices":[{"index":0,"delta":{"content":"\"usage\":1 \"model\":\"up\""},"finish_reason":null}]"#,
        ),
        chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null"#),
        chunk(r#""choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}"#),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn renamed(frames: &[String]) -> String {
    frames.concat().replace("\"model\":\"up\",", r#""model":"asked \"x\"","#)
}

#[test]
fn usage_that_only_the_gateway_asked_for_is_kept_back() {
    let frames = chat_stream();
    let (out, usage) = streamed(Operation::ChatCompletions, CHAT, &frames.concat());
    let mut expected = frames.clone();
    expected.remove(4);
    assert_eq!(out, Ok(renamed(&expected)));
    assert_eq!(usage, Some(Usage { input: 9, output: 3, ..Usage::default() }));

    let asked = r#"{"model":"asked","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let (out, _) = streamed(Operation::ChatCompletions, asked, &frames.concat());
    assert_eq!(out, Ok(renamed(&frames)));
}

#[test]
fn streams_ask_for_usage_where_it_is_not_told_unasked_and_not_where_it_is_refused() {
    let upstream = |operation, model: &str| {
        prepare(operation, model, r#"{"model":"asked","stream":true,"messages":[]}"#, None).0
    };
    let asks = |body: String| body.contains(r#""include_usage":true"#);
    assert!(asks(upstream(Operation::ChatCompletions, "openai/up")));
    assert!(asks(upstream(Operation::ChatCompletions, "groq/up")));
    assert!(!asks(upstream(Operation::ChatCompletions, "mistral/up")));
    assert!(asks(upstream(Operation::Completions, "openai/up")));
    assert!(!asks(upstream(Operation::Responses, "openai/up")));
}

#[test]
fn the_usage_of_a_completion_is_kept_back_too() {
    let frames = [
        chunk(r#""choices":[{"text":"hi","finish_reason":"stop"}]"#),
        chunk(r#""choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}"#),
        "data: [DONE]\n\n".to_owned(),
    ];
    let (out, usage) = streamed(Operation::Completions, CHAT, &frames.concat());
    assert_eq!(out, Ok(renamed(&[frames[0].clone(), frames[2].clone()])));
    assert_eq!(usage, Some(Usage { input: 9, output: 3, ..Usage::default() }));
}

#[test]
fn what_is_passed_on_is_counted_where_it_is_wanted() {
    let frame = |text: &str| {
        chunk(&format!(r#""choices":[{{"delta":{{"content":"{text}"}},"finish_reason":null}}]"#))
    };
    let text = [frame(&"a".repeat(40)), frame("b"), frame(&"c".repeat(40))].concat();
    for (count, tokens) in [(true, 21), (false, 0)] {
        let mut coder = coder(Operation::ChatCompletions, CHAT);
        if count {
            coder.count();
        }
        coder.push(Bytes::from(text.clone()), &mut Vec::new()).unwrap();
        assert_eq!((coder.usage(), coder.passed_on().total()), (None, tokens));
    }
    let mut whole = coder(Operation::ChatCompletions, CHAT);
    whole.count();
    whole.whole(Bytes::from_static(br#"{"choices":[{"message":{"content":"12345678"}}]}"#)).unwrap();
    assert_eq!(whole.passed_on().total(), 2);
}

#[test]
fn user_goes_only_to_models_that_are_openais() {
    let upstream = |model: &str| {
        prepare(Operation::ChatCompletions, model, r#"{"model":"a","user":"u","messages":[]}"#, None).0
    };
    assert!(upstream("openai/gpt-4o").contains("\"user\""));
    assert!(!upstream("openai/made-up").contains("\"user\""));
}

#[test]
fn a_stream_that_was_finished_gets_its_last_frame() {
    for missing in ["data: [DONE]\n\n", "\n\n"] {
        let text = chat_stream().concat();
        let cut = &text[..text.len() - missing.len()];
        let (out, _) = streamed(Operation::ChatCompletions, CHAT, cut);
        assert!(out.unwrap().ends_with("}\n\ndata: [DONE]\n\n"), "{missing:?}");
    }
}

#[test]
fn a_stream_that_was_cut_is_an_error() {
    let frames = chat_stream();
    let middle = &frames[2];
    for cut in [
        frames[..3].concat(),
        format!("{}{}", frames[..2].concat(), &middle[..middle.len() / 2]),
        String::new(),
    ] {
        let (out, _) = streamed(Operation::ChatCompletions, CHAT, &cut);
        assert_eq!(out.map_err(|error| (error.kind, error.status)), Err((ErrorKind::Connection, 500)));
    }
}

#[test]
fn a_stream_says_when_its_last_event_has_passed() {
    let chat = chat_stream();
    let responses = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n";
    for (operation, body, text) in [
        (Operation::ChatCompletions, CHAT, chat.concat()),
        (Operation::Messages, r#"{"model":"asked"}"#, messages_stream()),
        (Operation::Responses, r#"{"model":"asked"}"#, responses.to_owned()),
    ] {
        let mut coder = coder(operation, body);
        let (mut out, last) = (Vec::new(), text.len() - 1);
        coder.push(Bytes::from(text[..last].to_owned()), &mut out).unwrap();
        assert!(!coder.finished(), "{operation:?}");
        coder.push(Bytes::from(text[last..].to_owned()), &mut out).unwrap();
        assert!(coder.finished(), "{operation:?}");
        let before = out.len();
        coder.push(Bytes::from_static(b"data: {\"error\":{}}\n\n"), &mut out).unwrap();
        assert_eq!(out.len(), before, "nothing follows: {operation:?}");
    }
}

#[test]
fn an_error_event_ends_the_stream() {
    for event in [
        "data: {\"error\":{\"message\":\"Overloaded\",\"code\":503}}\n\n".to_owned(),
        chunk(
            r#""error":{"message":"Overloaded","code":503},"choices":[{"delta":{},"finish_reason":"error"}]"#,
        ),
    ] {
        let text = format!("{}{event}data: [DONE]\n\n", chat_stream()[..3].concat());
        let mut coder = coder(Operation::ChatCompletions, CHAT);
        let error = stream(coder.as_mut(), &text, 7).unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::Unavailable, 503));
        assert!(error.message.ends_with("Overloaded"));
    }
}

#[test]
fn an_event_that_is_not_json_is_an_error() {
    let mut coder = coder(Operation::ChatCompletions, CHAT);
    assert_eq!(stream(coder.as_mut(), "data: {oops\n\n", 100).unwrap_err().status, 500);
}

#[test]
fn a_new_beginning_is_read_again() {
    let text = format!(
        "{}{}{}data: [DONE]\n\n",
        chunk(r#""choices":[{"delta":{"content":"a"}}]"#),
        "data: {\"created\":2,\"choices\":[{\"delta\":{\"model\":\"inner\"}}],\"model\":\"other\"}\n\n",
        "event: x\ndata: {\"model\":\ndata: \"up\",\"choices\":[]}\n\n",
    );
    let (out, _) = streamed(Operation::ChatCompletions, CHAT, &text);
    let out = out.unwrap();
    assert!(out.contains(r#"{"model":"inner"}}],"model":"asked \"x\""}"#), "{out}");
    assert!(out.contains("event: x\ndata: {\"model\": \"asked \\\"x\\\"\",\"choices\":[]}\n\n"), "{out}");
}

#[test]
fn completions_streams_pass() {
    let text = "data: {\"model\":\"up\",\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let (out, _) = streamed(Operation::Completions, r#"{"prompt":"x","stream":true}"#, text);
    assert_eq!(out, Ok(text.replace("\"up\"", r#""asked \"x\"""#)));
}

#[test]
fn responses_streams_pass_with_their_events() {
    let text = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"up\",\"usage\":null}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\": \"response.output_text.delta\",\"delta\":\"\\\"model\\\"\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"error\":null,\"model\":\"up\",",
        "\"usage\":{\"input_tokens\":4,\"output_tokens\":2,\"input_tokens_details\":{\"cached_tokens\":1}}}}\n\n",
    );
    let (out, usage) = streamed(Operation::Responses, r#"{"input":"x","stream":true}"#, text);
    assert_eq!(out, Ok(text.replace("\"up\"", r#""asked \"x\"""#)));
    assert_eq!(usage, Some(Usage { input: 4, output: 2, cache_read: 1, cache_creation: 0 }));
}

fn messages_stream() -> String {
    [
        r#"{"type":"message_start","message":{"id":"m","model":"up","usage":{"input_tokens":3,"output_tokens":1,"cache_read_input_tokens":2}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\"message_stop\""}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(|data| format!("event: x\ndata: {data}\n\n"))
    .concat()
}

#[test]
fn messages_streams_pass_with_their_events() {
    let text = messages_stream();
    let (out, usage) = streamed(Operation::Messages, r#"{"messages":[],"stream":true}"#, &text);
    assert_eq!(out, Ok(text.replace("\"up\"", r#""asked \"x\"""#)));
    assert_eq!(usage, Some(Usage { input: 5, output: 7, cache_read: 2, cache_creation: 0 }));

    let cut = text.replace(r#"{"type":"message_stop"}"#, r#"{"type":"ping"}"#);
    let (out, _) = streamed(Operation::Messages, r#"{"messages":[],"stream":true}"#, &cut);
    assert_eq!(out.map_err(|error| error.kind), Err(ErrorKind::Connection));
}

#[test]
fn an_error_is_told_in_the_clients_dialect() {
    let error = UpstreamError::new(ErrorKind::RateLimit, 429, "openai", "slow down");
    let frame = |operation| String::from_utf8(coder(operation, "{}").error_frame(&error).to_vec()).unwrap();
    assert_eq!(
        frame(Operation::ChatCompletions),
        "data: {\"error\":{\"message\":\"litellm.RateLimitError: RateLimitError: OpenAIException - slow down\",\
         \"type\":null,\"param\":null,\"code\":\"429\"}}\n\n"
    );
    assert!(frame(Operation::Messages).starts_with(
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"litellm"
    ));
    assert!(
        frame(Operation::Responses).starts_with("event: error\ndata: {\"type\":\"error\",\"code\":\"429\"")
    );
}

#[test]
fn refusals_are_classed_and_hide_the_key() {
    let coder = coder(Operation::ChatCompletions, "{}");
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "7".parse().unwrap());
    let body = br#"{"error":{"message":"bad key sk-very-secret","code":"invalid_api_key"}}"#;
    let error = coder.refusal(401, &headers, body);
    assert_eq!((error.kind, error.retry_after), (ErrorKind::Authentication, Some(7.0)));
    assert_eq!(error.upstream_code.as_deref(), Some("invalid_api_key"));
    assert!(!error.message.contains("sk-very-secret"));
}
