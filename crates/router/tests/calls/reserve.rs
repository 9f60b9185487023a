//! What a call is charged that its client left, or whose upstream reports what cannot be.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tagrail::{AnswerBody, Call, Operation};
use tagrail_testkit::{FakeUpstream, Gate, Reply, deployment};
use tokio::task::JoinHandle;

use crate::admission::piece;
use crate::books::{Asked, Purse, Row};
use crate::rig::{Records, Rig, chat};

/// One deployment of `model` that costs a dollar for each token.
fn rig(model: &str, more: &Value) -> Rig {
    let upstream = FakeUpstream::start();
    let mut one = deployment("g", "a", &[], &upstream.base());
    let params = one["litellm_params"].as_object_mut().unwrap();
    params.insert("model".into(), json!(model));
    params.insert("input_cost_per_token".into(), json!(1.0));
    params.insert("output_cost_per_token".into(), json!(1.0));
    params.extend(more.as_object().cloned().unwrap_or_default());
    Rig::of(upstream, &[one], &json!({"router_settings": {"num_retries": 0}}))
}

fn start(rig: &Rig, purse: &Purse, more: Value) -> JoinHandle<bool> {
    let call = chat("g", more).by(purse.caller(), HeaderValue::from_static("c"));
    let router = rig.router.clone();
    tokio::spawn(async move { router.call(&call).await.is_ok() })
}

/// Waits until there are `count` rows.
async fn rows(records: &Arc<Records>, count: usize) -> Vec<Row> {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while records.rows().len() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{} rows of {count}", records.rows().len()));
    records.rows()
}

