//! `provider_url_destination_allowed_hosts`: where calls of clients may lead that bring their own
//! `api_base`, besides public addresses.

use std::net::IpAddr;

/// A host, or a network of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    host: Host,
    /// `None` is every port.
    port: Option<u16>,
    /// `None` is both schemes.
    https: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// In lower case, without a final dot.
    Name(String),
    /// Addresses whose first bits, this many, are those of this one.
    Network(IpAddr, u8),
}

impl Destination {
    /// Reads an item: `llm.example`, `llm.example:8000`, `https://llm.example`, `10.1.2.3`, `10.1.0.0/16`,
    /// `[fd12::1]:8000`, `fd12::/16`. An origin without a port has its scheme's.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with it.
    pub fn parse(text: &str) -> Result<Destination, &'static str> {
        let text = text.trim();
        let (https, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
            Some(_) => return Err("has a scheme that is neither http nor https"),
            None => (None, text),
        };
        let rest = if https.is_some() { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
        if let Some(network) = network(rest)? {
            let port = https.map(usual_port);
            return Ok(Destination { host: network, port, https });
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0).ok_or("has an invalid port")?;
                (host, Some(port))
            }
            None => (rest, None),
        };
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match inside.unwrap_or(host).parse::<IpAddr>() {
            Ok(address) => single(address),
            Err(_) => Host::Name(name(host)?),
        };
        Ok(Destination { host, port: port.or(https.map(usual_port)), https })
    }

    /// Whether it lists this host by its name; then whatever that resolves to is allowed.
    pub fn lists_name(&self, https: bool, host: &str, port: u16) -> bool {
        let Host::Name(name) = &self.host else { return false };
        self.is_at(https, port) && host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(name)
    }

    /// Whether it lists this address.
    pub fn lists_address(&self, https: bool, address: IpAddr, port: u16) -> bool {
        let Host::Network(network, bits) = self.host else { return false };
        self.is_at(https, port) && first_bits(address, bits) == first_bits(network, bits)
    }

    fn is_at(&self, https: bool, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.https.is_none_or(|own| own == https)
    }
}

fn usual_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

fn single(address: IpAddr) -> Host {
    let address = address.to_canonical();
    Host::Network(address, if address.is_ipv4() { 32 } else { 128 })
}

/// `10.0.0.0/8`, or an IPv6 address without brackets.
fn network(text: &str) -> Result<Option<Host>, &'static str> {
    let Some((address, bits)) = text.split_once('/') else {
        let address = text.parse::<IpAddr>().ok();
        return Ok(address.filter(IpAddr::is_ipv6).map(single));
    };
    let address: IpAddr = address.parse().map_err(|_| "has a path, or a `/` after what is no address")?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| *bits <= most);
    Ok(Some(Host::Network(address, bits.ok_or("has an invalid length of the network's prefix")?)))
}

/// A host's name as resolvers have it.
fn name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err("is not a host, an origin, an address or a network");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not an address in its usual form");
    }
    Ok(name)
}

/// The address's kind, and its first bits.
fn first_bits(address: IpAddr, bits: u8) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            (true, u128::from(v4.to_bits().checked_shr(32 - u32::from(bits.min(32))).unwrap_or(0)))
        }
        IpAddr::V6(v6) => (false, v6.to_bits().checked_shr(128 - u32::from(bits.min(128))).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(text: &str) -> Destination {
        Destination::parse(text).unwrap_or_else(|what| panic!("{text} {what}"))
    }

    #[test]
    fn names_are_listed_with_port_and_scheme() {
        for (listed, https, host, port, expected) in [
            ("llm.example", false, "llm.example", 8000, true),
            ("LLM.example.", true, "llm.example", 443, true),
            ("llm.example", true, "LLM.example.", 443, true),
            ("llm.example", true, "x.llm.example", 443, false),
            ("llm.example:8000", false, "llm.example", 8000, true),
            ("llm.example:8000", false, "llm.example", 8001, false),
            ("https://llm.example/", true, "llm.example", 443, true),
            ("https://llm.example", true, "llm.example", 8443, false),
            ("https://llm.example", false, "llm.example", 443, false),
            ("http://localhost:11434", false, "localhost", 11434, true),
            ("127.0.0.1", false, "127.0.0.1", 80, false),
        ] {
            assert_eq!(destination(listed).lists_name(https, host, port), expected, "{listed} {host}:{port}");
        }
    }

    #[test]
    fn addresses_are_listed_alone_and_in_networks() {
        for (listed, address, port, expected) in [
            ("10.1.2.3", "10.1.2.3", 80, true),
            ("10.1.2.3", "10.1.2.4", 80, false),
            ("10.1.2.3:8000", "10.1.2.3", 80, false),
            ("10.1.9.9/16", "10.1.2.3", 80, true),
            ("10.1.0.0/16", "10.2.0.0", 80, false),
            ("0.0.0.0/0", "10.2.0.0", 80, true),
            ("0.0.0.0/0", "::1", 80, false),
            ("::1", "::1", 80, true),
            ("[::1]:80", "::1", 80, true),
            ("[::1]:81", "::1", 80, false),
            ("fd00::/8", "fd12::1", 80, true),
            ("fd00::/8", "fe80::1", 80, false),
            ("::/0", "fe80::1", 80, true),
            ("10.1.0.0/16", "::ffff:10.1.2.3", 80, true),
            ("llm.example", "10.1.2.3", 80, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(
                destination(listed).lists_address(false, address, port),
                expected,
                "{listed} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in [
            "",
            "*",
            "*.example",
            "ftp://h",
            "h:0",
            "h:99999",
            "h:",
            "http://h/v1",
            "user@h",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "127.1",
            "0x7f.1",
            "2130706433",
            "h/8",
            "[::1",
            "fe80::1%eth0",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
