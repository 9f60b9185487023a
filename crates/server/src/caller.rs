//! Who calls, and what that allows. No right, no handler: a handler that needs one takes [`Admin`],
//! [`Viewer`] or [`Known`].
//!
//! Map: here how a key is found and whose it is; `peer.rs` who may come in where there are no keys;
//! `principal.rs` what a virtual key stands for; `permitted.rs` which routes it may call.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tagrail::Caller;
use tagrail::config::GeneralSettings;
use tagrail_providers::Secret;
use tagrail_store::KeyHash;

use crate::activity::Activity;
use crate::app::Shared;
use crate::error::Problem;
use crate::ledger::hex;

mod peer;
mod permitted;
mod principal;

pub(crate) use peer::Peer;
pub(crate) use principal::{Principal, policy};

/// The key of whoever holds the master key, in the books.
const MASTER: &str = "litellm_proxy_master_key";

/// Of what is sent as a key, the end is shown if it is long enough for the rest to stay secret.
const SHOWN_FROM: usize = 20;

/// Headers that may carry the key. The first that is there counts, in LiteLLM's order; the one that
/// `litellm_key_header_name` names comes before them all.
static KEY_HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("x-litellm-api-key"),
    AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
];

/// What somebody may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Calls models, and looks at what is its own.
    Caller,
    /// Looks at everything: a key of a user whose role is `proxy_admin_viewer`.
    Viewer,
    /// Everything: the master key, or a key of a user whose role is `proxy_admin`.
    Admin,
}

/// Somebody with a valid key; without a master key, whoever was admitted.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) role: Role,
    /// For the router.
    pub(crate) caller: Arc<Caller>,
    /// What the key stands for; `None` for the master key.
    pub(crate) identity: Option<Arc<tagrail_store::Identity>>,
}

/// Somebody with all rights: the holder of the master key, a key of an admin, or, without a master
/// key, whoever was admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin;

/// Somebody who may look at everything and need not be allowed to change anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer;

impl FromRequestParts<Shared> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Known, Problem> {
        let general = &shared.router.snapshot().general;
        let known = authenticate(&parts.headers, shared, general, &matched(parts)).await?;
        if let Some(activity) = parts.extensions.get::<Activity>() {
            activity.authenticated();
        }
        Ok(known)
    }
}

impl FromRequestParts<Shared> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Admin, Problem> {
        let known = Known::from_request_parts(parts, shared).await?;
        if known.role >= Role::Admin { Ok(Admin) } else { Err(known.may_not(&matched(parts))) }
    }
}

impl FromRequestParts<Shared> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Viewer, Problem> {
        let known = Known::from_request_parts(parts, shared).await?;
        if known.role >= Role::Viewer { Ok(Viewer) } else { Err(known.may_not(&matched(parts))) }
    }
}

/// The route as it was declared. What a request says of itself (its Host, a path spelt otherwise) could be
/// read in one way here and in another where the handler was found.
fn matched(parts: &Parts) -> String {
    parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default()
}

impl Known {
    /// The holder of the master key.
    fn operator(shared: &Shared) -> Known {
        Known { role: Role::Admin, caller: shared.operator.clone(), identity: None }
    }

    /// A right is missing.
    pub(crate) fn may_not(&self, route: &str) -> Problem {
        let role = self.identity.as_ref().and_then(|it| it.user.as_ref()?.role.as_deref());
        refused(&format!(
            "Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route={route}. Your role={}. Your user_id=*******",
            role.unwrap_or("unknown")
        ))
    }
}

/// The operator as callers are known to the books: by the master key, or by nothing where there is none.
pub(crate) fn operator(has_master_key: bool) -> Arc<Caller> {
    let key = if has_master_key { MASTER.to_owned() } else { String::new() };
    let identity = tagrail::Identity { key, ..tagrail::Identity::default() };
    Arc::new(Caller { identity, ..Caller::default() })
}

/// Checks the key of a request for a route.
///
/// # Errors
/// 401: no key, a key that cannot be one, a wrong one (row D29), one that is blocked or expired; 403: it
/// may not call this route; 503: it cannot be said whose it is.
pub(crate) async fn authenticate(
    headers: &HeaderMap,
    shared: &Shared,
    general: &GeneralSettings,
    route: &str,
) -> Result<Known, Problem> {
    let Some(master) = &general.master_key else { return Ok(Known::operator(shared)) };
    let key = sent_key(headers, general)?;
    if is_master(key, master) {
        return Ok(Known::operator(shared));
    }
    let hash = could_be(key)?;
    let found = match shared.ledger.known(&hash) {
        Some(known) => known,
        // Boxed: mostly not needed, and every request would carry its room.
        None => Box::pin(shared.ledger.principal(&hash)).await.inspect_err(|_| {
            shared.metrics.key_refused("not checked");
        })?,
    };
    let Some(principal) = found else {
        shared.metrics.key_refused("unknown");
        return Err(unknown(key, &hash));
    };
    match principal.admit(route, shared.ledger.now()) {
        Ok(()) => Ok(principal.known()),
        Err((problem, why)) => {
            shared.metrics.key_refused(why);
            Err(problem)
        }
    }
}

