//! Who is asked: tags, wildcards, aliases, fallbacks, retries, callers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tagrail::routing::{Resolution, RoutingMode};
use tagrail::{Caller, Completion, Deployment, Error, Fault};
use tagrail_testkit::{FakeUpstream, Reply};

use crate::{ask, at, builder};

#[tokio::test]
async fn tags_choose_among_deployments() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "free").tags(["free"]), at(&upstream, "g", "paid").tags(["paid"])];
    let router = builder().model_list(list).tag_filtering(true).build().unwrap();
    for _ in 0..8 {
        let reply = router.completion(ask("g").tags(["paid"])).await.unwrap();
        assert_eq!(reply.facts.deployment_id(), "paid");
        let plain = json!({"model": "g", "messages": [], "metadata": {"tags": ["free"]}});
        assert_eq!(router.completion(plain).await.unwrap().facts.deployment_id(), "free");
    }
    let sent = upstream.requests();
    assert!(sent.iter().all(|request| request.json().get("tags").is_none()), "tags stay here");
    let all_of_them = ask("g").tags(["paid", "free"]);
    let router = builder()
        .model_list([
            at(&upstream, "g", "free").tags(["free"]),
            at(&upstream, "g", "both").tags(["free", "paid"]),
        ])
        .tag_filtering(true)
        .match_any(false)
        .build()
        .unwrap();
    for _ in 0..8 {
        assert_eq!(router.completion(all_of_them.clone()).await.unwrap().facts.deployment_id(), "both");
    }
}

#[tokio::test]
async fn a_wildcard_passes_on_what_it_took() {
    let upstream = FakeUpstream::start();
    let deployment = Deployment::new("mine/*", "openai/its-*").api_base(upstream.base()).api_key("k").id("w");
    let router = builder().model_list([deployment]).build().unwrap();
    let reply = router.completion(ask("mine/small-7b")).await.unwrap();
    assert_eq!(reply.facts.model(), "openai/its-small-7b");
    assert_eq!(reply.facts.provider(), Some("openai"));
    assert_eq!(upstream.models(), ["its-small-7b"]);
    let decision = reply.decision().unwrap();
    assert_eq!((decision.found_by, &*decision.group), (Resolution::Wildcard, "mine/*"));
    assert_eq!(
        decision.to_string(),
        "mine/small-7b matches mine/*; without tags, 1 of 1 could answer (w); w did, after 0 retries"
    );
}

#[tokio::test]
async fn an_alias_stands_for_a_name() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).alias("other", "g").build().unwrap();
    let reply = router.completion(ask("other")).await.unwrap();
    assert_eq!(reply.facts.deployment_id(), "a");
    assert_eq!(
        reply.decision().unwrap().to_string(),
        "other stands for g; without tags, 1 of 1 could answer (a); a did, after 0 retries"
    );
    assert_eq!(router.model_names(), ["other", "g"]);
}

#[tokio::test]
async fn fallbacks_answer_for_whoever_does_not() {
    let upstream = FakeUpstream::start();
    upstream.always("a", Reply::error(500)).always("b", Reply::error(500));
    let list = [at(&upstream, "g", "a"), at(&upstream, "h", "b"), at(&upstream, "i", "c")];
    let router =
        builder().model_list(list.clone()).num_retries(0).fallbacks("g", ["h", "i"]).build().unwrap();
    let reply = router.completion(ask("g")).await.unwrap();
    assert_eq!(upstream.models(), ["a", "b", "c"]);
    assert_eq!((reply.facts.deployment_id(), &*reply.facts.group), ("c", "i"));
    assert_eq!((reply.facts.fallbacks, reply.facts.attempts), (2, 3));
    let text = reply.decision().unwrap().to_string();
    assert!(text.starts_with("g did not answer, i did: i is a model_name"), "{text}");
    assert!(router.completion(ask("g").disable_fallbacks()).await.is_err());
    let asked = router.completion(ask("h").fallbacks(["i"])).await.unwrap();
    assert_eq!(asked.facts.deployment_id(), "c", "the call may name its own");
    let router = builder().model_list(list).default_fallbacks(["i"]).build().unwrap();
    let unknown = router.completion(ask("nobody-has-this")).await.unwrap();
    assert_eq!(unknown.facts.deployment_id(), "c", "the default ones are for unknown names too");
}

#[tokio::test]
async fn special_fallbacks_answer_for_special_failures() {
    let upstream = FakeUpstream::start();
    let refusal = |code: &str| {
        Reply::json(400, &json!({"error": {"message": "no", "type": "invalid_request_error", "code": code}}))
    };
    upstream
        .reply_for("a", refusal("context_length_exceeded"))
        .reply_for("a", refusal("content_policy_violation"));
    let list = [at(&upstream, "g", "a"), at(&upstream, "long", "b"), at(&upstream, "lenient", "c")];
    let router = builder()
        .model_list(list)
        .context_window_fallbacks("g", ["long"])
        .content_policy_fallbacks("g", ["lenient"])
        .build()
        .unwrap();
    assert_eq!(router.completion(ask("g")).await.unwrap().facts.deployment_id(), "b");
    assert_eq!(router.completion(ask("g")).await.unwrap().facts.deployment_id(), "c");
}

