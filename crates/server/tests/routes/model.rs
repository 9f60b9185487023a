//! Calls of models: every path, what comes back, and the headers around it.

use serde_json::{Value, json};
use tagrail_testkit::{Client, FakeUpstream, Reply, Response, config_text, deployment, post};

use crate::gateway::{Gateway, KEY, chat};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn every_path_reaches_the_operation_it_names() {
    let upstream = FakeUpstream::start();
    let gateway =
        Gateway::start(&config_text(&[deployment("oa/x", "one", &[], &upstream.base())], &json!({})));
    for (path, body, expected) in [
        ("/v1/chat/completions", chat("oa/x"), "/v1/chat/completions"),
        ("/chat/completions", chat("oa/x"), "/v1/chat/completions"),
        ("/engines/oa%2Fx/chat/completions", chat("ignored"), "/v1/chat/completions"),
        ("/openai/deployments/oa/x/chat/completions?api-version=1", chat("ignored"), "/v1/chat/completions"),
        ("/v1/completions", json!({"model": "oa/x", "prompt": "hi"}), "/v1/completions"),
        ("/openai/deployments/oa/x/completions", json!({"prompt": "hi"}), "/v1/completions"),
        ("/embeddings", json!({"model": "oa/x", "input": "hi"}), "/v1/embeddings"),
        ("/openai/deployments/oa/x/embeddings", json!({"input": "hi"}), "/v1/embeddings"),
        ("/v1/responses", json!({"model": "oa/x", "input": "hi"}), "/v1/responses"),
        ("/responses", json!({"model": "oa/x", "input": "hi"}), "/v1/responses"),
    ] {
        let response = gateway.post(path, &body).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        let received = upstream.request().await;
        assert_eq!((received.path.as_str(), received.model().as_str()), (expected, "one"), "{path}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_say_what_is_allowed() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    for (method, path, allow) in [
        ("GET", CHAT, "POST"),
        ("HEAD", CHAT, "POST"),
        ("OPTIONS", "/v1/messages", "POST"),
        ("GET", "/engines/m/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("HEAD", "/health/liveliness", "GET"),
        ("HEAD", "/v1/models", "GET"),
        ("GET", "/route/explain", "POST"),
        ("HEAD", "/route/explain", "POST"),
    ] {
        let response = gateway.send(method, path, &[KEY]).await;
        assert_eq!((response.status, response.header("allow")), (405, allow), "{method} {path}");
        if method != "HEAD" {
            assert_eq!(response.json(), json!({"detail": "Method Not Allowed"}));
        }
    }
    for path in ["/messages", "/v1/nope", "/v1/chat/completions/"] {
        let response = gateway.post(path, &chat("m")).await;
        assert_eq!((response.status, response.json()), (404, json!({"detail": "Not Found"})), "{path}");
    }
}

#[tokio::test]
async fn a_reply_says_who_answered_and_what_it_cost() {
    let upstream = FakeUpstream::start();
    let mut priced = deployment("m", "one", &[], &format!("{}/", upstream.base()));
    priced["litellm_params"]["input_cost_per_token"] = json!(0.000_001);
    priced["litellm_params"]["output_cost_per_token"] = json!(0.000_002);
    let gateway = Gateway::start(&config_text(&[priced], &json!({})));
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12});
    let body = json!({"id": "x", "object": "chat.completion", "model": "up", "choices": [], "usage": usage});
    let reply = Reply::json(200, &body)
        .header("x-request-id", "req_1")
        .header("x-ratelimit-remaining-requests", "999")
        .header("set-cookie", "session=secret");
    upstream.reply(reply);
    let response = gateway.post(CHAT, &chat("m")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["model"], "m");
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-litellm-version", "1.102.4"),
        ("x-litellm-model-id", "one"),
        ("x-litellm-model-name", "openai/one"),
        ("x-litellm-model-group", "m"),
        ("x-litellm-attempted-retries", "0"),
        ("x-litellm-attempted-fallbacks", "0"),
        ("x-litellm-response-cost", "1.5e-05"),
        ("x-litellm-response-cost-original", "1.5e-05"),
        ("x-litellm-response-cost-input", "9e-06"),
        ("x-litellm-response-cost-output", "6e-06"),
        ("x-litellm-response-cost-discount-amount", "0.0"),
        ("x-litellm-response-cost-margin-amount", "0.0"),
        ("x-litellm-response-cost-margin-percent", "0.0"),
        ("x-litellm-response-cost-tool-usage", "0.0"),
        ("x-litellm-key-spend", "1.5e-05"),
        ("x-litellm-callback-duration-ms", "0.0"),
        ("x-ratelimit-remaining-requests", "999"),
        ("llm_provider-x-request-id", "req_1"),
        ("llm_provider-x-ratelimit-remaining-requests", "999"),
        ("vary", "Origin"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(response.header(name), value, "{name}");
    }
    assert_eq!(response.header("x-litellm-model-api-base"), format!("{}/", upstream.base()));
    assert!(!response.headers.contains_key("llm_provider-set-cookie"));
    assert!(!response.headers.contains_key("x-litellm-max-retries"));
    for name in ["x-litellm-response-duration-ms", "x-litellm-overhead-duration-ms"] {
        assert!(response.header(name).parse::<f64>().is_ok(), "{name}: {}", response.header(name));
    }
}

