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
    // Also where what it may do at a time is another now.
    router.upsert_deployment(at(&upstream, "g", "a").max_parallel_requests(4)).unwrap();
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

/// As programs write it that leave nothing out.
fn null_info(deployment: Deployment) -> Value {
    let mut entry = Value::from(deployment);
    entry["model_info"] = Value::Null;
    entry
}

#[tokio::test]
async fn ids_of_ones_own_making_are_not_needed() {
    let upstream = FakeUpstream::start();
    let unnamed = |group: &str| Deployment::new(group, "openai/m").api_base(upstream.base()).api_key("k");
    let nothing = Deployment::from(json!({"model_info": null})).param("model", "openai/m").id("none");
    assert_eq!(Value::from(nothing)["model_info"], json!({"id": "none"}));
    let list = [unnamed("g"), Deployment::from(Value::from(unnamed("h")))];
    let router = builder().model_list(list.map(null_info)).build().unwrap();
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
    // Nor has one that was replaced by such, whatever it began with.
    let resolved = tagrail::config::load_value(&config, &|_| None).resolved.unwrap();
    let router = builder().model_list([Deployment::new("f", "openai/f").api_key("k")]).build().unwrap();
    router.replace(resolved);
    assert!(router.add_deployment(Deployment::new("h", "openai/b")).is_err());
    assert_eq!(router.model_names(), ["g"]);
    assert!(router.model_list().is_empty() && router.diagnostics().is_empty());
}

/// A configuration takes `id: 7` for the id `7`, and so does every change of it.
#[test]
fn an_id_may_be_a_number() {
    let numbered = |model: &str| Deployment::new("g", model).api_key("k").info("id", 7);
    let router = builder().model_list([numbered("openai/a")]).build().unwrap();
    let error = router.add_deployment(numbered("openai/b")).unwrap_err();
    assert!(error.to_string().contains("upsert_deployment"), "{error}");
    router.upsert_deployment(numbered("openai/b")).unwrap();
    assert_eq!(ids(&router), ["7"]);
    assert_eq!(router.model_list()[0]["litellm_params"]["model"], "openai/b");
    router.upsert_deployment(Deployment::new("g", "openai/c").api_key("k").id("7")).unwrap();
    assert_eq!(router.model_list()[0]["litellm_params"]["model"], "openai/c");
    assert!(router.remove_deployment("7").unwrap().is_some());
}

/// Whatever kind of mistake it has: what is left out is not in use, and can be replaced or removed.
#[test]
fn what_was_left_out_is_not_listed_and_can_be_mended() {
    let bad = |id: &str| Deployment::new("g", "openai/b").api_key("k").id(id);
    let list = || {
        [
            bad("pattern").tag_regex(["("]),
            bad("provider").param("model", "no-such-provider/b"),
            bad("kind").param("tags", "free"),
            bad("good"),
            Deployment::new("h", "openai/c").api_key("k").id("good"),
        ]
    };
    let router = builder().model_list(list()).ignore_invalid_deployments(true).build().unwrap();
    assert_eq!(ids(&router), ["good"]);
    assert_eq!(router.model_list()[0]["model_name"], "g");
    for (number, id) in ["pattern", "provider", "kind"].into_iter().enumerate() {
        assert!(router.add_deployment(bad(id)).is_err(), "{id}");
        router.upsert_deployment(bad(id)).unwrap();
        assert_eq!(router.model_list().len(), number + 2, "{id}");
    }
    for id in ["pattern", "provider", "kind", "good"] {
        assert_eq!(router.remove_deployment(id).unwrap().unwrap()["model_name"], "g", "{id}");
    }
    assert_eq!(router.model_names(), ["h"], "what stood in the shadow of an id has it now");
}

/// One entry of several organizations is several deployments, each of which goes alone.
#[test]
fn one_of_several_organizations_is_removed_alone() {
    let several = || {
        let organizations = json!(["one", "two", "three"]);
        Deployment::new("g", "openai/a").api_key("k").id("a").param("organization", organizations)
    };
    let router = builder().model_list([several()]).build().unwrap();
    assert_eq!(ids(&router), ["a", "a:two", "a:three"]);
    let organizations = |router: &Router| {
        let list = router.model_list();
        list.iter().map(|entry| entry["litellm_params"]["organization"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(organizations(&router), ["one", "two", "three"]);
    let again = builder().model_list(Value::from(router.model_list())).build().unwrap();
    assert_eq!(ids(&again), ids(&router), "what is listed can be put in use");
    let removed = router.remove_deployment("a:two").unwrap().unwrap();
    assert_eq!(removed["litellm_params"]["organization"], "two");
    assert_eq!(ids(&router), ["a", "a:three"]);
    assert_eq!(organizations(&router), ["one", "three"]);
}

#[test]
fn changes_from_many_threads_are_all_there() {
    let router = builder().build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let router = &router;
            scope.spawn(move || {
                for number in 0..8 {
                    let id = format!("{thread}-{number}");
                    router.add_deployment(Deployment::new("g", "openai/a").api_key("k").id(&id)).unwrap();
                    if number % 2 == 1 {
                        assert!(router.remove_deployment(&id).unwrap().is_some());
                    }
                }
            });
        }
    });
    let mut left = ids(&router);
    left.sort();
    let expected: Vec<String> =
        (0..4).flat_map(|thread| (0..8).step_by(2).map(move |number| format!("{thread}-{number}"))).collect();
    assert_eq!(left, expected);
}
