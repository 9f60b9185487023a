//! Stored responses: continued by their owner, at the deployment that has them, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tagrail::{Answer, AnswerBody, Call, CallError, Caller, Identity, Operation, Refusal, ResponseRefusal};
use tagrail_testkit::{FakeUpstream, Reply, deployment};

use crate::rig::{Rig, served, whole};

const MASTER: &str = "sk-master";

/// Three deployments of `g`, and one of `h`.
fn rig(more: &Value) -> Rig {
    let upstream = FakeUpstream::start();
    let list = [("g", "a"), ("g", "b"), ("g", "c"), ("h", "h")];
    let list = list.map(|(group, id)| deployment(group, id, &[], &upstream.base()));
    let mut config =
        json!({"general_settings": {"master_key": MASTER}, "router_settings": {"num_retries": 2}});
    for (section, value) in more.as_object().into_iter().flatten() {
        config[section] = value.clone();
    }
    upstream.otherwise(response("resp_up"));
    Rig::of(upstream, &list, &config)
}

fn response(id: &str) -> Reply {
    Reply::json(
        200,
        &json!({"id": id, "object": "response", "status": "completed", "model": "m", "output": []}),
    )
}

fn of_team(team: &str) -> Arc<Caller> {
    let identity =
        Identity { key: format!("key of {team}"), team: Some(team.to_owned()), ..Identity::default() };
    Arc::new(Caller { identity, ..Caller::confined() })
}

