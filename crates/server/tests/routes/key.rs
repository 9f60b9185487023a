//! `/key/…`: virtual keys over real sockets, kept in a real file.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Response, config_text, deployment, post};

use crate::gateway::{Gateway, chat, message};

const CHAT: &str = "/v1/chat/completions";

/// A gateway that keeps keys, with the groups `m` and `n`; a token costs a millionth of a dollar to send
/// and two to get.
pub(crate) fn keeping(upstream: &FakeUpstream) -> Gateway {
    Gateway::keeping(&config(upstream))
}

pub(crate) fn config(upstream: &FakeUpstream) -> String {
    let deployments = ["m", "n"].map(|group| {
        let mut deployment = deployment(group, &format!("{group}-1"), &[], &upstream.base());
        deployment["litellm_params"]["input_cost_per_token"] = json!(1e-6);
        deployment["litellm_params"]["output_cost_per_token"] = json!(2e-6);
        deployment
    });
    config_text(&deployments, &json!({}))
}

impl Gateway {
    /// Makes a key.
    pub(crate) async fn key(&self, body: &Value) -> String {
        let made = self.post("/key/generate", body).await;
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["key"].as_str().unwrap().to_owned()
    }

    /// A POST with another key than the master's.
    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &Value) -> Response {
        post(self.address, path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    /// A GET with another key than the master's.
    pub(crate) async fn get_as(&self, key: &str, path: &str) -> Response {
        self.send("GET", path, &[("authorization", &format!("Bearer {key}"))]).await
    }

    async fn done(&self, path: &str, body: &Value) -> Value {
        let response = self.post(path, body).await;
        assert_eq!(response.status, 200, "{path} {body}: {}", response.text());
        response.json()
    }

    async fn info(&self, key: &str) -> Value {
        self.get(&format!("/key/info?key={key}")).await.json()["info"].clone()
    }
}

#[tokio::test]
async fn a_key_is_shown_once_with_every_field_that_litellm_has() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let team = gateway.done("/team/new", &json!({"team_id": "team-b"})).await;
    assert_eq!(team["team_id"], "team-b");
    let made = gateway
        .done(
            "/key/generate",
            &json!({
                "key_alias": "kb", "team_id": "team-b", "models": ["m"], "aliases": {"x": "m"}, "max_budget": 0.5,
                "metadata": {"foo": "bar"}, "rpm_limit": 50, "duration": "1h",
            }),
        )
        .await;
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("sk-") && key.len() == 35, "192 bits in base64");
    assert_eq!(made["key_name"], format!("sk-...{}", &key[31..]));
    assert_eq!(made["token"], made["token_id"]);
    assert_eq!(made["token"].as_str().unwrap().len(), 64);
    for (field, expected) in [
        ("key_alias", json!("kb")),
        ("key_type", json!("default")),
        ("models", json!(["m"])),
        ("aliases", json!({"x": "m"})),
        ("spend", json!(0.0)),
        ("max_budget", json!(0.5)),
        ("team_id", json!("team-b")),
        ("metadata", json!({"foo": "bar"})),
        ("rpm_limit", json!(50)),
        ("permissions", json!({})),
        ("config", json!({})),
        ("allowed_routes", json!([])),
        ("created_by", json!("default_user_id")),
    ] {
        assert_eq!(made[field], expected, "{field}");
    }
    for field in [
        "user_id",
        "tpm_limit",
        "max_parallel_requests",
        "budget_duration",
        "duration",
        "blocked",
        "tags",
        "budget_id",
        "guardrails",
        "enforced_params",
        "organization_id",
        "soft_budget",
        "updated_at",
    ] {
        assert!(made.as_object().unwrap().contains_key(field), "{field}");
    }
    assert_eq!(made["duration"], Value::Null);
    assert_eq!(made["blocked"], Value::Null);
    assert_eq!(made["tags"], Value::Null);
    assert!(made["expires"].as_str() > made["created_at"].as_str());

    let answer = gateway.get(&format!("/key/info?key={key}")).await;
    assert_eq!(answer.json()["key"], key);
    let info = &answer.json()["info"];
    assert!(info.get("token").is_none());
    assert_eq!((&info["key_alias"], &info["rotation_count"]), (&json!("kb"), &json!(0)));
    for field in ["budget_reset_at", "created_at", "updated_at", "last_active", "litellm_budget_table"] {
        assert!(info.as_object().unwrap().contains_key(field), "{field}");
    }
    assert_eq!(gateway.post_as(key, CHAT, &chat("m")).await.status, 200);
}

