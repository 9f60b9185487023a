//! Which failures are tried again, where, and how often.

use serde_json::json;
use tagrail_testkit::Reply;

use crate::rig::{Rig, served, whole};

fn two(more: serde_json::Value) -> Rig {
    Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &more)
}

#[tokio::test]
async fn a_failure_is_tried_on_the_other_deployment_first() {
    for _ in 0..8 {
        let rig = two(json!({"router_settings": {"num_retries": 1}}));
        rig.upstream.always("a", Reply::error(500));
        let answer = rig.chat("g", json!({})).await.unwrap();
        assert_eq!(served(&answer), "b");
        let first_failed = rig.asked()[0] == "a";
        assert_eq!(answer.facts.retries, u32::from(first_failed));
        assert_eq!(answer.facts.max_retries, first_failed.then_some(1));
        assert_eq!(whole(answer)["model"], "g");
    }
}

#[tokio::test]
async fn every_untried_deployment_comes_before_a_second_try() {
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[]), ("g", "c", &[])], &json!({}));
    rig.upstream.otherwise(Reply::error(500));
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 500);
    let mut asked = rig.asked();
    asked.sort();
    assert_eq!(asked, ["a", "b", "c"], "two retries, three deployments");
    assert_eq!(rig.records.0.lock().unwrap().len(), 1, "one outcome for one call");
}

#[tokio::test]
async fn the_callers_mistakes_are_not_tried_again() {
    for status in [400, 404, 422] {
        let rig = two(json!({}));
        rig.upstream.otherwise(Reply::error(status));
        let error = rig.chat("g", json!({})).await.unwrap_err();
        assert_eq!(error.refusal.status(), status);
        assert_eq!(rig.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_refused_key_is_tried_elsewhere_and_not_again() {
    let rig = two(json!({"router_settings": {"num_retries": 5}}));
    rig.upstream.otherwise(Reply::error(401));
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 401);
    let mut asked = rig.asked();
    asked.sort();
    assert_eq!(asked, ["a", "b"]);
}

#[tokio::test]
async fn rate_limits_end_when_everything_cools() {
    let rig = two(json!({"router_settings": {"num_retries": 5}}));
    rig.upstream.otherwise(Reply::error(429).header("retry-after", "30"));
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 429);
    assert_eq!(rig.asked().len(), 2, "one try each");
}

#[tokio::test]
async fn a_policy_overrides_the_number_in_both_directions() {
    let policy = json!({"router_settings": {"retry_policy":
        {"BadRequestErrorRetries": 1, "InternalServerErrorRetries": 0}}});
    let rig = two(policy.clone());
    rig.upstream.otherwise(Reply::error(400));
    rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(rig.asked().len(), 2);
    let rig = two(policy);
    rig.upstream.otherwise(Reply::error(500));
    rig.chat("g", json!({"num_retries": 4})).await.unwrap_err();
    assert_eq!(rig.asked().len(), 1);
}

#[tokio::test]
async fn a_group_can_have_a_policy_of_its_own() {
    let rig = two(json!({"router_settings": {"num_retries": 3,
        "model_group_retry_policy": {"g": {"InternalServerErrorRetries": 0}}}}));
    rig.upstream.otherwise(Reply::error(500));
    rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(rig.asked().len(), 1);
}

#[tokio::test]
async fn the_call_names_its_own_number() {
    let rig = two(json!({}));
    rig.upstream.otherwise(Reply::error(503));
    rig.chat("g", json!({"num_retries": 0})).await.unwrap_err();
    assert_eq!(rig.asked().len(), 1);
    assert!(rig.upstream.requests()[0].json().get("num_retries").is_none(), "a gateway's field stays here");
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    let rig = two(json!({"router_settings": {"num_retries": 1}}));
    rig.upstream.reply(Reply::reset());
    let answer = rig.chat("g", json!({})).await.unwrap();
    assert_eq!(answer.facts.retries, 1);
    assert_eq!(rig.asked().len(), 2);
}

#[tokio::test]
async fn a_request_that_was_sent_is_sent_again_only_as_a_retry() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({"router_settings": {"num_retries": 0}}));
    rig.chat("g", json!({})).await.unwrap();
    // The kept connection takes the request and is closed without an answer.
    rig.upstream.reply(Reply::raw(""));
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 500);
    assert_eq!(rig.asked().len(), 2, "the first call, and the second one once");
}

#[tokio::test]
async fn a_reply_that_is_no_json_is_a_failure() {
    let rig = two(json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.otherwise(Reply::whole("application/json", "{not json"));
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert!(error.refusal.status() >= 500, "{:?}", error.refusal);
}

#[tokio::test]
async fn a_retry_never_leaves_what_tags_permit() {
    let rig = Rig::new(
        &[("g", "eu", &["eu"]), ("g", "us", &["us"])],
        &json!({"router_settings": {"num_retries": 1}}),
    );
    rig.upstream.always("eu", Reply::error(500).header("retry-after", "0.001"));
    let error = rig.chat("g", json!({"tags": ["eu"]})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 500);
    assert_eq!(rig.asked(), ["eu", "eu"]);
}

#[tokio::test]
async fn a_further_order_is_tried_when_the_first_is_spent() {
    let upstream = tagrail_testkit::FakeUpstream::start();
    let ordered = |id: &str, order: i64| {
        let mut one = tagrail_testkit::deployment("g", id, &[], &upstream.base());
        one["litellm_params"]["order"] = json!(order);
        one
    };
    let list = [ordered("second", 2), ordered("first", 1)];
    let rig = Rig::of(upstream, &list, &json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.always("first", Reply::error(400));
    let answer = rig.chat("g", json!({})).await.unwrap();
    assert_eq!(served(&answer), "second");
    assert_eq!(rig.asked(), ["first", "second"]);
    assert_eq!(answer.facts.fallbacks, 1, "LiteLLM counts a further order as a fallback");
}

#[tokio::test]
async fn a_slow_deployment_times_out() {
    let gate = tagrail_testkit::Gate::shut();
    let rig = two(json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.otherwise(Reply::text("late").hold(&gate));
    let error = rig.chat("g", json!({"timeout": 0.05})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 408);
    assert_eq!(error.timeout, Some(std::time::Duration::from_millis(50)));
    rig.upstream.exchange().await.closed().await;
}
