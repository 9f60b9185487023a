//! Making a key: for `/key/generate`, and for whatever else hands one out.

use http::StatusCode;
use serde_json::{Map, Value};
use tagrail::config::GeneralSettings;
use tagrail_providers::Secret;
use tagrail_store::{Key, StoreError};

use crate::error::Problem;
use crate::fields::Asked;
use crate::ledger::Ledger;
use crate::routes::key::{change, minted, shown};

/// A key that was just made, and the key itself for the one answer that has it.
pub(crate) struct Made {
    pub(crate) key: Key,
    pub(crate) secret: Secret,
}

impl Made {
    /// The answer of `/key/generate`.
    pub(crate) fn shown(&self, asked: &Asked) -> Map<String, Value> {
        shown::fresh(&self.key, self.secret.reveal(), asked.value("blocked"))
    }
}

/// Makes a key from the fields of `taken::GENERATE` and writes it down.
pub(crate) async fn create(
    ledger: &Ledger,
    general: &GeneralSettings,
    asked: &Asked,
    by: &str,
) -> Result<Made, Problem> {
    let secret = match asked.text("key") {
        Some(own) => minted::chosen(own, general, "key")?,
        None => minted::mint()?,
    };
    let now = ledger.now();
    let mut key = Key {
        hash: minted::hash(secret.reveal()),
        name: minted::name(secret.reveal()),
        created_by: Some(by.to_owned()),
        created_at: now,
        ..Key::default()
    };
    change::set(asked, &mut key, now)?;
    let written = key.clone();
    let made = ledger.change(async move |store| told(store.create_key(&written).await)).await?;
    made.map_err(|error| refused(&error, &key))?;
    Ok(Made { key, secret })
}

/// Takes what the store says of the change itself apart from its not being there.
pub(crate) fn told<T>(result: Result<T, StoreError>) -> Result<Result<T, StoreError>, StoreError> {
    match result {
        Err(error @ (StoreError::Unavailable(_) | StoreError::Broken(_))) => Err(error),
        told => Ok(told),
    }
}

/// Why a key was not written, in LiteLLM's words where it has some.
pub(crate) fn refused(error: &StoreError, key: &Key) -> Problem {
    match error {
        StoreError::Taken { field: "key_alias", .. } => {
            let alias = key.alias.as_deref().unwrap_or_default();
            let message = format!(
                "Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
            );
            Problem::new(StatusCode::BAD_REQUEST, message).kind("bad_request_error").param("key_alias")
        }
        StoreError::Taken { .. } => {
            let message = "This key exists already. Choose another, or let one be made.";
            Problem::new(StatusCode::CONFLICT, message).kind("bad_request_error").param("key")
        }
        StoreError::Missing { field: "team_id", .. } => {
            let team = key.team_id.as_deref().unwrap_or_default();
            let message = format!("Team not found, passed team_id={team}");
            Problem::new(StatusCode::NOT_FOUND, message).kind("not_found_error").param("team_id")
        }
        StoreError::Missing { .. } => missing(),
        other => Problem::of_store(other),
    }
}

/// 404 for a key that is not there; nothing of what was sent is in it.
pub(crate) fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Key not found.").kind("not_found_error").param("key")
}
