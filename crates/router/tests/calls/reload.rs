//! Another configuration, put in use whole.

use serde_json::json;
use tagrail::Refusal;
use tagrail::routing::NoRoute;
use tagrail_testkit::{Reply, config_text, deployment};

use crate::rig::{Rig, resolved, served};

#[tokio::test]
async fn a_new_configuration_serves_at_once_and_keeps_what_is_known_of_a_deployment() {
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({}));
    rig.upstream.always("a", Reply::error(429).header("retry-after", "600"));
    while !rig.asked().contains(&"a".to_owned()) {
        rig.chat("g", json!({})).await.unwrap();
    }
    let base = rig.upstream.base();
    let list = [
        deployment("h", "c", &[], &base),
        deployment("g", "b", &[], &base),
        deployment("h", "a", &[], &base),
    ];
    rig.router.replace(resolved(&config_text(&list, &json!({}))));
    for _ in 0..10 {
        assert_eq!(served(&rig.chat("h", json!({})).await.unwrap()), "c", "a still cools, by its id");
    }
}

#[tokio::test]
async fn what_is_no_longer_configured_is_forgotten() {
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({}));
    rig.upstream.reply(Reply::error(429).header("retry-after", "600"));
    rig.upstream.reply(Reply::error(429).header("retry-after", "600"));
    rig.chat("g", json!({})).await.unwrap_err();
    let base = rig.upstream.base();
    let both = [deployment("g", "a", &[], &base), deployment("g", "b", &[], &base)];
    rig.router.replace(resolved(&config_text(&[deployment("g", "z", &[], &base)], &json!({}))));
    let error = rig.chat("unknown", json!({})).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::NoRoute(NoRoute::UnknownModel { .. })));
    rig.router.replace(resolved(&config_text(&both, &json!({}))));
    rig.chat("g", json!({})).await.unwrap();
}
