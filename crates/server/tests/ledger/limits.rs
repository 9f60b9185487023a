//! Limits over real sockets. Windows go by a clock that the test moves.

use serde_json::json;
use tagrail_server::Clock;
use tagrail_store::Timestamp;
use tagrail_testkit::{Client, FakeUpstream, Gate, Reply, Response, config_text, deployment};

use crate::rig::{CHAT, Server, chat, databases, priced, told};

fn standing() -> Clock {
    Clock::standing_at(Timestamp::parse("2026-11-21T19:42:48Z").unwrap())
}

/// Name by name what an answer says.
fn says(response: &Response, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(response.header(name), *value, "{name}: {:?}", response.headers);
    }
}

#[tokio::test]
async fn requests_per_minute_are_those_of_a_minute_from_the_first() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let clock = standing();
        let server = Server::start_at(&priced(&upstream), &database, clock.clone(), 1);
        let key = server.key(json!({"rpm_limit": 2, "tpm_limit": 1000})).await;
        let first = server.chat(&key).await;
        says(
            &first,
            &[
                ("x-litellm-key-rpm-limit", "2"),
                ("x-litellm-key-tpm-limit", "1000"),
                ("x-ratelimit-api_key-limit-requests", "2"),
                ("x-ratelimit-api_key-remaining-requests", "1"),
                ("x-ratelimit-api_key-limit-tokens", "1000"),
            ],
        );
        clock.advance(10_000);
        assert_eq!(server.chat(&key).await.status, 200);
        let refused = server.chat(&key).await;
        let hash = server.look(&format!("/key/info?key={key}")).await.json();
        let hash = hash["info"]["token"].as_str().map_or_else(|| sha(&key), str::to_owned);
        let text = format!(
            "Rate limit exceeded for api_key: {hash}. Limit type: requests. Current limit: 2, Remaining: 0. Limit resets at: 2026-11-21 19:43:48 UTC"
        );
        assert_eq!((refused.status, told(&refused)), (429, ("throttling_error".to_owned(), text)));
        says(
            &refused,
            &[
                ("retry-after", "50"),
                ("rate_limit_type", "requests"),
                ("reset_at", "2026-11-21 19:43:48 UTC"),
                ("x-litellm-key-rpm-limit", "2"),
                ("x-ratelimit-api_key-remaining-requests", "0"),
            ],
        );
        clock.advance(50_000);
        assert_eq!(server.chat(&key).await.status, 200);
        assert!(
            server
                .look("/metrics")
                .await
                .text()
                .contains("tagrail_over_limit_total{limit=\"requests\",of=\"api_key\"} 1")
        );
    }
}

