//! Budgets over real sockets: what is left is served, and no more than one call beyond it.

use serde_json::{Value, json};
use tagrail_server::Clock;
use tagrail_store::Timestamp;
use tagrail_testkit::{FakeUpstream, Gate, Reply};

use crate::rig::{CHAT, Server, chat, databases, priced, told};

/// What one call costs, and is estimated at.
const CALL: f64 = 0.03;

#[tokio::test]
async fn the_call_that_crosses_a_budget_is_served_and_the_next_one_is_not() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&priced(&upstream), &database);
        let key = server.key(json!({"max_budget": 0.05})).await;
        let first = server.chat(&key).await;
        assert_eq!((first.status, first.header("x-litellm-key-spend")), (200, "0.03"), "{}", first.text());
        assert_eq!(first.header("x-litellm-key-max-budget"), "0.05");
        let second = server.chat(&key).await;
        assert_eq!((second.status, second.header("x-litellm-key-spend")), (200, "0.06"));
        let refused = server.chat(&key).await;
        let end = &key[key.len() - 4..];
        let text =
            format!("Budget has been exceeded! Key=key (sk-...{end}) Current cost: 0.06, Max budget: 0.05");
        assert_eq!((refused.status, told(&refused)), (429, ("budget_exceeded".to_owned(), text)));
        assert_eq!(refused.json()["error"]["param"], Value::Null);
        // More is given, and holds at once.
        server.admin("/key/update", json!({"key": key, "max_budget": 1.0})).await;
        assert_eq!(server.chat(&key).await.header("x-litellm-key-spend"), "0.09");
    }
}

#[tokio::test]
async fn teams_users_and_tags_have_budgets_and_what_a_former_process_spent_counts() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&priced(&upstream), &database);
        let team = server.team(json!({"team_id": "reds", "max_budget": CALL})).await;
        let user = json!({"user_id": "ann", "max_budget": CALL, "auto_create_key": false});
        server.admin("/user/new", user).await;
        server.admin("/tag/new", json!({"name": "gold", "max_budget": CALL})).await;
        let keys = [
            (server.key(json!({"team_id": team})).await, json!([]), "Team=reds"),
            (server.key(json!({"user_id": "ann"})).await, json!([]), "User=ann"),
            (server.key(json!({})).await, json!(["gold"]), "Tag=gold"),
        ];
        let body = |tags: &Value| {
            let mut body = chat("m");
            body["tags"] = tags.clone();
            body
        };
        for (key, tags, _) in &keys {
            let answered = server.post(CHAT, key, &body(tags)).await;
            assert_eq!(answered.status, 200, "{}", answered.text());
        }
        let refused = async |server: &Server| {
            for (key, tags, who) in &keys {
                let refused = server.post(CHAT, key, &body(tags)).await;
                assert_eq!(refused.status, 429, "{who}: {}", refused.text());
                let text = format!("Budget has been exceeded! {who} Current cost: 0.03, Max budget: 0.03");
                assert_eq!(told(&refused).1, text);
            }
        };
        refused(&server).await;
        server.stop();
        let server = Server::start(&priced(&upstream), &database);
        refused(&server).await;
    }
}

#[tokio::test]
async fn a_budget_begins_anew_when_its_time_has_come() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let clock = Clock::standing_at(Timestamp::now());
        let server = Server::start_at(&priced(&upstream), &database, clock.clone(), 1);
        let key = server.key(json!({"max_budget": CALL, "budget_duration": "1d"})).await;
        assert_eq!(server.chat(&key).await.status, 200);
        let refused = server.chat(&key).await;
        assert_eq!((refused.status, refused.header("rate_limit_type")), (429, "budget"));
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=86_400).contains(&wait), "it is midnight within a day: {wait}");
        assert!(refused.header("reset_at").ends_with(" 00:00:00 UTC"), "{}", refused.header("reset_at"));
        assert!(told(&refused).1.contains(" Budget resets at: "), "{}", refused.text());
        assert_eq!(refused.header("x-ratelimit-api_key-limit-budget"), "0.03");
        assert_eq!(refused.header("x-ratelimit-api_key-remaining-budget"), "0.0");
        clock.advance(3 * 24 * 3_600_000);
        server
            .until("there is a budget again", async |server| {
                let response = server.chat(&key).await;
                (response.header("x-litellm-key-spend") == "0.03", response.text())
            })
            .await;
        assert_eq!(server.chat(&key).await.status, 429);
    }
}

