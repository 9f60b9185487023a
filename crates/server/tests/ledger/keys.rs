//! Each way in which a key does not open, in the contract's order and words.

use serde_json::json;
use tagrail_server::Clock;
use tagrail_store::Timestamp;
use tagrail_testkit::{FakeUpstream, config_text, deployment, post};

use crate::rig::{CHAT, Server, chat, databases, told};

const NOBODYS: &str = "sk-nobody-has-this-key-Z0NQ";

#[tokio::test]
async fn each_refusal_of_a_key_is_told_as_litellm_tells_it() {
    let upstream = FakeUpstream::start();
    let config = config_text(&["g", "plain"].map(|m| deployment(m, m, &[], &upstream.base())), &json!({}));
    let (_home, databases) = databases();
    for database in databases {
        let clock = Clock::standing_at(Timestamp::parse("2026-11-21T19:00:00Z").unwrap());
        let server = Server::start_at(&config, &database, clock.clone(), 1);
        let denied = server.chat(NOBODYS).await;
        let text = "Authentication Error, Invalid proxy server token passed. Received API Key = sk-...Z0NQ, Key Hash (Token) =9915010a3e6d6464fedf21956d806533c71330121a3bc5d7406e16c2d29da687. Unable to find token in cache or `LiteLLM_VerificationTokenTable`";
        assert_eq!((denied.status, told(&denied)), (401, ("token_not_found_in_db".into(), text.into())));
        assert!(!denied.text().contains("nobody-has"));

        let key = server.key(json!({"models": ["g"]})).await;
        assert_eq!(server.post(CHAT, &key, &chat("g")).await.status, 200);
        let denied = server.post(CHAT, &key, &chat("plain")).await;
        let text =
            "key not allowed to access model. This key can only access models=['g']. Tried to access plain";
        assert_eq!((denied.status, told(&denied)), (403, ("key_model_access_denied".into(), text.into())));
        assert_eq!(denied.json()["error"]["param"], "model");

        server.admin("/key/block", json!({"key": key})).await;
        let denied = server.post(CHAT, &key, &chat("g")).await;
        let text = "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.";
        assert_eq!((denied.status, told(&denied)), (401, ("auth_error".into(), text.into())));
        server.admin("/key/unblock", json!({"key": key})).await;
        assert_eq!(server.post(CHAT, &key, &chat("g")).await.status, 200);

        let key = server.key(json!({"duration": "1h"})).await;
        assert_eq!(server.post(CHAT, &key, &chat("g")).await.status, 200);
        clock.advance(24 * 3_600_000);
        clock.advance(365 * 24 * 3_600_000);
        let denied = server.post(CHAT, &key, &chat("g")).await;
        let (kind, message) = told(&denied);
        assert_eq!((denied.status, kind.as_str()), (401, "expired_key"));
        assert!(message.starts_with("Authentication Error - Expired Key. Key Expiry time 20"), "{message}");
        assert!(message.ends_with("and current time 2027-11-22 19:00:00.000000+00:00"), "{message}");
        assert_eq!(denied.json()["error"]["param"], format!("sk-...{}", &key[key.len() - 4..]));

        let key = server.key(json!({"allowed_routes": ["/v1/models"]})).await;
        assert_eq!(server.get("/v1/models", &key).await.status, 200);
        let denied = server.post(CHAT, &key, &chat("g")).await;
        let text = "Virtual key is not allowed to call this route. Only allowed to call routes: ['/v1/models']. Tried to call route: /v1/chat/completions";
        assert_eq!((denied.status, denied.json()), (403, json!({"detail": text})));
        assert_eq!(server.get("/v1/models/g", &key).await.status, 403);

        let team = server.team(json!({"models": ["g"], "team_id": "blk"})).await;
        let key = server.key(json!({"team_id": team})).await;
        let denied = server.post(CHAT, &key, &chat("plain")).await;
        let text =
            "team not allowed to access model. This team can only access models=['g']. Tried to access plain";
        assert_eq!((denied.status, told(&denied)), (403, ("team_model_access_denied".into(), text.into())));
        server.admin("/team/block", json!({"team_id": team})).await;
        let denied = server.post(CHAT, &key, &chat("g")).await;
        let text =
            "Authentication Error, Team=blk is blocked. Update via `/team/unblock` if you're an admin.";
        assert_eq!((denied.status, told(&denied)), (401, ("auth_error".into(), text.into())));
        server.admin("/team/unblock", json!({"team_id": team})).await;
        assert_eq!(server.post(CHAT, &key, &chat("g")).await.status, 200);

        let metrics = server.look("/metrics").await.text();
        for reason in ["unknown", "blocked", "expired", "route", "team blocked"] {
            assert!(
                metrics.contains(&format!("tagrail_keys_refused_total{{reason=\"{reason}\"}}")),
                "{metrics}"
            );
        }
        server.stop();
    }
}