#[tokio::test]
async fn another_deployment_is_tried_at_once() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a").order(1), at(&upstream, "g", "b").order(2)];
    upstream.always("a", Reply::error(500));
    let router = builder().model_list(list).num_retries(0).build().unwrap();
    let reply = router.completion(ask("g")).await.unwrap();
    assert_eq!((reply.facts.deployment_id(), reply.facts.attempts), ("b", 2));

    let list = [at(&upstream, "g", "a"), at(&upstream, "g", "b")];
    let router = builder().model_list(list).disable_cooldowns(true).build().unwrap();
    let mut retried = 0;
    for _ in 0..32 {
        let reply = router.completion(ask("g").num_retries(1)).await.unwrap();
        assert_eq!(reply.facts.deployment_id(), "b");
        assert_eq!(reply.facts.attempts, reply.facts.retries + 1);
        assert_eq!(reply.decision().unwrap().permitted, ["a", "b"]);
        retried += reply.facts.retries;
    }
    assert!(retried > 0, "of two equals the broken one is tried first now and then");
}

#[tokio::test]
async fn a_caller_reaches_what_is_reserved_for_it() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a").tags(["team-a"]), at(&upstream, "g", "b").tags(["team-b"])];
    let router = builder()
        .model_list(list)
        .tag_filtering(true)
        .reserved_tags(["team-a", "team-b"])
        .routing_mode(RoutingMode::Tagrail)
        .build()
        .unwrap();
    let mine = || Caller::confined().team_tags(["team-a"]);
    let reply = router.completion(ask("g").caller(mine())).await.unwrap();
    assert_eq!(reply.facts.deployment_id(), "a");
    let error = router.completion(ask("g").tags(["team-b"]).caller(mine())).await;
    let served: BTreeSet<String> = upstream.models().into_iter().collect();
    assert!(!served.contains("b"), "another team's tag opens nothing");
    assert!(error.is_err() || error.unwrap().facts.deployment_id() == "a");
    let denied = router.completion(ask("g").caller(mine().key_models(["other"]))).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(_)), "{denied:?}");
    assert_eq!((denied.fault(), denied.status()), (Fault::Caller, 403));
    let aliased = Caller::confined().team_tags(["team-b"]).team_models(["mine"]).team_alias("mine", "g");
    assert_eq!(router.completion(ask("mine").caller(aliased)).await.unwrap().facts.deployment_id(), "b");
}

/// What a fallback was asked with is what it was decided by.
#[tokio::test]
async fn a_fallback_with_tags_of_its_own_is_decided_by_those() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a").tags(["x"]), at(&upstream, "h", "b").tags(["y"])];
    upstream.always("a", Reply::error(500));
    let router = builder().model_list(list).tag_filtering(true).num_retries(0).build().unwrap();
    let request = ask("g").tags(["x"]).param("fallbacks", json!([{"model": "h", "tags": ["y"]}]));
    let reply = router.completion(request).await.unwrap();
    let chosen = reply.decision().unwrap();
    assert_eq!((chosen.deployment.as_str(), chosen.tags), ("b", vec!["y".to_owned()]));
}

#[tokio::test]
async fn a_user_agent_is_matched() {
    let upstream = FakeUpstream::start();
    let list = [
        at(&upstream, "g", "a").tag_regex(["^User-Agent: robot"]),
        at(&upstream, "g", "b").tags(["default"]),
    ];
    let router = builder().model_list(list).tag_filtering(true).build().unwrap();
    assert_eq!(router.completion(ask("g").user_agent("robot/1")).await.unwrap().facts.deployment_id(), "a");
    assert_eq!(router.completion(ask("g").user_agent("human/1")).await.unwrap().facts.deployment_id(), "b");
}

#[tokio::test]
async fn an_explanation_is_of_the_same_request() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "free").tags(["free"]), at(&upstream, "g", "paid").tags(["paid"])];
    let router = builder().model_list(list).tag_filtering(true).build().unwrap();
    let explained = router.explain(&ask("g").tags(["paid"]).call().unwrap()).unwrap();
    assert_eq!(explained.to_json()["decision"]["permitted"], json!(["paid"]));
    assert!(upstream.requests().is_empty(), "nothing is sent");
    let plain = Completion::from(json!({"model": "g", "tags": ["paid"]}));
    assert_eq!(
        router.explain(&plain.call().unwrap()).unwrap().to_json()["decision"]["permitted"],
        json!(["paid"])
    );
}

/// One router for all of a program's runtimes, as a static one is for its tests: a connection is worked by the
/// runtime that it was opened on, and that one may be idle, or gone.
#[test]
fn a_router_serves_several_runtimes() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::default().header("connection", "keep-alive"));
    let router = builder().model_list([at(&upstream, "g", "a")]).num_retries(0).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let call = || router.completion(ask("g").deadline(Duration::from_secs(60)));
    let idle = runtime();
    idle.block_on(call()).unwrap();
    let other = runtime();
    other.block_on(call()).unwrap();
    other.block_on(call()).unwrap();
    drop(other);
    idle.block_on(call()).unwrap();
    runtime().block_on(call()).unwrap();
    assert_eq!(upstream.connections(), 3, "each runtime keeps its own");
}
