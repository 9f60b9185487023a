//! What a caller's limits see of a call: reserved before anything is sent, extended where it gets dearer,
//! settled once however it ends.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tagrail::{AnswerBody, Refusal};
use tagrail_testkit::{FakeUpstream, Gate, Reply, deployment};

use crate::books::{Asked, Purse};
use crate::rig::{Rig, served};

/// Group `g` with the deployments given as (id, dollars per token, order), which falls back on `f`.
fn priced(deployments: &[(&str, f64, u32)], more: &Value) -> Rig {
    let upstream = FakeUpstream::start();
    let one = |group: &str, id: &str, price: f64, order: u32| {
        let mut one = deployment(group, id, &[], &upstream.base());
        let params = one["litellm_params"].as_object_mut().unwrap();
        params.insert("input_cost_per_token".into(), json!(price));
        params.insert("output_cost_per_token".into(), json!(price));
        params.insert("order".into(), json!(order));
        one
    };
    let mut list: Vec<_> =
        deployments.iter().map(|(id, price, order)| one("g", id, *price, *order)).collect();
    list.push(one("f", "f", 5.0, 1));
    let mut settings = json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["f"]}]}});
    settings.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    Rig::of(upstream, &list, &settings)
}

/// Tokens and dollars of the reservation.
fn reserved(purse: &Purse) -> (u64, Option<f64>) {
    match &purse.asked()[0] {
        Asked::Reserved { tokens, cost, .. } => (*tokens, *cost),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_is_reserved_by_its_estimate_and_settled_by_its_usage() {
    let rig = priced(&[("a", 0.5, 1)], &json!({}));
    let purse = Purse::default();
    let more = json!({"max_tokens": 7, "tags": ["t"]});
    rig.chat_as(&purse.caller(), "g", more).await.unwrap();
    let Asked::Reserved { model, tags, tokens, cost } = &purse.asked()[0] else { panic!() };
    assert_eq!((model.as_str(), tags.as_slice()), ("g", ["t".to_owned()].as_slice()));
    assert!((40..120).contains(tokens), "7 of the answer, and the most of a short prompt: {tokens}");
    assert_eq!(*cost, Some(*tokens as f64 * 0.5));
    let used = purse.settled();
    assert_eq!((used.tokens, used.cost), (12, 6.0));
    assert_eq!(rig.records.row().cost, Some(6.0));
}

#[tokio::test]
async fn a_call_over_a_limit_is_not_sent_and_has_no_fallbacks() {
    let rig = priced(&[("a", 0.5, 1)], &json!({}));
    let purse = Purse { closed: vec!["g"], ..Purse::default() };
    let error = rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::OverLimit(_)), "{:?}", error.refusal);
    assert_eq!(purse.asked(), [Asked::Refused { model: "g".into() }]);
    assert!(rig.asked().is_empty());
    assert_eq!(rig.records.row().status, 429);
}

#[tokio::test]
async fn a_dearer_deployment_is_reserved_before_it_is_asked_and_a_cheaper_one_is_not() {
    for (second, extends) in [(0.5, false), (2.0, true)] {
        let rig = priced(&[("a", 1.0, 1), ("b", second, 2)], &json!({}));
        rig.upstream.always("a", Reply::error(500));
        let purse = Purse::default();
        rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap();
        let (tokens, _) = reserved(&purse);
        let extended = Asked::Extended { model: "g".into(), tokens, cost: Some(tokens as f64 * 2.0) };
        assert_eq!(purse.asked()[1] == extended, extends, "{:?}", purse.asked());
        assert_eq!(purse.settled().cost, 12.0 * second);
    }
}

#[tokio::test]
async fn a_retry_on_the_same_deployment_reserves_nothing_more() {
    let rig = priced(&[("a", 1.0, 1)], &json!({"router_settings": {"num_retries": 1}}));
    rig.upstream.reply(Reply::error(500));
    let purse = Purse::default();
    rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap();
    assert_eq!(purse.asked().len(), 2);
    assert_eq!(purse.settled().tokens, 12);
}

