//! Changes take effect at once where they are made, and within a second in another process on the same
//! PostgreSQL, also when its notice is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Postgres, config_text, deployment};

use crate::rig::{CHAT, Server, chat, databases, priced, told};

/// What the other process may take, and as much again for a machine that does other things as well.
const SOON: Duration = Duration::from_secs(2);

/// The status that a key gets, once it is that; how long it took.
async fn becomes(server: &Server, key: &str, status: u16) -> Duration {
    let begin = Instant::now();
    server
        .until(&format!("a status of {status}"), async |server| {
            let response = server.chat(key).await;
            (response.status == status, response.text())
        })
        .await;
    begin.elapsed()
}

#[tokio::test]
async fn what_is_changed_here_holds_for_the_next_request() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&priced(&upstream), &database);
        let own = "sk-a-key-of-my-own-choice";
        assert_eq!(server.chat(own).await.status, 401);
        assert_eq!(server.key(json!({"key": own})).await, own);
        assert_eq!(server.chat(own).await.status, 200, "that it did not exist was remembered");
        let team = server.team(json!({})).await;
        for (path, body, status) in [
            ("/key/block", json!({"key": own}), 401),
            ("/key/unblock", json!({"key": own}), 200),
            ("/key/update", json!({"key": own, "models": ["other"]}), 403),
            ("/key/update", json!({"key": own, "models": [], "team_id": team}), 200),
            ("/team/block", json!({"team_id": team}), 401),
            ("/team/unblock", json!({"team_id": team}), 200),
            ("/team/update", json!({"team_id": team, "models": ["other"]}), 403),
            ("/team/update", json!({"team_id": team, "models": []}), 200),
            ("/team/delete", json!({"team_ids": [team]}), 401),
        ] {
            server.admin(path, body.clone()).await;
            assert_eq!(server.chat(own).await.status, status, "{path} {body}");
        }
    }
}

#[tokio::test]
async fn another_process_follows_within_a_second() {
    let upstream = FakeUpstream::start();
    let database = Postgres::database();
    let (here, there) =
        (Server::start(&priced(&upstream), &database), Server::start(&priced(&upstream), &database));
    let team = here.team(json!({})).await;
    let key = here.key(json!({"team_id": team})).await;
    assert!(becomes(&there, &key, 200).await < SOON);
    for (path, body, status) in [
        ("/key/block", json!({"key": key}), 401),
        ("/key/unblock", json!({"key": key}), 200),
        ("/team/block", json!({"team_id": team}), 401),
        ("/team/unblock", json!({"team_id": team}), 200),
        ("/key/update", json!({"key": key, "models": ["other"]}), 403),
        ("/key/delete", json!({"keys": [key]}), 401),
    ] {
        here.admin(path, body).await;
        let took = becomes(&there, &key, status).await;
        assert!(took < SOON, "{path} took {took:?}");
    }
}

#[tokio::test]
async fn a_change_whose_notice_is_lost_is_found_all_the_same() {
    let upstream = FakeUpstream::start();
    let database = Postgres::database();
    let server = Server::start(&priced(&upstream), &database);
    let key = server.key(json!({})).await;
    for (blocked, status) in [("true", 401), ("false", 200)] {
        assert_ne!(server.chat(&key).await.status, status);
        // What a store commits, without telling anybody.
        Postgres::sql(
            &database,
            &format!(
                "BEGIN;
                 UPDATE tagrail_generation SET value = value + 1;
                 UPDATE tagrail_keys SET body = jsonb_set(body::jsonb, '{{blocked}}', '{blocked}')::text;
                 INSERT INTO tagrail_changes SELECT value, 'key', hash FROM tagrail_generation, tagrail_keys;
                 COMMIT;"
            ),
        );
        assert!(becomes(&server, &key, status).await < SOON);
    }
}

/// A group with a deployment for everybody and one that carries `red`.
fn two(upstream: &FakeUpstream) -> String {
    let all = [
        deployment("m", "open", &["default"], &upstream.base()),
        deployment("m", "red", &["red"], &upstream.base()),
    ];
    config_text(&all, &json!({}))
}

fn with_tag(tag: &str) -> Value {
    let mut body = chat("m");
    body["tags"] = json!([tag]);
    body
}

#[tokio::test]
async fn a_grant_closes_a_tag_for_others_here_and_there_and_across_reloads() {
    let upstream = FakeUpstream::start();
    let database = Postgres::database();
    let (here, there) =
        (Server::start(&two(&upstream), &database), Server::start(&two(&upstream), &database));
    let key = here.key(json!({})).await;
    let reached = async |server: &Server, key: &str| {
        let response = server.post(CHAT, key, &with_tag("red")).await;
        (response.status, response.header("x-litellm-model-id").to_owned())
    };
    assert_eq!(reached(&here, &key).await, (200, "red".to_owned()));
    assert_eq!(reached(&there, &key).await, (200, "red".to_owned()));
    let team = here.team(json!({"tags": ["red"]})).await;
    let reds = here.key(json!({"team_id": team})).await;
    let begin = Instant::now();
    assert_ne!(reached(&here, &key).await.1, "red");
    assert_eq!(reached(&here, &reds).await, (200, "red".to_owned()));
    there
        .until("the tag is reserved there too", async |there| {
            let reached = reached(there, &key).await;
            (reached.1 != "red", format!("{reached:?}"))
        })
        .await;
    assert!(begin.elapsed() < SOON);
    assert_eq!(reached(&there, &reds).await, (200, "red".to_owned()));

    // Another configuration, in which tags have other numbers: reserved is what was.
    let text = two(&upstream).replace("\"default\"", "\"blue\"");
    let loaded = tagrail::config::load_text(&text, std::path::Path::new("c.yaml"), &|_| None);
    here.router.replace(loaded.resolved.unwrap());
    assert_ne!(reached(&here, &key).await.1, "red");
    assert_eq!(reached(&here, &reds).await, (200, "red".to_owned()));

    here.admin("/tag/update", json!({"name": "red", "reserved": false})).await;
    assert_eq!(reached(&here, &key).await, (200, "red".to_owned()));
}

#[tokio::test]
async fn a_refused_change_is_told_and_changes_nothing() {
    let upstream = FakeUpstream::start();
    let (_home, [database, _]) = databases();
    let server = Server::start(&priced(&upstream), &database);
    let key = server.key(json!({})).await;
    assert_eq!(
        server.post("/key/block", "sk-1234", &json!({"key": "sk-not-there-at-all-0000"})).await.status,
        404
    );
    assert_eq!(server.post("/key/generate", "sk-1234", &json!({"key": key})).await.status, 409);
    assert_eq!(server.chat(&key).await.status, 200);
    assert_eq!(told(&server.post("/key/block", &key, &json!({"key": key})).await).0, "auth_error");
    assert_eq!(server.chat(&key).await.status, 200);
}
