//! `GET /health` and the probes.

use serde_json::json;
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
