//! Deployments that cool down, seen from the calls. The rules' arithmetic is tested in the scoreboard.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tagrail::routing::NoRoute;
use tagrail::{AnswerBody, Refusal};
use tagrail_testkit::{FakeUpstream, Gate, Reply, deployment};

use crate::rig::{Rig, served};

fn rate_limited() -> Reply {
    Reply::error(429).header("retry-after", "600")
}

#[tokio::test]
async fn a_rate_limited_deployment_rests_and_the_other_serves() {
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({}));
    rig.upstream.always("a", rate_limited());
    for _ in 0..20 {
        assert_eq!(served(&rig.chat("g", json!({})).await.unwrap()), "b");
    }
    let tries = rig.asked().iter().filter(|model| *model == "a").count();
    assert!(tries <= 1, "asked {tries} times while it cooled");
}

#[tokio::test]
async fn when_all_cool_the_caller_hears_until_when() {
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({}));
    rig.upstream.otherwise(rate_limited());
    rig.chat("g", json!({})).await.unwrap_err();
    let error = rig.chat("g", json!({})).await.unwrap_err();
    match error.refusal {
        Refusal::NoRoute(NoRoute::Cooling { retry_after_ms, cooling }) => {
            assert!((590_000..=600_000).contains(&retry_after_ms), "{retry_after_ms}");
            assert_eq!(cooling.len(), 2);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.asked().len(), 2);
}

#[tokio::test]
async fn a_lone_deployment_is_not_sent_away_for_its_rate_limit() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({"router_settings": {"num_retries": 0}}));
    rig.upstream.reply(rate_limited());
    rig.chat("g", json!({})).await.unwrap_err();
    rig.chat("g", json!({})).await.unwrap();
}

fn wildcard(mode: &str) -> Rig {
    let upstream = FakeUpstream::start();
    let list: Vec<Value> = ["a", "b"]
        .iter()
        .map(|id| {
            let mut one = deployment("w/*", id, &[], &upstream.base());
            one["litellm_params"]["model"] = json!("openai/*");
            one
        })
        .collect();
    Rig::of(upstream, &list, &json!({"router_settings": {"routing_mode": mode, "num_retries": 1}}))
}

#[tokio::test]
async fn behind_a_wildcard_only_the_concrete_model_cools() {
    let rig = wildcard("tagrail");
    rig.upstream.always("busy", rate_limited());
    rig.chat("w/busy", json!({})).await.unwrap_err();
    let error = rig.chat("w/busy", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::NoRoute(NoRoute::Cooling { .. })), "{:?}", error.refusal);
    assert_eq!(rig.asked().len(), 2);
    rig.chat("w/other", json!({})).await.unwrap();
}

#[tokio::test]
async fn behind_a_wildcard_a_refused_key_cools_every_model() {
    let rig = wildcard("tagrail");
    rig.upstream.always("locked", Reply::error(401));
    rig.chat("w/locked", json!({})).await.unwrap_err();
    let error = rig.chat("w/other", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::NoRoute(NoRoute::Cooling { .. })), "{:?}", error.refusal);
}

#[tokio::test]
async fn in_litellm_mode_wildcards_never_cool() {
    let rig = wildcard("litellm");
    rig.upstream.always("busy", Reply::error(429).header("retry-after", "0.001"));
    for _ in 0..3 {
        let error = rig.chat("w/busy", json!({})).await.unwrap_err();
        assert!(matches!(error.refusal, Refusal::Upstream(_)), "{:?}", error.refusal);
    }
    assert_eq!(rig.asked().len(), 6);
}

/// Reads streams of which every one breaks, until nobody may serve; gives their number.
async fn broken_streams(rig: &Rig, most: usize) -> usize {
    for count in 0..most {
        match rig.chat("g", json!({"stream": true})).await {
            Ok(answer) => match answer.body {
                AnswerBody::Stream(stream) => drop(stream.collect().await),
                other => panic!("{other:?}"),
            },
            Err(error) => match error.refusal {
                Refusal::NoRoute(NoRoute::Cooling { .. }) => return count,
                // The head came too late.
                Refusal::Upstream(error) if error.status == 408 => {}
                other => panic!("{other:?}"),
            },
        }
    }
    most
}

#[tokio::test]
async fn streams_that_stall_are_failures_and_not_successes() {
    let settings = json!({"router_settings": {"stream_timeout": 0.04}});
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &settings);
    let gate = Gate::shut();
    rig.upstream.otherwise(Reply::events(["{\"choices\":[]}", "[DONE]"]).hold_after(1, &gate));
    let count = broken_streams(&rig, 40).await;
    // On a busy machine a head may come too late as well, which is a failure without a stream.
    assert!((5..40).contains(&count), "five of each, and none counted as a success: {count}");
}

#[tokio::test]
async fn streams_that_are_cut_are_failures_that_never_cool() {
    let rig =
        Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({"router_settings": {"allowed_fails": 0}}));
    rig.upstream.otherwise(Reply::events(["{\"choices\":[]}", "[DONE]"]).cut_after(1));
    assert_eq!(broken_streams(&rig, 14).await, 14);
}
