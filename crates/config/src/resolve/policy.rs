//! `retry_policy` and `allowed_fails_policy`: numbers by class of error.

use std::collections::HashMap;

use tagrail_providers::ErrorKind;

use crate::node::{Entry, Map};
use crate::reading::{Reader, as_whole};
use crate::settings::{AllowedFails, RetryPolicy};

/// LiteLLM's names of the classes, as both policies begin their keys.
const CLASSES: &[(&str, ErrorKind)] = &[
    ("BadRequestError", ErrorKind::BadRequest),
    ("AuthenticationError", ErrorKind::Authentication),
    ("TimeoutError", ErrorKind::Timeout),
    ("RateLimitError", ErrorKind::RateLimit),
    ("ContentPolicyViolationError", ErrorKind::ContentPolicy),
    ("InternalServerError", ErrorKind::Internal),
    ("ServiceUnavailableError", ErrorKind::Unavailable),
    ("BadGatewayError", ErrorKind::BadGateway),
    ("NotFoundError", ErrorKind::NotFound),
];

/// `retry_policy`.
pub(super) fn retries(reader: &mut Reader<'_, '_>) -> RetryPolicy {
    reader.map("retry_policy").map(|map| retries_of(reader, map)).unwrap_or_default()
}

/// One policy of `model_group_retry_policy`, or `retry_policy`.
pub(super) fn retries_of(reader: &mut Reader<'_, '_>, map: &Map) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    for entry in map.entries.iter().filter(|entry| !entry.value.is_null()) {
        let Some(count) = count(reader, entry) else { continue };
        if entry.key == "DefaultRetries" {
            policy.default = Some(count);
        } else if let Some(kind) = class(&entry.key, "Retries") {
            policy.by_kind.insert(kind, count);
        } else {
            unknown(reader, entry, "Retries");
        }
    }
    policy
}

/// `allowed_fails` and `allowed_fails_policy`, when either is written.
pub(super) fn allowed_fails(reader: &mut Reader<'_, '_>) -> Option<AllowedFails> {
    let all = reader.count("allowed_fails");
    let policy = reader.map("allowed_fails_policy");
    let mut by_kind = HashMap::new();
    for entry in policy.iter().flat_map(|map| &map.entries).filter(|entry| !entry.value.is_null()) {
        let Some(count) = count(reader, entry) else { continue };
        match class(&entry.key, "AllowedFails") {
            Some(kind) => {
                by_kind.insert(kind, count);
            }
            None => unknown(reader, entry, "AllowedFails"),
        }
    }
    (all.is_some() || policy.is_some()).then_some(AllowedFails { all, by_kind })
}

fn class(key: &str, ending: &str) -> Option<ErrorKind> {
    let name = key.strip_suffix(ending)?;
    CLASSES.iter().find(|(class, _)| *class == name).map(|(_, kind)| *kind)
}

fn count(reader: &mut Reader<'_, '_>, entry: &Entry) -> Option<u32> {
    match as_whole(&entry.value).map(u32::try_from) {
        Some(Ok(count)) => Some(count),
        _ => reader.not(entry, "a whole number from 0", None),
    }
}

fn unknown(reader: &mut Reader<'_, '_>, entry: &Entry, ending: &str) {
    let names: Vec<String> = CLASSES.iter().map(|(class, _)| format!("{class}{ending}")).collect();
    let message = format!("`{}` is no class of error, and is ignored", entry.key);
    reader.warn("unknown-key", entry.at, message, Some(format!("there are: {}", names.join(", "))));
}