#[tokio::test]
async fn a_call_id_is_echoed_or_made() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let echoed = post(gateway.address, CHAT, &[KEY, ("x-litellm-call-id", "my call")], &chat("m")).await;
    assert_eq!(echoed.header("x-litellm-call-id"), "my call");
    let (one, two) = (gateway.post(CHAT, &chat("m")).await, gateway.post(CHAT, &chat("nope")).await);
    assert_eq!(one.header("x-litellm-call-id").len(), 36);
    assert_eq!(two.header("x-litellm-call-id").len(), 36);
    assert_ne!(one.header("x-litellm-call-id"), two.header("x-litellm-call-id"));
}

#[tokio::test]
async fn a_retry_is_counted_beside_its_limit() {
    let upstream = FakeUpstream::start();
    upstream.reply(Reply::error(500));
    let deployments = ["one", "two"].map(|id| deployment("m", id, &[], &upstream.base()));
    let gateway = Gateway::start(&config_text(&deployments, &json!({"router_settings": {"num_retries": 3}})));
    let response = gateway.post(CHAT, &chat("m")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-litellm-attempted-retries"), "1");
    assert_eq!(response.header("x-litellm-max-retries"), "3");
}

#[tokio::test]
async fn a_name_that_fits_no_header_is_percent_encoded() {
    let upstream = FakeUpstream::start();
    let gateway =
        Gateway::start(&config_text(&[deployment("grö\u{df}e/*", "one", &[], &upstream.base())], &json!({})));
    let response = gateway.post(CHAT, &chat("größe/a\nb")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-litellm-model-group"), "gr%C3%B6%C3%9Fe/a%0Ab");
}

#[tokio::test]
async fn tags_choose_the_deployment() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let with_tags = |tags: Value| {
        let mut body = chat("m");
        body["tags"] = tags;
        body
    };
    let id = |response: &Response| response.header("x-litellm-model-id").to_owned();
    assert_eq!(id(&gateway.post(CHAT, &with_tags(json!(["free"]))).await), "free");
    assert_eq!(id(&gateway.post(CHAT, &with_tags(json!(["paid"]))).await), "paid");
    assert_eq!(id(&gateway.post(CHAT, &chat("m")).await), "default");
    let header =
        post(gateway.address, CHAT, &[KEY, ("x-litellm-tags", "free,my-custom-tag")], &chat("m")).await;
    assert_eq!(id(&header), "free");
}

#[tokio::test]
async fn a_stream_has_the_headers_of_one_and_passes_through() {
    let upstream = FakeUpstream::start();
    upstream.reply(Reply::events([
        r#"{"id":"c","object":"chat.completion.chunk","model":"up","choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
        r#"{"id":"c","object":"chat.completion.chunk","model":"up","choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
        "[DONE]",
    ]));
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut body = chat("m");
    body["stream"] = json!(true);
    let response = gateway.post(CHAT, &body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("x-litellm-model-id", "default"),
        ("x-litellm-response-cost-original", "0.0"),
        ("x-litellm-key-spend", "0.0"),
    ] {
        assert_eq!(response.header(name), value, "{name}");
    }
    assert!(!response.headers.contains_key("x-litellm-response-cost"));
    let text = response.text();
    assert_eq!(text.matches(r#""model":"m""#).count(), 2, "{text}");
    assert!(text.contains(r#""content":"Hel""#) && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn anthropics_clients_get_the_gateways_headers_and_not_the_upstreams() {
    let upstream = FakeUpstream::start();
    let mut claude = deployment("claude", "one", &[], &upstream.url());
    claude["litellm_params"]["model"] = json!("anthropic/one");
    let gateway = Gateway::start(&config_text(&[claude], &json!({})));
    let mut body = chat("claude");
    body["max_tokens"] = json!(16);
    let response = gateway.post("/v1/messages", &body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["model"], "claude");
    assert_eq!(response.header("x-litellm-model-id"), "one");
    assert_eq!(response.header("x-litellm-model-name"), "anthropic/one");
    let mut names = response.headers.keys().map(http::HeaderName::as_str);
    assert!(names.all(|name| !name.starts_with("llm_provider-") && name != "x-litellm-model-api-base"));
    body["stream"] = json!(true);
    let response = gateway.post("/v1/messages", &body).await;
    assert_eq!(response.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(response.header("x-litellm-model-api-base"), upstream.url());
}

#[tokio::test]
async fn a_mocked_stream_is_a_stream() {
    let mut mocked = deployment("m", "one", &[], "http://127.0.0.1:9/v1");
    mocked["litellm_params"]["mock_response"] = json!("hello there");
    let gateway = Gateway::start(&config_text(&[mocked], &json!({})));
    let mut body = chat("m");
    body["stream"] = json!(true);
    let response = gateway.post(CHAT, &body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), "text/event-stream; charset=utf-8");
    assert!(response.text().ends_with("data: [DONE]\n\n"), "{}", response.text());
    assert!(!response.headers.contains_key("x-litellm-overhead-duration-ms"), "nothing to be slower than");
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_the_call_upstream() {
    let upstream = FakeUpstream::start();
    let gate = tagrail_testkit::Gate::shut();
    upstream.reply(Reply::text("late").hold(&gate));
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut client = Client::connect(gateway.address).await;
    let mut body = chat("m");
    body["stream"] = json!(true);
    client.post(CHAT, &[KEY], &body).await;
    let exchange = upstream.exchange().await;
    client.reset();
    exchange.closed().await;
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut client = Client::connect(gateway.address).await;
    for expected in [200, 400, 200] {
        client.post(CHAT, &[KEY], &chat(if expected == 200 { "m" } else { "nope" })).await;
        assert_eq!(client.response().await.status, expected);
    }
}
