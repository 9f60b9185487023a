//! Several gateways on one database: what one of them spends, the others do not spend again.

use serde_json::json;
use tagrail_server::Clock;
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::rig::{CHAT, Server, chat, databases, told};

/// What one call costs, and is estimated at.
const CALL: f64 = 0.03;

/// How many calls the budget is for.
const CALLS: usize = 10;

/// The group `m`, of which a call costs [`CALL`], and `free`, by which a gateway can be asked what it knows.
fn config(upstream: &FakeUpstream) -> String {
    let deployments = [("m", 0.01), ("free", 0.0)].map(|(group, price)| {
        let mut deployment = deployment(group, group, &[], &upstream.base());
        deployment["litellm_params"]["input_cost_per_token"] = json!(0.0);
        deployment["litellm_params"]["output_cost_per_token"] = json!(price);
        deployment
    });
    config_text(&deployments, &json!({}))
}

fn gateways(count: usize, config: &str, database: &str) -> Vec<Server> {
    (0..count).map(|_| Server::start_at(config, database, Clock::default(), 1)).collect()
}

/// Until a gateway knows that the budget is spent.
async fn refuses(server: &Server, key: &str) {
    server
        .until("what the others have spent is known", async |server| {
            let answer = server.post(CHAT, key, &chat("free")).await;
            (answer.status == 429, answer.text())
        })
        .await;
}

#[tokio::test]
async fn a_budget_is_spent_once_however_many_gateways_there_are() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for (database, count) in databases.iter().flat_map(|database| [(database, 2), (database, 4)]) {
        let servers = gateways(count, &config(&upstream), database);
        let key = servers[0].key(json!({"max_budget": CALL * CALLS as f64})).await;
        // The others know the key and what has been spent until now, and have no rows from here on.
        for other in &servers[1..] {
            assert_eq!(other.chat(&key).await.status, 200);
            other.look("/spend/keys").await;
        }
        for number in count..=CALLS {
            let answer = servers[0].chat(&key).await;
            assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        }
        servers[0].look("/spend/keys").await;
        for server in &servers {
            refuses(server, &key).await;
            let refused = server.chat(&key).await;
            assert_eq!((refused.status, told(&refused).0.as_str()), (429, "budget_exceeded"));
            assert!(told(&refused).1.contains("Current cost: 0.3, Max budget: 0.3"), "{}", refused.text());
        }
        // More is given: all of them hear of it.
        servers[0].admin("/key/update", json!({"key": key, "max_budget": 1.0})).await;
        for server in &servers {
            server
                .until("there is a budget again", async |server| {
                    let answer = server.post(CHAT, &key, &chat("free")).await;
                    (answer.status == 200, answer.text())
                })
                .await;
        }
    }
}

/// The worst that can happen: all begin at once, and none has heard of the others. Each then spends a budget and one
/// call's estimate at most, which is what the formula in docs/teams.md comes to.
#[tokio::test]
async fn a_burst_at_all_gateways_exceeds_a_budget_by_no_more_than_is_stated() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for (database, count) in databases.iter().flat_map(|database| [(database, 2), (database, 4)]) {
        let servers = gateways(count, &config(&upstream), database);
        let key = servers[0].key(json!({"max_budget": CALL * CALLS as f64})).await;
        let clients: Vec<_> = servers
            .iter()
            .flat_map(|server| std::iter::repeat_n(server.address, 16))
            .map(|address| {
                let bearer = format!("Bearer {key}");
                tokio::spawn(async move {
                    let mut served = 0;
                    for _ in 0..4 {
                        let chat = chat("m");
                        let answer =
                            tagrail_testkit::post(address, CHAT, &[("authorization", &bearer)], &chat).await;
                        assert!(matches!(answer.status, 200 | 429), "{}", answer.text());
                        served += usize::from(answer.status == 200);
                    }
                    served
                })
            })
            .collect();
        let mut served = 0;
        for client in clients {
            served += client.await.unwrap();
        }
        for server in &servers {
            server.look("/spend/keys").await;
        }
        // What is left, if anything is, is spent one call after the other.
        while servers[0].chat(&key).await.status == 200 {
            served += 1;
        }
        servers[0].look("/spend/keys").await;
        assert!(served >= CALLS, "{served}: nothing is refused that is left");
        assert!(served <= count * (CALLS + 1), "{served} calls with {count} gateways");
        for server in &servers {
            refuses(server, &key).await;
            assert_eq!(server.chat(&key).await.status, 429, "and from then on none");
        }
        eprintln!("{count} gateways, {database}: {served} calls in a budget of {CALLS}");
    }
}