/// The key that was sent.
fn sent_key<'a>(headers: &'a HeaderMap, general: &GeneralSettings) -> Result<&'a [u8], Problem> {
    let (scheme_needed, value) = sent(headers, general).ok_or_else(|| refused("No api key passed in."))?;
    let text = value.as_bytes();
    match strip_scheme(text) {
        Some(key) => Ok(key),
        // `Authorization` has a scheme before the key; the other headers need none.
        None if scheme_needed => {
            let message = "Malformed API Key passed in. Ensure Key has `Bearer ` prefix.";
            Err(refused(message))
        }
        None => Ok(text),
    }
}

/// Compares in a time that depends on the length of what was sent alone: every byte of it is looked at,
/// whatever the others were and however long the master key is.
fn is_master(key: &[u8], master: &Secret) -> bool {
    let master = master.reveal().as_bytes();
    let mut differs = u8::from(key.len() != master.len());
    for (sent, own) in key.iter().zip(master.iter().cycle()) {
        differs |= sent ^ own;
    }
    bool::from(differs.ct_eq(&0)) && !master.is_empty()
}

/// What a key is known by, in hex.
pub(crate) fn hash_of(key: &[u8]) -> String {
    hex(&Sha256::digest(key).into())
}

/// The hash of what may be a virtual key.
fn could_be(key: &[u8]) -> Result<KeyHash, Problem> {
    if key.is_empty() {
        return Err(refused("No api key passed in."));
    }
    if !key.starts_with(b"sk-") {
        let message = "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.";
        return Err(refused(message));
    }
    Ok(Sha256::digest(key).into())
}

/// The value of the header that counts, and whether that header is `Authorization`.
fn sent<'a>(headers: &'a HeaderMap, general: &GeneralSettings) -> Option<(bool, &'a HeaderValue)> {
    let present = |value: &&HeaderValue| !value.is_empty();
    if let Some(value) = general.key_header.as_deref().and_then(|name| headers.get(name)).filter(present) {
        return Some((false, value));
    }
    KEY_HEADERS.iter().find_map(|name| {
        let value = headers.get(name).filter(present)?;
        Some((*name == AUTHORIZATION, value))
    })
}

/// What follows `Bearer ` (or `Basic `, which some tracing clients send); `None` without either.
fn strip_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(value.iter().position(|&byte| byte == b' ')?)?;
    let known = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"basic");
    known.then(|| key.trim_ascii())
}

fn refused(message: &str) -> Problem {
    let message = format!("Authentication Error, {message}");
    Problem::new(StatusCode::UNAUTHORIZED, message).kind("auth_error").param("None")
}

/// LiteLLM shows the key's end and its hash, to be looked up in its table of keys. What cannot be one of
/// its keys may be a password that is nearly right, and is no text for logs.
fn unknown(key: &[u8], hash: &KeyHash) -> Problem {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let end = (key.len() >= SHOWN_FROM && key.iter().all(is_plain)).then(|| &key[key.len() - 4..]);
    let end = end.and_then(|end| std::str::from_utf8(end).ok());
    let (end, hash) = end.map_or(("****", "****".to_owned()), |end| (end, hex(hash)));
    let message = format!(
        "Authentication Error, Invalid proxy server token passed. Received API Key = sk-...{end}, Key Hash (Token) ={hash}. Unable to find token in cache or `LiteLLM_VerificationTokenTable`"
    );
    Problem::new(StatusCode::UNAUTHORIZED, message).kind("token_not_found_in_db").param("key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_follows_when_the_master_key_changes() {
        let [first, second] = ["sk-first", "sk-second-key"].map(Secret::new);
        assert!(is_master(b"sk-first", &first) && !is_master(b"sk-second-key", &first));
        assert!(is_master(b"sk-second-key", &second) && !is_master(b"sk-first", &second));
        assert!(is_master(b"sk-first", &Secret::new("sk-first")));
        for wrong in [&b""[..], b"sk-firs", b"sk-firstt", b"sk-firs\xff"] {
            assert!(!is_master(wrong, &first));
        }
    }

    #[test]
    fn schemes_are_case_insensitive() {
        assert_eq!(strip_scheme(b"bearer sk-1"), Some(&b"sk-1"[..]));
        assert_eq!(strip_scheme(b"Bearer  sk-1 "), Some(&b"sk-1"[..]));
        assert_eq!(strip_scheme(b"sk-1"), None);
        assert_eq!(strip_scheme(b"Digest sk-1"), None);
    }
}