fn sha(key: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn tokens_are_reserved_before_the_call_and_corrected_after_it() {
    let upstream = FakeUpstream::start();
    let (_home, [database, _]) = databases();
    let server = Server::start_at(&priced(&upstream), &database, standing(), 1);
    let key = server.key(json!({"tpm_limit": 1})).await;
    assert_eq!(told(&server.chat(&key).await).0, "throttling_error", "an estimate is refused up front");
    assert!(upstream.requests().is_empty());
    // A reply has 12 tokens; a request that says nothing may have 1024.
    let key = server.key(json!({"tpm_limit": 1100})).await;
    let mut long = chat("m");
    long["max_tokens"] = json!(1060);
    assert_eq!(server.post(CHAT, &key, &long).await.status, 200);
    assert_eq!(server.post(CHAT, &key, &long).await.status, 200);
    long["max_tokens"] = json!(1090);
    let refused = server.post(CHAT, &key, &long).await;
    assert_eq!(refused.status, 429);
    assert!(told(&refused).1.contains("this call may need 1092 tokens"), "{}", refused.text());
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends() {
    let upstream = FakeUpstream::start();
    let (_home, [database, _]) = databases();
    let server = Server::start_at(&priced(&upstream), &database, standing(), 2);
    let key = server.key(json!({"max_parallel_requests": 1})).await;
    let gate = Gate::shut();
    upstream.reply(Reply::default().hold_after(2, &gate));
    let mut body = chat("m");
    body["stream"] = json!(true);
    let mut first = Client::connect(server.address).await;
    first.post(CHAT, &[("authorization", &format!("Bearer {key}"))], &body).await;
    assert_eq!(first.head().await.status, 200);
    let refused = server.chat(&key).await;
    let (kind, message) = told(&refused);
    assert_eq!((refused.status, kind.as_str()), (429, "throttling_error"));
    assert!(
        message.contains("Limit type: max_parallel_requests. Current limit: 1, Remaining: 0."),
        "{message}"
    );
    gate.open();
    first.body().await;
    assert_eq!(server.chat(&key).await.status, 200);
    // A client that leaves gives its place back, too.
    let gate = Gate::shut();
    upstream.reply(Reply::default().hold_after(2, &gate));
    let mut second = Client::connect(server.address).await;
    second.post(CHAT, &[("authorization", &format!("Bearer {key}"))], &body).await;
    assert_eq!(second.head().await.status, 200);
    second.reset();
    let asked = |server: &Server| {
        let (address, key) = (server.address, key.clone());
        async move {
            let bearer = format!("Bearer {key}");
            tagrail_testkit::post(address, CHAT, &[("authorization", &bearer)], &chat("m")).await
        }
    };
    server
        .until("the place is free", async |server| {
            let response = asked(server).await;
            (response.status == 200, response.text())
        })
        .await;
}

#[tokio::test]
async fn teams_users_tags_and_models_have_limits_too() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start_at(&priced(&upstream), &database, standing(), 1);
        let team = server.team(json!({"team_id": "reds", "rpm_limit": 2})).await;
        let keys = [server.key(json!({"team_id": team})).await, server.key(json!({"team_id": team})).await];
        for key in &keys {
            let answered = server.chat(key).await;
            says(&answered, &[("x-ratelimit-team-limit-requests", "2"), ("x-litellm-key-rpm-limit", "")]);
        }
        assert!(
            told(&server.chat(&keys[0]).await).1.contains("exceeded for team: reds. Limit type: requests.")
        );

        let key = server.key(json!({"model_rpm_limit": {"m": 1}})).await;
        assert_eq!(server.chat(&key).await.status, 200);
        let (_, message) = told(&server.chat(&key).await);
        assert!(message.contains(&format!("exceeded for model_per_key: {}:m.", sha(&key))), "{message}");

        server.admin("/tag/new", json!({"name": "gold", "rpm_limit": 1})).await;
        let key = server.key(json!({})).await;
        let mut body = chat("m");
        body["tags"] = json!(["gold"]);
        assert_eq!(server.post(CHAT, &key, &body).await.status, 200);
        let refused = server.post(CHAT, &key, &body).await;
        assert!(told(&refused).1.contains("exceeded for tag: gold."), "{}", refused.text());
        assert_eq!(server.chat(&key).await.status, 200);
        // A limit that is changed holds at once.
        server.admin("/tag/update", json!({"name": "gold", "rpm_limit": 5})).await;
        assert_eq!(server.post(CHAT, &key, &body).await.status, 200);
    }
}

#[tokio::test]
async fn no_alias_of_a_wildcards_name_gets_around_its_limit() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    let mut wild = deployment("w/*", "wild", &[], &upstream.base());
    wild["litellm_params"]["model"] = json!("openai/*");
    let more = json!({"router_settings": {"model_group_alias": {"nick": "w/x"}}});
    let config = config_text(&[wild], &more);
    for database in databases {
        let server = Server::start_at(&config, &database, standing(), 1);
        let made = json!({"model_rpm_limit": {"w/x": 1}, "aliases": {"own": "w/x", "owns": "nick"}});
        let key = server.key(made).await;
        assert_eq!(server.post(CHAT, &key, &chat("nick")).await.status, 200);
        for name in ["w/x", "nick", "own", "owns"] {
            let refused = server.post(CHAT, &key, &chat(name)).await;
            assert_eq!(refused.status, 429, "{name}: {}", refused.text());
        }
        assert_eq!(server.post(CHAT, &key, &chat("w/y")).await.status, 200);
    }
}

#[tokio::test]
async fn a_guessed_provider_is_no_way_around_a_limit_by_model() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    let mut wild = deployment("openai/*", "wild", &[], &upstream.base());
    wild["litellm_params"]["model"] = json!("openai/*");
    let config = config_text(&[wild], &json!({}));
    for database in databases {
        let server = Server::start_at(&config, &database, standing(), 1);
        for limited in ["openai/gpt-4o", "gpt-4o"] {
            let key = server.key(json!({"model_rpm_limit": {limited: 1}})).await;
            assert_eq!(server.post(CHAT, &key, &chat("gpt-4o")).await.status, 200, "{limited}");
            for name in ["gpt-4o", "openai/gpt-4o"] {
                assert_eq!(server.post(CHAT, &key, &chat(name)).await.status, 429, "{limited} {name}");
            }
            assert_eq!(server.post(CHAT, &key, &chat("gpt-4o-mini")).await.status, 200, "{limited}");
        }
    }
}
