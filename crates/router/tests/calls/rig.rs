//! A router over one fake upstream, and what it recorded.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tagrail::config::{Loaded, load_text};
use tagrail::{Answer, AnswerBody, Call, CallError, Caller, Operation, Outcome, Recorder, Router};
use tagrail_testkit::{FakeUpstream, config_text, deployment};

use crate::books::Row;

/// A router, its upstream, its records.
pub(crate) struct Rig {
    pub(crate) router: Router,
    pub(crate) upstream: FakeUpstream,
    pub(crate) records: Arc<Records>,
}

/// (deployment, status, attempts, cut short) of every finished call, and all the rest of it.
#[derive(Default)]
pub(crate) struct Records(pub(crate) Mutex<Vec<(String, u16, u32, bool)>>, pub(crate) Mutex<Vec<Row>>);

impl Recorder for Records {
    fn record(&self, outcome: &Outcome<'_>) {
        let row = (outcome.deployment.to_owned(), outcome.status, outcome.attempts, outcome.cut_short);
        self.0.lock().unwrap().push(row);
        self.1.lock().unwrap().push(Row::of(outcome));
    }
}

impl Records {
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.1.lock().unwrap().clone()
    }

    /// The row of the only call.
    pub(crate) fn row(&self) -> Row {
        let rows = self.rows();
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows[0].clone()
    }
}

impl Rig {
    /// Deployments as (group, id, tags); `more` is laid over the configuration.
    pub(crate) fn new(deployments: &[(&str, &str, &[&str])], more: &Value) -> Rig {
        let upstream = FakeUpstream::start();
        let list: Vec<_> = deployments
            .iter()
            .map(|(group, id, tags)| deployment(group, id, tags, &upstream.base()))
            .collect();
        Rig::of(upstream, &list, more)
    }

    /// Deployments as written.
    pub(crate) fn of(upstream: FakeUpstream, list: &[Value], more: &Value) -> Rig {
        let records = Arc::new(Records::default());
        let router = Router::new(resolved(&config_text(list, more)), records.clone());
        Rig { router, upstream, records }
    }

    pub(crate) async fn chat(&self, model: &str, more: Value) -> Result<Answer, Box<CallError>> {
        self.router.call(&chat(model, more)).await
    }

    /// The same on somebody's behalf.
    pub(crate) async fn chat_as(
        &self,
        caller: &Arc<Caller>,
        model: &str,
        more: Value,
    ) -> Result<Answer, Box<CallError>> {
        let call = chat(model, more).by(caller.clone(), HeaderValue::from_static("call-1"));
        self.router.call(&call).await
    }

    /// The upstream models asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.upstream.models()
    }
}

pub(crate) fn resolved(text: &str) -> tagrail::config::Resolved {
    let Loaded { resolved, diagnostics, .. } = load_text(text, Path::new("test.yaml"), &|_| None);
    resolved.unwrap_or_else(|| panic!("{diagnostics:#?}"))
}

pub(crate) fn chat(model: &str, more: Value) -> Call {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let body = Bytes::from(body.to_string());
    Call::read(Operation::ChatCompletions, HeaderMap::new(), body, None).unwrap()
}

/// The id of the deployment that answered.
pub(crate) fn served(answer: &Answer) -> String {
    answer.facts.snapshot.spec(answer.facts.deployment).id.clone()
}

pub(crate) fn whole(answer: Answer) -> Value {
    match answer.body {
        AnswerBody::Whole(pieces) => serde_json::from_slice(&pieces.concat()).unwrap(),
        other => panic!("{other:?}"),
    }
}
