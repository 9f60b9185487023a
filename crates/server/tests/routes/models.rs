//! `GET /v1/models`.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::gateway::Gateway;

fn configured(upstream: &FakeUpstream) -> Gateway {
    let mut wild = deployment("wild/*", "wild", &[], &upstream.base());
    wild["litellm_params"]["model"] = json!("openai/*");
    let mut grouped = deployment("m", "one", &[], &upstream.base());
    grouped["model_info"]["access_groups"] = json!(["beta"]);
    let deployments = [grouped, deployment("m", "two", &[], &upstream.base()), wild];
    let aliases =
        json!({"short": "m", "hidden": {"model": "m", "hidden": true}, "lost": "zzz", "far": "wild/far"});
    Gateway::start(&config_text(&deployments, &json!({"router_settings": {"model_group_alias": aliases}})))
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn names_are_listed_once_and_wildcards_expanded() {
    let upstream = FakeUpstream::start();
    let gateway = configured(&upstream);
    for path in ["/v1/models", "/models"] {
        let list = gateway.get(path).await.json();
        assert_eq!(list["object"], "list");
        let ids = ids(&list);
        let names: Vec<_> = ids.iter().filter(|id| !id.starts_with("wild/")).collect();
        assert_eq!(names, [&"short", &"far", &"m"], "aliases first, and none that leads nowhere");
        assert!(
            ids.contains(&"wild/gpt-4o") && !ids.contains(&"wild/*") && !ids.contains(&"hidden"),
            "{ids:?}"
        );
        let first = json!({"id": "short", "object": "model", "created": 1_677_610_602, "owned_by": "openai"});
        assert_eq!(list["data"][0], first);
        let known =
            list["data"].as_array().unwrap().iter().find(|entry| entry["id"] == "wild/gpt-4o").unwrap();
        assert_eq!(known["mode"], "chat");
        assert!(known["max_input_tokens"].is_u64(), "{known}");
    }
}

#[tokio::test]
async fn patterns_and_access_groups_are_listed_on_request() {
    let upstream = FakeUpstream::start();
    let gateway = configured(&upstream);
    let list = gateway.get("/v1/models?return_wildcard_routes=true").await.json();
    assert!(ids(&list).contains(&"wild/*"));
    let list = gateway.get("/v1/models?return_wildcard_routes=True").await.json();
    assert!(ids(&list).contains(&"wild/*"));
    let list = gateway.get("/v1/models?return_wildcard_routes=0").await.json();
    assert!(!ids(&list).contains(&"wild/*"));
    let list = gateway.get("/v1/models?include_model_access_groups=true").await.json();
    assert!(ids(&list).contains(&"beta"));
    assert!(!ids(&gateway.get("/v1/models").await.json()).contains(&"beta"));
}

#[tokio::test]
async fn one_name_is_found_when_it_can_be_called() {
    let upstream = FakeUpstream::start();
    let gateway = configured(&upstream);
    for id in ["m", "short", "hidden", "wild/gpt-4o", "wild/not/in/the/catalogue"] {
        let response = gateway.get(&format!("/v1/models/{id}")).await;
        assert_eq!((response.status, &response.json()["id"]), (200, &json!(id)));
    }
    let response = gateway.get("/v1/models/nope").await;
    assert_eq!(response.status, 404);
    assert_eq!(response.json(), json!({"detail": "The model `nope` does not exist or is not accessible"}));
}
