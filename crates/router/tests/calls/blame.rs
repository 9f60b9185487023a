//! Failures that a caller's own choices explain take no deployment away from others; and one call causes a bounded
//! number of attempts.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tagrail::routing::NoRoute;
use tagrail::{AnswerBody, Call, Caller, Identity, Operation, Refusal};
use tagrail_testkit::{FakeUpstream, Gate, Reply, config_text, deployment};

use crate::rig::{Rig, chat};

/// Any failure that is noted cools this one for ten minutes.
fn strict(mode: &str, params: &Value) -> Rig {
    let upstream = FakeUpstream::start();
    let mut one = deployment("g", "a", &[], &upstream.base());
    one["litellm_params"].as_object_mut().unwrap().extend(params.as_object().cloned().unwrap());
    let settings = json!({"num_retries": 0, "allowed_fails": 0, "cooldown_time": 600, "routing_mode": mode});
    Rig::of(upstream, &[one], &json!({"router_settings": settings}))
}

async fn is_cooling(rig: &Rig) -> bool {
    rig.upstream.otherwise(Reply::default());
    match rig.chat("g", json!({})).await {
        Ok(_) => false,
        Err(error) => match error.refusal {
            Refusal::NoRoute(NoRoute::Cooling { .. }) => true,
            other => panic!("{other:?}"),
        },
    }
}

