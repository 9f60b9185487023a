//! Keys that can be recognised go through the built binary in every way that clients, admins and
//! upstreams get them wrong; afterwards they are looked for wherever something is written down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod gateway;

use std::path::Path;

use serde_json::json;
use tagrail_testkit::{Client, FakeUpstream, Reply, Response, config_text, deployment};

use gateway::{Gateway, chat_body};

const MASTER: &str = "sk-PLANTEDMASTER0123456789abcdefWXYZ";
const UPSTREAM: &str = "sk-PLANTEDUPSTREAM0123456789abcdefWXYZ";
const VIRTUAL: &str = "sk-PLANTEDVIRTUAL0123456789abcdefWXYZ";
/// One that replaces it.
const LATER: &str = "sk-PLANTEDLATER0123456789abcdefWXYZ";

/// What must be found nowhere. The ends of keys are shown, so the beginnings are looked for.
const SECRETS: [&str; 4] =
    ["PLANTEDMASTER0123", "PLANTEDUPSTREAM0123", "PLANTEDVIRTUAL0123", "PLANTEDLATER0123"];

/// Routes whose answer says a key again to the admin who has just named it, as LiteLLM's does.
const REPEATING: [&str; 5] = ["/key/generate", "/key/update", "/key/info", "/key/delete", "/key/regenerate"];

struct House {
    gateway: Gateway,
    upstream: FakeUpstream,
    leaks: Vec<String>,
}

impl House {
    fn start() -> House {
        let upstream = FakeUpstream::start();
        let base = upstream.base();
        let gone = format!("http://{}/v1", FakeUpstream::refused());
        let deployments = [("good", &base), ("bad", &base), ("chatty", &base), ("gone", &gone)];
        let deployments = deployments.map(|(name, base)| {
            let mut deployment = deployment(name, name, &[], base);
            deployment["litellm_params"]["api_key"] = json!(UPSTREAM);
            deployment
        });
        upstream.always("bad", Reply::error(500));
        let told = format!("Incorrect API key provided: {UPSTREAM}. You can find your API key elsewhere.");
        let body =
            json!({"error": {"message": told, "type": "invalid_request_error", "code": "invalid_api_key"}});
        upstream.always("chatty", Reply::json(401, &body));
        let more = json!({
            "general_settings": {"master_key": MASTER},
            "router_settings": {"num_retries": 1},
        });
        let config = config_text(&deployments, &more);
        let gateway = Gateway::start_with(&config, &[("TAGRAIL_LOG", "trace")]);
        House { gateway, upstream, leaks: Vec::new() }
    }

