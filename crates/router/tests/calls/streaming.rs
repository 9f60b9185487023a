//! Streams: retried until the first byte, honest after it, and over when their client is.

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::json;
use tagrail::{Answer, AnswerBody, ReplyStream};
use tagrail_testkit::{Gate, Reply};

use crate::rig::{Rig, served};

fn stream(answer: Answer) -> Box<ReplyStream> {
    match answer.body {
        AnswerBody::Stream(stream) => stream,
        other => panic!("{other:?}"),
    }
}

fn chunk(text: &str) -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
           "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    .to_string()
}

fn rig() -> Rig {
    Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({"router_settings": {"num_retries": 1}}))
}

async fn text(stream: Box<ReplyStream>) -> String {
    let body: Bytes = stream.collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn chunks_carry_the_name_asked_for_and_nothing_else_changes() {
    let rig = rig();
    rig.upstream.otherwise(Reply::events([chunk("one"), chunk("two"), "[DONE]".to_owned()]));
    let answer = rig.chat("g", json!({"stream": true})).await.unwrap();
    let expected =
        [chunk("one"), chunk("two")].map(|data| format!("data: {}\n\n", data.replace("\"up\"", "\"g\"")));
    assert_eq!(text(stream(answer)).await, expected.concat() + "data: [DONE]\n\n");
    assert_eq!(rig.upstream.requests()[0].json()["stream_options"], json!({"include_usage": true}));
}

#[tokio::test]
async fn the_usage_that_only_the_gateway_asked_for_is_kept_back() {
    let rig = rig();
    let usage =
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
                       "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}})
        .to_string();
    rig.upstream.otherwise(Reply::events([chunk("one"), usage, "[DONE]".to_owned()]));
    let kept = text(stream(rig.chat("g", json!({"stream": true})).await.unwrap())).await;
    assert!(!kept.contains("prompt_tokens"), "{kept}");
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let told = text(stream(rig.chat("g", asked).await.unwrap())).await;
    assert!(told.contains("\"prompt_tokens\":7"), "{told}");
}

#[tokio::test]
async fn before_the_first_byte_another_deployment_is_tried() {
    let rig = rig();
    rig.upstream.reply(Reply::events([chunk("lost")]).reset_after(0));
    rig.upstream.otherwise(Reply::events([chunk("kept"), "[DONE]".to_owned()]));
    let answer = rig.chat("g", json!({"stream": true})).await.unwrap();
    assert_eq!(answer.facts.retries, 1);
    let text = text(stream(answer)).await;
    assert!(text.contains("kept") && !text.contains("lost"), "{text}");
}

#[tokio::test]
async fn after_the_first_byte_a_break_is_told_in_the_stream() {
    let rig = rig();
    rig.upstream.otherwise(Reply::events([chunk("one"), chunk("two")]).cut_after(1));
    let answer = rig.chat("g", json!({"stream": true})).await.unwrap();
    let id = served(&answer);
    let text = text(stream(answer)).await;
    let (sent, told) = text.split_once("\n\n").unwrap();
    assert!(sent.contains("one"));
    let error: serde_json::Value = serde_json::from_str(told.trim().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "500");
    assert!(!text.contains("[DONE]"));
    assert_eq!(rig.asked().len(), 1);
    assert_eq!(*rig.records.0.lock().unwrap(), [(id, 200, 1, true)]);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream_call() {
    let rig = rig();
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::events([chunk("one"), chunk("two")]).hold_after(1, &gate));
    let mut body = stream(rig.chat("g", json!({"stream": true})).await.unwrap());
    body.frame().await.unwrap().unwrap();
    drop(body);
    rig.upstream.exchange().await.closed().await;
    let records = rig.records.0.lock().unwrap();
    assert!(matches!(records.as_slice(), [(_, 200, 1, true)]), "{records:?}");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_ends_the_upstream_call() {
    let rig = rig();
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::text("late").hold(&gate));
    let router = rig.router.clone();
    let call =
        tokio::spawn(
            async move { router.call(&crate::rig::chat("g", json!({"stream": true}))).await.is_ok() },
        );
    let exchange = rig.upstream.exchange().await;
    call.abort();
    exchange.closed().await;
    assert!(call.await.unwrap_err().is_cancelled());
    let records = rig.records.0.lock().unwrap();
    assert!(matches!(records.as_slice(), [(_, 499, 1, true)]), "{records:?}");
}

#[tokio::test]
async fn a_stream_that_stalls_is_ended_with_an_error() {
    let rig = rig();
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::events([chunk("one"), chunk("two")]).hold_after(1, &gate));
    let answer = rig.chat("g", json!({"stream": true, "stream_timeout": 0.05})).await.unwrap();
    let text = text(stream(answer)).await;
    assert!(text.contains("one") && text.contains("\"code\":\"408\""), "{text}");
}

#[tokio::test]
async fn a_connection_read_to_its_end_is_used_again() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    rig.upstream.otherwise(Reply::default().header("connection", "keep-alive"));
    for _ in 0..3 {
        rig.chat("g", json!({})).await.unwrap();
        text(stream(rig.chat("g", json!({"stream": true})).await.unwrap())).await;
    }
    assert_eq!(rig.upstream.connections(), 1);
}

#[tokio::test]
async fn behind_the_last_event_nothing_is_told() {
    let gate = Gate::shut();
    for held in [true, false] {
        let rig = rig();
        let reply = Reply::events([chunk("one"), "[DONE]".to_owned()]);
        rig.upstream.otherwise(if held { reply.hold_after(2, &gate) } else { reply.reset_after(2) });
        let answer = rig.chat("g", json!({"stream": true, "stream_timeout": 0.05})).await.unwrap();
        let id = served(&answer);
        let text = text(stream(answer)).await;
        assert!(text.ends_with("}\n\ndata: [DONE]\n\n") && !text.contains("error"), "{text}");
        assert_eq!(*rig.records.0.lock().unwrap(), [(id, 200, 1, false)]);
    }
}

#[tokio::test]
async fn a_client_that_leaves_with_a_whole_reply_has_not_cut_it_short() {
    let rig = rig();
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::events([chunk("one"), "[DONE]".to_owned()]).hold_after(2, &gate));
    let mut body = stream(rig.chat("g", json!({"stream": true})).await.unwrap());
    let mut text = String::new();
    while !text.contains("[DONE]") {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    drop(body);
    let records = rig.records.0.lock().unwrap();
    assert!(matches!(records.as_slice(), [(_, 200, 1, false)]), "{records:?}");
}
