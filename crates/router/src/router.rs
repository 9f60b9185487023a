//! `Router::call`: admit, decide, attempt, record.

use std::sync::Arc;

use tagrail_config::Resolved;
use tagrail_routing::Explanation;

use crate::{Answer, Call, CallError, Recorder, Refusal, Snapshot};

/// Sends calls to deployments. Clones share configuration, scoreboard and connections; [`Router::core`]
/// makes one with connections of its own.
#[derive(Clone)]
pub struct Router {
    snapshot: Arc<Snapshot>,
}

/// A decision with its reasons and the configuration it was taken with.
pub struct Explained {
    /// The decision.
    pub explanation: Explanation,
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// The name asked for.
    pub model: String,
    /// The tags, each with its origin, as text: `free (header)`.
    pub tags: Vec<(String, &'static str)>,
}

impl Router {
    /// A router over a configuration. Reads the system's certificates.
    pub fn new(_resolved: Resolved, _recorder: Arc<dyn Recorder>) -> Router {
        unimplemented!("being written")
    }

    /// The same router with connections of its own: one for every runtime.
    #[must_use]
    pub fn core(&self) -> Router {
        self.clone()
    }

    /// The configuration in use.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// Answers a call. Dropping the future ends the upstream call.
    ///
    /// # Errors
    /// Says whose fault it was.
    pub async fn call(&self, call: Call) -> Result<Answer, Box<CallError>> {
        let snapshot = self.snapshot();
        let model = call.model().unwrap_or_default().into_owned();
        Err(Box::new(CallError { refusal: Refusal::MissingModel, snapshot, model, timeout: None }))
    }

    /// The decision for a call and its reasons; nothing is sent.
    ///
    /// # Errors
    /// The call names no model.
    pub fn explain(&self, _call: &Call) -> Result<Explained, Box<CallError>> {
        unimplemented!("being written")
    }

    /// Whether a deployment is cooling, and for how many milliseconds still; for health reports.
    pub fn cooling_ms(&self, _deployment: tagrail_routing::DeploymentIndex) -> Option<u64> {
        None
    }
}