    /// Sends a request and looks through its answer.
    async fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = body.len();
        request
            .push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"));
        let mut client = Client::connect(self.gateway.address).await;
        client.send(&request).await;
        let response = client.response().await;
        let repeats =
            REPEATING.iter().any(|path| target.starts_with(path)) || target.ends_with("/regenerate");
        let repeats = repeats && response.status == 200;
        let headers = response.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n"));
        let answer = headers.collect::<String>() + &response.text();
        for secret in SECRETS.into_iter().filter(|secret| answer.contains(secret)) {
            let was_named =
                request.split_once("\r\nhost").unwrap().0.contains(secret) || body.contains(secret);
            if !(repeats && was_named) {
                self.leaks.push(format!("{secret} in the answer to {method} {target} {body}: {answer}"));
            }
        }
        response
    }

    async fn as_admin(&mut self, method: &str, target: &str, body: &str) -> Response {
        self.send(method, target, &[("authorization", &format!("Bearer {MASTER}"))], body).await
    }

    async fn as_key(&mut self, method: &str, target: &str, body: &str) -> Response {
        self.send(method, target, &[("authorization", &format!("Bearer {VIRTUAL}"))], body).await
    }

    /// Looks through every file but the configuration, which holds what the operator wrote.
    fn search(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.search(&path);
            } else if !path.ends_with("config.yaml") {
                let bytes = std::fs::read(&path).unwrap();
                for secret in SECRETS {
                    if bytes.windows(secret.len()).any(|part| part == secret.as_bytes()) {
                        self.leaks.push(format!("{secret} in {}", path.display()));
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_planted_key_is_found_nowhere() {
    let mut house = House::start();
    manage(&mut house).await;
    misuse(&mut house).await;
    call(&mut house).await;
    look(&mut house).await;
    let directory = house.gateway.directory.take().unwrap();
    house.search(directory.path());
    let House { gateway, mut leaks, upstream } = house;
    gateway.program.terminate();
    let (_, lines) = gateway.program.end();
    let log = lines.join("\n");
    assert!(log.contains("answered"), "the log says what is asked: {log}");
    assert!(
        upstream.requests().iter().any(|it| it.headers["authorization"].to_str().unwrap().contains(UPSTREAM))
    );
    // The deployment's own key is all that a provider gets to know.
    for received in upstream.requests() {
        let text = format!("{:?} {}", received.headers, String::from_utf8_lossy(&received.body));
        let others = SECRETS.into_iter().filter(|secret| !UPSTREAM.contains(secret));
        leaks.extend(
            others.filter(|secret| text.contains(secret)).map(|secret| format!("{secret} sent: {text}")),
        );
    }
    for secret in SECRETS {
        leaks.extend(
            lines.iter().filter(|line| line.contains(secret)).map(|line| format!("in the log: {line}")),
        );
    }
    let mut last = House {
        gateway: Gateway::start(&config_text(
            &[deployment("good", "good", &[], "http://127.0.0.1:1")],
            &json!({}),
        )),
        upstream,
        leaks,
    };
    last.search(directory.path());
    assert!(directory.path().join("tagrail.db").exists());
    assert!(last.leaks.is_empty(), "{} leaks:\n{}", last.leaks.len(), last.leaks.join("\n\n"));
}

/// What admins do, with keys where keys belong.
async fn manage(house: &mut House) {
    let made = json!({"key": VIRTUAL, "key_alias": "planted", "max_budget": 5, "metadata": {"a": 1}});
    let made = house.as_admin("POST", "/key/generate", &made.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let named = json!({"key": VIRTUAL}).to_string();
    for path in ["/key/update", "/key/block", "/key/unblock"] {
        let done = house.as_admin("POST", path, &named).await;
        assert_eq!(done.status, 200, "{path}: {}", done.text());
    }
    for path in [format!("/key/info?key={VIRTUAL}"), format!("/key/list?key_hash={VIRTUAL}")] {
        assert_eq!(house.as_admin("GET", &path, "").await.status, 200, "{path}");
    }
    let to = |key: &str| json!({"new_key": key}).to_string();
    let there = house.as_admin("POST", &format!("/key/{VIRTUAL}/regenerate"), &to(LATER)).await;
    assert_eq!(there.status, 200, "{}", there.text());
    let escaped = LATER.replacen('s', "%73", 1);
    let back = house.as_admin("POST", &format!("/key/{escaped}/regenerate"), &to(VIRTUAL)).await;
    assert_eq!(back.status, 200, "{}", back.text());
}

/// Keys where they do not belong.
async fn misuse(house: &mut House) {
    for key in [MASTER, VIRTUAL, UPSTREAM] {
        for (path, body) in [
            ("/key/generate", json!({"key": key}).to_string()),
            ("/key/generate", json!({"key": [key]}).to_string()),
            ("/key/generate", json!({"key": {"key": key}}).to_string()),
            ("/key/generate", json!({"duration": key}).to_string()),
            ("/key/generate", json!({"key_type": key}).to_string()),
            ("/key/generate", json!({"max_budget": key}).to_string()),
            ("/key/generate", format!("{{\"key\": \"{key}")),
            ("/key/generate", format!("{{\"key\": \"{key}\", \"key\": \"{key}\"}}")),
            ("/key/generate", format!("[\"{key}\"]")),
            ("/key/generate", key.to_owned()),
            ("/key/update", json!({"key": format!("{key}x")}).to_string()),
            ("/key/block", json!({"key": format!("{key}x")}).to_string()),
            ("/key/delete", json!({"keys": [key, "sk-nobody-has-this-key"]}).to_string()),
            ("/key/delete", json!({"keys": key}).to_string()),
            ("/key/regenerate", json!({"key": format!("{key}x")}).to_string()),
            ("/key/regenerate", json!({"key": VIRTUAL, "new_key": format!("{key} ")}).to_string()),
            ("/team/new", format!("{{\"team_id\": \"{key}")),
            ("/spend/calculate", format!("{{\"model\": \"{key}")),
        ] {
            house.as_admin("POST", path, &body).await;
            house.as_key("POST", path, &body).await;
        }
        for target in [
            format!("/key/info?key={key}x"),
            format!("/spend/logs?api_key={key}"),
            format!("/spend/logs?start_date={key}"),
            format!("/key/list?page={key}"),
            format!("/key/{key}"),
            format!("/key/{key}/regenerate/{key}"),
            format!("/{key}"),
            format!("/v1/chat/completions?api_key={key}"),
        ] {
            house.as_admin("GET", &target, "").await;
            house.as_key("GET", &target, "").await;
        }
        for header in [
            ("authorization", key.to_owned()),
            ("authorization", format!("Bearer {key}x")),
            ("authorization", format!("Basic {key}x")),
            ("authorization", format!("Digest {key}")),
            ("x-api-key", format!("x{key}")),
            ("x-litellm-api-key", format!("{key},{key}")),
        ] {
            let header = (header.0, header.1.as_str());
            house.send("POST", "/v1/chat/completions", &[header], "{}").await;
            house.send("GET", "/key/info", &[header], "").await;
        }
    }
}

/// Calls of models, good and bad.
async fn call(house: &mut House) {
    for model in ["good", "bad", "chatty", "gone", "nobody"] {
        for more in [
            json!({}),
            json!({"stream": true}),
            json!({"api_key": VIRTUAL}),
            json!({"extra_body": {"api_key": VIRTUAL}}),
            json!({"tags": [["x"]], "metadata": {"key": VIRTUAL}}),
            json!({"metadata": VIRTUAL}),
        ] {
            let body = chat_body(model, &more).to_string();
            house.as_key("POST", "/v1/chat/completions", &body).await;
            house.as_admin("POST", "/v1/chat/completions", &body).await;
            house.as_admin("POST", "/route/explain", &body).await;
        }
        let cut = format!("{{\"model\": \"{model}\", \"api_key\": \"{VIRTUAL}\", ");
        house.as_key("POST", "/v1/chat/completions", &cut).await;
        house.as_key("POST", "/v1/messages", &cut).await;
    }
}

/// What is shown of all that.
async fn look(house: &mut House) {
    for path in [
        "/metrics",
        "/health",
        "/health?probe=true",
        "/health/readiness",
        "/model/info",
        "/model_group/info",
        "/v1/models",
        "/spend/logs?limit=1000",
        "/spend/keys",
        "/key/list?return_full_object=true",
        "/team/list",
        "/global/spend",
        "/openapi.json",
        "/routes",
    ] {
        assert_eq!(house.as_admin("GET", path, "").await.status, 200, "{path}");
    }
    let rows = house.as_admin("GET", "/spend/logs", "").await.json();
    assert!(rows.as_array().unwrap().len() > 20, "calls were made: {rows}");
}
