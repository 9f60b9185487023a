//! What is too big, too slow, or too much.

use serde_json::json;
use tagrail_testkit::{Client, FakeUpstream, Gate, Reply, config_text, deployment};

use crate::gateway::{Gateway, KEY, chat, message};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_however_it_is_framed() {
    let upstream = FakeUpstream::start();
    // About a kilobyte.
    let gateway = Gateway::tagged(&upstream, &json!({"general_settings": {"max_request_size_mb": 0.001}}));
    let mut body = chat("m");
    // More than sockets buffer: the client is still writing when the answer is known.
    body["padding"] = json!("x".repeat(12_000_000));
    let announced = gateway.post(CHAT, &body).await;
    assert_eq!(announced.status, 413);
    assert_eq!(announced.json()["error"]["type"], "invalid_request_error");
    assert!(message(&announced).contains("max_request_size_mb"));

    let mut client = Client::connect(gateway.address).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(format!("{head}200\r\n{0}\r\n200\r\n{0}\r\n200\r\n{0}\r\n", "x".repeat(0x200))).await;
    assert_eq!(client.response().await.status, 413);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_body_in_many_pieces_arrives_whole() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let mut body = chat("m");
    body["padding"] =
        json!((0..60_000).map(|digit| char::from(b'0' + (digit % 10) as u8)).collect::<String>());
    let text = body.to_string();
    let mut client = Client::connect(gateway.address).await;
    let mut request =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_owned();
    for piece in text.as_bytes().chunks(777) {
        request.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
    }
    client.send(format!("{request}0\r\n\r\n")).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(upstream.request().await.json()["padding"], body["padding"]);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_and_names_the_limit() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({"general_settings": {"request_arrival_timeout": 0.05}}));
    let mut client = Client::connect(gateway.address).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\ncontent-length: 99\r\n\r\n{";
    client.send(head).await;
    let response = client.response().await;
    assert_eq!(response.status, 408);
    assert!(message(&response).contains("0.05 seconds"), "{}", response.text());
    client.closed().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({"general_settings": {"request_arrival_timeout": 0.05}}));
    let mut client = Client::connect(gateway.address).await;
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost:").await;
    client.closed().await;
}

#[tokio::test]
async fn headers_beyond_the_limit_are_431() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let long = "x".repeat(70_000);
    let response = gateway.send("GET", "/v1/models", &[KEY, ("x-long", &long)]).await;
    assert_eq!(response.status, 431);
    assert!(message(&response).contains("65536"), "{}", response.text());
    let absurd = "x".repeat(200_000);
    assert_eq!(gateway.send("GET", "/v1/models", &[KEY, ("x-long", &absurd)]).await.status, 431);
    let many: Vec<_> = (0..150).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(gateway.send("GET", "/v1/models", &many).await.status, 431);
}

#[tokio::test]
async fn an_address_beyond_the_limit_is_414() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let long = format!("/v1/models/{}", "x".repeat(9000));
    assert_eq!(gateway.get(&long).await.status, 414);
    let absurd = format!("/v1/models/{}", "x".repeat(70_000));
    assert_eq!(gateway.get(&absurd).await.status, 414);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_replaces_an_idle_one_or_is_503() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.reply(Reply::text("first").hold(&gate));
    let gateway = Gateway::tagged(&upstream, &json!({"general_settings": {"max_connections": 1}}));
    let mut first = Client::connect(gateway.address).await;
    first.post(CHAT, &[KEY], &chat("m")).await;
    upstream.request().await;
    let mut second = Client::connect(gateway.address).await;
    second.post(CHAT, &[KEY], &chat("m")).await;
    let refused = second.response().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert!(message(&refused).contains("max_connections"));
    second.closed().await;
    gate.open();
    assert_eq!(first.response().await.status, 200);
    assert_eq!(upstream.requests().len(), 1, "the second was not served");
    let mut third = Client::connect(gateway.address).await;
    third.post(CHAT, &[KEY], &chat("m")).await;
    assert_eq!(third.response().await.status, 200);
    first.closed().await;
    let text = gateway.get("/metrics").await.text();
    assert!(text.contains(r#"tagrail_refused_requests_total{status="503"} 1"#), "{text}");
}

#[tokio::test]
async fn several_cores_share_the_port_and_the_limit() {
    let upstream = FakeUpstream::start();
    let text = config_text(
        &[deployment("m", "one", &[], &upstream.base())],
        &json!({"general_settings": {"max_connections": 2}}),
    );
    let gateway = Gateway::start_on(&text, 3);
    let gate = Gate::shut();
    let mut held = Vec::new();
    for _ in 0..2 {
        upstream.reply(Reply::text("held").hold(&gate));
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[KEY, ("connection", "close")], &chat("m")).await;
        upstream.request().await;
        held.push(client);
    }
    let mut third = Client::connect(gateway.address).await;
    third.post(CHAT, &[KEY, ("connection", "close")], &chat("m")).await;
    assert_eq!(third.response().await.status, 503, "two cores are full, and so is the third");
    gate.open();
    for mut client in held {
        assert_eq!(client.response().await.status, 200);
    }
    // Over whichever core a connection comes, all is counted in one place.
    for _ in 0..9 {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[KEY, ("connection", "close")], &chat("m")).await;
        assert_eq!(client.response().await.status, 200);
    }
    let counted = r#"deployment="one",status="200"} 11"#;
    assert!(gateway.get("/metrics").await.text().contains(counted));
}

