//! A gateway with teams and keys, and everybody who calls it.

use serde_json::{Value, json};
use tagrail_testkit::{Response, config_text, deployment, post};

use crate::gateway::{Gateway, chat};

/// Group `m` with deployments for team A, for team B and for everybody, and a group `plain`. They answer
/// by themselves.
pub(crate) fn keeping(more: &Value) -> Gateway {
    let of = |group, id, tags: &[&str]| {
        let mut deployment = deployment(group, id, tags, "http://127.0.0.1:9");
        let params = &mut deployment["litellm_params"];
        params["mock_response"] = json!("hi");
        params["input_cost_per_token"] = json!(1e-6);
        params["output_cost_per_token"] = json!(1e-6);
        deployment
    };
    let deployments = [
        of("m", "a", &["teamA"]),
        of("m", "b", &["teamB"]),
        of("m", "all", &["default"]),
        of("plain", "plain", &[]),
    ];
    Gateway::keeping(&config_text(&deployments, more))
}

/// A POST with a key.
pub(crate) async fn post_as(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Response {
    post(gateway.address, path, &[("authorization", &format!("Bearer {key}"))], body).await
}

/// A GET with a key.
pub(crate) async fn get_as(gateway: &Gateway, key: &str, path: &str) -> Response {
    gateway.send("GET", path, &[("authorization", &format!("Bearer {key}"))]).await
}

/// What the admin's POST answers, which must succeed.
pub(crate) async fn told(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let response = gateway.post(path, body).await;
    assert_eq!(response.status, 200, "{path} {body}: {}", response.text());
    response.json()
}

/// What the admin's GET answers, which must succeed.
pub(crate) async fn seen(gateway: &Gateway, path: &str) -> Value {
    let response = gateway.get(path).await;
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.json()
}

/// What a POST of the admin's is refused with: status, text, and what `param` names.
pub(crate) async fn refusal(gateway: &Gateway, path: &str, body: &Value) -> (u16, String, Value) {
    let response = gateway.post(path, body).await;
    let told = response.json();
    let text = [&told["error"]["message"], &told["detail"]["error"], &told["detail"]];
    let text = text.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
    (response.status, text, told["error"]["param"].clone())
}

/// A new key.
pub(crate) async fn key(gateway: &Gateway, body: &Value) -> String {
    told(gateway, "/key/generate", body).await["key"].as_str().unwrap().to_owned()
}

/// A key of a user with this role.
pub(crate) async fn key_with_role(gateway: &Gateway, role: &str) -> String {
    let user = told(gateway, "/user/new", &json!({"user_role": role})).await;
    user["key"].as_str().unwrap().to_owned()
}

/// Calls a model: the status, and the deployment that served.
pub(crate) async fn call(gateway: &Gateway, key: &str, body: &Value) -> (u16, String) {
    let response = post_as(gateway, key, "/v1/chat/completions", body).await;
    (response.status, response.header("x-litellm-model-id").to_owned())
}

/// Calls `m`.
pub(crate) async fn call_m(gateway: &Gateway, key: &str) -> (u16, String) {
    call(gateway, key, &chat("m")).await
}
