//! Ids of stored responses: the client's instead of the upstream's wherever a reply names one, the
//! upstream's in the request, and every other byte as it came.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tagrail_providers::{
    Ask, Coder, Envelope, NameResponses, Operation, ResponseNames, Secret, Target, TargetSpec,
};

struct Upper;

impl NameResponses for Upper {
    fn name(&self, upstream: &str) -> String {
        format!("GW-{}", upstream.to_uppercase())
    }
}

/// The body that goes upstream and the coder for the answer.
fn prepare(operation: Operation, body: &str, echo: Option<&str>) -> (String, Box<dyn Coder>) {
    let spec = TargetSpec {
        model: "openai/up".to_owned(),
        api_key: Some(Secret::new("sk-very-secret")),
        ..TargetSpec::default()
    };
    let target = Target::build(&spec, &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let envelope = Envelope::read(Bytes::from(body.to_owned())).unwrap();
    let headers = HeaderMap::new();
    let names = ResponseNames { names: Arc::new(Upper), previous: Some("resp_a\"b".to_owned()) };
    let ask = Ask {
        operation,
        envelope: &envelope,
        target: &target,
        upstream_model: "openai/up",
        echo_model: echo,
        client_headers: &headers,
        in_process: false,
        responses: Some(&names),
        created: 0,
    };
    let prepared = target.resolve("openai/up").unwrap().provider.prepare(&ask).unwrap();
    (String::from_utf8(prepared.body.concat()).unwrap(), prepared.coder)
}

#[test]
fn the_upstreams_id_is_spliced_into_the_request() {
    let body = r#"{"model":"m", "previous_response_id" : "GW" ,"input":[{"previous_response_id":"GW"}]}"#;
    let (sent, _) = prepare(Operation::Responses, body, None);
    let expected =
        r#"{"model":"up", "previous_response_id" : "resp_a\"b" ,"input":[{"previous_response_id":"GW"}]}"#;
    assert_eq!(sent, expected);
    let (sent, _) = prepare(Operation::Responses, r#"{"model":"m","input":"x"}"#, None);
    assert_eq!(sent, r#"{"model":"up","input":"x"}"#, "nothing is added where there was none");
}

#[test]
fn a_whole_reply_keeps_every_other_byte() {
    for (echo, model) in [(None, "up"), (Some("asked"), "asked")] {
        let reply = "{ \"previous_response_id\": \"resp_\\u0061\", \"output\":[{\"id\":\"msg_1\"}],\"model\":\"up\",\
                     \"id\" : \"resp_b\", \"x\":{\"id\":\"y\"}, \"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n";
        let (_, mut coder) = prepare(Operation::Responses, r#"{"model":"m"}"#, echo);
        let parts = coder.whole(Bytes::from(reply)).unwrap();
        let expected =
            reply.replace("\"resp_\\u0061\"", "\"GW-RESP_A\"").replace("\"resp_b\"", "\"GW-RESP_B\"");
        let expected = expected.replace("\"up\"", &format!("\"{model}\""));
        assert_eq!(String::from_utf8(parts.concat()).unwrap(), expected);
        assert_eq!(coder.usage().map(|usage| (usage.input, usage.output)), Some((3, 4)));
    }
    let (_, mut coder) = prepare(Operation::ChatCompletions, r#"{"model":"m","messages":[]}"#, None);
    let chat = r#"{"id":"resp_b","model":"up","choices":[]}"#;
    assert_eq!(
        coder.whole(Bytes::from(chat)).unwrap().concat(),
        chat.as_bytes(),
        "other dialects have no such ids"
    );
}

#[test]
fn every_event_of_a_stream_is_renamed_however_it_is_cut() {
    let mut text = String::new();
    for kind in ["created", "queued", "in_progress"] {
        text += &format!(
            "event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",\"response\":{{\"model\":\"up\",\"id\":\"resp_b\",\
             \"previous_response_id\":\"resp_c\",\"output\":[{{\"id\":\"msg_1\"}}]}}}}\n\n"
        );
    }
    text += "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"delta\":\"resp_b\"}\n\n";
    text += "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\",\"response_id\": \"resp_b\"}\n\n";
    text += "data: {\"type\":\"response.completed\",\ndata: \"response\":{\"id\":\"resp_b\",\"model\":\"up\"}}\n\n";
    let expected = text
        .replace("\"id\":\"resp_b\"", "\"id\":\"GW-RESP_B\"")
        .replace("\"response_id\": \"resp_b\"", "\"response_id\": \"GW-RESP_B\"")
        .replace("\"resp_c\"", "\"GW-RESP_C\"")
        .replace("\"up\"", "\"asked\"")
        // An event over several lines leaves on one.
        .replace(",\ndata: \"response\"", ", \"response\"");
    for size in 1..text.len() {
        let (_, mut coder) = prepare(Operation::Responses, r#"{"model":"m","stream":true}"#, Some("asked"));
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            coder.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
        }
        assert!(coder.finished());
        assert_eq!(String::from_utf8(out.concat()).unwrap(), expected, "in pieces of {size}");
    }
}

#[test]
fn an_upstreams_words_name_the_response_as_the_client_does() {
    let (_, coder) = prepare(Operation::Responses, r#"{"model":"m"}"#, None);
    let body = br#"{"error":{"message":"Previous response with id 'resp_a\"b' not found.","code":"x"}}"#;
    let error = coder.refusal(400, &HeaderMap::new(), body);
    assert!(error.message.contains("id 'GW-RESP_A\"B' not found"), "{}", error.message);
}
