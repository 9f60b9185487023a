//! `GET /health` and the probes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Reply, config_text, deployment};

use crate::gateway::{Gateway, chat};

#[tokio::test]
async fn probes_answer_as_litellms_do() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    for path in ["/health/liveliness", "/health/liveness"] {
        let response = gateway.send("GET", path, &[]).await;
        assert_eq!((response.status, response.text().as_str()), (200, "\"I'm alive!\""));
    }
    let ready = gateway.send("GET", "/health/readiness", &[]).await;
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "healthy", "db": "Not connected"})));
}

#[tokio::test]
async fn the_report_tells_who_is_healthy_who_cools_and_who_was_left_out() {
    let upstream = FakeUpstream::start();
    upstream.always("bad", Reply::error(429));
    let mut broken = deployment("b", "broken", &[], &upstream.base());
    broken["litellm_params"]["tags"] = json!("not-a-list");
    let deployments = [
        deployment("g", "good", &[], &upstream.base()),
        deployment("b", "bad", &[], &upstream.base()),
        broken,
    ];
    let more = json!({"router_settings": {"num_retries": 0, "cooldown_time": 600, "allowed_fails": 0}});
    let gateway = Gateway::start(&config_text(&deployments, &more));
    let fine = gateway.get("/health").await.json();
    assert_eq!((&fine["healthy_count"], &fine["unhealthy_count"]), (&json!(2), &json!(1)), "{fine}");
    let left_out = &fine["unhealthy_endpoints"][0];
    assert_eq!(left_out["model_id"], "broken");
    assert!(left_out["error"].as_str().unwrap().starts_with("left out of the configuration: "), "{left_out}");

    gateway.post("/v1/chat/completions", &chat("b")).await;
    // Alone in its group a deployment cools only when the failure is bad enough; asked for twice, the
    // report is of what the router thinks.
    let report = gateway.get("/health").await.json();
    let sick: Vec<_> =
        report["unhealthy_endpoints"].as_array().unwrap().iter().map(|one| &one["model_id"]).collect();
    assert_eq!(sick, ["bad", "broken"], "{report}");
    assert_eq!(report["healthy_endpoints"][0]["model_id"], "good");
    assert!(report["unhealthy_endpoints"][0]["cooling_seconds"].as_f64().unwrap() > 0.0);
    assert!(!report.to_string().contains("sk-upstream"));
    assert_eq!(upstream.models(), ["bad"], "the report itself calls nobody");
}

/// The entry of a deployment in a list of a report.
fn entry<'a>(report: &'a Value, list: &str, id: &str) -> &'a Value {
    let all = report[list].as_array().unwrap();
    all.iter()
        .find(|entry| entry["model_id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {list} of {report}"))
}

#[tokio::test]
async fn a_deployment_without_credentials_is_not_healthy() {
    let upstream = FakeUpstream::start();
    let mut keyless = deployment("k", "keyless", &[], &upstream.base());
    keyless["litellm_params"]["api_key"] = json!("os.environ/NOBODY_SETS_THIS");
    let mut mocked = keyless.clone();
    mocked["model_info"]["id"] = json!("mocked");
    mocked["litellm_params"]["mock_response"] = json!("hello");
    let gateway = Gateway::start(&config_text(&[keyless, mocked], &json!({})));
    let report = gateway.get("/health").await.json();
    assert_eq!(report["probed"], false);
    let error = entry(&report, "unhealthy_endpoints", "keyless")["error"].as_str().unwrap();
    assert!(error.contains("NOBODY_SETS_THIS"), "{error}");
    entry(&report, "healthy_endpoints", "mocked");
}

#[tokio::test]
async fn when_asked_every_deployment_gets_a_small_call_of_its_own() {
    let upstream = FakeUpstream::start();
    upstream.always("bad", Reply::error(500));
    let mut embedding = deployment("e", "embedding", &[], &upstream.base());
    embedding["model_info"]["mode"] = json!("embedding");
    let mut image = deployment("i", "image", &[], &upstream.base());
    image["model_info"]["mode"] = json!("image_generation");
    let mut wild = deployment("wild/*", "wild", &[], &upstream.base());
    wild["litellm_params"]["model"] = json!("openai/*");
    let mut deployments = vec![embedding, image, wild, deployment("g", "bad", &["paid"], &upstream.base())];
    // More than are asked at once, all in one group.
    let good: Vec<_> = (0..12).map(|number| format!("good-{number}")).collect();
    deployments.extend(good.iter().map(|id| deployment("g", id, &["free"], &upstream.base())));
    let gateway = Gateway::start(&config_text(
        &deployments,
        &json!({"router_settings": {"fallbacks": [{"bad": ["g"]}]}}),
    ));
    let report = gateway.get("/health?probe=true").await.json();
    assert_eq!(report["probed"], true);
    assert_eq!((&report["healthy_count"], &report["unhealthy_count"]), (&json!(15), &json!(1)), "{report}");
    let error = entry(&report, "unhealthy_endpoints", "bad")["error"].as_str().unwrap();
    assert!(error.contains("the fake upstream answers 500"), "{error}");
    for id in good.iter().map(String::as_str).chain(["embedding"]) {
        assert!(entry(&report, "healthy_endpoints", id)["answered_seconds"].is_f64());
    }
    for id in ["wild", "image"] {
        assert!(entry(&report, "healthy_endpoints", id)["skipped"].is_string());
    }
    let asked = upstream.requests();
    let models: BTreeSet<_> = asked.iter().map(|request| request.model()).collect();
    assert_eq!((asked.len(), models.len()), (14, 14), "each once, and no retries");
    for request in asked {
        let (body, embeds) = (request.json(), request.model() == "embedding");
        assert_eq!(request.path.ends_with("/embeddings"), embeds, "{}", request.path);
        assert!(embeds || body["max_tokens"] == 1, "{body}");
    }
}
