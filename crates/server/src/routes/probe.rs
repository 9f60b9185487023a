//! Small real calls, one to every deployment, for `GET /health?probe=true`. They go the way of every
//! call, addressed by deployment id: they are counted, cost money, and a failure can cool the
//! deployment down.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use tagrail::routing::DeploymentIndex;
use tagrail::{Call, Operation, Router, Snapshot};
use tokio::task::JoinSet;

use crate::error;
use crate::routes::models;

/// How many are under way at once.
const AT_ONCE: usize = 8;

/// How long one may take.
const LONGEST: Duration = Duration::from_secs(10);

/// What came of one.
#[derive(Debug)]
pub(crate) enum Probed {
    /// It answered within this time.
    Answered(Duration),
    /// It did not: why, as a client would read it.
    Failed(String),
    /// It was not asked: why.
    Skipped(&'static str),
}

/// Asks these deployments.
pub(crate) async fn probe(
    router: &Router,
    snapshot: &Snapshot,
    mut deployments: impl Iterator<Item = DeploymentIndex>,
) -> HashMap<DeploymentIndex, Probed> {
    let mut probed = HashMap::new();
    // Dropped with the request when its client leaves, and what is under way with it.
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(index) = deployments.next()
        {
            match operation(snapshot, index) {
                Ok(operation) => {
                    let (router, id) = (router.clone(), snapshot.spec(index).id.clone());
                    under_way.spawn(async move { (index, ask(&router, operation, &id).await) });
                }
                Err(why) => drop(probed.insert(index, Probed::Skipped(why))),
            }
        }
        match under_way.join_next().await {
            Some(Ok((index, outcome))) => drop(probed.insert(index, outcome)),
            Some(Err(_)) => {}
            None => return probed,
        }
    }
}

/// What a deployment is asked for, by the mode that it or the catalogue gives its model.
fn operation(snapshot: &Snapshot, index: DeploymentIndex) -> Result<Operation, &'static str> {
    if snapshot.general.completion_model.is_some() {
        return Err("general_settings.completion_model sends every call to one model");
    }
    let model = &snapshot.spec(index).model;
    if model.contains('*') {
        return Err("a wildcard says no model to ask for");
    }
    let own = snapshot.deployment(index).info.get("mode").and_then(|mode| mode.as_str());
    match own.or_else(|| models::facts(model).map(|facts| facts.mode)).unwrap_or_default() {
        "" | "chat" | "responses" => Ok(Operation::ChatCompletions),
        "completion" => Ok(Operation::Completions),
        "embedding" => Ok(Operation::Embeddings),
        _ => Err("only chats, completions and embeddings are asked for"),
    }
}

async fn ask(router: &Router, operation: Operation, id: &str) -> Probed {
    let mut body = json!({ "model": id, "num_retries": 0, "disable_fallbacks": true });
    match operation {
        Operation::Embeddings => body["input"] = json!("hi"),
        Operation::Completions => {
            body["prompt"] = json!("hi");
            body["max_tokens"] = json!(1);
        }
        _ => {
            body["messages"] = json!([{ "role": "user", "content": "hi" }]);
            body["max_tokens"] = json!(1);
        }
    }
    let call = match Call::read(operation, HeaderMap::new(), Bytes::from(body.to_string()), None) {
        Ok(call) => call,
        Err(refused) => return Probed::Failed(refused.message),
    };
    let began = Instant::now();
    match tokio::time::timeout(LONGEST, router.call(&call)).await {
        Ok(Ok(_)) => Probed::Answered(began.elapsed()),
        Ok(Err(failed)) => Probed::Failed(error::refused(&failed).message().to_owned()),
        Err(_) => Probed::Failed(format!("no answer within {} seconds", LONGEST.as_secs())),
    }
}
