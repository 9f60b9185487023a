//! What callers are shown: what they may reach, and not a word of the rest.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::rig::{CHAT, Server, chat, databases, told};

/// What is team B's alone has `hidden` in its name.
fn config(upstream: &FakeUpstream) -> String {
    let of = |group: &str, id: &str, tags: &[&str]| deployment(group, id, tags, &upstream.base());
    let mut wild = of("wild/*", "wild", &["default"]);
    wild["litellm_params"]["model"] = json!("openai/*");
    let mut hidden_wild = of("hiddenwild/*", "hidden-wild", &["hiddenB"]);
    hidden_wild["litellm_params"]["model"] = json!("openai/*");
    let mut both = of("shared", "both", &["teamA", "hiddenB"]);
    both["model_info"]["access_groups"] = json!(["both-group"]);
    let all = [
        of("shared", "a-shared", &["teamA"]),
        of("shared", "hidden-shared", &["hiddenB"]),
        of("shared", "hidden-c", &["hiddenC"]),
        of("shared", "everybody", &["default"]),
        both,
        of("hidden-solely", "hidden-solely", &["hiddenB"]),
        of("plain", "plain", &[]),
        of("failing", "failing", &[]),
        wild,
        hidden_wild,
    ];
    let more = json!({"router_settings": {
        "num_retries": 0,
        "fallbacks": [{"failing": ["hidden-solely", "plain"]}],
        "default_fallbacks": ["hidden-solely"],
    }});
    config_text(&all, &more)
}

struct Teams {
    server: Server,
    a: String,
    b: String,
    nobody: String,
    team_b: String,
}

async fn teams(upstream: &FakeUpstream, database: &str) -> Teams {
    let server = Server::start(&config(upstream), database);
    let team_a = server.team(json!({"tags": ["teamA"]})).await;
    server.team(json!({"tags": ["hiddenC"]})).await;
    let team_b = server.team(json!({"tags": ["hiddenB"], "team_id": "id-of-b"})).await;
    Teams {
        a: server.key(json!({"team_id": team_a})).await,
        b: server.key(json!({"team_id": team_b})).await,
        nobody: server.key(json!({})).await,
        team_b,
        server,
    }
}

fn ids(list: &Value, field: &str) -> Vec<String> {
    let rows = list["data"].as_array().unwrap_or_else(|| panic!("{list}"));
    rows.iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn listings_and_information_end_where_reach_does() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let Teams { server, a, b, nobody, .. } = teams(&upstream, &database).await;
        for key in [&a, &nobody] {
            for path in [
                "/v1/models",
                "/models",
                "/v1/models?return_wildcard_routes=true&include_model_access_groups=true",
                "/model/info",
                "/v1/model/info",
                "/model_group/info",
            ] {
                let shown = server.get(path, key).await;
                assert_eq!(shown.status, 200, "{path}");
                let text = shown.text();
                assert!(!text.contains("hidden"), "{path}: {text}");
                assert!(text.contains("shared") && text.contains("plain"), "{path}: {text}");
                assert!(path.contains("info") || text.contains("wild/gpt-4o"), "{path}: {text}");
            }
            for name in ["hidden-solely", "hidden-shared", "hiddenwild/gpt-4o", "hiddenwild/*"] {
                let shown = server.get(&format!("/v1/models/{name}"), key).await;
                assert_eq!(shown.status, 404, "{name}");
            }
            assert_eq!(server.get("/v1/models/wild/gpt-4o", key).await.status, 200);
            assert!(
                ids(
                    &server.get("/model/info?litellm_model_id=hidden-shared", key).await.json(),
                    "model_name"
                )
                .is_empty()
            );
        }
        let seen = ids(&server.get("/v1/models", &b).await.json(), "id");
        assert!(
            seen.iter().any(|name| name == "hidden-solely")
                && seen.iter().any(|name| name == "hiddenwild/gpt-4o")
        );
        assert_eq!(server.get("/v1/models/hidden-solely", &b).await.status, 200);
        let all = server.look("/model/info").await.text();
        assert!(all.contains("hidden-shared") && all.contains("both-group"), "the admin sees all");
    }
}