#[tokio::test]
async fn a_fallback_is_reserved_under_its_own_name() {
    let rig = priced(&[("a", 1.0, 1)], &json!({}));
    rig.upstream.always("a", Reply::error(500));
    let purse = Purse::default();
    assert_eq!(served(&rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap()), "f");
    assert!(
        matches!(&purse.asked()[1], Asked::Extended { model, .. } if model == "f"),
        "{:?}",
        purse.asked()
    );
    assert_eq!(purse.settled().cost, 60.0);
}

#[tokio::test]
async fn a_fallback_with_other_tags_is_reserved_under_those() {
    let rig = priced(&[("a", 1.0, 1)], &json!({}));
    rig.upstream.always("a", Reply::error(500));
    for (tags, again) in [(json!(["t"]), true), (json!(["u"]), false)] {
        let purse = Purse::default();
        let more = json!({"tags": ["u"], "fallbacks": [{"model": "f", "tags": tags}]});
        assert_eq!(served(&rig.chat_as(&purse.caller(), "g", more).await.unwrap()), "f");
        let asked = purse.asked();
        if again {
            let [Asked::Reserved { .. }, Asked::Lost, Asked::Reserved { tags, .. }, Asked::Settled(used)] =
                asked.as_slice()
            else {
                panic!("{asked:?}")
            };
            assert_eq!((tags.as_slice(), used.cost), (["t".to_owned()].as_slice(), 60.0));
        } else {
            assert_eq!(purse.settled().cost, 60.0, "the same tags: the same reservation");
        }
    }
}

#[tokio::test]
async fn a_limit_that_a_fallback_runs_into_ends_the_call_and_is_told() {
    let rig = priced(
        &[("a", 1.0, 1)],
        &json!({"router_settings": {"num_retries": 0, "fallbacks": [{"g": ["f", "h"]}]}}),
    );
    rig.upstream.always("a", Reply::error(500));
    let purse = Purse { closed: vec!["f"], ..Purse::default() };
    let error = rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::OverLimit(_)), "{:?}", error.refusal);
    assert_eq!(rig.asked(), ["a"]);
    assert_eq!((purse.settled().tokens, rig.records.row().status), (0, 429));
}

#[tokio::test]
async fn what_a_call_cost_is_recorded_before_its_reservation_is_let_go() {
    let rig = priced(&[("a", 1.0, 1)], &json!({}));
    let purse = Purse { records: Some(rig.records.clone()), ..Purse::default() };
    rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap();
    assert_eq!(purse.settled().tokens, 12);
}