fn reserved(purse: &Purse) -> u64 {
    match &purse.asked()[0] {
        Asked::Reserved { tokens, .. } => *tokens,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_whole_answer_left_by_its_client_is_read_on_and_charged_by_its_usage() {
    let rig = rig("openai/a", &json!({}));
    let (gate, purse) = (Gate::shut(), Purse::default());
    rig.upstream.otherwise(Reply::text("late").hold(&gate));
    // A limit that no clock can say ends nothing.
    let task = start(&rig, &purse, json!({"timeout": 1e18}));
    rig.upstream.exchange().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(rig.records.rows().is_empty(), "the upstream is still at work");
    gate.open();
    let row = rows(&rig.records, 1).await.remove(0);
    assert_eq!((row.status, row.cut_short, row.estimated, row.tokens()), (499, true, false, Some((9, 3))));
    assert_eq!(purse.settled().tokens, 12);
}

#[tokio::test]
async fn what_cannot_be_read_on_is_charged_for_what_was_reserved() {
    let rig = rig("openai/a", &json!({}));
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::whole("application/json", "{}").content_length(9_999).hold(&gate));
    let purse = Purse::default();
    let task = start(&rig, &purse, json!({"max_tokens": 500}));
    rig.upstream.exchange().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gate.open();
    let row = rows(&rig.records, 1).await.remove(0);
    assert!(row.estimated && row.cut_short, "{row:?}");
    let used = purse.settled();
    assert_eq!((used.tokens, used.cost), (reserved(&purse), reserved(&purse) as f64));
    assert_eq!(row.tokens().unwrap().1, 500);
}

#[tokio::test]
async fn an_upstream_that_refuses_a_call_whose_client_left_is_not_paid() {
    let rig = rig("openai/a", &json!({}));
    let (gate, purse) = (Gate::shut(), Purse::default());
    rig.upstream.otherwise(Reply::error(500).hold(&gate));
    let task = start(&rig, &purse, json!({}));
    rig.upstream.exchange().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(rows(&rig.records, 1).await[0].usage, None);
    assert_eq!(purse.settled().tokens, 0);
}

#[tokio::test]
async fn no_more_than_64_abandoned_answers_are_read_on_and_all_are_charged() {
    let rig = rig("openai/a", &json!({}));
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::text("late").hold(&gate));
    // The master key's calls, which reserve nothing.
    let tasks: Vec<_> = (0..70)
        .map(|_| {
            let (router, call) = (rig.router.clone(), chat("g", json!({"max_tokens": 500})));
            tokio::spawn(async move { router.call(&call).await.is_ok() })
        })
        .collect();
    rig.upstream.exchanges(70).await;
    for task in tasks {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    let charged = rig.records.rows();
    assert_eq!(charged.len(), 6);
    assert!(charged.iter().all(|row| row.estimated && row.tokens().unwrap().1 == 500), "{charged:?}");
    gate.open();
    let read = rows(&rig.records, 70).await.split_off(6);
    assert!(read.iter().all(|row| row.tokens() == Some((9, 3)) && row.status == 499), "{read:?}");
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_charged_nothing() {
    let rig = rig("openai/a", &json!({"max_parallel_requests": 1}));
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::text("late").hold(&gate));
    let first = start(&rig, &Purse::default(), json!({}));
    rig.upstream.exchange().await;
    let purse = Purse::default();
    let second = start(&rig, &purse, json!({}));
    while purse.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!((rig.records.row().status, rig.records.row().usage), (499, None));
    assert_eq!(purse.settled().tokens, 0);
    gate.open();
    assert!(first.await.unwrap());
    assert_eq!(rig.asked().len(), 1);
}

#[tokio::test]
async fn an_attempt_that_the_callers_own_limit_ends_is_charged_and_counts_for_what_follows() {
    let rig = rig("openai/a", &json!({}));
    let gate = Gate::shut();
    rig.upstream.reply(Reply::text("late").hold(&gate));
    let purse = Purse::default();
    let more = json!({"timeout": 0.3, "max_tokens": 500, "num_retries": 1});
    rig.chat_as(&purse.caller(), "g", more).await.unwrap();
    let asked = purse.asked();
    let Asked::Extended { tokens, .. } = asked[1] else { panic!("{asked:?}") };
    assert_eq!(tokens, 2 * reserved(&purse));
    assert_eq!(purse.settled().tokens, reserved(&purse) + 12);
    assert!(rig.records.row().estimated);
}

#[tokio::test]
async fn an_attempt_that_the_operators_limit_ends_is_not_charged() {
    let rig = rig("openai/a", &json!({"timeout": 0.1}));
    let gate = Gate::shut();
    rig.upstream.reply(Reply::text("late").hold(&gate));
    let purse = Purse::default();
    rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap_err();
    assert_eq!(purse.settled().tokens, 0);
}

#[tokio::test]
async fn without_a_limit_the_longest_answer_is_reserved() {
    for (info, general, expected) in [
        (json!({}), json!({}), 16_384),
        (json!({}), json!({"default_max_output_tokens": 5_000}), 5_000),
        (json!({"max_output_tokens": 700}), json!({"default_max_output_tokens": 5_000}), 700),
    ] {
        let upstream = FakeUpstream::start();
        let mut one = deployment("g", "a", &[], &upstream.base());
        one["model_info"].as_object_mut().unwrap().extend(info.as_object().cloned().unwrap());
        let rig = Rig::of(upstream, &[one], &json!({"general_settings": general}));
        let purse = Purse::default();
        rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap();
        let tokens = reserved(&purse);
        assert!((expected..expected + 100).contains(&tokens), "{info}: {tokens}");
    }
}

fn event(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap())
}

/// The answer `TEXT` in each dialect, and behind it what counts its tokens: 50 and 7,000.
fn dialects() -> Vec<(Operation, &'static str, Vec<String>)> {
    let data = |value: Value| format!("data: {value}\n\n");
    let chunk = |choices: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "up", "choices": choices});
    let counted = json!({"id": "c", "model": "up", "choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 7_000}});
    let chat = vec![
        data(chunk(json!([{"index": 0, "delta": {"content": "TEXT"}, "finish_reason": null}]))),
        data(chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]))),
        data(counted),
        "data: [DONE]\n\n".to_owned(),
    ];
    let messages = vec![
        event(
            &json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
            "model": "up", "content": [], "usage": {"input_tokens": 50, "output_tokens": 1}}}),
        ),
        event(
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "TEXT"}}),
        ),
        event(&json!({"type": "content_block_stop", "index": 0})),
        event(
            &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7_000}}),
        ),
        event(&json!({"type": "message_stop"})),
    ];
    let responses = vec![
        event(&json!({"type": "response.output_text.delta", "item_id": "i", "delta": "TEXT"})),
        event(&json!({"type": "response.output_item.done", "item": {"type": "message"}})),
        event(&json!({"type": "response.completed", "response": {"id": "r", "model": "up",
            "usage": {"input_tokens": 50, "output_tokens": 7_000}}})),
    ];
    vec![
        (Operation::ChatCompletions, "openai/a", chat),
        (Operation::Messages, "anthropic/a", messages.clone()),
        (Operation::ChatCompletions, "anthropic/a", messages),
        (Operation::Responses, "openai/a", responses),
    ]
}

