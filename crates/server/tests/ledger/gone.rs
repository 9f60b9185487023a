//! A database that goes away and comes back.

use serde_json::json;
use tagrail_testkit::{FakeUpstream, Postgres, config_text, deployment};

use crate::rig::{Server, priced, told};

async fn readiness(server: &Server, status: u16) {
    server
        .until("readiness", async |server| {
            let ready = server.get("/health/readiness", "").await;
            (ready.status == status, ready.text())
        })
        .await;
}

#[tokio::test]
async fn known_keys_go_on_unknown_ones_hear_503_and_spend_arrives_afterwards() {
    let upstream = FakeUpstream::start();
    let cluster = Postgres::start_own();
    let server = Server::start(&priced(&upstream), &cluster.create());
    assert_eq!(
        server.get("/health/readiness", "").await.json(),
        json!({"status": "healthy", "db": "connected"})
    );
    let known = server.key(json!({"max_budget": 100.0})).await;
    let unseen = server.key(json!({})).await;
    assert_eq!(server.chat(&known).await.status, 200);

    cluster.stop();
    for _ in 0..3 {
        assert_eq!(server.chat(&known).await.status, 200);
    }
    for key in [&unseen, "sk-nobody-has-this-key-Z0NQ"] {
        let response = server.chat(key).await;
        assert_eq!((response.status, response.header("retry-after")), (503, "1"), "{}", response.text());
        assert!(told(&response).1.contains("cannot be checked right now"), "{}", response.text());
    }
    assert_eq!(server.post("/key/generate", "sk-1234", &json!({})).await.status, 503);
    readiness(&server, 503).await;
    let ready = server.get("/health/readiness", "").await;
    assert_eq!(
        ready.json(),
        json!({"status": "unhealthy", "db": "Not connected", "reason": "database_unreachable"})
    );
    assert_eq!(server.get("/health/liveliness", "").await.status, 200);
    assert_eq!(server.chat(&known).await.status, 200, "it is remembered however long that takes");
    assert!(server.look("/metrics").await.text().contains("tagrail_database_unreachable 1"));

    cluster.start();
    readiness(&server, 200).await;
    assert_eq!(server.chat(&unseen).await.status, 200);
    assert_eq!(server.chat("sk-nobody-has-this-key-Z0NQ").await.status, 401);
    server
        .until("what was spent meanwhile", async |server| {
            let rows = server.look(&format!("/spend/logs?api_key={known}")).await;
            let count = rows.json().as_array().map_or(0, Vec::len);
            assert!(count <= 5, "{}", rows.text());
            (count == 5, rows.text())
        })
        .await;
    let info = server.look(&format!("/key/info?key={known}")).await.json();
    assert!((info["info"]["spend"].as_f64().unwrap() - 0.15).abs() < 1e-9, "{info}");
}

#[tokio::test]
async fn a_gateway_starts_without_its_database_and_finds_it_later() {
    let upstream = FakeUpstream::start();
    let cluster = Postgres::start_own();
    let database = cluster.create();
    cluster.stop();
    let text = config_text(&[deployment("m", "red", &["red"], &upstream.base())], &json!({}));
    let server = Server::start(&text, &database);
    assert_eq!(server.chat("sk-1234").await.status, 200, "the master key needs no database");
    assert_eq!(server.chat("sk-nobody-has-this-key-Z0NQ").await.status, 503);
    readiness(&server, 503).await;
    cluster.start();
    readiness(&server, 200).await;
    let key = server.key(json!({})).await;
    assert_eq!(server.chat(&key).await.status, 200);
    assert_eq!(server.chat("sk-nobody-has-this-key-Z0NQ").await.status, 401);
}
