//! Where a call may lead whose client brought its own `api_base`.
//!
//! A gateway reaches what its clients do not: its own services, the network that it stands in, a cloud's
//! metadata. So a client's address is resolved once, every address that it resolves to is judged, and
//! the connection goes to one of exactly those. The operator can list hosts and networks
//! (`provider_url_destination_allowed_hosts`). A refusal says the same whatever the reason was: what
//! resolves or listens inside is not for clients to find out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use tagrail_config::Destination;
use tagrail_providers::Endpoint;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Names of clients that are looked up at a time: each takes one of the threads that all look-ups share.
const LOOK_UPS: usize = 64;
/// Longest wait for a name's addresses.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names under which clouds answer for their machines, wherever they resolve to.
const METADATA: [&str; 4] = ["metadata", "metadata.google.internal", "metadata.goog", "instance-data"];

/// IANA's IPv4 Special-Purpose Address Registry, as far as its blocks are not for the public; multicast and
/// the reserved rest; and Azure's address of its machines' host. Each with the bits of its prefix.
const NOT_PUBLIC: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),        // this network
    ([10, 0, 0, 0], 8),       // private use
    ([100, 64, 0, 0], 10),    // shared address space, and Alibaba's metadata
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // Azure's host
    ([169, 254, 0, 0], 16),   // link-local, and most clouds' metadata
    ([172, 16, 0, 0], 12),    // private use
    ([192, 0, 0, 0], 24),     // IETF protocol assignments, and Oracle's metadata
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // 6to4 relays
    ([192, 168, 0, 0], 16),   // private use
    ([192, 52, 193, 0], 24),  // AMT
    ([198, 18, 0, 0], 15),    // benchmarking
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, and limited broadcast
];

/// Of IPv6, what is neither in the block of public addresses nor public within it: IANA's IPv6
/// Special-Purpose Address Registry.
const GLOBAL: ([u16; 2], u32) = ([0x2000, 0], 3);
const NOT_PUBLIC_V6: [([u16; 2], u32); 3] = [
    ([0x2001, 0], 23),     // IETF protocol assignments, Teredo, benchmarking, ORCHID
    ([0x2001, 0xdb8], 32), // documentation
    ([0x3fff, 0], 20),     // documentation
];

/// Addresses that a call may be sent to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) addresses: Vec<SocketAddr>,
    /// The operator listed them, so that they may be this host's own.
    pub(crate) is_listed: bool,
}

/// Resolves a client's address and judges all that it resolves to; `None` where the call must not be
/// sent, or there is nowhere to send it to.
pub(crate) async fn judge(endpoint: &Endpoint, listed: &[Destination]) -> Option<Judged> {
    let Endpoint { https, host, port, .. } = endpoint;
    let by_name = listed.iter().any(|it| it.lists_name(*https, host, *port));
    // A zone belongs to an interface of this host.
    if host.contains('%') || (!by_name && METADATA.contains(&host.trim_end_matches('.'))) {
        return None;
    }
    let addresses = match host.parse() {
        Ok(address) => vec![SocketAddr::new(address, *port)],
        Err(_) => timeout(PATIENCE, look_up(host.clone(), *port)).await.ok().flatten()?,
    };
    let is_listed =
        |address: IpAddr| by_name || listed.iter().any(|it| it.lists_address(*https, address, *port));
    let all_listed = addresses.iter().all(|address| is_listed(address.ip()));
    let may_be_called = |address: IpAddr| is_listed(address) || is_public(address) && !is_own(address);
    let is_good = !addresses.is_empty() && addresses.iter().all(|address| may_be_called(address.ip()));
    is_good.then_some(Judged { addresses, is_listed: all_listed })
}

/// A name's addresses. The system's resolver blocks a thread for as long as it likes, also when no call waits
/// any more; the room is given back when it is done.
async fn look_up(host: String, port: u16) -> Option<Vec<SocketAddr>> {
    static ROOM: Semaphore = Semaphore::const_new(LOOK_UPS);
    let room = ROOM.acquire().await.ok()?;
    let resolved = spawn_blocking(move || {
        let _room = room;
        (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
    });
    resolved.await.ok()?.ok()
}

/// Whether an address is one of the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(network, bits): &([u8; 4], u32)| {
        let differing = address.to_bits() ^ u32::from_be_bytes(*network);
        differing.leading_zeros() >= *bits
    };
    !NOT_PUBLIC.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64, as networks without IPv4 have it: the address behind it counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return is_public_v4(embedded(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => return is_public_v4(embedded(high, low)),
        _ => {}
    }
    let [high, low, ..] = address.segments();
    let head = u32::from(high) << 16 | u32::from(low);
    let within = |(network, bits): &([u16; 2], u32)| {
        let differing = head ^ (u32::from(network[0]) << 16 | u32::from(network[1]));
        differing.leading_zeros() >= *bits
    };
    within(&GLOBAL) && !NOT_PUBLIC_V6.iter().any(within)
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// Whether an address is this host's own: a socket can be bound to it. A system that lets sockets be bound
/// to any address (`ip_nonlocal_bind`) cannot be asked so; there the connection itself tells, see
/// `transport/chosen.rs`.
fn is_own(address: IpAddr) -> bool {
    let binds = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    let nobodys: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    binds(address) && !binds(nobodys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn addresses_that_are_not_public_are_told() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:a9fe:a9fe::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_told() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.17",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn an_address_of_this_host_is_told() {
        assert!(is_own(address("127.0.0.1")));
        assert!(!is_own(address("8.8.8.8")));
    }

    async fn judged(host: &str, listed: &[&str]) -> Option<Judged> {
        let listed: Vec<_> = listed.iter().map(|text| Destination::parse(text).unwrap()).collect();
        let tls_verify = tagrail_providers::TlsVerify::default();
        judge(&Endpoint { https: false, host: host.to_owned(), port: 8000, tls_verify }, &listed).await
    }

    #[tokio::test]
    async fn every_spelling_of_loopback_is_refused() {
        for host in [
            "127.0.0.1",
            "localhost",
            "localhost.",
            "::1",
            "0.0.0.0",
            "0x7f.1",
            "2130706433",
            "127.1",
            "0177.0.0.1",
            "::ffff:127.0.0.1",
            "fe80::1%lo",
            "fe80::1%25lo",
            "metadata.google.internal",
            "metadata",
        ] {
            assert_eq!(judged(host, &["llm.example", "10.0.0.0/8"]).await, None, "{host}");
        }
        assert_eq!(judged("8.8.8.8", &[]).await.map(|it| it.is_listed), Some(false));
    }

    #[tokio::test]
    async fn what_the_operator_lists_is_reached() {
        for listed in ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:8000", "http://127.0.0.1:8000"] {
            let judged = judged("127.0.0.1", &[listed]).await.unwrap();
            assert_eq!((judged.addresses, judged.is_listed), (vec!["127.0.0.1:8000".parse().unwrap()], true));
        }
        assert!(judged("localhost", &["localhost"]).await.unwrap().is_listed);
        assert!(judged("localhost", &["127.0.0.0/8", "::1"]).await.unwrap().is_listed);
        for other in ["127.0.0.1:8001", "https://127.0.0.1", "127.0.0.2"] {
            assert_eq!(judged("127.0.0.1", &[other]).await, None, "{other}");
        }
    }
}
