//! Who calls, and what that allows. No right, no handler: a handler that needs one takes [`Admin`].

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, FORWARDED as FORWARDED_BY_RFC, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use subtle::ConstantTimeEq;
use tagrail::config::GeneralSettings;
use tagrail_providers::Secret;

use crate::app::Shared;
use crate::error::Problem;

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

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    loopback: bool,
}

impl Peer {
    pub(crate) fn of(address: SocketAddr) -> Peer {
        Peer { loopback: address.ip().to_canonical().is_loopback() }
    }

    /// Without a master key everybody on this machine may do everything, so nobody else may come
    /// in (row D19): not over the network, and not through a page in a local browser, be it one whose
    /// name has been made to resolve to this machine or one that only sends and need not read.
    pub(crate) fn admit(
        self,
        uri: &Uri,
        headers: &HeaderMap,
        general: &GeneralSettings,
    ) -> Result<(), Problem> {
        if general.master_key.is_some() {
            return Ok(());
        }
        if !self.loopback {
            return Err(forbidden("this machine itself (127.0.0.1)"));
        }
        if FORWARDED.iter().any(|name| headers.contains_key(name)) {
            return Err(forbidden("requests that no proxy has passed on"));
        }
        // RFC 9112, section 3.2.2: an address in the request line stands before Host.
        let host_is_own = match uri.authority() {
            Some(authority) => names_loopback(authority.as_str()),
            None => all(headers, &HOST, names_loopback),
        };
        if !host_is_own {
            return Err(forbidden("requests whose Host is localhost or a loopback address"));
        }
        let from_elsewhere = headers.get_all(&FETCH_SITE).iter().any(|site| site == "cross-site");
        if from_elsewhere || !all(headers, &ORIGIN, is_loopback_origin) {
            return Err(forbidden("pages of this machine itself"));
        }
        Ok(())
    }
}

/// What proxies add. One on this machine makes everybody look local.
static FORWARDED: [HeaderName; 6] = [
    FORWARDED_BY_RFC,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
];

/// What a browser says of the page behind a request.
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn forbidden(who: &str) -> Problem {
    let message = format!(
        "Without a master key only {who} can be served. Set general_settings.master_key or the environment variable LITELLM_MASTER_KEY."
    );
    Problem::new(StatusCode::FORBIDDEN, message).kind("auth_error")
}

/// Whether every value of a header is such; none is.
fn all(headers: &HeaderMap, name: &HeaderName, such: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(&such))
}

/// Whether a host, with or without port, means this machine: `localhost`, or an IP address that is
/// loopback.
fn names_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
            None => return false,
        },
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    port.bytes().all(|byte| byte.is_ascii_digit())
        && match name.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case("localhost"),
        }
}

/// Whether an `Origin` is a page that this machine serves; `null` may be anybody's.
fn is_loopback_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(names_loopback)
}

/// Somebody with all rights: the holder of the master key, or, without one, whoever was admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin;

impl FromRequestParts<Shared> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Admin, Problem> {
        authenticate(&parts.headers, &shared.router.snapshot().general)
    }
}

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

/// Somebody with a valid key.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) role: Role,
    /// For the router.
    pub(crate) caller: Arc<tagrail::Caller>,
    /// What the key stands for; `None` for the master key.
    pub(crate) identity: Option<Arc<tagrail_store::Identity>>,
}

/// Somebody who may look at everything and need not be allowed to change anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer;

impl FromRequestParts<Shared> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Known, Problem> {
        authenticate(&parts.headers, &shared.router.snapshot().general)?;
        Ok(Known { role: Role::Admin, caller: Arc::default(), identity: None })
    }
}

impl FromRequestParts<Shared> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Viewer, Problem> {
        authenticate(&parts.headers, &shared.router.snapshot().general).map(|_| Viewer)
    }
}

/// Checks the key of a request.
///
/// # Errors
/// 401: no key, a key that cannot be one, or a wrong one (row D29).
pub(crate) fn authenticate(headers: &HeaderMap, general: &GeneralSettings) -> Result<Admin, Problem> {
    let Some(master) = &general.master_key else { return Ok(Admin) };
    let (scheme_needed, value) = sent(headers, general).ok_or_else(|| refused("No api key passed in."))?;
    let text = value.as_bytes();
    let key = match strip_scheme(text) {
        Some(key) => key,
        // `Authorization` has a scheme before the key; the other headers need none.
        None if scheme_needed => {
            let message = "Malformed API Key passed in. Ensure Key has `Bearer ` prefix.";
            return Err(refused(message));
        }
        None => text,
    };
    if is_master(key, master) { Ok(Admin) } else { Err(unknown(key)) }
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

fn unknown(key: &[u8]) -> Problem {
    if key.is_empty() {
        return refused("No api key passed in.");
    }
    if !key.starts_with(b"sk-") {
        let message = "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.";
        return refused(message);
    }
    // LiteLLM shows the key's end and its hash, to be looked up in its table of keys. There is none,
    // and what is nearly the master key is no text for logs.
    let message = "Authentication Error, Invalid proxy server token passed. Received API Key = sk-...****, Key Hash (Token) =****. Unable to find token in cache or `LiteLLM_VerificationTokenTable`";
    Problem::new(StatusCode::UNAUTHORIZED, message).kind("token_not_found_in_db").param("key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_name_this_machine() {
        for host in
            ["localhost", "LOCALHOST:4000", "127.0.0.1", "127.1.2.3:80", "[::1]:4000", "[::ffff:127.0.0.1]"]
        {
            assert!(names_loopback(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "[::2]", ""]
        {
            assert!(!names_loopback(host), "{host}");
        }
        assert!(names_loopback("localhost.") && names_loopback("localhost.:1"));
        for host in [
            "[::1",
            "[::1]evil.example",
            "localhost:x",
            "evil@localhost",
            "localhost:1@evil.example",
            "127.0.0.1:1@evil.example",
            "127.0.0.1.",
            "localhost..",
        ] {
            assert!(!names_loopback(host), "{host}");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_still_loopback() {
        assert!(Peer::of("[::ffff:127.0.0.1]:5".parse().unwrap()).loopback);
        assert!(!Peer::of("[::ffff:10.0.0.1]:5".parse().unwrap()).loopback);
    }

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