#[tokio::test]
async fn a_key_and_its_hash_name_the_same_key_everywhere() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    for by_hash in [false, true] {
        let made = gateway.done("/key/generate", &json!({})).await;
        let (key, hash) = (made["key"].as_str().unwrap(), made["token"].as_str().unwrap());
        let named = if by_hash { hash } else { key };
        let call = async || gateway.post_as(key, CHAT, &chat("m")).await;
        assert_eq!(call().await.status, 200);
        assert_eq!(gateway.info(named).await["key_name"], made["key_name"]);
        let updated = gateway.done("/key/update", &json!({"key": named, "rpm_limit": 7})).await;
        assert_eq!((&updated["key"], &updated["rpm_limit"]), (&json!(named), &json!(7)));
        let blocked = gateway.done("/key/block", &json!({"key": named})).await;
        assert_eq!((&blocked["blocked"], &blocked["token"]), (&json!(true), &json!(hash)));
        let refused = call().await;
        assert_eq!(refused.status, 401);
        assert!(message(&refused).contains("Key is blocked"), "{}", refused.text());
        gateway.done("/key/unblock", &json!({"key": named})).await;
        assert_eq!(call().await.status, 200);
        let deleted = gateway.done("/key/delete", &json!({"keys": [named]})).await;
        assert_eq!(deleted, json!({"deleted_keys": [named]}));
        let refused = call().await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (401, &json!("token_not_found_in_db"))
        );
        let gone = gateway.post("/key/update", &json!({"key": named, "rpm_limit": 7})).await;
        assert_eq!((gone.status, message(&gone).as_str()), (404, "Key not found."));
        assert_eq!(gateway.get(&format!("/key/info?key={named}")).await.status, 404);
    }
}

#[tokio::test]
async fn a_chosen_key_is_taken_as_it_is_or_refused_without_being_repeated() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let own = "sk-chosen-by-the-admin";
    assert_eq!(gateway.key(&json!({"key": own})).await, own);
    assert_eq!(gateway.post_as(own, CHAT, &chat("m")).await.status, 200);
    for (key, status, text) in [
        (
            "chosen-by-the-admin",
            400,
            "Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: ****",
        ),
        ("sk-tooshort", 400, "must be at least 16 characters long."),
        ("sk-with a space in it", 400, "visible ASCII"),
        (own, 409, "exists already"),
    ] {
        let refused = gateway.post("/key/generate", &json!({"key": key})).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (status, &json!("key")), "{key}");
        assert!(message(&refused).contains(text), "{}", refused.text());
        assert!(!refused.text().contains(key), "{}", refused.text());
    }
    let other = gateway.key(&json!({})).await;
    let taken = gateway.post("/key/regenerate", &json!({"key": other, "new_key": own})).await;
    assert_eq!(taken.status, 409, "{}", taken.text());
    assert_eq!(gateway.post_as(&other, CHAT, &chat("m")).await.status, 200, "and nothing has changed");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_nothing_is_made() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    gateway.key(&json!({"key_alias": "alias1"})).await;
    let key = gateway.key(&json!({"key_alias": "alias2"})).await;
    let alias = "Key with alias 'alias1' already exists. Unique key aliases across all keys are required.";
    for (body, status, param, text) in [
        (json!({"team_id": "nope"}), 404, "team_id", "Team not found, passed team_id=nope"),
        (json!({"key_alias": "alias1"}), 400, "key_alias", alias),
        (json!({"duration": "soon"}), 400, "duration", "Invalid duration"),
        (
            json!({"budget_duration": "abc"}),
            400,
            "budget_duration",
            "Use a format like '1h', '24h', '7d', or '30d'.",
        ),
        (json!({"tags": "teamA"}), 422, "tags", "list"),
        (json!({"tags": [""]}), 400, "tags", "tag"),
        (json!({"max_budget": -1}), 400, "max_budget", "negative"),
        (json!({"key_type": "root"}), 422, "key_type", "llm_api"),
    ] {
        let mut update = body.clone();
        update["key"] = json!(key);
        for (path, body) in [("/key/generate", &body), ("/key/update", &update), ("/key/regenerate", &update)]
        {
            let refused = gateway.post(path, body).await;
            assert_eq!(refused.status, status, "{path} {body}: {}", refused.text());
            assert_eq!(refused.json()["error"]["param"], param, "{path} {body}");
            assert!(message(&refused).contains(text), "{path}: {}", refused.text());
        }
    }
    assert_eq!(gateway.get("/key/list").await.json()["total_count"], 2);
    assert_eq!(gateway.post_as(&key, CHAT, &chat("m")).await.status, 200, "the key is as it was");
}