fn call(operation: Operation, purse: &Purse, limit: u64) -> Call {
    let mut body = json!({"model": "g", "stream": true});
    match operation {
        Operation::Responses => (body["input"], body["max_output_tokens"]) = (json!("hi"), json!(limit)),
        _ => {
            body["messages"] = json!([{"role": "user", "content": "hi"}]);
            body["max_tokens"] = json!(limit);
        }
    }
    let body = Bytes::from(body.to_string());
    let call = Call::read(operation, HeaderMap::new(), body, None).unwrap();
    call.by(purse.caller(), HeaderValue::from_static("c"))
}

/// Reads a stream until `text` has come, and leaves.
async fn leave_after(rig: &Rig, call: &Call, text: &str) {
    let AnswerBody::Stream(mut stream) = rig.router.call(call).await.unwrap().body else { panic!() };
    let mut read = String::new();
    while !read.contains(text) {
        let data = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        read.push_str(std::str::from_utf8(&data).unwrap());
    }
}

#[tokio::test]
async fn a_stream_left_behind_its_answer_is_read_on_for_its_count() {
    for (operation, model, frames) in dialects() {
        let rig = rig(model, &json!({}));
        let (gate, purse) = (Gate::shut(), Purse::default());
        let ends = |frame: &String| {
            ["finish_reason\":\"stop", "content_block_stop", "output_item.done"]
                .iter()
                .any(|end| frame.contains(end))
        };
        let before = frames.iter().position(ends).unwrap() + 1;
        // A translated stream shows the end of a block to nobody: the client leaves with the one before.
        let translated = operation == Operation::ChatCompletions && model == "anthropic/a";
        rig.upstream.otherwise(Reply::frames(frames.clone()).hold_after(before, &gate));
        let last = if translated {
            "TEXT"
        } else {
            ["\"stop\"", "content_block_stop", "output_item.done"]
                .into_iter()
                .find(|end| frames[before - 1].contains(end))
                .unwrap()
        };
        if translated {
            // All of it in one piece, so that what the client has seen is what the gateway has read.
            let whole = frames[..before].concat();
            let rest = frames[before..].iter().cloned();
            rig.upstream.otherwise(Reply::frames([whole].into_iter().chain(rest)).hold_after(1, &gate));
        }
        leave_after(&rig, &call(operation, &purse, 8_000), last).await;
        assert!(rig.records.rows().is_empty(), "{operation:?} {model}");
        gate.open();
        let row = rows(&rig.records, 1).await.remove(0);
        assert_eq!(row.tokens(), Some((50, 7_000)), "{operation:?} {model}");
        assert!(!row.estimated && row.cut_short, "{operation:?} {model}");
        assert_eq!(purse.settled().tokens, 7_050);
    }
}

#[tokio::test]
async fn a_stream_left_before_its_first_text_is_charged_for_the_reasoning_that_nobody_saw() {
    let role = json!({"id": "c", "model": "up", "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": null}]});
    for (more, output) in [
        (json!({"reasoning_effort": "high"}), 1_000),
        (json!({"reasoning_effort": "none"}), 0),
        // It is not known of the model.
        (json!({}), 1_000),
    ] {
        let (rig, gate, purse) = (rig("openai/a", &json!({})), Gate::shut(), Purse::default());
        rig.upstream.otherwise(Reply::events([role.to_string(), piece("late")]).hold_after(1, &gate));
        let mut body = json!({"stream": true, "max_tokens": 1_000});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let call = chat("g", body).by(purse.caller(), HeaderValue::from_static("c"));
        leave_after(&rig, &call, "assistant").await;
        assert_eq!(rig.records.row().tokens().unwrap().1, output, "{more}");
        assert!(purse.settled().tokens > output, "the prompt, too");
    }
}

