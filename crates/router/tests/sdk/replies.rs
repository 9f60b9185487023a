//! What an answer has: its body, who gave it, what it cost, what its provider leaves.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tagrail::{Embedding, Messages, Responses, TextCompletion, Window};
use tagrail_testkit::{FakeUpstream, Reply};

use crate::{ask, at, builder};

#[tokio::test]
async fn the_body_is_the_upstreams() {
    let upstream = FakeUpstream::start();
    let body = r#"{"id":"x","object":"chat.completion","created":1,"model":"theirs-2026","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"extra":null}"#;
    upstream.otherwise(Reply::whole("application/json", body));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let reply = router.completion(ask("g")).await.unwrap();
    assert_eq!(reply.bytes(), body);
    assert_eq!(reply.json().unwrap()["model"], "theirs-2026");
    assert_eq!(reply.text().as_deref(), Some("Hello"));

    #[derive(Deserialize)]
    struct Mine {
        created: u64,
    }
    assert_eq!(reply.parse::<Mine>().unwrap().created, 1);
}

#[tokio::test]
async fn tokens_are_counted_and_paid() {
    let upstream = FakeUpstream::start();
    let body =
        json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}});
    upstream.otherwise(Reply::json(200, &body));
    let list = [at(&upstream, "g", "a").price(0.001, 0.01), at(&upstream, "unlisted", "nobody-lists-this")];
    let router = builder().model_list(list).build().unwrap();
    let reply = router.completion(ask("g")).await.unwrap();
    let usage = reply.usage().unwrap();
    assert_eq!((usage.input, usage.output), (100, 10));
    assert!((reply.cost().unwrap() - 0.2).abs() < 1e-9, "{:?}", reply.cost());
    assert_eq!(router.completion(ask("unlisted")).await.unwrap().cost(), None, "no price is no zero");
}

#[tokio::test]
async fn an_address_of_the_calls_own_is_where_it_went() {
    let (upstream, elsewhere) = (FakeUpstream::start(), FakeUpstream::start());
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let own = || ask("g").param("api_key", "sk-mine");
    let there = own().param("api_base", elsewhere.base() + "?key=secret");
    assert_eq!(
        router.completion(there).await.unwrap().facts.api_base(),
        Some(elsewhere.base().as_str()),
        "and nothing that could be a key is shown of it"
    );
    let also = own().param("api_base", " ").param("base_url", elsewhere.base());
    assert_eq!(router.completion(also).await.unwrap().facts.api_base(), Some(elsewhere.base().as_str()));
    let here = own().param("api_base", "");
    assert_eq!(router.completion(here).await.unwrap().facts.api_base(), Some(upstream.base().as_str()));
    assert_eq!((upstream.requests().len(), elsewhere.requests().len()), (1, 2));
}

#[tokio::test]
async fn the_providers_limits_are_read() {
    let upstream = FakeUpstream::start();
    let limited = Reply::text("hi")
        .header("x-ratelimit-limit-requests", "500")
        .header("x-ratelimit-remaining-requests", "499")
        .header("x-ratelimit-reset-requests", "120ms")
        .header("x-ratelimit-remaining-tokens", "29000")
        .header("x-own", "as it came");
    upstream.otherwise(limited);
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let facts = router.completion(ask("g")).await.unwrap().facts;
    let limits = facts.rate_limits();
    let reset = Some(Duration::from_millis(120));
    assert_eq!(limits.requests, Window { limit: Some(500), remaining: Some(499), reset });
    assert_eq!(limits.tokens, Window { limit: None, remaining: Some(29_000), reset: None });
    assert_eq!(limits.retry_after, None);
    assert_eq!(facts.upstream_headers["x-own"], "as it came");
}

#[tokio::test]
async fn a_provider_that_refuses_says_its_limits_too() {
    let upstream = FakeUpstream::start();
    let refused = Reply::error(429).header("x-ratelimit-remaining-requests", "0").header("retry-after", "7");
    upstream.otherwise(refused);
    let router = builder().num_retries(0).model_list([at(&upstream, "g", "a")]).build().unwrap();
    let error = router.completion(ask("g")).await.unwrap_err();
    assert_eq!(error.rate_limits().requests.remaining, Some(0));
    assert_eq!(error.rate_limits().retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn the_facts_name_who_answered() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let facts = router.completion(ask("g")).await.unwrap().facts;
    assert_eq!((facts.deployment_id(), facts.model(), facts.provider()), ("a", "openai/a", Some("openai")));
    assert_eq!(facts.api_base(), Some(&*upstream.base()));
    assert_eq!((facts.attempts, facts.retries, facts.fallbacks), (1, 0, 0));
    assert!(facts.elapsed() >= facts.upstream_time && !facts.upstream_time.is_zero());
}

#[tokio::test]
async fn a_decision_is_a_line_too() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a").tags(["t"]), at(&upstream, "g", "b").tags(["u"])];
    let router = builder().model_list(list).tag_filtering(true).build().unwrap();
    let decision = router.completion(ask("g").tags(["t"])).await.unwrap().decision().unwrap();
    assert_eq!(decision.line(), "exact g t->a 1/2 r0 f0");
    assert_eq!(
        (decision.tags, decision.permitted, decision.group_size),
        (vec!["t".to_owned()], vec!["a".to_owned()], 2)
    );
}

#[tokio::test]
async fn every_api_is_asked_in_its_own_way() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::text("as said"));
    let claude = tagrail::Deployment::new("c", "anthropic/claude").api_base(upstream.url()).api_key("k");
    let router = builder().model_list([at(&upstream, "g", "a"), claude]).build().unwrap();
    let replies = [
        router.completion(ask("g").system("Be brief.").assistant("...")).await.unwrap(),
        router.text_completion(TextCompletion::new("g", "say")).await.unwrap(),
        router.responses(Responses::new("g", "say").instructions("Be brief.")).await.unwrap(),
        router.messages(Messages::new("c", 16).system("Be brief.").user("say")).await.unwrap(),
        router.completion(ask("c")).await.unwrap(),
    ];
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply.text().as_deref(), Some("as said"), "reply {number}");
    }
    let vectors = router.embedding(Embedding::new("g", vec!["one", "two"])).await.unwrap();
    assert!(vectors.json().unwrap()["data"][0]["embedding"].is_array(), "{:?}", vectors.bytes());
    let paths: Vec<_> = upstream.requests().into_iter().map(|request| request.path).collect();
    let expected = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages",
        "/v1/embeddings",
    ];
    assert_eq!(paths, expected);
}
