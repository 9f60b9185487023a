//! What is written down of a call: who, what, how it was decided, and how many tokens, counted or
//! estimated.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tagrail::{AnswerBody, Call, Operation};
use tagrail_testkit::{FakeUpstream, Gate, Reply, deployment};

use crate::books::{Purse, team};
use crate::rig::Rig;

#[tokio::test]
async fn a_row_says_who_asked_what_of_whom_and_why() {
    let rig = Rig::new(
        &[("gpt-4", "gpt-4-free", &["free"]), ("gpt-4", "gpt-4-paid", &["paid"])],
        &json!({"router_settings": {"enable_tag_filtering": true}}),
    );
    let caller = team(&["free"], tagrail::routing::Policy::default());
    let before = std::time::SystemTime::now();
    rig.chat_as(&caller, "gpt-4", json!({"tags": ["x"], "user": "eve"})).await.unwrap();
    let row = rig.records.row();
    assert_eq!((row.status, row.group.as_str(), row.model.as_str()), (200, "gpt-4", "gpt-4"));
    assert_eq!((row.key.as_str(), row.call_id.as_str()), ("hash", "call-1"));
    assert_eq!((row.upstream_model.as_str(), row.provider.as_str()), ("openai/gpt-4-free", "openai"));
    assert_eq!(row.api_base, rig.upstream.base());
    assert_eq!(
        (row.tags.clone(), row.end_user.as_deref()),
        (vec!["free".to_owned(), "x".to_owned()], Some("eve"))
    );
    assert_eq!((row.tokens(), row.estimated), (Some((9, 3)), false));
    assert_eq!(row.decision, "exact gpt-4 free,x->gpt-4-free 1/2 r0 f0");
    assert!(row.started >= before);
}

#[tokio::test]
async fn a_row_tells_retries_fallbacks_and_refusals() {
    let settings = json!({"router_settings": {"num_retries": 1, "fallbacks": [{"g": ["f"]}], "disable_cooldowns": true}});
    let rig = Rig::new(&[("g", "a", &[]), ("f", "f1", &[]), ("f", "f2", &[])], &settings);
    rig.upstream.always("a", Reply::error(401));
    rig.upstream.reply_for("f1", Reply::error(500)).reply_for("f2", Reply::error(500));
    rig.chat("g", json!({})).await.unwrap_err();
    rig.chat("g", json!({})).await.unwrap();
    rig.chat("nope", json!({"tags": ["t"]})).await.unwrap_err();
    let rows = rig.records.rows();
    assert!(rows[0].decision.ends_with(" 2/2 r1 f1"), "{}", rows[0].decision);
    assert!(
        rows[1].decision.starts_with("exact f -->f") && rows[1].decision.ends_with(" 2/2 r0 f1"),
        "{rows:?}"
    );
    assert_eq!((rows[1].model.as_str(), rows[1].group.as_str()), ("g", "f"));
    assert_eq!(
        (rows[2].decision.as_str(), rows[2].model.as_str(), rows[2].status),
        ("none nope t", "nope", 400)
    );
}

#[tokio::test]
async fn the_end_user_is_the_one_of_the_dialect() {
    let upstream = FakeUpstream::start();
    let mut list = ["g", "c"].map(|group| deployment(group, group, &[], &upstream.base()));
    list[1]["litellm_params"]["model"] = json!("anthropic/c");
    let rig = Rig::of(upstream, &list, &json!({}));
    let body = json!({"model": "c", "messages": [], "max_tokens": 1, "user": "no", "metadata": {"user_id": "anna\0"}});
    let body = Bytes::from(body.to_string());
    let call = Call::read(Operation::Messages, HeaderMap::new(), body, None).unwrap();
    rig.router.call(&call).await.unwrap();
    rig.chat("g", json!({"user": "x".repeat(1000)})).await.unwrap();
    let users: Vec<_> = rig.records.rows().into_iter().map(|row| row.end_user.unwrap()).collect();
    assert_eq!(users, ["anna\u{fffd}".to_owned(), "x".repeat(256)]);
}

#[tokio::test]
async fn without_a_count_of_the_upstreams_there_is_an_estimate_and_it_says_so() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    let reply = json!({"model": "up", "choices": [{"message": {"content": "x".repeat(400)}}]});
    rig.upstream.otherwise(Reply::json(200, &reply));
    rig.chat("g", json!({"messages": [{"role": "user", "content": "y".repeat(4000)}]})).await.unwrap();
    let row = rig.records.row();
    assert!(row.estimated);
    let (input, output) = row.tokens().unwrap();
    assert!((1000..1010).contains(&input) && output == 100, "{input} {output}");
}

/// What Anthropic says first is its count of the prompt, and of an answer that has hardly begun.
#[tokio::test]
async fn a_message_left_in_the_middle_is_charged_for_what_came() {
    let upstream = FakeUpstream::start();
    let mut list = [deployment("g", "a", &[], &upstream.base())];
    list[0]["litellm_params"]["model"] = json!("anthropic/a");
    let rig = Rig::of(upstream, &list, &json!({}));
    let event = |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "up",
        "content": [], "usage": {"input_tokens": 50, "cache_read_input_tokens": 20, "output_tokens": 1}}});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "z".repeat(400)}});
    let begin =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let gate = Gate::shut();
    for operation in [Operation::Messages, Operation::ChatCompletions] {
        let frames = [start.clone(), begin.clone(), delta.clone(), json!({"type": "ping"})].map(event);
        rig.upstream.otherwise(Reply::frames(frames).hold_after(3, &gate));
        let purse = Purse::default();
        let body = json!({"model": "g", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 500, "stream": true});
        let call = Call::read(operation, HeaderMap::new(), Bytes::from(body.to_string()), None).unwrap();
        let call = call.by(purse.caller(), HeaderValue::from_static("c"));
        let AnswerBody::Stream(mut stream) = rig.router.call(&call).await.unwrap().body else { panic!() };
        let mut text = String::new();
        while !text.contains("zzz") {
            let data = stream.frame().await.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&data).unwrap());
        }
        drop(stream);
        let row = rig.records.rows().pop().unwrap();
        let usage = row.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (70, 20, 100), "{operation:?}");
        assert!(row.estimated && row.cut_short, "{operation:?}");
        assert_eq!(purse.settled().tokens, 170);
    }
}
