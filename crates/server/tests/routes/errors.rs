//! Errors as clients see them: status, shape and text by dialect.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Reply, config_text, deployment};

use crate::gateway::{Gateway, KEY, chat, message};

const CHAT: &str = "/v1/chat/completions";

fn litellm() -> Value {
    json!({"router_settings": {"routing_mode": "litellm", "num_retries": 0}})
}

fn tagged(model: &str, tags: &[&str]) -> Value {
    let mut body = chat(model);
    body["tags"] = json!(tags);
    body["max_tokens"] = json!(16);
    body
}

#[tokio::test]
async fn an_unknown_model_is_worded_by_whether_there_are_wildcards() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &litellm());
    let response = gateway.post(CHAT, &chat("zzz")).await;
    let text = "/chat/completions: Invalid model name passed in model=zzz. Call `/v1/models` to view available models for your key.";
    assert_eq!(response.status, 400);
    let error = json!({
        "message": text, "type": "invalid_request_error", "param": null, "code": "400",
        "provider_specific_fields": {"error": text},
    });
    assert_eq!(response.json(), json!({"error": error}));
    let missing = gateway.post(CHAT, &json!({"messages": []})).await;
    assert_eq!(missing.status, 400);
    assert!(message(&missing).contains("model=None"), "{}", missing.text());

    let wild = config_text(&[deployment("w/*", "one", &[], &upstream.base())], &litellm());
    let gateway = Gateway::start(&wild);
    let response = gateway.post(CHAT, &chat("zzz")).await;
    assert_eq!(response.status, 400);
    assert_eq!(
        message(&response),
        "litellm.BadRequestError: You passed in model=zzz. There are no healthy deployments for this model. Received Model Group=zzz\nAvailable Model Group Fallbacks=None"
    );
}

#[tokio::test]
async fn tags_that_do_not_match_are_401_in_each_dialect() {
    let upstream = FakeUpstream::start();
    let deployments = ["free", "paid"].map(|tag| deployment("m", tag, &[tag], &upstream.base()));
    let gateway = Gateway::start(&config_text(&deployments, &litellm()));
    let text =
        "Not allowed to access model due to tags configuration. Passed model=m and tags=['nope', '!x']";
    let response = gateway.post(CHAT, &tagged("m", &["nope", "!x"])).await;
    assert_eq!(response.status, 401);
    let error = json!({"message": text, "type": "internal_server_error", "param": null, "code": "401"});
    assert_eq!(response.json(), json!({"error": error}));
    assert_eq!(response.header("x-litellm-response-cost"), "0");
    assert_eq!(response.header("x-litellm-key-spend"), "0.0");
    assert!(!response.headers.contains_key("x-litellm-model-id"));

    let response = gateway.post("/v1/messages", &tagged("m", &["nope", "!x"])).await;
    assert_eq!(response.status, 401);
    let error = json!({"type": "authentication_error", "message": text});
    assert_eq!(response.json(), json!({"type": "error", "error": error}));
}

#[tokio::test]
async fn under_its_own_rules_a_refusal_says_what_helps() {
    let upstream = FakeUpstream::start();
    let deployments = ["free", "paid"].map(|tag| deployment("m", tag, &[tag], &upstream.base()));
    let gateway = Gateway::start(&config_text(&deployments, &json!({})));
    let response = gateway.post(CHAT, &tagged("m", &["nope"])).await;
    assert_eq!(response.status, 401);
    let text = message(&response);
    let litellms = "Not allowed to access model due to tags configuration. Passed model=m and tags=['nope']";
    assert!(text.starts_with(litellms), "{text}");
    assert!(text.contains("'free', 'paid'") && text.contains("/route/explain"), "{text}");
}

#[tokio::test]
async fn when_all_are_cooling_the_answer_says_when_to_come_back() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::error(429));
    let deployments = ["one", "two"].map(|id| deployment("m", id, &[], &upstream.base()));
    let more = json!({"router_settings": {"num_retries": 3, "cooldown_time": 600}});
    let gateway = Gateway::start(&config_text(&deployments, &more));
    assert_eq!(gateway.post(CHAT, &chat("m")).await.status, 429);
    let response = gateway.post(CHAT, &chat("m")).await;
    assert_eq!(response.status, 429);
    let error = &response.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("internal_server_error"), &json!("429")));
    let seconds = response.header("retry-after");
    assert!((1..=600).contains(&seconds.parse::<u64>().unwrap()), "{seconds}");
    let expected = format!(
        "No deployments available for selected model, Try again in {seconds} seconds. Passed model=m. pre-call-checks=False, cooldown_list=['one', 'two']"
    );
    assert!(message(&response).starts_with(&expected), "{}", response.text());
}

