//! Explanations: told to a machine and to a person, to whom it concerns, and under an assumption.

use std::time::Duration;

use http::HeaderValue;
use serde_json::{Value, json};
use tagrail::routing::{Policy, Reservations};
use tagrail_testkit::{FakeUpstream, Reply, deployment};

use crate::books::team;
use crate::rig::{Rig, chat};

const MINUTE: Duration = Duration::from_secs(60);

fn rig() -> Rig {
    let more = json!({"router_settings": {"num_retries": 1, "fallbacks": [{"g": ["other", "b"]}]}});
    Rig::new(&[("g", "a", &["x"]), ("g", "b", &["x"]), ("other", "o", &[])], &more)
}

fn fate(told: &Value, id: &str) -> Value {
    let deployments = told["deployments"].as_array().unwrap();
    deployments.iter().find(|told| told["id"] == id).unwrap()["stage"].clone()
}

#[tokio::test]
async fn a_deployment_is_thought_of_as_cooling_and_does_not_cool() {
    let rig = rig();
    let call = chat("g", json!({"tags": ["x"]}));
    let explained = rig.router.explain_assuming(&call, true, &[("a", MINUTE)]).unwrap();
    let told = explained.to_json();
    assert_eq!(told["decision"], json!({"found_by": "model_name", "first": "b", "permitted": ["b"]}));
    assert_eq!((fate(&told, "a"), fate(&told, "b")), (json!("health"), Value::Null));
    assert_eq!(told["notes"], json!(["a is assumed to cool for 60 s"]));
    // Nor is it in the draw of the plan for a person.
    let text = explained.to_text();
    assert!(text.contains("plan     b as openai/b\n"), "{text}");
    assert!(rig.asked().is_empty());
    assert_eq!(fate(&rig.router.explain_as(&call).unwrap().to_json(), "a"), Value::Null);
}

#[tokio::test]
async fn an_outage_of_all_is_refused_as_the_call_would_be() {
    let rig = rig();
    let call = chat("g", json!({"tags": ["x"]}));
    let told =
        rig.router.explain_assuming(&call, true, &[("a", MINUTE), ("b", 2 * MINUTE)]).unwrap().to_json();
    assert_eq!(told["decision"]["status"], 429);
    let error = told["decision"]["error"].as_str().unwrap();
    assert!(error.contains("Try again in 60 seconds"), "{error}");
    assert_eq!(told["fallbacks"]["general"], json!(["other", "b"]));
}

#[tokio::test]
async fn what_cools_is_thought_of_as_healthy() {
    let rig = rig();
    rig.upstream.always("a", Reply::error(429).header("retry-after", "600"));
    let call = chat("g", json!({"tags": ["x"]}));
    while rig.asked().iter().all(|model| model != "a") {
        rig.chat("g", json!({"tags": ["x"]})).await.unwrap();
    }
    let of = |told: Value| fate(&told, "a");
    assert_eq!(of(rig.router.explain_as(&call).unwrap().to_json()), "health");
    let healthy = rig.router.explain_assuming(&call, true, &[("a", Duration::ZERO)]).unwrap().to_json();
    assert_eq!(healthy["notes"], json!(["a is assumed to be healthy"]));
    assert_eq!(of(healthy), Value::Null);
    assert_eq!(of(rig.router.explain_assuming(&call, true, &[("b", MINUTE)]).unwrap().to_json()), "health");
}

#[tokio::test]
async fn an_id_that_is_none_is_not_passed_over_in_silence() {
    let rig = rig();
    let call = chat("g", json!({}));
    let told = rig.router.explain_assuming(&call, true, &[("nope", MINUTE)]).unwrap().to_json();
    let notes = told["notes"].as_array().unwrap();
    assert!(notes.contains(&json!("no deployment has the id nope: nothing is assumed of it")), "{notes:?}");
}

