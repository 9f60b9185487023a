//! Teams, keys and spend, as the rest of the server sees them: the store behind a cache, counts of
//! what is used up, and the journal through which what calls cost reaches the store.
//!
//! The store has a thread and a runtime of its own, so that its connections belong to one reactor and
//! nothing of it ever waits on a core that serves calls.

use std::future::Future;
use std::sync::Arc;

use http::StatusCode;
use tagrail_store::{Store, StoreError};

use crate::error::Problem;

/// The books.
pub struct Ledger {
    store: Option<Arc<dyn Store>>,
    runtime: Option<tokio::runtime::Handle>,
}

impl Ledger {
    /// Without a store: the master key alone opens, and nothing is written down.
    pub fn none() -> Ledger {
        Ledger { store: None, runtime: None }
    }

    /// Asks the store, on its own runtime.
    ///
    /// # Errors
    /// 503 when it cannot be asked, also when there is none; else the store's error as HTTP.
    pub(crate) async fn ask<T, F>(&self, ask: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (Some(store), Some(runtime)) = (&self.store, &self.runtime) else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "there is no database"));
        };
        match runtime.spawn(ask(store.clone())).await {
            Ok(answer) => answer.map_err(|error| Problem::of_store(&error)),
            Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    }

    /// The same for what changes something: when it returns, this process has taken notice of it, in its
    /// caches and its reservations.
    ///
    /// # Errors
    /// As [`Ledger::ask`].
    pub(crate) async fn change<T, F>(&self, ask: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.ask(ask).await
    }
}