#[tokio::test]
async fn a_stream_left_in_the_middle_is_charged_for_hidden_reasoning_within_the_limit() {
    for (effort, output) in [("low", 205), ("high", 805), ("none", 5)] {
        let (rig, gate, purse) = (rig("openai/a", &json!({})), Gate::shut(), Purse::default());
        rig.upstream
            .otherwise(Reply::events([piece("one two three four"), piece("late")]).hold_after(1, &gate));
        let body = json!({"stream": true, "max_tokens": 1_000, "reasoning_effort": effort});
        let call = chat("g", body).by(purse.caller(), HeaderValue::from_static("c"));
        leave_after(&rig, &call, "four").await;
        let row = rig.records.row();
        assert_eq!((row.tokens().unwrap().1, row.estimated), (output, true), "{effort}");
    }
}

/// Usage as upstreams report it that count wrongly, and what is charged for a limit of 100 tokens: (input, output) where they are the report's.
fn reports() -> Vec<(Value, Option<u64>, Option<u64>)> {
    let most = u64::MAX;
    vec![
        (json!({"prompt_tokens": 9, "completion_tokens": 2e14}), Some(9), None),
        (json!({"prompt_tokens": most, "completion_tokens": 3}), None, Some(3)),
        (json!({"prompt_tokens": -9, "completion_tokens": 3}), None, Some(3)),
        (json!({"prompt_tokens": 9, "completion_tokens": -3}), Some(9), None),
        (json!({"prompt_tokens": 9.5, "completion_tokens": 3}), None, Some(3)),
        (json!({"prompt_tokens": 9, "completion_tokens": "3"}), Some(9), None),
        (json!({"prompt_tokens": 9}), Some(9), None),
        (json!({"completion_tokens": 3}), None, Some(3)),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": most}}),
            Some(9),
            Some(3),
        ),
    ]
}

#[tokio::test]
async fn a_usage_that_cannot_be_is_bounded_or_estimated_and_passed_on_as_it_came() {
    for (usage, input, output) in reports() {
        for stream in [false, true] {
            let rig = rig("openai/a", &json!({}));
            let whole = json!({"id": "c", "model": "up", "choices": [{"message": {"content": "12345678"}, "finish_reason": "stop"}], "usage": usage});
            let mut last = json!({"id": "c", "model": "up", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            last["usage"] = usage.clone();
            rig.upstream.otherwise(if stream {
                Reply::events([piece("12345678"), last.to_string(), "[DONE]".to_owned()])
            } else {
                Reply::json(200, &whole)
            });
            let purse = Purse::default();
            let answer = rig
                .chat_as(&purse.caller(), "g", json!({"max_tokens": 100, "stream": stream}))
                .await
                .unwrap();
            let bytes = match answer.body {
                AnswerBody::Stream(stream) => stream.collect().await.unwrap().to_bytes(),
                AnswerBody::Whole(pieces) => pieces.concat().into(),
                other => panic!("{other:?}"),
            };
            let text = std::str::from_utf8(&bytes).unwrap();
            assert!(text.contains(&usage.to_string()), "{usage}: {text}");
            let row = rig.records.row();
            let charged = row.usage.unwrap();
            assert_eq!(row.estimated, input.is_none() || output.is_none(), "{usage} {row:?}");
            assert!(
                input.map_or((1..5_000).contains(&charged.input), |input| input == charged.input),
                "{usage} {row:?}"
            );
            assert!(
                output.map_or((1..200).contains(&charged.output), |output| output == charged.output),
                "{usage} {row:?}"
            );
            assert!(charged.cache_read <= charged.input);
            assert!(purse.settled().cost < 6_000.0);
        }
    }
}