#[tokio::test]
async fn requests_that_could_be_read_in_two_ways_are_refused() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\n";
    for rest in [
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "content-length: 5\r\nx: a\r\n b\r\n\r\nhello",
        "content-length: +5\r\n\r\nhello",
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.send(format!("{start}{rest}")).await;
        assert_eq!(client.head().await.status, 400, "{rest:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn codings_that_nobody_undoes_are_refused() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let body = chat("m").to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\n";
    for codings in
        ["transfer-encoding: gzip, chunked", "transfer-encoding: gzip\r\ntransfer-encoding: chunked"]
    {
        let mut client = Client::connect(gateway.address).await;
        client.send(format!("{start}{codings}\r\n\r\n{chunks}")).await;
        let response = client.response().await;
        assert_eq!(response.status, 501, "{codings}");
        assert!(message(&response).contains("chunked"), "{}", response.text());
    }
    for path in [CHAT, "/route/explain"] {
        for (encoding, status) in [("gzip", 415), ("br", 415), ("identity", 200)] {
            let headers = [KEY, ("content-encoding", encoding)];
            let response = tagrail_testkit::post(gateway.address, path, &headers, &chat("m")).await;
            assert_eq!(response.status, status, "{path} {encoding}");
            assert!(status == 200 || message(&response).contains(encoding), "{}", response.text());
        }
    }
}

#[tokio::test]
async fn a_request_with_two_lengths_is_answered_once_and_nothing_follows() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let body = chat("m").to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\n\r\n";
    let length = format!("content-length: {}\r\n", chunks.len() + smuggled.len());
    let chunked = "transfer-encoding: chunked\r\n".to_owned();
    for lengths in [[&length, &chunked], [&chunked, &length]] {
        let mut client = Client::connect(gateway.address).await;
        let [one, two] = lengths;
        let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-1234\r\n";
        client.send(format!("{start}{one}{two}\r\n{chunks}{smuggled}")).await;
        assert_eq!(client.response().await.status, 200, "the chunks count");
        assert_eq!(client.closed().await, "", "what follows may be anybody's");
    }
}

#[tokio::test]
async fn an_upgrade_is_never_switched_to() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let upgrade =
        [KEY, ("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")];
    let response = tagrail_testkit::post(gateway.address, CHAT, &upgrade, &chat("m")).await;
    assert_eq!(response.status, 200);
    assert!(!upstream.request().await.headers.contains_key("upgrade"));
}

#[tokio::test]
async fn the_path_alone_decides_whatever_host_it_is_asked_of() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let absolute = "http://elsewhere.example/v1/models";
    assert_eq!(gateway.send("GET", absolute, &[]).await.status, 401);
    assert_eq!(gateway.get(absolute).await.status, 200);
    for path in [
        "//v1/models",
        "/v1/../v1/models",
        "/v1/models;x",
        "/%76%31/models",
        "/health/liveliness/../../v1/models",
    ] {
        let response = gateway.send("GET", path, &[]).await;
        assert_eq!(response.status, 404, "{path}");
    }
}