#[tokio::test]
async fn fields_without_effect_are_kept_and_unknown_ones_named() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let body = json!({"guardrails": ["pii"], "agent_id": "a", "max_bugdet": 1, "model_max_budget": {"m": 1}});
    let made = gateway.done("/key/generate", &body).await;
    let warnings = made["warnings"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
    let warnings = warnings.collect::<Vec<_>>().join("; ");
    for part in ["guardrails", "max_bugdet", "model_max_budget"] {
        assert!(warnings.contains(part), "{warnings}");
    }
    assert!(!warnings.contains("agent_id"), "{warnings}");
    let info = gateway.info(made["key"].as_str().unwrap()).await;
    assert_eq!((&info["guardrails"], &info["agent_id"]), (&json!(["pii"]), &json!("a")));
    assert!(info.get("max_bugdet").is_none());
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_tags_survive_new_metadata() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway
        .key(&json!({"metadata": {"a": 1, "tags": ["t"]}, "models": ["m"], "duration": "1h", "tpm_limit": 9}))
        .await;
    gateway.done("/key/update", &json!({"key": key, "metadata": {"b": 2}})).await;
    let info = gateway.info(&key).await;
    assert_eq!(info["metadata"], json!({"b": 2, "tags": ["t"]}));
    assert_eq!((&info["models"], &info["tpm_limit"]), (&json!(["m"]), &json!(9)));
    assert!(info["expires"].is_string());
    gateway.done("/key/update", &json!({"key": key, "tags": [], "tpm_limit": null, "duration": "-1"})).await;
    let info = gateway.info(&key).await;
    assert_eq!(info["metadata"], json!({"b": 2}));
    assert_eq!((&info["tpm_limit"], &info["expires"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn who_made_a_key_is_written_down() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    gateway
        .done("/user/new", &json!({"user_id": "ada", "user_role": "proxy_admin", "auto_create_key": false}))
        .await;
    let ada = gateway.key(&json!({"user_id": "ada"})).await;
    let made = gateway.post_as(&ada, "/key/generate", &json!({})).await.json();
    assert_eq!(made["created_by"], "ada");
    assert_eq!(gateway.info(made["key"].as_str().unwrap()).await["created_by"], "ada");
}

#[tokio::test]
async fn updates_at_the_same_time_are_all_kept() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({})).await;
    let fields = ["rpm_limit", "tpm_limit", "max_parallel_requests"];
    let update = |field: &'static str| {
        let mut body = json!({"key": key});
        body[field] = json!(5);
        let address = gateway.address;
        tokio::spawn(async move { post(address, "/key/update", &[crate::gateway::KEY], &body).await.status })
    };
    for task in fields.map(update) {
        assert_eq!(task.await.unwrap(), 200);
    }
    let info = gateway.info(&key).await;
    for field in fields {
        assert_eq!(info[field], 5, "{field}");
    }
}

#[tokio::test]
async fn a_budget_with_a_duration_says_when_it_begins_anew() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({"max_budget": 1, "budget_duration": "30d"})).await;
    let reset = gateway.info(&key).await["budget_reset_at"].as_str().unwrap().to_owned();
    assert!(reset.contains("-01T00:00:00"), "the first of the next month: {reset}");
    gateway.done("/key/update", &json!({"key": key, "budget_duration": null})).await;
    assert_eq!(gateway.info(&key).await["budget_reset_at"], Value::Null);
}

#[tokio::test]
async fn a_regenerated_key_keeps_all_but_its_value() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let body =
        json!({"key_alias": "a", "models": ["m"], "tags": ["t"], "max_budget": 3, "metadata": {"x": 1}});
    for in_path in [false, true] {
        let old = gateway.key(&body).await;
        assert_eq!(gateway.post_as(&old, CHAT, &chat("m")).await.status, 200);
        let before = gateway.info(&old).await;
        assert!(before["spend"].as_f64() > Some(0.0), "{before}");
        let made = if in_path {
            gateway.done(&format!("/key/{old}/regenerate"), &json!({})).await
        } else {
            gateway.done("/key/regenerate", &json!({"key": old, "grace_period": "1d"})).await
        };
        let new = made["key"].as_str().unwrap();
        assert_ne!(new, old);
        assert_eq!(made["warnings"].is_array(), !in_path, "the grace period has no effect");
        assert_eq!(gateway.post_as(&old, CHAT, &chat("m")).await.status, 401);
        assert_eq!(gateway.post_as(new, CHAT, &chat("n")).await.status, 403);
        let after = gateway.info(new).await;
        for field in ["key_alias", "models", "metadata", "max_budget", "spend", "created_at"] {
            assert_eq!(after[field], before[field], "{field}");
        }
        assert_eq!(after["rotation_count"], 1);
        assert_eq!(gateway.post_as(new, CHAT, &chat("m")).await.status, 200);
        gateway.done("/key/delete", &json!({"key_aliases": ["a"]})).await;
    }
    let response = gateway.send("POST", "/key/sk-nobody-has-this/regenerate", &[crate::gateway::KEY]).await;
    assert_eq!(response.status, 404, "a body is not needed: {}", response.text());
}