async fn responses(rig: &Rig, more: Value) -> Result<tagrail::Answer, Box<tagrail::CallError>> {
    let mut body = json!({"model": "g", "input": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    let body = Bytes::from(body.to_string());
    rig.router.call(&Call::read(Operation::Responses, HeaderMap::new(), body, None).unwrap()).await
}

#[tokio::test]
async fn a_callers_shorter_time_limit_marks_no_deployment() {
    for mode in ["tagrail", "litellm"] {
        let rig = strict(mode, &json!({}));
        rig.upstream.otherwise(Reply::default().hold(&Gate::shut()));
        for _ in 0..3 {
            let error = rig.chat("g", json!({"timeout": 0.02})).await.unwrap_err();
            assert_eq!(error.refusal.status(), 408);
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-litellm-timeout", HeaderValue::from_static("0.02"));
        let call = chat("g", json!({}));
        let call = Call::read(call.operation, headers, call.envelope.body().clone(), None).unwrap();
        assert_eq!(rig.router.call(&call).await.unwrap_err().refusal.status(), 408);
        assert!(!is_cooling(&rig).await);
    }
}

#[tokio::test]
async fn a_callers_shorter_patience_with_a_stream_marks_no_deployment() {
    let rig = strict("tagrail", &json!({}));
    rig.upstream.otherwise(Reply::events(["{\"choices\":[]}", "[DONE]"]).hold_after(1, &Gate::shut()));
    let answer = rig.chat("g", json!({"stream": true, "stream_timeout": 0.5})).await.unwrap();
    match answer.body {
        AnswerBody::Stream(stream) => drop(http_body_util::BodyExt::collect(stream).await),
        other => panic!("{other:?}"),
    }
    assert!(!is_cooling(&rig).await);
}

#[tokio::test]
async fn a_time_limit_that_is_not_shorter_counts() {
    let rig = strict("tagrail", &json!({"timeout": 0.02}));
    rig.upstream.otherwise(Reply::default().hold(&Gate::shut()));
    rig.chat("g", json!({"timeout": 0.02})).await.unwrap_err();
    assert!(is_cooling(&rig).await);
}

#[tokio::test]
async fn a_timeout_of_the_upstreams_own_counts_whatever_the_caller_allows() {
    let rig = strict("tagrail", &json!({}));
    rig.upstream.otherwise(Reply::error(504));
    rig.chat("g", json!({"timeout": 5})).await.unwrap_err();
    assert!(is_cooling(&rig).await);
}

#[tokio::test]
async fn time_spent_in_the_queue_of_a_deployment_does_not_count() {
    let rig = strict("tagrail", &json!({"timeout": 0.3, "max_parallel_requests": 1}));
    let gate = Gate::shut();
    rig.upstream
        .otherwise(Reply::events(["{\"choices\":[]}", "{\"choices\":[]}", "[DONE]"]).hold_after(1, &gate));
    let held = rig.chat("g", json!({"stream": true})).await.unwrap();
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!((error.refusal.status(), rig.asked().len()), (408, 1));
    drop(held);
    assert!(!is_cooling(&rig).await);
}

#[tokio::test]
async fn a_callers_own_credentials_mark_no_deployment() {
    let open = json!({"configurable_clientside_auth_params": ["api_key", "api_base", "extra_headers"]});
    for own in [
        json!({"api_key": "sk-bad"}),
        json!({"extra_headers": {"x": "y"}}),
        json!({"api_key": "sk-bad", "api_base": format!("http://{}/v1", FakeUpstream::refused())}),
    ] {
        for status in [401, 404, 429, 500] {
            let rig = strict("tagrail", &open);
            rig.upstream.otherwise(Reply::error(status));
            rig.chat("g", own.clone()).await.unwrap_err();
            assert!(!is_cooling(&rig).await, "{own} {status}");
            rig.upstream.otherwise(Reply::error(401));
            rig.chat("g", json!({})).await.unwrap_err();
            assert!(is_cooling(&rig).await, "the deployment's own key counts");
        }
    }
}

#[tokio::test]
async fn answers_to_a_callers_own_credentials_do_not_count_either() {
    let upstream = FakeUpstream::start();
    let list = ["a", "b"].map(|id| {
        let mut one = deployment("g", id, &[], &upstream.base());
        one["litellm_params"]["configurable_clientside_auth_params"] = json!(["api_key"]);
        one
    });
    let rig = Rig::of(upstream, &list, &json!({"router_settings": {"num_retries": 0, "cooldown_time": 600}}));
    for _ in 0..40 {
        rig.chat("g", json!({"api_key": "sk-mine"})).await.unwrap();
    }
    rig.upstream.otherwise(Reply::error(500));
    let mut failed = 0;
    while !matches!(
        rig.chat("g", json!({})).await.unwrap_err().refusal,
        Refusal::NoRoute(NoRoute::Cooling { .. })
    ) {
        failed += 1;
        assert!(failed < 40, "as many failures as answers that were not theirs");
    }
}

#[tokio::test]
async fn client_credentials_can_be_allowed_everywhere() {
    for (allowed, status) in [(true, 200), (false, 400)] {
        let upstream = FakeUpstream::start();
        let one = deployment("g", "a", &[], &upstream.base());
        let settings = json!({"general_settings": {
            "allow_client_side_credentials": allowed,
            "provider_url_destination_allowed_hosts": ["127.0.0.1"],
        }});
        let rig = Rig::of(upstream, &[one], &settings);
        let answer = rig.chat("g", json!({"api_key": "sk-mine", "api_base": rig.upstream.base()})).await;
        assert_eq!(answer.map_or_else(|error| error.refusal.status(), |_| 200), status);
        let sent = rig.upstream.requests();
        assert!(sent.iter().all(|request| request.headers["authorization"] == "Bearer sk-mine"), "{sent:?}");
    }
}

fn not_found(code: Value, param: Value) -> Reply {
    let error =
        json!({"message": "not found", "type": "invalid_request_error", "code": code, "param": param});
    Reply::json(404, &json!({"error": error}))
}

#[tokio::test]
async fn names_that_a_caller_makes_up_mark_no_deployment() {
    let rig = strict("tagrail", &json!({}));
    let plain = not_found(Value::Null, Value::Null);
    for more in [
        json!({"previous_response_id": "resp_made_up"}),
        json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-made-up"}]}]}),
        json!({"input": [{"type": "item_reference", "id": "rs_made_up"}]}),
        json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_made_up"]}]}),
        json!({"tools": [{"type": "image_generation", "model": "made-up"}]}),
        json!({"prompt": {"id": "pmpt_made_up"}}),
    ] {
        rig.upstream.otherwise(plain.clone());
        assert_eq!(responses(&rig, more.clone()).await.unwrap_err().refusal.status(), 404);
        assert!(!is_cooling(&rig).await, "{more}");
    }
    rig.upstream.otherwise(not_found(Value::Null, json!("conversation_of_some_new_kind")));
    responses(&rig, json!({"some_new_kind": "x"})).await.unwrap_err();
    assert!(!is_cooling(&rig).await, "the upstream names the field");
}

#[tokio::test]
async fn a_model_or_an_address_that_is_not_there_is_the_deployments() {
    for (reply, more) in [
        (not_found(Value::Null, Value::Null), json!({})),
        (Reply::whole("text/html", "<h1>Not Found</h1>").status(404), json!({})),
        (not_found(json!("model_not_found"), Value::Null), json!({"previous_response_id": "resp_1"})),
        (not_found(json!("model_not_found"), json!("model")), json!({})),
    ] {
        let rig = strict("tagrail", &json!({}));
        rig.upstream.otherwise(reply);
        responses(&rig, more.clone()).await.unwrap_err();
        assert!(is_cooling(&rig).await, "{more}");
    }
}

#[tokio::test]
async fn a_request_that_is_larger_than_the_rate_limit_marks_no_deployment() {
    let rig = strict("tagrail", &json!({}));
    let message = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 50000.";
    rig.upstream
        .otherwise(Reply::json(429, &json!({"error": {"message": message, "code": "rate_limit_exceeded"}})));
    rig.chat("g", json!({})).await.unwrap_err();
    assert!(!is_cooling(&rig).await);
}

#[tokio::test]
async fn made_up_models_behind_a_wildcard_leave_the_real_ones_alone() {
    let upstream = FakeUpstream::start();
    let mut one = deployment("w/*", "a", &[], &upstream.base());
    one["litellm_params"]["model"] = json!("openai/*");
    let rig = Rig::of(upstream, &[one], &json!({"router_settings": {"num_retries": 0}}));
    rig.chat("w/real", json!({})).await.unwrap();
    for status in [401, 404, 429, 500] {
        rig.upstream.otherwise(Reply::error(status));
        for number in 0..20 {
            rig.chat(&format!("w/made-up-{status}-{number}"), json!({})).await.unwrap_err();
        }
        rig.upstream.otherwise(Reply::default());
        rig.chat("w/real", json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn one_caller_whose_every_call_fails_does_not_take_a_deployment_from_others() {
    let caller = |key: &str| {
        let identity = Identity { key: key.to_owned(), ..Identity::default() };
        Arc::new(Caller { identity, ..Caller::default() })
    };
    let (good, bad) = (caller("aaaa"), caller("bbbb"));
    let rig = Rig::new(&[("g", "a", &[]), ("g", "b", &[])], &json!({"router_settings": {"num_retries": 0}}));
    for _ in 0..8 {
        rig.chat_as(&good, "g", json!({})).await.unwrap();
    }
    rig.upstream.otherwise(Reply::error(500));
    for _ in 0..100 {
        let error = rig.chat_as(&bad, "g", json!({})).await.unwrap_err();
        assert_eq!(error.refusal.status(), 500);
    }
    rig.upstream.otherwise(Reply::default());
    rig.chat_as(&good, "g", json!({})).await.unwrap();
}

/// Groups `g`, `f0`, `f1`, … of `size` deployments each.
fn wide(groups: usize, size: usize, settings: &Value) -> Rig {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::error(500));
    let names = (0..groups).map(|number| if number == 0 { "g".to_owned() } else { format!("f{number}") });
    let list: Vec<Value> = names
        .flat_map(|group| (0..size).map(move |id| (group.clone(), format!("{group}-{id}"))))
        .map(|(group, id)| deployment(&group, &id, &[], &upstream.base()))
        .collect();
    Rig::of(upstream, &list, &json!({"router_settings": settings}))
}

#[tokio::test]
async fn a_call_causes_at_most_twenty_attempts() {
    let rig = wide(33, 11, &json!({}));
    let fallbacks: Vec<String> = (1..33).map(|number| format!("f{number}")).collect();
    let error = rig.chat("g", json!({"num_retries": 10, "fallbacks": fallbacks})).await.unwrap_err();
    assert_eq!(rig.asked().len(), 20);
    assert_eq!((error.attempts, error.refusal.status()), (20, 500));
    assert!(
        error.to_string().contains("after 20 attempts (router_settings.max_attempts_per_call)"),
        "{error}"
    );
}

#[tokio::test]
async fn the_number_of_attempts_can_be_set_and_counts_every_group() {
    let rig = wide(
        4,
        1,
        &json!({"num_retries": 0, "max_attempts_per_call": 3,
        "fallbacks": [{"g": ["f1"]}, {"f1": ["f2"]}, {"f2": ["f3"]}]}),
    );
    let error = rig.chat("g", json!({})).await.unwrap_err();
    assert_eq!(rig.asked(), ["g-0", "f1-0", "f2-0"]);
    assert!(error.exhausted);
    let enough = wide(
        3,
        1,
        &json!({"num_retries": 0, "max_attempts_per_call": 3,
        "fallbacks": [{"g": ["f1", "f2"]}]}),
    );
    let error = enough.chat("g", json!({})).await.unwrap_err();
    assert_eq!(enough.asked().len(), 3);
    assert!(!error.exhausted, "nothing else would have been asked");
}

#[test]
fn no_attempts_at_all_is_a_mistake() {
    let text = config_text(&[], &json!({"router_settings": {"max_attempts_per_call": 0}}));
    let loaded = tagrail::config::load_text(&text, std::path::Path::new("test.yaml"), &|_| None);
    let found = format!("{:?}", loaded.diagnostics);
    assert!(found.contains("`max_attempts_per_call` must be at least 1"), "{found}");
}
