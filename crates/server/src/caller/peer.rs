//! The other end of a connection: without a master key only this machine is let in (row D19).

use std::net::SocketAddr;

use http::header::{FORWARDED as FORWARDED_BY_RFC, HOST, ORIGIN, VIA};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use tagrail::config::GeneralSettings;

use crate::error::Problem;

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
static FORWARDED: [HeaderName; 7] = [
    FORWARDED_BY_RFC,
    VIA,
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
}