fn call(caller: &Arc<Caller>, model: &str, more: &Value) -> Call {
    let mut body = json!({"model": model, "input": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let body = Bytes::from(body.to_string());
    let call = Call::read(Operation::Responses, HeaderMap::new(), body, None).unwrap();
    call.by(caller.clone(), HeaderValue::from_static("call-1"))
}

impl Rig {
    async fn respond(
        &self,
        caller: &Arc<Caller>,
        model: &str,
        more: Value,
    ) -> Result<Answer, Box<CallError>> {
        self.router.call(&call(caller, model, &more)).await
    }

    /// A new response of a caller's: its id, and the deployment that made it.
    async fn made(&self, caller: &Arc<Caller>) -> (String, String) {
        let answer = self.respond(caller, "g", json!({})).await.unwrap();
        let deployment = served(&answer);
        (whole(answer)["id"].as_str().unwrap().to_owned(), deployment)
    }
}

#[tokio::test]
async fn a_response_is_continued_by_its_team_where_it_was_made() {
    let rig = rig(&json!({}));
    for _ in 0..6 {
        let (id, deployment) = rig.made(&of_team("a")).await;
        assert!(id.starts_with("resp_tr1_"), "{id}");
        for _ in 0..4 {
            let more = json!({"previous_response_id": id});
            assert_eq!(served(&rig.respond(&of_team("a"), "g", more).await.unwrap()), deployment);
            assert_eq!(rig.upstream.requests().last().unwrap().json()["previous_response_id"], "resp_up");
        }
    }
}

#[tokio::test]
async fn what_is_anothers_or_nobodys_is_refused_alike_and_nothing_is_sent() {
    let rig = rig(&json!({}));
    let (id, _) = rig.made(&of_team("a")).await;
    let asked = rig.asked().len();
    for previous in [id.as_str(), "resp_up", "resp_tr1_AAAA", ""] {
        let error =
            rig.respond(&of_team("b"), "g", json!({"previous_response_id": previous})).await.unwrap_err();
        let told = error.told();
        assert_eq!(told.text(), format!("Previous response with id '{previous}' not found."));
        assert_eq!((told.status, told.code.as_deref()), (400, Some("previous_response_not_found")));
        assert_eq!(told.param.as_deref(), Some("previous_response_id"));
    }
    assert_eq!(rig.asked().len(), asked);
}

#[tokio::test]
async fn a_continued_response_has_no_fallback_and_retries_where_it_is() {
    let rig = rig(
        &json!({"router_settings": {"num_retries": 1, "fallbacks": [{"g": ["h"]}], "disable_cooldowns": true}}),
    );
    let (id, deployment) = rig.made(&of_team("a")).await;
    let asked = rig.asked().len();
    rig.upstream.always(&deployment, Reply::error(500));
    let more = json!({"previous_response_id": id, "fallbacks": ["h"]});
    let error = rig.respond(&of_team("a"), "g", more).await.unwrap_err();
    assert!(matches!(error.refusal, Refusal::Upstream(_)), "{:?}", error.refusal);
    assert!(error.told().text().contains("only this deployment has"), "{}", error.told().text());
    assert_eq!(rig.asked()[asked..], [deployment.clone(), deployment], "one try and its retry");
}

#[tokio::test]
async fn a_name_that_does_not_lead_to_the_deployment_is_refused() {
    let rig = rig(&json!({}));
    let (id, _) = rig.made(&of_team("a")).await;
    let error = rig.respond(&of_team("a"), "h", json!({"previous_response_id": id})).await.unwrap_err();
    assert_eq!(error.refusal.status(), 400);
    assert!(matches!(error.refusal, Refusal::Response(ResponseRefusal::Elsewhere { model }) if model == "h"));
}

#[tokio::test]
async fn a_fallbacks_own_fields_are_checked_too() {
    let rig = rig(&json!({"router_settings": {"num_retries": 0}}));
    let (id, deployment) = rig.made(&of_team("a")).await;
    for down in ["a", "b", "c"] {
        rig.upstream.always(down, Reply::error(500));
    }
    for previous in [id.as_str(), "resp_up"] {
        let fallback = json!({"model": "h", "previous_response_id": previous});
        rig.respond(&of_team("b"), "g", json!({"fallbacks": [fallback]})).await.unwrap_err();
    }
    let sent = rig.upstream.requests();
    assert!(sent.iter().all(|request| request.json().get("previous_response_id").is_none()));
    assert!(!rig.asked().contains(&"h".to_owned()), "{deployment}");
}

#[tokio::test]
async fn every_event_of_a_stream_carries_the_same_id() {
    let rig = rig(&json!({}));
    let event = |kind: &str| {
        json!({"type": kind, "response": {"id": "resp_s", "model": "m", "previous_response_id": "resp_up"}})
            .to_string()
    };
    let (id, _) = rig.made(&of_team("a")).await;
    let kinds = ["response.created", "response.queued", "response.in_progress"].map(event);
    let piece =
        json!({"type": "response.output_text.delta", "delta": "hi", "response_id": "resp_s"}).to_string();
    let events = kinds.into_iter().chain([piece, event("response.completed")]);
    rig.upstream.otherwise(Reply::events(events));
    let more = json!({"stream": true, "previous_response_id": id});
    let answer = rig.respond(&of_team("a"), "g", more).await.unwrap();
    let AnswerBody::Stream(stream) = answer.body else { panic!("not a stream") };
    let text = http_body_util::BodyExt::collect(*stream).await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(!text.contains("resp_s") && !text.contains("resp_up"), "{text}");
    assert_eq!(text.matches(&id).count(), 4, "as it was sent: {text}");
    assert_eq!(text.matches("\"resp_tr1_").count(), 9, "{text}");
}

#[tokio::test]
async fn a_program_has_the_upstreams_ids() {
    let rig = rig(&json!({}));
    let own = |more: Value| call(&Caller::operator(), "g", &more).in_process();
    let answer = rig.router.call(&own(json!({"previous_response_id": "resp_mine"}))).await.unwrap();
    assert_eq!(whole(answer)["id"], "resp_up");
    assert_eq!(rig.upstream.requests()[0].json()["previous_response_id"], "resp_mine");
}

#[tokio::test]
async fn an_explanation_shows_the_only_deployment_that_has_the_response() {
    let rig = rig(&json!({}));
    let (id, deployment) = rig.made(&of_team("a")).await;
    let more = json!({"previous_response_id": id});
    let explained = rig.router.explain(&call(&of_team("a"), "g", &more)).unwrap();
    let permitted = explained.explanation.decision.as_ref().unwrap().permitted(&explained.snapshot.table);
    let ids: Vec<_> = permitted.iter().map(|index| explained.snapshot.spec(*index).id.as_str()).collect();
    assert_eq!(ids, [deployment]);
    let explained = rig.router.explain(&call(&of_team("b"), "g", &more)).unwrap();
    assert!(explained.to_text().contains("Previous response with id"), "{}", explained.to_text());
}
