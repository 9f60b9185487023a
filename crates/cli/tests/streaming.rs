//! Streams, limits and addresses through real sockets: the built binary between a client that sees
//! every byte and an upstream that misbehaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod gateway;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagrail_testkit::{Client, ConnectProxy, FakeUpstream, Gate, Reply, ca_file, config_text, deployment};

use gateway::{Gateway, KEY, chat_body};

const CHAT: &str = "/v1/chat/completions";

fn config(base: &str, more: &Value) -> String {
    config_text(&[deployment("m", "up", &[], base)], more)
}

async fn stream(gateway: &Gateway) -> Client {
    let mut client = gateway.connect().await;
    client.post(CHAT, &[KEY], &chat_body("m", &json!({"stream": true}))).await;
    client
}

/// A chunk of a chat stream with its number and about `bytes` of text.
fn event(number: usize, bytes: usize) -> String {
    let delta = json!({"content": "x".repeat(bytes)});
    let choices = json!([{"index": 0, "delta": delta, "finish_reason": null}]);
    json!({"id": format!("n{number}"), "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices})
        .to_string()
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_upstream_and_costs_no_memory() {
    const GIGABYTE: usize = 1 << 30;
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    // What a first stream needs is not what is measured.
    stream(&gateway).await.response().await;
    upstream.exchange().await;
    let before = gateway.program.resident();

    upstream.reply(Reply::endless(format!("data: {}\n\n", event(0, 64 << 10))));
    let mut client = stream(&gateway).await;
    assert_eq!(client.head().await.status, 200);
    client.piece().await.unwrap();
    let exchange = upstream.exchange().await;
    exchange.blocked(Duration::from_millis(500)).await;
    let stopped = gateway.program.resident();
    assert!(stopped < before + (8 << 20), "it grew from {before} to {stopped}");

    let mut read = 0;
    while read < GIGABYTE {
        read += client.piece().await.unwrap().bytes.len();
    }
    exchange.blocked(Duration::from_millis(500)).await;
    let after = gateway.program.resident();
    assert!(after < before + (8 << 20), "it grew from {before} to {after}");
    drop(client);
    exchange.closed().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_upstream_call() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    let gate = Gate::shut();

    // In the middle of a stream that is quiet.
    upstream.reply(Reply::events([event(0, 1), event(1, 1)]).hold_after(1, &gate));
    let mut client = stream(&gateway).await;
    client.head().await;
    client.piece().await.unwrap();
    let exchange = upstream.exchange().await;
    assert!(!exchange.is_closed());
    drop(client);
    exchange.closed().await;

    // Before the first byte of the answer, with a reset.
    upstream.reply(Reply::default().hold(&gate));
    let client = stream(&gateway).await;
    let exchange = upstream.exchange().await;
    client.reset();
    exchange.closed().await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_of_a_stream_reads_on() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    let gate = Gate::shut();
    upstream.reply(Reply::events([event(0, 1), event(1, 1)]).hold_after(1, &gate));
    let mut client = stream(&gateway).await;
    client.head().await;
    // An event may come in several pieces.
    while !client.piece().await.unwrap().bytes.ends_with(b"\n\n") {}
    client.half_close().await;
    // What tells a client that reads on from one that has left.
    assert_eq!(client.piece().await.unwrap().bytes, ":\n\n");
    gate.open();
    let rest = client.body().await;
    assert!(String::from_utf8_lossy(&rest).contains("\"n1\""), "{rest:?}");
}

#[tokio::test]
async fn a_stream_in_flight_outlives_the_signal_to_stop() {
    let upstream = FakeUpstream::start();
    let mut gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    let gate = Gate::shut();
    upstream.reply(Reply::events([event(0, 1), event(1, 1), "[DONE]".to_owned()]).hold_after(1, &gate));
    let mut client = stream(&gateway).await;
    client.head().await;
    client.piece().await.unwrap();
    gateway.program.terminate();
    gateway.program.line("stopping");
    gate.open();
    let rest = String::from_utf8(client.body().await.to_vec()).unwrap();
    assert!(rest.contains("\"id\":\"n1\"") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    client.closed().await;
    let (status, lines) = gateway.program.end();
    assert!(status.success(), "{lines:#?}");
}

/// The one time that is asserted, of every chunk. With Nagle's algorithm a chunk waits for the
/// acknowledgement of the one before, which a client delays by 40 ms on a connection that goes back and
/// forth; it gives that up once it has waited, so the first chunks of every reply suffer. A machine that
/// is busy with something else delays one chunk now and then and not in every series; Nagle does in each.
#[tokio::test]
async fn every_chunk_of_a_paced_stream_arrives_at_once() {
    const SERIES: usize = 10;
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    let mut client = gateway.connect().await;
    let mut late = Vec::new();
    while late.len() < SERIES {
        match late_chunks(&upstream, &mut client).await {
            0 => return,
            some => late.push(some),
        }
    }
    panic!("in every series chunks took 20 ms and more: {late:?}");
}

/// How many chunks of a series of short streams took 20 ms or more.
async fn late_chunks(upstream: &FakeUpstream, client: &mut Client) -> usize {
    const STREAMS: usize = 10;
    const EVENTS: usize = 5;
    let mut late = 0;
    for _ in 0..STREAMS {
        let events = (0..EVENTS).map(|number| event(number, 20));
        upstream.reply(Reply::events(events).pace(Duration::from_millis(5)));
        client.post(CHAT, &[KEY], &chat_body("m", &json!({"stream": true}))).await;
        client.head().await;
        let mut arrivals: Vec<Instant> = Vec::new();
        while let Some(piece) = client.piece().await {
            let text = String::from_utf8(piece.bytes.to_vec()).unwrap();
            arrivals.extend(text.matches("\"id\":\"n").map(|_| piece.at));
        }
        assert_eq!(arrivals.len(), EVENTS);
        // The head is the first write.
        let writes = upstream.exchange().await.writes();
        let delays = writes[1..].iter().zip(&arrivals).map(|(write, arrival)| arrival.duration_since(*write));
        late += delays.filter(|delay| *delay >= Duration::from_millis(20)).count();
    }
    late
}

#[tokio::test]
async fn an_upstream_that_breaks_off_becomes_an_error_event() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    for reply in [
        Reply::events([event(0, 1), event(1, 1)]).cut_after(1),
        Reply::events([event(0, 1), event(1, 1)]).reset_after(1),
    ] {
        upstream.reply(reply);
        let response = stream(&gateway).await.response().await;
        assert_eq!(response.status, 200);
        let text = response.text();
        assert!(text.contains("\"id\":\"n0\""), "{text}");
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["error"]["code"], "500", "{text}");
        assert!(!text.contains("[DONE]"), "{text}");
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_413() {
    let upstream = FakeUpstream::start();
    let gateway =
        Gateway::start(&config(&upstream.base(), &json!({"general_settings": {"max_request_size_mb": 1}})));
    let mut client = gateway.connect().await;
    // The announced length is enough to refuse: nothing of the body is sent.
    client
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: {}\r\n{}: {}\r\ncontent-length: 2000000\r\n\r\n",
            gateway.address, KEY.0, KEY.1
        ))
        .await;
    let response = client.head().await;
    assert_eq!(response.status, 413);

    let mut client = gateway.connect().await;
    client
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: {}\r\n{}: {}\r\ntransfer-encoding: chunked\r\n\r\n",
            gateway.address, KEY.0, KEY.1
        ))
        .await;
    let chunk = format!("{:x}\r\n{}\r\n", 100_000, " ".repeat(100_000));
    for _ in 0..12 {
        if !client.try_send(&chunk).await {
            break;
        }
    }
    let response = client.response().await;
    assert_eq!(response.status, 413);
    assert!(response.json()["error"]["message"].as_str().unwrap().contains('1'), "{}", response.text());

    let fits = gateway.chat("m", &[], &json!({"user": "u".repeat(1_000_000)})).await;
    assert_eq!(fits.status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn headers_over_the_limit_are_431() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&config(&upstream.base(), &json!({})));
    for kilobytes in [70, 300] {
        let mut client = gateway.connect().await;
        let long = "x".repeat(kilobytes << 10);
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: {}\r\nx-long: {long}\r\n", gateway.address);
        client.try_send(format!("{head}content-length: 0\r\n\r\n")).await;
        assert_eq!(client.head().await.status, 431);
    }
}