#[tokio::test]
async fn an_error_gives_everything_back() {
    let rig = priced(&[("a", 1.0, 1)], &json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.otherwise(Reply::error(500));
    let purse = Purse::default();
    rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap_err();
    assert_eq!((purse.settled().tokens, purse.settled().cost), (0, 0.0));
}

#[tokio::test]
async fn a_stream_that_fails_before_anything_uses_nothing() {
    let rig = priced(&[("a", 1.0, 1)], &json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.otherwise(Reply::events(["{}"]).reset_after(0));
    let purse = Purse::default();
    rig.chat_as(&purse.caller(), "g", json!({"stream": true})).await.unwrap_err();
    assert_eq!((purse.settled().tokens, rig.records.row().usage), (0, None));
}

#[tokio::test]
async fn a_stream_is_settled_once_whether_it_is_read_left_or_broken() {
    let events = || Reply::events([piece("one two three four"), piece("five"), "[DONE]".to_owned()]);
    for (name, reply) in [("read", events()), ("left", events()), ("broken", events().reset_after(1))] {
        let rig = priced(&[("a", 1.0, 1)], &json!({}));
        let gate = Gate::shut();
        rig.upstream.otherwise(if name == "left" { reply.hold_after(1, &gate) } else { reply });
        let purse = Purse::default();
        let answer = rig.chat_as(&purse.caller(), "g", json!({"stream": true})).await.unwrap();
        let AnswerBody::Stream(mut stream) = answer.body else { panic!() };
        if name == "left" {
            stream.frame().await.unwrap().unwrap();
            drop(stream);
        } else {
            stream.collect().await.unwrap();
        }
        let (used, row) = (purse.settled(), rig.records.row());
        let (input, output) = row.tokens().unwrap();
        assert!(input > 0 && output == if name == "read" { 6 } else { 5 }, "{name}: {row:?}");
        assert_eq!((used.tokens, used.cost), (input + output, (input + output) as f64), "{name}");
        assert_eq!((row.estimated, row.cut_short), (true, name != "read"), "{name}");
    }
}

#[tokio::test]
async fn a_mocked_answer_counts_too() {
    for stream in [false, true] {
        let mut mock = deployment("g", "a", &[], "http://127.0.0.1:1/v1");
        mock["litellm_params"]["mock_response"] = json!("hello");
        mock["litellm_params"]["input_cost_per_token"] = json!(1.0);
        let rig = Rig::of(FakeUpstream::start(), &[mock], &json!({}));
        let purse = Purse::default();
        rig.chat_as(&purse.caller(), "g", json!({"stream": stream})).await.unwrap();
        assert_eq!((purse.settled().tokens, purse.settled().cost), (30, 10.0));
        assert_eq!(rig.records.rows().len(), 1);
    }
}

#[tokio::test]
async fn a_budget_is_not_spent_on_what_has_no_price() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    let purse = Purse { budget: true, ..Purse::default() };
    let error = rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap_err();
    assert!(matches!(&error.refusal, Refusal::Unpriced { model } if model == "g"), "{:?}", error.refusal);
    assert!(rig.asked().is_empty() && purse.asked().is_empty());
    let unlimited = Purse::default();
    rig.chat_as(&unlimited.caller(), "g", json!({})).await.unwrap();
    assert_eq!((reserved(&unlimited).1, unlimited.settled().cost), (None, 0.0));
}

#[tokio::test]
async fn a_fallback_price_is_charged_where_there_is_no_other() {
    let price = json!({"input_cost_per_token": 1.0, "output_cost_per_token": 2.0});
    let rig = Rig::new(&[("g", "a", &[])], &json!({"general_settings": {"fallback_price": price}}));
    let purse = Purse { budget: true, ..Purse::default() };
    rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap();
    assert_eq!(purse.settled().cost, 9.0 + 2.0 * 3.0);
}

#[tokio::test]
async fn a_deployment_without_a_price_is_passed_over_for_one_that_has_one() {
    let upstream = FakeUpstream::start();
    let mut list = ["free", "paid"].map(|id| deployment("g", id, &[], &upstream.base()));
    list[1]["litellm_params"]["input_cost_per_token"] = json!(1.0);
    let rig = Rig::of(upstream, &list, &json!({}));
    let purse = Purse { budget: true, ..Purse::default() };
    for _ in 0..8 {
        assert_eq!(served(&rig.chat_as(&purse.caller(), "g", json!({})).await.unwrap()), "paid");
    }
}

#[tokio::test]
async fn a_limit_by_model_sees_the_group_whichever_of_its_names_is_used() {
    let aliases = json!({"router_settings": {"model_group_alias": {"alias": "g"}}});
    let rig = priced(&[("a", 1.0, 1)], &aliases);
    let purse = Purse { closed: vec!["g"], ..Purse::default() };
    for name in ["g", "alias", "a", "openai/a"] {
        let error = rig.chat_as(&purse.caller(), name, json!({})).await.unwrap_err();
        assert!(matches!(error.refusal, Refusal::OverLimit(_)), "{name}: {:?}", error.refusal);
    }
    assert!(rig.asked().is_empty());
}

pub(crate) fn piece(text: &str) -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
           "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    .to_string()
}
