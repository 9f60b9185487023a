//! Every route as everybody: who is let in, who is not, and that no spelling of a path changes that. The
//! routes are the server's own list, so that a new one without an entry here fails.

mod needs;

use std::path::Path;

use serde_json::{Value, json};
use tagrail_server::Clock;
use tagrail_store::Timestamp;
use tagrail_testkit::{Client, FakeUpstream, Response, config_text, deployment};

use crate::gateway::{Gateway, KEY};
use needs::{Needs, needs};

/// Everybody, and what a route that needs this answers to each.
const EVERYBODY: [Who; 11] = [
    Who { name: "no key", rank: 0 },
    Who { name: "wrong key", rank: 0 },
    Who { name: "not a key", rank: 0 },
    Who { name: "blocked", rank: 0 },
    Who { name: "of a blocked team", rank: 0 },
    Who { name: "expired", rank: 0 },
    Who { name: "restricted", rank: 0 },
    Who { name: "ordinary", rank: 1 },
    Who { name: "viewer", rank: 2 },
    Who { name: "admin", rank: 3 },
    Who { name: "master", rank: 3 },
];

/// Somebody.
#[derive(Clone, Copy, Debug)]
struct Who {
    name: &'static str,
    /// Up to which need it may call.
    rank: u8,
}

impl Who {
    fn may(self, needs: Needs) -> bool {
        self.rank >= needs as u8
    }
}

/// A gateway, and the keys of everybody.
struct House {
    gateway: Gateway,
    keys: Vec<(&'static str, String)>,
    _upstream: FakeUpstream,
}

impl House {
    async fn build() -> House {
        let upstream = FakeUpstream::start();
        let clock = Clock::standing_at(Timestamp::now());
        let mut anthropic = deployment("claude", "claude", &[], &upstream.url());
        anthropic["litellm_params"]["model"] = json!("anthropic/claude");
        let deployments = [deployment("m", "m", &[], &upstream.base()), anthropic];
        let gateway = Gateway::keeping_at(&config_text(&deployments, &json!({})), clock.clone());
        for team in ["open", "shut"] {
            done(gateway.post("/team/new", &json!({"team_id": team})).await);
        }
        for role in ["internal_user", "proxy_admin_viewer", "proxy_admin"] {
            let user = json!({"user_id": role, "user_role": role, "auto_create_key": false});
            done(gateway.post("/user/new", &user).await);
        }
        let mut keys =
            vec![("wrong key", "sk-nobody-has-this-key".to_owned()), ("not a key", "wrong".to_owned())];
        for (name, body) in [
            ("blocked", json!({"blocked": true})),
            ("of a blocked team", json!({"team_id": "shut"})),
            ("expired", json!({"duration": "1h"})),
            ("restricted", json!({"allowed_routes": ["/nothing"]})),
            ("ordinary", json!({"team_id": "open", "user_id": "internal_user"})),
            ("viewer", json!({"user_id": "proxy_admin_viewer"})),
            ("admin", json!({"user_id": "proxy_admin"})),
        ] {
            keys.push((name, gateway.key(&body).await));
        }
        keys.push(("master", "sk-1234".to_owned()));
        done(gateway.post("/team/block", &json!({"team_id": "shut"})).await);
        clock.advance(2 * 3_600_000);
        House { gateway, keys, _upstream: upstream }
    }

    fn header(&self, who: &str) -> Vec<(&'static str, String)> {
        let key = self.keys.iter().find(|(name, _)| *name == who);
        key.map(|(_, key)| ("authorization", format!("Bearer {key}"))).into_iter().collect()
    }

    /// Calls a path as somebody; with a body where the method has one.
    async fn call(&self, who: &str, method: &str, target: &str) -> Response {
        self.call_at(who, method, target, "localhost").await
    }

    async fn call_at(&self, who: &str, method: &str, target: &str, host: &str) -> Response {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in self.header(who) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = if method == "POST" { body(target).to_string() } else { String::new() };
        request.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        let mut client = Client::connect(self.gateway.address).await;
        client.send(request).await;
        client.response().await
    }