#[tokio::test]
async fn lists_of_models_filter_listings_like_calls() {
    let upstream = FakeUpstream::start();
    let (_home, [database, _]) = databases();
    let server = Server::start(&config(&upstream), &database);
    let body = json!({"models": ["plain", "wild/gpt-4o*"], "aliases": {"mine": "plain"}});
    let key = server.key(body).await;
    let names = ids(&server.get("/v1/models", &key).await.json(), "id");
    assert!(names.contains(&"plain".to_owned()) && names.contains(&"wild/gpt-4o".to_owned()), "{names:?}");
    for name in &names {
        assert!(name == "plain" || name.starts_with("wild/gpt-4o"), "{name}");
    }
    // Every name that is shown can be called, and what is not shown cannot.
    for (name, status) in
        [("plain", 200), ("wild/gpt-4o", 200), ("shared", 403), ("wild/o1", 403), ("mine", 403)]
    {
        assert_eq!(server.post(CHAT, &key, &chat(name)).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn explanations_tell_callers_of_their_own_and_admins_of_all() {
    let upstream = FakeUpstream::start();
    let (_home, [database, _]) = databases();
    let Teams { server, a, b, team_b, .. } = teams(&upstream, &database).await;
    for model in ["shared", "failing", "hidden-shared", "wild/gpt-4o"] {
        let shown = server.post("/route/explain", &a, &chat(model)).await;
        assert_eq!(shown.status, 200, "{}", shown.text());
        let text = shown
            .text()
            .replace(&format!("\"model\":\"{model}\""), "")
            .replace(&format!("model={model}"), "");
        let text = if model.contains("hidden") { text.replace("Group=hidden-shared", "") } else { text };
        assert!(!text.contains("hidden"), "{model}: {text}");
    }
    let mine = server.post("/route/explain", &a, &chat("shared")).await.json();
    assert_eq!(mine["tags"], json!([{"tag": "teamA", "from": "team"}]));

    // The admin asks as team A's key, by the key, by its hash, and as team B.
    for query in [format!("key={a}"), format!("key={}", sha(&a))] {
        let shown = server.post(&format!("/route/explain?{query}"), "sk-1234", &chat("shared")).await.json();
        let removed: Vec<_> = shown["deployments"].as_array().unwrap().iter().collect();
        let hidden = removed
            .iter()
            .find(|verdict| verdict["id"] == "hidden-shared")
            .unwrap_or_else(|| panic!("{shown}"));
        assert_eq!((&hidden["kept"], hidden["stage"].as_str()), (&json!(false), Some("reserved")), "{shown}");
        assert_ne!(shown["decision"]["first"], "hidden-shared");
    }
    let shown =
        server.post(&format!("/route/explain?team_id={team_b}"), "sk-1234", &chat("hidden-solely")).await;
    assert_eq!(shown.json()["decision"]["first"], "hidden-solely", "{}", shown.text());
    assert_eq!(server.post("/route/explain?team_id=none", "sk-1234", &chat("shared")).await.status, 404);
    // Nobody else asks as somebody else, whether there is such a one or not.
    for query in [format!("key={b}"), format!("team_id={team_b}"), "team_id=none".to_owned()] {
        let denied = server.post(&format!("/route/explain?{query}"), &a, &chat("shared")).await;
        assert_eq!((denied.status, told(&denied).0.as_str()), (401, "auth_error"), "{query}");
    }
}

fn sha(key: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn errors_name_nothing_that_the_caller_did_not_send() {
    let upstream = FakeUpstream::start();
    upstream.always("failing", tagrail_testkit::Reply::error(500));
    let (_home, [database, _]) = databases();
    let Teams { server, a, nobody, .. } = teams(&upstream, &database).await;
    let with_tags = |model: &str, tags: Value| {
        let mut body = chat(model);
        body["tags"] = tags;
        body
    };
    for key in [&a, &nobody] {
        for body in [
            with_tags("shared", json!(["nope"])),
            with_tags("shared", json!(["&nope"])),
            with_tags("shared", json!(["!teamA", "!default"])),
            chat("nobody-has-this"),
            with_tags("failing", json!(["!plain"])),
        ] {
            let response = server.post(CHAT, key, &body).await;
            assert!(!response.text().contains("hidden"), "{body}: {}", response.text());
            assert!(response.headers.iter().all(|(_, value)| !value.to_str().unwrap().contains("hidden")));
        }
        // A reserved tag answers like one that nobody has.
        let answer = async |tag: &str| {
            let response = server.post(CHAT, key, &with_tags("shared", json!([tag]))).await;
            (response.status, response.text().replace(tag, "TAG"))
        };
        let (reserved, unknown) = (answer("hiddenC").await, answer("nope").await);
        assert_eq!(reserved.0, unknown.0);
        // Which of those that are permitted answers is chance.
        assert!(reserved.0 == 200 || reserved.1 == unknown.1, "{} {}", reserved.1, unknown.1);
        let (reserved, unknown) = (answer("&hiddenC").await, answer("&nope").await);
        assert_eq!(reserved, unknown);
    }
}

/// A cent for each of a reply's three tokens; the wildcard is team B's alone.
fn with_a_budget(upstream: &FakeUpstream) -> String {
    let mut both = [("plain", &[][..]), ("hidden/*", &["hiddenB"][..])]
        .map(|(group, tags)| deployment(group, group, tags, &upstream.base()));
    both[1]["litellm_params"]["model"] = json!("openai/*");
    for one in &mut both {
        one["litellm_params"]["input_cost_per_token"] = json!(0.0);
        one["litellm_params"]["output_cost_per_token"] = json!(0.01);
    }
    config_text(&both, &json!({}))
}

/// One of them is carried by a deployment, the other one is there to be paid by alone.
#[tokio::test]
async fn a_tag_that_is_reserved_for_others_is_nobody_elses_budget_or_limit() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&with_a_budget(&upstream), &database);
        let team_b = server.team(json!({"tags": ["hiddenB", "hidden-costs", "open"]})).await;
        server.admin("/tag/update", json!({"name": "open", "reserved": false})).await;
        let keys = [server.key(json!({})).await, server.key(json!({"tags": ["hiddenA"]})).await];
        let owner = server.key(json!({"team_id": team_b})).await;
        for tag in ["hiddenB", "hidden-costs"] {
            server.admin("/tag/update", json!({"name": tag, "max_budget": 0.05, "rpm_limit": 2})).await;
        }
        let ask = async |key: &str, tags: &[&str]| {
            let mut body = chat("plain");
            body["tags"] = json!(tags);
            server.post(CHAT, key, &body).await
        };
        for key in &keys {
            for tags in [["hiddenB", "hidden-costs"], ["&hiddenB", "&hidden-costs"]] {
                for _ in 0..2 {
                    let (reserved, unknown) = (ask(key, &tags).await, ask(key, &["never"]).await);
                    assert_eq!(reserved.status, unknown.status, "{tags:?}: {}", reserved.text());
                }
            }
        }
        let spent = async |tag: &str| {
            server.look("/global/spend").await;
            server.admin("/tag/info", json!({"names": [tag]})).await[tag]["spend"].clone()
        };
        assert_eq!((spent("hiddenB").await, spent("hidden-costs").await), (json!(0.0), json!(0.0)));
        let rows = server.look("/spend/tags").await.text();
        assert!(!rows.contains("hidden") || rows.contains("hiddenA") && !rows.contains("hiddenB"), "{rows}");
        // Whoever reads single calls sees what was tried.
        assert!(server.look("/spend/logs").await.text().contains("plain hiddenB,hidden-costs"));

        // To its owner they are what they are, and one that is reserved no more is everybody's.
        assert_eq!(server.post(CHAT, &owner, &chat("hidden/x")).await.status, 200);
        assert_eq!((spent("hiddenB").await, spent("hidden-costs").await), (json!(0.03), json!(0.03)));
        server.admin("/tag/update", json!({"name": "open", "rpm_limit": 1})).await;
        let statuses = [ask(&keys[0], &["open"]).await.status, ask(&keys[0], &["open"]).await.status];
        assert_eq!(statuses, [200, 429]);
    }
}

#[tokio::test]
async fn no_refusal_tells_of_a_wildcard_that_is_reserved_for_others() {
    let upstream = FakeUpstream::start();
    let (_home, databases) = databases();
    for database in databases {
        let server = Server::start(&with_a_budget(&upstream), &database);
        let team_b = server.team(json!({"tags": ["hiddenB"]})).await;
        let owner = server.key(json!({"team_id": team_b})).await;
        let nobody = server.key(json!({})).await;
        let nameless = json!({"messages": []});
        for body in [chat("never"), nameless] {
            let refused = server.post(CHAT, &nobody, &body).await;
            let (_, text) = told(&refused);
            assert!(refused.status == 400 && text.contains("Invalid model name"), "{text}");
            let (_, text) = told(&server.post(CHAT, &owner, &body).await);
            assert!(text.contains("no healthy deployments"), "{text}");
        }
    }
}
