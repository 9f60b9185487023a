//! Upstreams that close connections behind their answers, and upstreams that send without end.

use std::time::Duration;

use serde_json::json;
use tagrail::Refusal;
use tagrail_testkit::{FakeUpstream, Reply, deployment};

use crate::rig::Rig;

fn one() -> Rig {
    Rig::new(&[("g", "a", &[])], &json!({"router_settings": {"num_retries": 0}}))
}

/// Calls one after the other, then many at a time; each has to be answered, by one request.
async fn all_are_answered(reply: Reply) {
    let rig = one();
    rig.upstream.otherwise(reply);
    for number in 0..200 {
        let answer = rig.chat("g", json!({})).await;
        assert!(answer.is_ok(), "call {number}: {}", answer.unwrap_err());
    }
    for _ in 0..20 {
        let calls: [_; 20] = std::array::from_fn(|_| {
            let router = rig.router.clone();
            tokio::spawn(async move { router.call(&crate::rig::chat("g", json!({}))).await.map(drop) })
        });
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }
    assert_eq!(rig.upstream.requests().len(), 600, "each was sent once");
}

#[tokio::test]
async fn an_upstream_may_close_each_connection_with_its_answer() {
    all_are_answered(Reply::default().hang_up(Duration::ZERO)).await;
}

#[tokio::test]
async fn an_upstream_may_close_each_connection_shortly_after_its_answer() {
    all_are_answered(Reply::default().hang_up(Duration::from_millis(3))).await;
}

#[tokio::test]
async fn an_upstream_may_reset_each_connection_with_its_answer() {
    all_are_answered(Reply::default().reset_at_end()).await;
}

#[tokio::test]
async fn an_upstream_may_announce_that_it_closes() {
    all_are_answered(Reply::default().close()).await;
}

#[tokio::test]
async fn an_upstream_may_promise_to_keep_a_connection_and_close_it() {
    let reply = Reply::default().header("connection", "keep-alive");
    let rig = one();
    rig.upstream.otherwise(reply.hang_up(Duration::from_millis(200)));
    rig.chat("g", json!({})).await.unwrap();
    rig.upstream.exchange().await.finished().await;
    for _ in 0..100 {
        rig.chat("g", json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_is_used_again() {
    let rig = one();
    for _ in 0..20 {
        rig.upstream.reply(Reply::default().header("connection", "keep-alive"));
        rig.chat("g", json!({})).await.unwrap();
    }
    assert_eq!(rig.upstream.connections(), 1);
}

#[tokio::test]
async fn connections_are_kept_without_a_promise_too() {
    let rig = one();
    // Until one has rested long enough to be used again.
    let shown = async {
        while rig.upstream.requests().len() == rig.upstream.connections() {
            rig.chat("g", json!({})).await.unwrap();
        }
    };
    tokio::time::timeout(tagrail_testkit::PATIENCE, shown).await.unwrap();
    let opened = rig.upstream.connections();
    for _ in 0..20 {
        rig.chat("g", json!({})).await.unwrap();
    }
    assert_eq!(rig.upstream.connections(), opened, "the one that has served two is used again at once");
}

#[tokio::test]
async fn a_request_that_was_read_is_not_sent_again() {
    for ending in [Reply::raw(""), Reply::reset()] {
        let rig = one();
        rig.upstream.reply(Reply::default().header("connection", "keep-alive"));
        rig.chat("g", json!({})).await.unwrap();
        rig.upstream.reply(ending);
        rig.chat("g", json!({})).await.unwrap_err();
        assert_eq!(rig.upstream.connections(), 1, "it was the kept connection");
        assert_eq!(rig.asked().len(), 2);
    }
}

#[tokio::test]
async fn what_an_upstream_sends_without_end_ends_the_attempt() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for (what, start, again) in [
        ("interim responses", String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ("early hints", String::new(), "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"),
        ("empty lines", String::new(), "\r\n"),
        ("headers", "HTTP/1.1 200 OK\r\n".to_owned(), "x-more: yes\r\n"),
        ("one header", "HTTP/1.1 200 OK\r\nx-more: ".to_owned(), "yesyesyesyes"),
        ("a chunk's size", ok.to_owned(), "0000000000000000"),
        ("blanks behind a chunk's size", format!("{ok}5"), "                "),
        ("a chunk's extension", format!("{ok}5;a="), "bbbbbbbbbbbbbbbb"),
        ("trailers", format!("{ok}0\r\n"), "x-more: yes\r\n"),
    ] {
        let rig = one();
        rig.upstream.reply(Reply::raw_forever(start, again.repeat(100)));
        let error = rig.chat("g", json!({})).await.unwrap_err();
        assert!(matches!(error.refusal, Refusal::Upstream(_)), "{what}: {error}");
        assert_eq!(error.refusal.status(), 500, "{what}: {error}");
        rig.upstream.exchange().await.closed().await;
        rig.chat("g", json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn some_interim_responses_are_passed_over() {
    let rig = one();
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
    let body = r#"{"id":"c","object":"chat.completion","model":"a","choices":[]}"#;
    let answer = format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    rig.upstream.reply(Reply::raw(answer));
    rig.chat("g", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_reply_is_no_longer_than_configured() {
    let settings =
        json!({"router_settings": {"num_retries": 0}, "general_settings": {"max_response_size_mb": 2}});
    let rig = Rig::new(&[("g", "a", &[])], &settings);
    rig.upstream.reply(Reply::text("x".repeat(1 << 20)));
    rig.chat("g", json!({})).await.unwrap();
    rig.upstream.reply(Reply::text("x".repeat(2 << 20)));
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("max_response_size_mb"), "{error}");
}

#[tokio::test]
async fn a_stream_of_nothing_but_pings_ends() {
    let upstream = FakeUpstream::start();
    let mut one = deployment("g", "a", &[], &upstream.url());
    one["litellm_params"]["model"] = json!("anthropic/claude-3-haiku-20240307");
    let rig = Rig::of(upstream, &[one], &json!({"router_settings": {"num_retries": 0}}));
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n".repeat(1000);
    rig.upstream.reply(Reply::endless(ping));
    let error = rig.chat("g", json!({"stream": true})).await.unwrap_err();
    assert!(error.to_string().contains("without content"), "{error}");
    rig.upstream.exchange().await.closed().await;
}