#[tokio::test]
async fn a_person_reads_the_same_as_a_machine() {
    let upstream = FakeUpstream::start();
    let mut broken = deployment("g", "gone", &[], &upstream.base());
    broken["litellm_params"]["timeout"] = json!("soon");
    let list = [deployment("g", "a", &["x"], &upstream.base()), broken];
    let rig = Rig::of(upstream, &list, &json!({"router_settings": {"num_retries": 1}}));
    let explained = rig.router.explain_as(&chat("g", json!({"tags": ["x"]}))).unwrap();
    let text = explained.to_text();
    for line in [
        "model    g, which leads to g by model_name\n",
        "tags     x (body tags)\n",
        "retries  1\n",
        "  gone       left out  ",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let told = explained.to_json();
    assert_eq!(fate(&told, "gone"), "config");
    let kept = told["deployments"][0]["text"].as_str().unwrap();
    assert!(text.contains(&format!("  a     [x]  kept      {kept}\n")), "{text}");
}

#[tokio::test]
async fn a_caller_hears_of_nothing_beyond_its_reach() {
    let more = json!({"router_settings": {"fallbacks": [{"g": ["theirs", "open"]}]}});
    let rig = Rig::new(
        &[("g", "a", &["teamA"]), ("g", "b", &["teamB"]), ("theirs", "t", &["teamB"]), ("open", "o", &[])],
        &more,
    );
    rig.router.reserve(Reservations::Known(["teamA".to_owned(), "teamB".to_owned()].into()));
    let call = chat("g", json!({}));
    let call = call.by(team(&["teamA"], Policy::default()), HeaderValue::from_static("c"));
    let own = rig.router.explain(&call).unwrap();
    assert_eq!(own.to_json()["fallbacks"]["general"], json!(["open"]));
    let text = own.to_text();
    assert!(text.contains("instead  open (fallbacks)\n"), "{text}");
    // Nor of the names that its deployments have upstream.
    assert!(text.contains("plan     a\n") && !text.contains("teamB"), "{text}");
    for id in ["b", "nope"] {
        let told = rig.router.explain_assuming(&call, false, &[(id, MINUTE)]).unwrap().to_json();
        let note = format!("no deployment has the id {id}: nothing is assumed of it");
        assert!(told["notes"].as_array().unwrap().contains(&json!(note)), "{told:#}");
    }
    let all = rig.router.explain_as(&call).unwrap();
    assert_eq!(all.to_json()["fallbacks"]["general"], json!(["theirs", "open"]));
    assert_eq!(fate(&all.to_json(), "b"), "reserved");
}

/// What a deployment within reach carries besides is between the operator and those who hold it.
#[tokio::test]
async fn a_caller_hears_of_no_tags_but_its_own() {
    let rig =
        Rig::new(&[("g", "a", &["teamA", "teamB", "quiet"]), ("g", "c", &["teamA", "quiet"])], &json!({}));
    rig.router.reserve(Reservations::Known(["teamA".to_owned(), "teamB".to_owned()].into()));
    for tags in [json!([]), json!(["nope"])] {
        let call = chat("g", json!({"tags": tags, "enable_tag_filtering": true}));
        let call = call.by(team(&["teamA"], Policy::default()), HeaderValue::from_static("c"));
        for call in [call.clone(), call.in_process()] {
            let own = rig.router.explain(&call).unwrap();
            let told = format!("{}{}", own.to_json(), own.to_text());
            assert!(!told.contains("teamB") && !told.contains("quiet"), "{told}");
        }
    }
}

/// What is looked at only once a deployment is chosen is said as the call would come out.
#[tokio::test]
async fn what_a_deployment_refuses_is_a_note() {
    let rig = rig();
    let of = |call: &tagrail::Call| rig.router.explain(call).unwrap().to_json()["notes"].to_string();
    let call = || chat("g", json!({"tags": ["x"], "api_base": "http://127.0.0.1:1/v1"}));
    assert!(of(&call()).contains("refuses the call with 401"), "a client's");
    assert_eq!(of(&call().in_process()), "[]", "the operator's own");
    let confined = call().in_process().by(team(&["x"], Policy::default()), HeaderValue::from_static("c"));
    assert!(of(&confined).contains("refuses the call with 401"), "a caller's");
    assert_eq!(rig.router.call(&confined).await.unwrap_err().refusal.status(), 401);
}

#[tokio::test]
async fn mistakes_of_the_configuration_are_told_to_the_operator_alone() {
    let upstream = FakeUpstream::start();
    let mut broken = deployment("g", "gone", &[], &upstream.base());
    broken["litellm_params"]["timeout"] = json!("soon");
    let list = [deployment("g", "a", &[], &upstream.base()), broken];
    let rig = Rig::of(upstream, &list, &json!({}));
    let call = chat("g", json!({})).by(team(&[], Policy::default()), HeaderValue::from_static("c"));
    let told = |explained: tagrail::Explained| format!("{}{}", explained.to_json(), explained.to_text());
    let own = told(rig.router.explain(&call).unwrap());
    assert!(!own.contains("gone") && !own.contains("left out"), "{own}");
    let all = told(rig.router.explain_as(&call).unwrap());
    assert!(all.contains("gone") && all.contains("left out"), "{all}");
}