#[tokio::test]
async fn a_tag_pays_by_its_name_however_it_is_written() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let prefixed = priced(&upstream).replace(
            "\"enable_tag_filtering\"",
            "\"tag_routing_prefix\": \"route:\", \"enable_tag_filtering\"",
        );
        let server = Server::start(&prefixed, &database);
        server.admin("/tag/new", json!({"name": "gold", "max_budget": 1.5 * CALL})).await;
        let key = server.key(json!({})).await;
        let with = async |tag: &str| {
            let mut body = chat("m");
            body["tags"] = json!([tag]);
            server.post(CHAT, &key, &body).await
        };
        assert_eq!(with("route:!gold").await.status, 200, "who excludes it carries it not");
        assert_eq!(with("route:gold").await.status, 200);
        assert_eq!(with("gold").await.status, 200);
        let refused = with("route:gold").await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert!(told(&refused).1.contains("Tag=gold Current cost: 0.06,"), "{}", refused.text());
        let info = server.admin("/tag/info", json!({"names": ["gold"]})).await;
        assert!(info.to_string().contains("0.06"), "{info}");
    }
}

#[tokio::test]
async fn what_is_reserved_by_a_call_under_way_is_not_there_for_others() {
    let upstream = FakeUpstream::start();
    let (_home, [database, _]) = databases();
    let server = Server::start_at(&priced(&upstream), &database, Clock::default(), 2);
    let key = server.key(json!({"max_budget": 0.04})).await;
    let gate = Gate::shut();
    upstream.reply(Reply::default().hold(&gate));
    let (address, bearer) = (server.address, format!("Bearer {key}"));
    let first = tokio::spawn(async move {
        tagrail_testkit::post(address, CHAT, &[("authorization", &bearer)], &chat("m")).await
    });
    upstream.exchange().await;
    let refused = server.chat(&key).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert!(told(&refused).1.ends_with("reserved for calls that are under way"), "{}", refused.text());
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(server.chat(&key).await.status, 200);
}

#[tokio::test]
async fn sixty_four_clients_cross_a_budget_by_one_call_at_most() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start_at(&priced(&upstream), &database, Clock::default(), 2);
        let budget = 10.0 * CALL;
        let key = server.key(json!({"max_budget": budget})).await;
        let bearer = format!("Bearer {key}");
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let (address, bearer) = (server.address, bearer.clone());
                tokio::spawn(async move {
                    let mut answered = 0;
                    for _ in 0..3 {
                        let chat = chat("m");
                        let response =
                            tagrail_testkit::post(address, CHAT, &[("authorization", &bearer)], &chat).await;
                        assert!(matches!(response.status, 200 | 429), "{}", response.text());
                        answered += usize::from(response.status == 200);
                    }
                    answered
                })
            })
            .collect();
        let mut answered = 0;
        for client in clients {
            answered += client.await.unwrap();
        }
        // Whoever comes alone is still served, as long as anything is left.
        while server.chat(&key).await.status == 200 {
            answered += 1;
        }
        let info = server.look(&format!("/key/info?key={key}")).await.json();
        let spent = info["info"]["spend"].as_f64().unwrap();
        assert!(spent >= budget - 1e-9, "{spent}: nothing is refused that is left");
        assert!(spent <= budget + CALL + 1e-9, "{spent}: one call beyond at most");
        assert!((spent - CALL * answered as f64).abs() < 1e-9, "{spent} for {answered} calls");
    }
}

#[tokio::test]
async fn no_heap_of_tags_hides_the_one_that_pays() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&priced(&upstream), &database);
        let team = server.team(json!({"tags": ["pays"]})).await;
        let key = server.key(json!({"team_id": team})).await;
        let heap: Vec<String> = (0..1000).map(|number| format!("{number:0200}")).collect();
        let mut body = chat("m");
        body["metadata"] = json!({"tags": heap});
        assert_eq!(server.post(CHAT, &key, &body).await.status, 200);
        server.look("/spend/tags").await;
        let info = server.admin("/tag/info", json!({"names": ["pays"]})).await;
        assert_eq!(info["pays"]["spend"], json!(CALL), "{info}");
        // Every sum is a row, and who calls is not to make any number of them.
        let sums = server.look("/spend/tags").await.json();
        assert!(sums.as_array().unwrap().len() < 100, "{sums}");
    }
}