    /// Every route, as method and path.
    async fn routes(&self) -> Vec<(String, String)> {
        let listed = self.gateway.send("GET", "/routes", &[]).await.json();
        let listed = listed["routes"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        listed.map(|route| (text(&route["methods"][0]), text(&route["path"]))).collect()
    }
}

fn done(response: Response) {
    assert_eq!(response.status, 200, "{}", response.text());
}

/// Something for the model routes to answer; management routes find nothing in it to do.
fn body(target: &str) -> Value {
    if target.ends_with("/messages") {
        return json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    }
    let is_management = ["/key/", "/team/", "/user/", "/tag/"].iter().any(|part| target.contains(part));
    if is_management {
        return json!({"nothing": "to do", "auto_create_key": false});
    }
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": "m", "messages": messages, "prompt": "hi", "input": "hi"})
}

/// A path that a route's stands for.
fn example(path: &str) -> String {
    path.replace("{model}", "m").replace("{*id}", "m").replace("{key}", "sk-nobody-has-this-key")
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let house = House::build().await;
    let mut wrong = Vec::new();
    for (method, path) in house.routes().await {
        let needs = needs(&method, &path);
        for who in EVERYBODY {
            let response = house.call(who.name, &method, &example(&path)).await;
            let status = response.status;
            let as_expected = if who.may(needs) {
                !matches!(status, 401 | 403 | 405) && status < 500
            } else {
                // A key that is valid may be told that it may not; others hear that they have none.
                status == 401 || (status == 403 && who.name == "restricted")
            };
            if !as_expected {
                wrong.push(format!("{method} {path} as {}: {status} {}", who.name, response.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn routes_that_call_models_answer_and_others_do_not_make_anything_of_it() {
    let house = House::build().await;
    for (method, path) in house.routes().await {
        let is_model = needs(&method, &path) == Needs::Key && path.contains("completions");
        if is_model || path == "/v1/messages" {
            let answered = house.call("ordinary", &method, &example(&path)).await;
            assert_eq!(answered.status, 200, "{path}: {}", answered.text());
        }
    }
    let keys = house.gateway.get("/key/list").await.json()["total_count"].clone();
    for (method, path) in house.routes().await {
        if needs(&method, &path) == Needs::Admin {
            house.call("ordinary", &method, &example(&path)).await;
            house.call("viewer", &method, &example(&path)).await;
        }
    }
    assert_eq!(house.gateway.get("/key/list").await.json()["total_count"], keys);
}

/// The list that people and other tests go by is what is registered, neither more nor less: axum does not
/// say what it has, so the source does.
#[tokio::test]
async fn what_is_registered_is_listed_and_the_other_way_round() {
    let house = House::build().await;
    let listed = house.routes().await;
    let registered = registered();
    for route in &registered {
        assert!(listed.contains(route), "{route:?} is registered and not listed in a ROUTES");
    }
    for route in listed.iter().filter(|(_, path)| tagrail_routes_by_axum(path)) {
        assert!(registered.contains(route), "{route:?} is listed and not registered");
    }
    let mut each = listed.clone();
    each.sort();
    each.dedup();
    assert_eq!(each.len(), listed.len(), "a route is listed twice");
}

/// Calls of models are found without axum.
fn tagrail_routes_by_axum(path: &str) -> bool {
    let is_model = ["completions", "embeddings", "/messages", "/responses"];
    !is_model.iter().any(|end| path.ends_with(end))
}

/// Every `.route("path", method(handler))` of the server's source.
fn registered() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.extend(registrations(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

fn registrations(source: &str) -> Vec<(String, String)> {
    let source: String = source.chars().filter(|character| !character.is_whitespace()).collect();
    let after = source.split(".route(\"").skip(1);
    after
        .map(|rest| {
            let (path, rest) = rest.split_once('"').unwrap();
            let method = rest.trim_start_matches(',').split('(').next().unwrap();
            let method = method.rsplit(':').next().unwrap().to_ascii_uppercase();
            (method, path.to_owned())
        })
        .collect()
}

/// Other ways to write a path, some of which a server in front of this one may take for the same.
fn spellings(path: &str) -> Vec<String> {
    let inner = &path[1..];
    let (first, rest) = inner.split_once('/').unwrap_or((inner, ""));
    vec![
        format!("/{path}"),
        format!("//{inner}"),
        format!("/{first}//{rest}"),
        format!("{path}/"),
        format!("{path}//"),
        format!("/./{inner}"),
        format!("/x/../{inner}"),
        format!("/health/liveliness/../../{inner}"),
        format!("/health/liveliness/..;/..;/{inner}"),
        format!("/health/liveliness/%2e%2e/%2e%2e/{inner}"),
        format!("/%2e/{inner}"),
        format!("/{first}%2f{rest}"),
        format!("/{first}%2F{rest}"),
        format!("%2f{inner}"),
        format!("/{first}\\{rest}"),
        format!("/{first}%5c{rest}"),
        format!("{path};x"),
        format!("{path};/health/liveliness"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path}."),
        format!("{path}.json"),
        format!("{path}%3f"),
        format!("{path}?"),
        format!("{path}?/health/liveliness"),
        format!("{path}%23"),
        path.to_ascii_uppercase(),
        format!("/%{:02x}{}", inner.as_bytes()[0], &inner[1..]),
        format!("http://localhost{path}"),
        format!("http://localhost/{path}"),
        format!("http://elsewhere.example{path}"),
        format!("http://localhost:1@elsewhere.example{path}"),
        format!("/v1/models/..{path}"),
        format!("/engines/..{path}/completions"),
    ]
}

#[tokio::test]
async fn no_spelling_of_a_path_lets_in_whom_the_path_does_not() {
    let house = House::build().await;
    let mut tried = 0;
    for (method, path) in house.routes().await {
        let needs = needs(&method, &path);
        if needs == Needs::Nothing {
            continue;
        }
        let strangers = EVERYBODY.into_iter().filter(|who| ["no key", "blocked"].contains(&who.name));
        let lesser = EVERYBODY.into_iter().filter(|who| ["ordinary", "viewer"].contains(&who.name));
        let lesser = lesser.filter(|who| !who.may(needs));
        for who in strangers.chain(lesser) {
            for target in spellings(&example(&path)) {
                let response = house.call(who.name, &method, &target).await;
                assert!(response.status >= 400, "{method} {target} as {}: {}", who.name, response.text());
                tried += 1;
            }
        }
    }
    assert!(tried > 5000, "{tried}");
}

#[tokio::test]
async fn a_host_or_an_address_in_the_request_line_changes_nothing() {
    let house = House::build().await;
    for (method, path) in house.routes().await {
        let needs = needs(&method, &path);
        for who in EVERYBODY.into_iter().filter(|who| ["no key", "ordinary", "master"].contains(&who.name)) {
            let expected = house.call(who.name, &method, &example(&path)).await.status;
            for host in ["elsewhere.example", "localhost:4000", "127.0.0.1"] {
                let status = house.call_at(who.name, &method, &example(&path), host).await.status;
                assert_eq!(status, expected, "{method} {path} as {} at {host}", who.name);
            }
            let target = format!("http://elsewhere.example{}", example(&path));
            let status = house.call(who.name, &method, &target).await.status;
            assert_eq!(status, expected, "{method} {target} as {}, {needs:?}", who.name);
        }
    }
}

#[tokio::test]
async fn a_key_that_may_call_one_route_may_call_no_other() {
    let house = House::build().await;
    let key = house.gateway.key(&json!({"allowed_routes": ["/v1/models"]})).await;
    assert_eq!(house.gateway.get_as(&key, "/v1/models").await.status, 200);
    for (method, path) in house.routes().await {
        if needs(&method, &path) == Needs::Nothing || path == "/v1/models" {
            continue;
        }
        let path = example(&path);
        let header = format!("Bearer {key}");
        let response = if method == "POST" {
            tagrail_testkit::post(house.gateway.address, &path, &[("authorization", &header)], &body(&path))
                .await
        } else {
            house.gateway.send(&method, &path, &[("authorization", &header)]).await
        };
        assert_eq!(response.status, 403, "{method} {path}: {}", response.text());
    }
    assert_eq!(house.gateway.send("GET", "/v1/models", &[KEY]).await.status, 200);
}
