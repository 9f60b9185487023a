//! The drain: what is in flight may finish, nothing new begins.

use std::time::Duration;

use serde_json::json;
use tagrail_testkit::{Client, FakeUpstream, Gate, Reply, config_text, deployment};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, KEY, chat};

#[tokio::test]
async fn what_is_in_flight_finishes_and_nothing_new_begins() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.reply(Reply::text("finished").hold(&gate));
    let mut gateway = Gateway::tagged(&upstream, &json!({}));
    let mut idle = Client::connect(gateway.address).await;
    let mut busy = Client::connect(gateway.address).await;
    busy.post("/v1/chat/completions", &[KEY], &chat("m")).await;
    upstream.request().await;
    gateway.stop();
    idle.closed().await;
    assert!(TcpStream::connect(gateway.address).await.is_err(), "nobody listens any more");
    gate.open();
    let response = busy.response().await;
    assert_eq!(response.status, 200);
    assert!(response.text().contains("finished"));
    busy.closed().await;
    gateway.join();
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.reply(Reply::text("never").hold(&gate));
    let text = config_text(&[deployment("m", "one", &[], &upstream.base())], &json!({}));
    let mut gateway = Gateway::start_with(&text, Duration::ZERO);
    let mut client = Client::connect(gateway.address).await;
    client.post("/v1/chat/completions", &[KEY], &chat("m")).await;
    upstream.request().await;
    gateway.stop();
    gateway.join();
    client.closed().await;
}

#[tokio::test]
async fn a_port_that_somebody_serves_is_not_shared() {
    let upstream = FakeUpstream::start();
    let text = config_text(&[deployment("m", "one", &[], &upstream.base())], &json!({}));
    let gateway = Gateway::start(&text);
    let second = Gateway::serve(&text, gateway.address, 1, Duration::ZERO);
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