#[tokio::test]
async fn the_first_reason_in_the_order_is_told() {
    let upstream = FakeUpstream::start();
    let config = config_text(&[deployment("g", "g", &[], &upstream.base())], &json!({}));
    let (_home, [database, _]) = databases();
    let clock = Clock::default();
    let server = Server::start_at(&config, &database, clock, 1);
    let team = server.team(json!({})).await;
    let key = server.key(json!({"team_id": team, "allowed_routes": ["/v1/models"]})).await;
    server.admin("/team/block", json!({"team_id": team})).await;
    assert_eq!(server.post(CHAT, &key, &chat("g")).await.status, 403, "the route comes before the team");
    assert!(told(&server.get("/v1/models", &key).await).1.contains("is blocked"));
    server.admin("/key/block", json!({"key": key})).await;
    assert!(told(&server.post(CHAT, &key, &chat("g")).await).1.contains("Key is blocked"));
}

#[tokio::test]
async fn rights_follow_the_users_role() {
    let upstream = FakeUpstream::start();
    let config = config_text(&[deployment("m", "one", &[], &upstream.base())], &json!({}));
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&config, &database);
        for (role, look, change) in
            [("proxy_admin", 200, 200), ("proxy_admin_viewer", 200, 401), ("internal_user", 401, 401)]
        {
            let user = server.admin("/user/new", json!({"user_role": role, "auto_create_key": false})).await;
            let key = server.key(json!({"user_id": user["user_id"]})).await;
            assert_eq!(server.get("/health", &key).await.status, look, "{role}");
            assert_eq!(server.get("/metrics", &key).await.status, look, "{role}");
            let denied = server.post("/team/new", &key, &json!({})).await;
            assert_eq!(denied.status, change, "{role}: {}", denied.text());
            assert_eq!(server.chat(&key).await.status, 200, "{role}");
            if change == 401 {
                let text = format!(
                    "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route=/team/new. Your role={role}. Your user_id=*******"
                );
                assert_eq!(told(&denied), ("auth_error".to_owned(), text));
            }
        }
    }
}

#[tokio::test]
async fn a_key_opens_in_every_header_and_the_route_is_the_one_that_was_found() {
    let upstream = FakeUpstream::start();
    let config = config_text(&[deployment("m", "one", &[], &upstream.base())], &json!({}));
    let (_home, [database, _]) = databases();
    let server = Server::start(&config, &database);
    let key = server.key(json!({"allowed_routes": ["/v1/chat/completions"]})).await;
    for header in ["x-litellm-api-key", "api-key", "x-api-key", "x-goog-api-key"] {
        assert_eq!(post(server.address, CHAT, &[(header, &key)], &chat("m")).await.status, 200, "{header}");
    }
    for path in ["/chat/completions", "/v1/completions", "/engines/m/chat/completions", "/v1/messages"] {
        assert_eq!(server.post(path, &key, &chat("m")).await.status, 403, "{path}");
    }
    let mut client = tagrail_testkit::Client::connect(server.address).await;
    let body = chat("m").to_string();
    let head = format!(
        "POST http://x/chat/completions?/v1/chat/completions HTTP/1.1\r\nhost: /v1/chat/completions\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head).await;
    assert_eq!(client.response().await.status, 403);
}
