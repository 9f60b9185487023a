//! Every example of the two guides in docs/routing.md, through a real socket to the built binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod gateway;

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Response};

use gateway::Gateway;

const ID: &str = "x-litellm-model-id";
const BASE: &str = "x-litellm-model-api-base";

/// The tag guide's configuration, upstreams on this machine.
fn tiers(upstream: &str) -> String {
    format!(
        r#"
model_list:
  - model_name: gpt-4
    litellm_params:
      model: openai/fake
      api_key: fake-key
      api_base: {upstream}/free/
      tags: ["free"]
    model_info: {{id: free-model}}
  - model_name: gpt-4
    litellm_params:
      model: openai/gpt-4o
      api_key: fake-key
      api_base: {upstream}/paid/
      tags: ["paid"]
    model_info: {{id: paid-model}}
  - model_name: gpt-4
    litellm_params:
      model: openai/gpt-4o-mini
      api_key: fake-key
      api_base: {upstream}/default/
      tags: ["default"]
    model_info: {{id: default-model}}
router_settings:
  enable_tag_filtering: true
general_settings:
  master_key: sk-1234
"#
    )
}

/// The wildcard guide's configuration.
fn wildcards(upstream: &str) -> String {
    format!(
        r#"
model_list:
  - model_name: "anthropic/*"
    litellm_params:
      model: "anthropic/*"
      api_key: anthropic-key
      api_base: {upstream}
  - model_name: "groq/*"
    litellm_params:
      model: "groq/*"
      api_key: groq-key
      api_base: {upstream}/v1
  - model_name: "fo::*:static::*"
    litellm_params:
      model: "openai/fo::*:static::*"
      api_key: openai-key
      api_base: {upstream}/v1
general_settings:
  master_key: sk-1234
"#
    )
}

async fn served_by(gateway: &Gateway, headers: &[(&str, &str)], more: Value) -> String {
    let response = gateway.chat("gpt-4", headers, &more).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.header(ID).to_owned()
}

fn says(response: &Response, words: &str) {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["choices"][0]["message"]["content"], words);
}

#[tokio::test]
async fn free_and_paid_tags_in_the_body() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&tiers(&upstream.url()));
    let free = gateway.chat("gpt-4", &[], &json!({"tags": ["free"]})).await;
    says(&free, "Hello from fake");
    assert_eq!(free.header(ID), "free-model");
    assert_eq!(free.header(BASE), format!("{}/free/", upstream.url()));
    assert_eq!(free.header("x-litellm-model-group"), "gpt-4");
    assert_eq!(free.json()["model"], "gpt-4");
    let paid = gateway.chat("gpt-4", &[], &json!({"tags": ["paid"]})).await;
    says(&paid, "Hello from gpt-4o");
    assert_eq!(paid.header(BASE), format!("{}/paid/", upstream.url()));

    let requests = upstream.requests();
    assert_eq!(requests[0].path, "/free/chat/completions");
    assert_eq!(requests[0].header("authorization"), "Bearer fake-key");
    assert!(requests[0].json().get("tags").is_none(), "tags are the gateway's own");
}

#[tokio::test]
async fn free_and_paid_tags_in_a_header_or_in_metadata() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&tiers(&upstream.url()));
    assert_eq!(served_by(&gateway, &[("x-litellm-tags", "free")], json!({})).await, "free-model");
    assert_eq!(served_by(&gateway, &[("X-LiteLLM-Tags", " paid ,")], json!({})).await, "paid-model");
    assert_eq!(served_by(&gateway, &[], json!({"metadata": {"tags": ["paid"]}})).await, "paid-model");
    assert_eq!(served_by(&gateway, &[], json!({"litellm_metadata": {"tags": ["free"]}})).await, "free-model");
}

#[tokio::test]
async fn without_a_tag_or_with_an_unknown_one_the_default_serves() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&tiers(&upstream.url()));
    for more in [json!({}), json!({"tags": []}), json!({"tags": ["nobody"]}), json!({"tags": ["default"]})] {
        assert_eq!(served_by(&gateway, &[], more).await, "default-model");
    }
}

#[tokio::test]
async fn excluded_and_required_tags() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&tiers(&upstream.url()));
    assert_eq!(served_by(&gateway, &[], json!({"tags": ["&paid"]})).await, "paid-model");
    assert_eq!(served_by(&gateway, &[("x-litellm-tags", "free,paid,!free")], json!({})).await, "paid-model");
    let refused = gateway.chat("gpt-4", &[], &json!({"tags": ["&paid", "!paid"]})).await;
    assert_eq!(refused.status, 401);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Not allowed to access model due to tags configuration."), "{message}");
    assert_eq!(upstream.requests().len(), 2, "what is refused is not sent");
}

#[tokio::test]
async fn the_streamed_answer_carries_the_same_headers() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&tiers(&upstream.url()));
    let stream = gateway.chat("gpt-4", &[("x-litellm-tags", "free")], &json!({"stream": true})).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header(ID), "free-model");
    assert!(stream.header("content-type").starts_with("text/event-stream"));
    let text = stream.text();
    assert!(text.contains(r#""content":"Hello ""#) && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn any_anthropic_model_behind_one_wildcard() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&wildcards(&upstream.url()));
    let model = "anthropic/claude-3-haiku-20240307";
    let response = gateway.chat(model, &[], &json!({"max_tokens": 10})).await;
    says(&response, "Hello from claude-3-haiku-20240307");
    assert_eq!(response.header("x-litellm-model-name"), model);
    assert_eq!(response.header("x-litellm-model-group"), model);
    assert_eq!(response.json()["model"], model);
    assert_eq!(response.json()["usage"]["total_tokens"], 12);
    let request = upstream.request().await;
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.header("x-api-key"), "anthropic-key");
    assert_eq!(request.json()["model"], "claude-3-haiku-20240307");
    assert_eq!(request.json()["max_tokens"], 10);

    let stream = gateway.chat(model, &[], &json!({"stream": true})).await;
    let text = stream.text();
    assert!(text.contains("claude-3-haiku-20240307") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains(r#""content":"Hello ""#), "{text}");

    let own = json!({"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]});
    let message = gateway.post("/v1/messages", &[], &own).await;
    assert_eq!(message.json()["content"][0]["text"], "Hello from claude-3-haiku-20240307");
}

#[tokio::test]
async fn any_groq_model_behind_one_wildcard() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&wildcards(&upstream.url()));
    let response = gateway.chat("groq/llama3-8b-8192", &[], &json!({})).await;
    says(&response, "Hello from llama3-8b-8192");
    assert_eq!(response.header("x-litellm-model-name"), "groq/llama3-8b-8192");
    assert_eq!(upstream.request().await.header("authorization"), "Bearer groq-key");
}

#[tokio::test]
async fn a_pattern_with_two_wildcards_passes_its_captures_on() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&wildcards(&upstream.url()));
    for model in ["fo::hi::static::hi", "fo::hi:static::hi", "fo::a::b::static::c"] {
        let response = gateway.chat(model, &[], &json!({})).await;
        says(&response, &format!("Hello from {model}"));
        assert_eq!(response.header("x-litellm-model-name"), format!("openai/{model}"));
        assert_eq!(response.json()["model"], model);
    }
    let refused = gateway.chat("xfo::hi::static::hi", &[], &json!({})).await;
    assert_eq!(refused.status, 400);
}