#[tokio::test]
async fn an_upstreams_refusal_is_passed_on_with_its_code_and_its_patience() {
    let upstream = FakeUpstream::start();
    let body = json!({"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}});
    upstream.otherwise(Reply::json(429, &body).header("retry-after", "12"));
    let more = json!({"router_settings": {"num_retries": 0, "fallbacks": [{"other": ["secret-group"]}]}});
    let gateway = Gateway::start(&config_text(&[deployment("m", "one", &[], &upstream.base())], &more));
    let response = gateway.post(CHAT, &chat("m")).await;
    assert_eq!(response.status, 429);
    assert_eq!(response.header("retry-after"), "12");
    assert_eq!(response.header("x-litellm-timeout"), "6000.0");
    let error = &response.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("throttling_error"), &json!("rate_limit_exceeded")));
    let text = message(&response);
    assert!(text.contains("slow down"), "{text}");
    assert!(text.ends_with(". Received Model Group=m\nAvailable Model Group Fallbacks=None"), "{text}");
    assert!(!text.contains("secret-group"));
}

#[tokio::test]
async fn statuses_keep_their_types() {
    let upstream = FakeUpstream::start();
    let more = json!({"router_settings": {"num_retries": 0, "disable_cooldowns": true}});
    let gateway = Gateway::start(&config_text(&[deployment("m", "one", &[], &upstream.base())], &more));
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (409, "invalid_request_error"),
        (413, "invalid_request_error"),
        (500, "internal_server_error"),
        (503, "internal_server_error"),
        (529, "internal_server_error"),
    ] {
        upstream.reply(Reply::json(status, &json!({"error": {"message": "no"}})));
        let response = gateway.post(CHAT, &chat("m")).await;
        assert_eq!(response.status, status);
        assert_eq!(response.json()["error"]["type"], kind, "{status}");
        assert_eq!(response.json()["error"]["code"], status.to_string());
    }
}

#[tokio::test]
async fn bodies_of_the_wrong_shape_are_400_and_name_the_field() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    for (body, param) in [
        (json!([1, 2]), "request_body"),
        (json!({"model": 7, "messages": []}), "model"),
        (json!({"model": "m", "messages": [], "tags": "free"}), "tags"),
        (json!({"model": "m"}), "messages"),
    ] {
        let response = gateway.post(CHAT, &body).await;
        assert_eq!(response.status, 400, "{body}: {}", response.text());
        assert_eq!(response.json()["error"]["param"], param, "{body}");
    }
    let response = gateway.post(CHAT, &json!({"model": "m"})).await;
    assert_eq!(message(&response), "/chat/completions: Missing required parameter: 'messages'.");
    let response = gateway.post("/v1/messages", &json!({"model": 7})).await;
    assert_eq!(response.json()["error"]["type"], "invalid_request_error");
    assert_eq!(response.json()["type"], "error");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn the_upstreams_key_is_in_no_error() {
    let upstream = FakeUpstream::start();
    let mut echoing = deployment("m", "one", &[], &upstream.base());
    echoing["litellm_params"]["extra_headers"] = json!({"x-gateway": "gateway-canary"});
    let more = json!({"router_settings": {"num_retries": 0, "disable_cooldowns": true}});
    let gateway = Gateway::start(&config_text(&[echoing], &more));
    let echo = "Authorization: Bearer sk-upstream, x-gateway: gateway-canary";
    for (status, body) in [
        (401, json!({"error": {"message": echo, "type": echo, "code": echo, "param": echo}})),
        (400, json!({"detail": echo})),
        (422, json!(echo)),
    ] {
        upstream.reply(Reply::json(status, &body));
        let response = gateway.post(CHAT, &chat("m")).await;
        assert_eq!(response.status, status, "{}", response.text());
        assert!(message(&response).contains("Authorization: Bearer ***"), "{}", response.text());
        for secret in ["sk-upstream", "gateway-canary"] {
            assert!(!response.text().contains(secret), "{}", response.text());
        }
    }
    let sent = upstream.request().await;
    assert_eq!(sent.header("authorization"), "Bearer sk-upstream");
    assert_eq!(sent.header("x-gateway"), "gateway-canary");
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_as_everything_else() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    for (path, part) in [
        ("/v1/models/%ff", "UTF-8"),
        ("/v1/models?return_wildcard_routes=1&return_wildcard_routes=1", "return_wildcard_routes"),
        ("/model/info?litellm_model_id=a&litellm_model_id=b", "litellm_model_id"),
        ("/model_group/info?model_group=a&model_group=b", "model_group"),
    ] {
        let response = gateway.get(path).await;
        assert_eq!(response.status, 400, "{path}");
        assert_eq!(response.json()["error"]["type"], "invalid_request_error", "{path}");
        assert!(message(&response).contains(part), "{}", response.text());
    }
}

