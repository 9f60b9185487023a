//! Who may call: keys in every header, and nobody but this machine without a master key.

use serde_json::json;
use tagrail_testkit::{Client, FakeUpstream, config_text, deployment, post};

use crate::gateway::{Gateway, KEY, chat, message};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn every_key_header_opens_with_the_right_key_and_with_no_other() {
    let upstream = FakeUpstream::start();
    let gateway =
        Gateway::tagged(&upstream, &json!({"general_settings": {"litellm_key_header_name": "x-my-key"}}));
    for (header, right) in [
        ("authorization", "Bearer sk-1234"),
        ("authorization", "bearer sk-1234"),
        ("x-litellm-api-key", "sk-1234"),
        ("x-litellm-api-key", "Bearer sk-1234"),
        ("x-api-key", "sk-1234"),
        ("api-key", "sk-1234"),
        ("x-goog-api-key", "sk-1234"),
        ("Ocp-Apim-Subscription-Key", "sk-1234"),
        ("x-my-key", "sk-1234"),
        ("x-my-key", "Bearer sk-1234"),
    ] {
        let response = post(gateway.address, CHAT, &[(header, right)], &chat("m")).await;
        assert_eq!(response.status, 200, "{header}: {right}: {}", response.text());
        let wrong = right.replace("1234", "wrong-key-Z0NQ");
        let response = post(gateway.address, CHAT, &[(header, &wrong)], &chat("m")).await;
        assert_eq!(response.status, 401, "{header}: {wrong}");
        let error = &response.json()["error"];
        assert_eq!(error["type"], "token_not_found_in_db");
        assert_eq!(error["param"], "key");
        assert_eq!(error["code"], "401");
        assert!(message(&response).contains("Received API Key = sk-...****, Key Hash (Token) =****."));
        for part in ["wrong-key", "Z0NQ"] {
            assert!(!response.text().contains(part), "{}", response.text());
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_says_why() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "Authentication Error, No api key passed in."),
        (&[("x-api-key", "")], "Authentication Error, No api key passed in."),
        (
            &[("authorization", "sk-1234")],
            "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.",
        ),
        (
            &[("authorization", "Bearer 1234")],
            "Authentication Error, LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.",
        ),
        (
            &[("x-api-key", "hello")],
            "Authentication Error, LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.",
        ),
    ];
    for (headers, expected) in cases {
        for path in [CHAT, "/v1/messages", "/v1/responses"] {
            let response = post(gateway.address, path, headers, &chat("m")).await;
            assert_eq!(response.status, 401);
            let error = json!({"message": expected, "type": "auth_error", "param": "None", "code": "401"});
            assert_eq!(response.json(), json!({"error": error}), "{path} {headers:?}");
        }
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn of_several_headers_one_counts() {
    let upstream = FakeUpstream::start();
    let gateway =
        Gateway::tagged(&upstream, &json!({"general_settings": {"litellm_key_header_name": "x-my-key"}}));
    // Each beats all that follow it.
    let order = [
        "x-my-key",
        "x-litellm-api-key",
        "authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
    ];
    for pair in order.windows(2) {
        let right_first = [(pair[0], "Bearer sk-1234"), (pair[1], "Bearer sk-other-key-1")];
        let wrong_first = [(pair[0], "Bearer sk-other-key-1"), (pair[1], "Bearer sk-1234")];
        assert_eq!(post(gateway.address, CHAT, &right_first, &chat("m")).await.status, 200, "{pair:?}");
        assert_eq!(post(gateway.address, CHAT, &wrong_first, &chat("m")).await.status, 401, "{pair:?}");
    }
}

#[tokio::test]
async fn the_key_is_asked_for_before_the_body_is_looked_at() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut client = Client::connect(gateway.address).await;
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n").await;
    let response = client.head().await;
    assert_eq!(response.status, 401, "neither 100 nor 400");
    let response = post(gateway.address, CHAT, &[], &json!([1])).await;
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn a_refused_client_can_finish_writing_and_read_why() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut body = chat("m");
    body["padding"] = json!("x".repeat(12_000_000));
    let response = post(gateway.address, CHAT, &[], &body).await;
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn management_needs_the_key_and_probes_do_not() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    for path in ["/v1/models", "/v1/models/m", "/model/info", "/model_group/info", "/health", "/metrics"] {
        assert_eq!(gateway.send("GET", path, &[]).await.status, 401, "{path}");
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    assert_eq!(post(gateway.address, "/route/explain", &[], &chat("m")).await.status, 401);
    for path in ["/health/liveliness", "/health/liveness", "/health/readiness"] {
        assert_eq!(gateway.send("GET", path, &[]).await.status, 200, "{path}");
    }
}

/// A configuration without a master key.
fn open(upstream: &FakeUpstream) -> String {
    let text =
        config_text(&[deployment("m", "one", &[], &upstream.base())], &json!({"general_settings": null}));
    assert!(!text.contains("sk-1234"));
    text
}

#[tokio::test]
async fn without_a_master_key_any_key_or_none_will_do_on_this_machine() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&open(&upstream));
    for headers in [&[][..], &[("authorization", "Bearer whatever")], &[("x-api-key", "zzz")]] {
        let response = post(gateway.address, CHAT, headers, &chat("m")).await;
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

#[tokio::test]
async fn without_a_master_key_a_foreign_host_is_refused() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&open(&upstream));
    for host in ["evil.example", "evil.example:4000", "192.168.0.7:4000", "localhost.evil.example"] {
        let response = gateway.send("GET", "/v1/models", &[("host", host)]).await;
        assert_eq!(response.status, 403, "{host}");
        assert!(message(&response).contains("LITELLM_MASTER_KEY"), "{}", response.text());
        let probe = gateway.send("GET", "/health/liveliness", &[("host", host)]).await;
        assert_eq!(probe.status, 200, "{host}");
    }
    for host in ["localhost", "localhost:4000", "127.0.0.1:1", "[::1]:4000"] {
        assert_eq!(gateway.send("GET", "/v1/models", &[("host", host)]).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn pages_from_elsewhere_may_read_only_where_a_key_guards() {
    let upstream = FakeUpstream::start();
    let origin = ("origin", "https://app.example");
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let response = gateway.send("GET", "/v1/models", &[KEY, origin]).await;
    assert_eq!(response.header("access-control-allow-origin"), "*");
    let asked =
        [origin, ("access-control-request-method", "POST"), ("access-control-request-headers", "x-a, x-b")];
    let preflight = gateway.send("OPTIONS", CHAT, &asked).await;
    assert_eq!((preflight.status, preflight.text().as_str()), (200, "OK"));
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(preflight.header("access-control-max-age"), "600");
    assert_eq!(preflight.header("access-control-allow-headers"), "x-a, x-b");

    let gateway = Gateway::start(&open(&upstream));
    let preflight = gateway.send("OPTIONS", CHAT, &asked).await;
    assert_eq!(preflight.status, 403);
    assert!(preflight.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn without_a_master_key_no_page_from_elsewhere_spends_anything() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&open(&upstream));
    for foreign in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "http://localhost.evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:3000"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        let response = post(gateway.address, CHAT, foreign, &chat("m")).await;
        assert_eq!(response.status, 403, "{foreign:?}");
        assert!(message(&response).contains("general_settings.master_key"), "{}", response.text());
    }
    assert!(upstream.requests().is_empty());
    for own in [
        &[("origin", "http://localhost:3000")][..],
        &[("origin", "https://127.0.0.1")],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
    ] {
        let response = post(gateway.address, CHAT, own, &chat("m")).await;
        assert_eq!(response.status, 200, "{own:?}");
        assert!(!response.headers.contains_key("access-control-allow-origin"));
    }
    let keyed = Gateway::tagged(&upstream, &json!({}));
    let page = [KEY, ("origin", "https://app.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(post(keyed.address, CHAT, &page, &chat("m")).await.status, 200);
}

#[tokio::test]
async fn without_a_master_key_a_proxy_on_this_machine_brings_nobody_in() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&open(&upstream));
    let keyed = Gateway::tagged(&upstream, &json!({}));
    for header in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-real-ip",
        "via",
    ] {
        let response = gateway.send("GET", "/v1/models", &[(header, "127.0.0.1")]).await;
        assert_eq!(response.status, 403, "{header}");
        assert!(message(&response).contains("proxy"), "{}", response.text());
        assert_eq!(keyed.send("GET", "/v1/models", &[KEY, (header, "127.0.0.1")]).await.status, 200);
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let upstream = FakeUpstream::start();
    for gateway in [Gateway::start(&open(&upstream)), Gateway::tagged(&upstream, &json!({}))] {
        let two = [KEY, ("host", "localhost"), ("host", "evil.example")];
        let response = gateway.send("GET", "/v1/models", &two).await;
        assert_eq!(response.status, 400);
        assert!(message(&response).contains("Host"), "{}", response.text());
    }
    let gateway = Gateway::start(&open(&upstream));
    let mut client = Client::connect(gateway.address).await;
    client.send("GET /v1/models HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.response().await.status, 400, "HTTP/1.1 names a host");
    let mut client = Client::connect(gateway.address).await;
    client.send("GET /v1/models HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200, "HTTP/1.0 need not");
    assert_eq!(gateway.send("GET", "http://evil.example/v1/models", &[]).await.status, 403);
    assert_eq!(gateway.send("GET", "http://localhost:1/v1/models", &[]).await.status, 200);
}
