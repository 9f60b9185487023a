//! The model list while the router runs: at once and whole, or not at all.

use std::time::Duration;

use serde_json::{Value, json};
use tagrail::{Deployment, Error, Router};
use tagrail_testkit::{FakeUpstream, Gate, Reply};

use crate::{ask, at, builder};

fn ids(router: &Router) -> Vec<String> {
    router.model_list().iter().map(|entry| entry["model_info"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn deployments_come_and_go() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    router.add_deployment(at(&upstream, "h", "b")).unwrap();
    assert_eq!(router.completion(ask("h")).await.unwrap().facts.deployment_id(), "b");
    let plain: Value = at(&upstream, "i", "c").into();
    router.add_deployment(plain).unwrap();
    assert_eq!(ids(&router), ["a", "b", "c"]);
    let removed = router.remove_deployment("a").unwrap().unwrap();
    assert_eq!(removed, Value::from(at(&upstream, "g", "a")));
    assert!(matches!(router.completion(ask("g")).await, Err(Error::UnknownModel(_))));
    assert_eq!(router.remove_deployment("a").unwrap(), None);
    router.set_model_list([at(&upstream, "j", "d")]).unwrap();
    assert_eq!(router.model_names(), ["j"]);
    assert_eq!(router.completion(ask("j")).await.unwrap().facts.deployment_id(), "d");
}

#[tokio::test]
async fn an_id_is_replaced_only_when_that_is_meant() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a"), at(&upstream, "h", "b")]).build().unwrap();
    let other = || Deployment::new("g", "openai/other").api_base(upstream.base()).api_key("k").id("a");
    let error = router.add_deployment(other()).unwrap_err();
    assert!(error.to_string().contains("upsert_deployment"), "{error}");
    assert_eq!(router.completion(ask("g")).await.unwrap().facts.model(), "openai/a");
    router.upsert_deployment(other()).unwrap();
    assert_eq!(ids(&router), ["a", "b"], "in its place");
    assert_eq!(router.completion(ask("g")).await.unwrap().facts.model(), "openai/other");
    router.upsert_deployment(at(&upstream, "i", "c")).unwrap();
    assert_eq!(ids(&router), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_change_with_a_mistake_changes_nothing() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).fallbacks("g", ["h"]).build().unwrap();
    let before = (router.model_list(), router.snapshot());
    let bad = || at(&upstream, "h", "b").tag_regex(["("]);
    let refused = [
        router.add_deployment(bad()),
        router.upsert_deployment(bad().id("a")),
        router.set_model_list([at(&upstream, "h", "b"), bad().id("c")]),
        router.set_model_list(json!("none")),
        router.set_model_list([at(&upstream, "h", "b"), at(&upstream, "i", "b")]),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        assert!(!refused.unwrap_err().diagnostics().is_empty(), "{number}");
    }
    assert_eq!(router.model_list(), before.0);
    assert!(std::sync::Arc::ptr_eq(&router.snapshot(), &before.1));
    assert_eq!(router.completion(ask("g")).await.unwrap().facts.deployment_id(), "a");
}

#[tokio::test]
async fn what_cools_goes_on_cooling_under_its_id() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a"), at(&upstream, "g", "b")];
    let router =
        builder().model_list(list).num_retries(0).cooldown_time(Duration::from_secs(60)).build().unwrap();
    upstream.otherwise(Reply::error(429));
    while !matches!(router.completion(ask("g")).await.unwrap_err(), Error::Cooling(_)) {}
    upstream.otherwise(Reply::default());
    router.upsert_deployment(at(&upstream, "g", "a").tags(["new"])).unwrap();
    assert!(matches!(router.completion(ask("g")).await, Err(Error::Cooling(_))));
    router.add_deployment(at(&upstream, "g", "c")).unwrap();
    for _ in 0..8 {
        assert_eq!(router.completion(ask("g")).await.unwrap().facts.deployment_id(), "c");
    }
}

#[tokio::test]
async fn a_call_under_way_keeps_what_it_began_with() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::text("kept").hold(&gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let calling = router.clone();
    let call = tokio::spawn(async move { calling.completion(ask("g")).await });
    upstream.exchange().await;
    router.set_model_list([at(&upstream, "h", "b")]).unwrap();
    gate.open();
    let reply = call.await.unwrap().unwrap();
    assert_eq!((reply.facts.deployment_id(), reply.text().as_deref()), ("a", Some("kept")));
}

#[tokio::test]
async fn ids_of_ones_own_making_are_not_needed() {
    let upstream = FakeUpstream::start();
    let unnamed = |group: &str| Deployment::new(group, "openai/m").api_base(upstream.base()).api_key("k");
    let router = builder().model_list([unnamed("g"), unnamed("h")]).build().unwrap();
    let ids = ids(&router);
    assert_eq!(router.completion(ask("g")).await.unwrap().facts.deployment_id(), ids[0]);
    router.remove_deployment(&ids[0]).unwrap().unwrap();
    assert_eq!(router.model_names(), ["h"]);
}

#[test]
fn a_router_begins_empty_if_it_is_to() {
    let router = builder().build().unwrap();
    assert!(router.model_names().is_empty() && router.model_list().is_empty());
    router.add_deployment(Deployment::new("g", "openai/a").api_key("k")).unwrap();
    assert_eq!(router.model_names(), ["g"]);
}

#[test]
fn a_compiled_configuration_has_no_list_to_change() {
    let config = json!({"model_list": [{"model_name": "g", "litellm_params": {"model": "openai/a"}}]});
    let resolved = tagrail::config::load_value(&config, &|_| None).resolved.unwrap();
    let router = Router::new(resolved, std::sync::Arc::new(()));
    let error = router.add_deployment(Deployment::new("h", "openai/b")).unwrap_err();
    assert!(error.to_string().contains("Router::replace"), "{error}");
}