#[tokio::test]
async fn a_groups_own_fallbacks_are_told_and_nobody_elses() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::error(400));
    let deployments = ["m", "n", "o"].map(|id| deployment(id, id, &[], &upstream.base()));
    let fallbacks = json!([{"m": ["n"]}, {"other": ["secret-group"]}]);
    let more = json!({"router_settings": {"num_retries": 0, "fallbacks": fallbacks}});
    let gateway = Gateway::start(&config_text(&deployments, &more));
    for (model, told) in [("m", "['n']"), ("o", "None")] {
        let text = message(&gateway.post(CHAT, &chat(model)).await);
        let end = format!(". Received Model Group={model}\nAvailable Model Group Fallbacks={told}");
        assert!(text.ends_with(&end) && !text.contains(".."), "{text}");
    }
}

#[tokio::test]
async fn a_sentence_that_ends_is_not_ended_again() {
    let refused = format!("http://{}", FakeUpstream::refused());
    let more = json!({"router_settings": {"num_retries": 0}});
    let gateway = Gateway::start(&config_text(&[deployment("m", "one", &[], &refused)], &more));
    let text = message(&gateway.post(CHAT, &chat("m")).await);
    assert!(text.contains("Connection error. Received"), "{text}");
}

#[tokio::test]
async fn a_name_whose_deployments_were_left_out_is_told_so() {
    let upstream = FakeUpstream::start();
    let mut broken = deployment("b", "broken", &[], &upstream.base());
    broken["litellm_params"]["tags"] = json!("not-a-list");
    let deployments = [deployment("m", "one", &[], &upstream.base()), broken];
    let gateway = Gateway::start(&config_text(&deployments, &json!({})));
    let text = message(&gateway.post(CHAT, &chat("b")).await);
    assert!(text.contains("left out of the configuration; `tagrail check`"), "{text}");
    assert!(!message(&gateway.post(CHAT, &chat("zzz")).await).contains("left out"));
    let gateway = Gateway::start(&config_text(&deployments, &litellm()));
    assert!(!message(&gateway.post(CHAT, &chat("b")).await).contains("left out"));
}

#[tokio::test]
async fn every_refusal_can_be_asked_after() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let long = "x".repeat(70_000);
    let id = ("x-litellm-call-id", "mine");
    for (method, path, headers, status) in [
        ("GET", "/nowhere", &[KEY, id][..], 404),
        ("GET", CHAT, &[KEY, id], 405),
        ("GET", "/v1/models", &[id, ("x-long", &long)], 431),
        ("GET", "/v1/models", &[id], 401),
    ] {
        let response = gateway.send(method, path, headers).await;
        assert_eq!((response.status, response.header("x-litellm-call-id")), (status, "mine"));
    }
    assert_eq!(gateway.get("/nowhere").await.header("x-litellm-call-id").len(), 36);
}

#[tokio::test]
async fn an_upstreams_patience_is_bounded() {
    let upstream = FakeUpstream::start();
    let more = json!({"router_settings": {"num_retries": 0, "disable_cooldowns": true}});
    let gateway = Gateway::start(&config_text(&[deployment("m", "one", &[], &upstream.base())], &more));
    for (sent, told) in [("18446744073709551615", "3600"), ("1e300", "3600"), ("3599.5", "3600"), ("7", "7")]
    {
        upstream.reply(Reply::error(429).header("retry-after", sent));
        assert_eq!(gateway.post(CHAT, &chat("m")).await.header("retry-after"), told, "{sent}");
    }
}

#[tokio::test]
async fn a_redirect_is_a_bad_gateway() {
    let upstream = FakeUpstream::start();
    let more = json!({"router_settings": {"num_retries": 0}});
    let gateway = Gateway::start(&config_text(&[deployment("m", "one", &[], &upstream.base())], &more));
    upstream
        .reply(Reply::whole("text/html", "moved").status(302).header("location", "https://evil.example/"));
    let response = gateway.post(CHAT, &chat("m")).await;
    assert_eq!(response.status, 502);
    assert!(message(&response).contains("status 302"), "{}", response.text());
    assert!(!response.headers.contains_key("location"));
}
