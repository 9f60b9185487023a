//! `GET /model/info` and `GET /model_group/info`.

use serde_json::json;
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::gateway::Gateway;

fn configured(upstream: &FakeUpstream) -> Gateway {
    let mut wild = deployment("wild/*", "wild", &[], &upstream.base());
    wild["litellm_params"]["model"] = json!("openai/*");
    let mut known = deployment("m", "one", &["paid"], &upstream.base());
    known["litellm_params"]["model"] = json!("openai/gpt-4o");
    Gateway::start(&config_text(&[known, wild], &json!({})))
}

#[tokio::test]
async fn deployments_are_shown_without_their_secrets() {
    let upstream = FakeUpstream::start();
    let gateway = configured(&upstream);
    for path in ["/model/info", "/v1/model/info"] {
        let response = gateway.get(path).await;
        let rows = response.json();
        let row = &rows["data"][0];
        assert_eq!(row["model_name"], "m", "{row}");
        assert_eq!(row["litellm_params"]["model"], "openai/gpt-4o");
        assert_eq!(row["litellm_params"]["tags"], json!(["paid"]));
        assert_eq!(row["model_info"]["id"], "one");
        assert_eq!(row["model_info"]["mode"], "chat");
        assert!(!response.text().contains("sk-upstream"));
        let wild =
            rows["data"].as_array().unwrap().iter().find(|row| row["model_name"] == "wild/gpt-4o").unwrap();
        assert_eq!(wild["model_info"]["id"], "wild");
    }
    let one = gateway.get("/model/info?litellm_model_id=one").await.json();
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_is_shown_without_its_query() {
    let upstream = FakeUpstream::start();
    let base = format!("{}?key=canary", upstream.base());
    let gateway = Gateway::start(&config_text(&[deployment("m", "one", &[], &base)], &json!({})));
    let response = gateway.get("/model/info").await;
    assert_eq!(response.json()["data"][0]["litellm_params"]["api_base"], upstream.base());
    assert!(!response.text().contains("canary"), "{}", response.text());
}

#[tokio::test]
async fn groups_say_what_is_known_of_their_models() {
    let upstream = FakeUpstream::start();
    let gateway = configured(&upstream);
    let groups = gateway.get("/model_group/info?model_group=m").await.json();
    assert_eq!(groups["data"].as_array().unwrap().len(), 1);
    let group = &groups["data"][0];
    assert_eq!((&group["model_group"], &group["providers"]), (&json!("m"), &json!(["openai"])));
    assert!(group["input_cost_per_token"].as_f64().unwrap() > 0.0);
    assert!(gateway.get("/model_group/info").await.json()["data"].as_array().unwrap().len() > 1);
}
