//! The fake upstream and the client, against each other.

use std::time::Duration;

use serde_json::json;
use tagrail_testkit::{Client, FakeUpstream, Gate, Reply, post};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn answers_in_the_dialect_of_the_path() {
    let upstream = FakeUpstream::start();
    let chat = post(upstream.address(), CHAT, &[], &json!({"model": "m"})).await;
    assert_eq!(chat.json()["choices"][0]["message"]["content"], "Hello from m");
    let message =
        post(upstream.address(), "/v1/messages", &[("x-api-key", "k")], &json!({"model": "c"})).await;
    assert_eq!(message.json()["content"][0]["text"], "Hello from c");
    let stream = post(upstream.address(), CHAT, &[], &json!({"model": "m", "stream": true})).await;
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    assert_eq!(upstream.models(), ["m", "c", "m"]);
    assert_eq!(upstream.requests()[1].header("x-api-key"), "k");
}

#[tokio::test]
async fn replies_are_taken_in_their_order() {
    let upstream = FakeUpstream::start();
    upstream.always("a", Reply::text("always")).reply(Reply::error(503).header("retry-after", "7"));
    upstream.reply_for("a", Reply::json(200, &json!({"queued": true})));
    let mut client = Client::connect(upstream.address()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        client.post(CHAT, &[], &json!({"model": "a"})).await;
        let response = client.response().await;
        seen.push((response.status, response.header("retry-after").to_owned()));
    }
    assert_eq!(seen, [(200, String::new()), (503, "7".to_owned()), (200, String::new())]);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn faults_happen_where_they_are_written() {
    let upstream = FakeUpstream::start();
    upstream
        .reply(Reply::events(["1", "2", "3"]).cut_after(1))
        .reply(Reply::events(["1", "2"]).reset_after(1));
    upstream.reply(Reply::whole("text/plain", "short").content_length(10)).reply(Reply::reset());
    for whole_pieces in [2, 1, 1] {
        let mut client = Client::connect(upstream.address()).await;
        client.post(CHAT, &[], &json!({})).await;
        client.head().await;
        let mut pieces = 0;
        while let Ok(Some(_)) = client.try_piece().await {
            pieces += 1;
        }
        assert_eq!(pieces, whole_pieces);
        assert!(client.try_piece().await.is_err());
    }
    let mut client = Client::connect(upstream.address()).await;
    client.post(CHAT, &[], &json!({})).await;
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn a_gate_holds_a_reply_and_a_closed_connection_is_noticed() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.reply(Reply::events(["1", "2"]).hold_after(1, &gate));
    let mut client = Client::connect(upstream.address()).await;
    client.post(CHAT, &[], &json!({})).await;
    client.head().await;
    assert_eq!(client.piece().await.unwrap().bytes, "data: 1\n\n");
    let exchange = upstream.exchange().await;
    assert!(!exchange.is_closed());
    gate.open();
    exchange.finished().await;
    assert_eq!(client.body().await, "data: 2\n\n");

    upstream.reply(Reply::endless("data: x\n\n".repeat(1000)));
    client.post(CHAT, &[], &json!({})).await;
    client.head().await;
    let exchange = upstream.exchange().await;
    let blocked = exchange.blocked(Duration::from_millis(200)).await;
    assert_eq!(exchange.written(), blocked);
    drop(client);
    exchange.closed().await;
}