#[tokio::test]
async fn a_request_that_does_not_arrive_is_given_up() {
    let upstream = FakeUpstream::start();
    let settings = json!({"general_settings": {"request_arrival_timeout": 0.3}});
    let gateway = Gateway::start(&config(&upstream.base(), &settings));
    let mut client = gateway.connect().await;
    client
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: {}\r\n{}: {}\r\ncontent-length: 500\r\n\r\n{{\"model\": ",
            gateway.address, KEY.0, KEY.1
        ))
        .await;
    assert_eq!(client.head().await.status, 408);
    client.closed().await;

    let mut client = gateway.connect().await;
    client.send(format!("POST {CHAT} HTTP/1.1\r\nhost: ")).await;
    client.closed().await;
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_upstream_with_a_private_authority_is_trusted_when_told_so() {
    let upstream = FakeUpstream::start_tls();
    let base = format!("https://localhost:{}/v1", upstream.address().port());
    let authority = ca_file();
    let trusting = [("SSL_CERT_FILE", authority.to_str().unwrap()), ("NO_PROXY", "*")];
    let gateway = Gateway::start_with(&config(&base, &json!({})), &trusting);
    let response = gateway.chat("m", &[], &json!({})).await;
    assert_eq!(response.status, 200, "{}", response.text());
    drop(gateway);

    let settings = json!({"router_settings": {"num_retries": 0}});
    let gateway = Gateway::start_with(&config(&base, &settings), &[("NO_PROXY", "*")]);
    let response = gateway.chat("m", &[], &json!({})).await;
    assert_eq!(response.status, 500, "{}", response.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn proxies_of_the_environment_are_used_and_left_out() {
    let upstream = FakeUpstream::start_tls();
    let proxy = ConnectProxy::start(upstream.address());
    let (authority, proxy_url) = (ca_file(), proxy.url());
    let trust = ("SSL_CERT_FILE", authority.to_str().unwrap());
    let through = [trust, ("HTTPS_PROXY", proxy_url.as_str()), ("NO_PROXY", "elsewhere.test")];
    // The name exists nowhere, so only the proxy can lead to it.
    let gateway = Gateway::start_with(&config("https://upstream.test/v1", &json!({})), &through);
    let response = gateway.chat("m", &[], &json!({})).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(proxy.asked(), ["upstream.test:443"]);
    drop(gateway);

    let around = [trust, ("HTTPS_PROXY", proxy_url.as_str()), ("NO_PROXY", "localhost")];
    let base = format!("https://localhost:{}/v1", upstream.address().port());
    let gateway = Gateway::start_with(&config(&base, &json!({})), &around);
    let response = gateway.chat("m", &[], &json!({})).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(proxy.asked().len(), 1);
}
