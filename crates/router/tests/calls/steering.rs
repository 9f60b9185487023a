//! A client chooses among what it may reach and steers no further (rows D12, D31).

use serde_json::json;
use tagrail::Refusal;

use crate::rig::Rig;

#[tokio::test]
async fn a_clients_key_base_and_headers_are_refused_and_nothing_is_sent() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    for (field, value) in [
        ("api_key", json!("sk-mine")),
        ("api_base", json!("http://127.0.0.1:1/v1")),
        ("base_url", json!("http://127.0.0.1:1/v1")),
        ("headers", json!({"x": "y"})),
        ("extra_headers", json!({"x": "y"})),
        ("custom_llm_provider", json!("anthropic")),
        ("model_group_alias", json!({"g": "h"})),
        ("extra_body", json!({"model": "other"})),
    ] {
        let error = rig.chat("g", json!({ field: value })).await.unwrap_err();
        match error.refusal {
            Refusal::Body(refused) => {
                assert!(refused.status == 400 || refused.status == 401, "{field}: {refused:?}");
                assert!(refused.message.contains(field), "{field}: {}", refused.message);
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(rig.asked().is_empty());
}

#[tokio::test]
async fn a_steered_call_does_not_reach_a_fallback_either() {
    let rig = Rig::new(
        &[("g", "a", &[]), ("f", "b", &[])],
        &json!({"router_settings": {"fallbacks": [{"g": ["f"]}]}}),
    );
    rig.chat("g", json!({"api_key": "sk-mine"})).await.unwrap_err();
    rig.chat("g", json!({"fallbacks": [{"model": "f", "api_base": "http://127.0.0.1:1"}], "timeout": 5}))
        .await
        .unwrap();
    assert_eq!(rig.asked(), ["a"]);
}