#[tokio::test]
async fn keys_are_deleted_all_or_none() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({})).await;
    let refused = gateway.post("/key/delete", &json!({"keys": [key, "sk-nobody-has-this-one"]})).await;
    assert_eq!((refused.status, message(&refused).as_str()), (404, "{'error': 'No keys found'}"));
    assert_eq!(gateway.post_as(&key, CHAT, &chat("m")).await.status, 200);
    assert_eq!(gateway.post("/key/delete", &json!({})).await.status, 422);
    gateway.done("/key/delete", &json!({"keys": [key, key]})).await;
    assert_eq!(gateway.post_as(&key, CHAT, &chat("m")).await.status, 401);
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    gateway.done("/team/new", &json!({"team_id": "t"})).await;
    for number in 0..5 {
        let team = if number < 2 { json!("t") } else { Value::Null };
        gateway.key(&json!({"key_alias": format!("k{number}"), "team_id": team, "user_id": "u"})).await;
    }
    let list = async |query: &str| gateway.get(&format!("/key/list?{query}")).await.json();
    let page = list("page=2&size=2").await;
    assert_eq!(page["keys"].as_array().unwrap().len(), 2);
    assert_eq!(page["keys"][0].as_str().unwrap().len(), 64, "hashes");
    let told = ["total_count", "current_page", "total_pages"].map(|name| page[name].as_u64().unwrap());
    assert_eq!(told, [5, 2, 3]);
    let whole = list("team_id=t&return_full_object=true").await;
    assert_eq!((&whole["total_count"], &whole["keys"][1]["key_alias"]), (&json!(2), &json!("k1")));
    assert_eq!(list("key_alias=k4").await["total_count"], 1);
    assert_eq!(list("user_id=nobody").await["keys"], json!([]));
    let hash = whole["keys"][0]["token"].as_str().unwrap();
    assert_eq!(list(&format!("key_hash={hash}")).await["keys"], json!([hash]));
}

#[tokio::test]
async fn a_key_sees_itself_and_nobody_else() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({"user_id": "u"})).await;
    let same_user = gateway.key(&json!({"user_id": "u"})).await;
    let other = gateway.key(&json!({})).await;
    let own = gateway.get_as(&key, "/key/info").await;
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(own.json()["info"]["user_id"], "u");
    assert_eq!(own.json()["key"].as_str().unwrap().len(), 64, "the hash, where no key was named");
    assert_eq!(gateway.get_as(&key, &format!("/key/info?key={key}")).await.status, 200);
    let mut refusals = Vec::new();
    for named in [other.as_str(), same_user.as_str(), "sk-nobody-has-this-one"] {
        let refused = gateway.get_as(&key, &format!("/key/info?key={named}")).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        refusals.push(refused.text());
    }
    assert!(refusals.iter().all(|text| *text == refusals[0]), "whether it is there is not told");
    let listed = gateway.get_as(&key, "/key/list").await.json();
    assert_eq!(listed["total_count"], 2, "{listed}");
    assert_eq!(gateway.get_as(&key, "/key/list?user_id=x").await.status, 403);
    assert_eq!(gateway.get_as(&other, "/key/list").await.status, 403);
}

#[tokio::test]
async fn the_type_of_a_key_only_takes_rights_away() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    for (kind, chats, informs) in [("llm_api", 200, 403), ("read_only", 403, 200), ("default", 200, 200)] {
        let key = gateway.key(&json!({"key_type": kind})).await;
        assert_eq!(gateway.post_as(&key, CHAT, &chat("m")).await.status, chats, "{kind}");
        assert_eq!(gateway.get_as(&key, "/key/info").await.status, informs, "{kind}");
        let made = gateway.post_as(&key, "/key/generate", &json!({})).await.status;
        assert!([401, 403].contains(&made), "{kind}");
    }
    let key = gateway.key(&json!({"key_type": "management"})).await;
    assert_eq!(gateway.post_as(&key, CHAT, &chat("m")).await.status, 403);
    let made = gateway.post_as(&key, "/key/generate", &json!({})).await;
    assert!([401, 403].contains(&made.status), "a role is not given: {}", made.text());
}
