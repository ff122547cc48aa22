//! Where a client is, when proxies stand in between: what they say is believed of those alone whom the operator trusts.
//! It says nothing of who a client is.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is taken for where a client is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be addresses and networks like 10.0.0.1 or 10.0.0.0/8, separated by commas")]
pub struct NotANetwork;

impl TrustedProxies {
    /// Reads a comma-separated list of addresses and networks.
    ///
    /// # Errors
    /// When one of them is neither.
    pub fn parse(list: &str) -> Result<TrustedProxies, NotANetwork> {
        let network = |text: &str| {
            let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            address.or_else(|_| text.parse::<IpNet>()).map_err(|_| NotANetwork)
        };
        let networks = list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(network);
        networks.collect::<Result<_, _>>().map(TrustedProxies)
    }

    /// The address that a request came from. Where `peer`, who sent it, is a trusted proxy, that is the last address in
    /// `X-Forwarded-For`, or `Forwarded` (RFC 7239), that is no trusted proxy's: those before it are the client's own
    /// words. Where that cannot be read, or the two headers do not agree (a proxy passes on the one it does not know),
    /// it is `peer`. The port is 0 where a proxy told the address.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trusts(peer.ip()) {
            return peer;
        }
        let x_forwarded_for = self.last(headers, &X_FORWARDED_FOR, address);
        let forwarded = self.last(headers, &FORWARDED, forwarded_for);
        let told = match (x_forwarded_for, forwarded) {
            (Told::Address(one), Told::Nothing) | (Told::Nothing, Told::Address(one)) => Some(one),
            (Told::Address(one), Told::Address(other)) => (one == other).then_some(one),
            _ => None,
        };
        told.map_or(peer, |address| SocketAddr::new(address, 0))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The last address that is no proxy's; the first of all where all are.
    fn last(&self, headers: &HeaderMap, name: &HeaderName, read: fn(&str) -> Option<IpAddr>) -> Told {
        let mut told = Told::Nothing;
        for value in headers.get_all(name).iter().rev() {
            let Ok(value) = value.to_str() else { return Told::Unreadable };
            for element in value.rsplit(',') {
                let Some(address) = read(element.trim()) else { return Told::Unreadable };
                told = Told::Address(address);
                if !self.trusts(address) {
                    return told;
                }
            }
        }
        told
    }
}

/// What a header tells.
enum Told {
    Nothing,
    Address(IpAddr),
    Unreadable,
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The `for` of one element: `for=192.0.2.1;proto=https`, `for="[2001:db8::1]:4711"`. One without it, with two, or with a
/// name in place of an address cannot be read.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut node = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && node.replace(value.trim()).is_some() {
            return None;
        }
    }
    let node = node?;
    address(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn client(proxies: &str, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        TrustedProxies::parse(proxies).unwrap().client(peer, &map).ip().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        const XFF: &str = "x-forwarded-for";
        const FWD: &str = "forwarded";
        let proxies = "10.0.0.0/8, 192.0.2.7, fd00::/8";
        for (peer, headers, expected) in [
            ("198.51.100.1", &[][..], "198.51.100.1"),
            ("198.51.100.1", &[(XFF, "203.0.113.1")], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.1")], "203.0.113.1"),
            ("::ffff:10.0.0.1", &[(XFF, "203.0.113.1")], "203.0.113.1"),
            ("192.0.2.7", &[(XFF, "203.0.113.1:80")], "203.0.113.1"),
            ("fd00::1", &[(XFF, "2001:db8::1")], "2001:db8::1"),
            ("fd00::1", &[(XFF, "[2001:db8::1]:80")], "2001:db8::1"),
            // What the client itself said comes first, and is not believed.
            ("10.0.0.1", &[(XFF, "1.1.1.1, 203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[(XFF, "nonsense, 203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "203.0.113.1, 10.9.9.9")], "203.0.113.1"),
            ("10.0.0.1", &[(XFF, "10.1.1.1,10.2.2.2")], "10.1.1.1"),
            // Unreadable where it counts.
            ("10.0.0.1", &[(XFF, "203.0.113.1, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.1,")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1\u{e4}")], "10.0.0.1"),
            ("10.0.0.1", &[(FWD, "for=203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[(FWD, "for=1.1.1.1, For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1")], "2001:db8::1"),
            ("10.0.0.1", &[(FWD, "for=203.0.113.1;for=1.1.1.1")], "10.0.0.1"),
            ("10.0.0.1", &[(FWD, "proto=https")], "10.0.0.1"),
            ("10.0.0.1", &[(FWD, "for=_hidden")], "10.0.0.1"),
            // A proxy that writes one of them passes on the other as the client had it.
            ("10.0.0.1", &[(XFF, "203.0.113.1"), (FWD, "for=203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.1"), (FWD, "for=1.1.1.1")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.1"), (FWD, "nonsense")], "10.0.0.1"),
        ] {
            assert_eq!(client(proxies, peer, headers), expected, "{peer} {headers:?}");
        }
        assert_eq!(client("", "10.0.0.1", &[(XFF, "203.0.113.1")]), "10.0.0.1");
    }

    #[test]
    fn a_list_of_addresses_and_networks() {
        assert_eq!(TrustedProxies::parse(""), Ok(TrustedProxies::default()));
        assert!(TrustedProxies::parse("::1,127.0.0.1, 10.0.0.0/8").is_ok());
        for bad in ["localhost", "10.0.0.0/33", "10.0.0", "10.0.0.1 10.0.0.2", "*"] {
            assert_eq!(TrustedProxies::parse(bad), Err(NotANetwork), "{bad}");
        }
    }
}
