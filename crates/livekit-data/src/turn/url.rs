//! Where a TURN server is, from the URL that the LiveKit server gives (RFC 7065).

/// How datagrams get to the TURN server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carrier {
    Udp,
    Tcp,
    Tls,
}

/// A TURN server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) carrier: Carrier,
    /// A name or an IP address, the latter without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Endpoint {
    /// None for what is no TURN server (`stun:`), for TURN over DTLS, which LiveKit does not
    /// offer, and for what cannot be read.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if url.len() > MAX_URL {
            return None;
        }
        let (scheme, rest) = url.split_once(':')?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let transport = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("transport="));
        let (carrier, default_port) = match (scheme, transport) {
            ("turn", None | Some("udp")) => (Carrier::Udp, 3478),
            ("turn", Some("tcp")) => (Carrier::Tcp, 3478),
            ("turns", None | Some("tcp")) => (Carrier::Tls, 5349),
            _ => return None,
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (
                    host,
                    after.strip_prefix(':').or(after.is_empty().then_some(""))?,
                )
            }
            None => authority.rsplit_once(':').unwrap_or((authority, "")),
        };
        let port = match port {
            "" => default_port,
            port => port.parse().ok()?,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let usable = port != 0 && (1..=MAX_HOST).contains(&host.len()) && host.chars().all(is_name);
        usable.then(|| Endpoint {
            carrier,
            host: host.to_owned(),
            port,
        })
    }
}

/// As long as a name in DNS can be, and a URL with one.
const MAX_HOST: usize = 253;
const MAX_URL: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_that_livekit_gives_are_read() {
        let cases = [
            (
                "turn:192.0.2.1:3479?transport=udp",
                Carrier::Udp,
                "192.0.2.1",
                3479,
            ),
            (
                "turn:[2001:db8::1]:3479?transport=udp",
                Carrier::Udp,
                "2001:db8::1",
                3479,
            ),
            (
                "turns:turn.example.com:443?transport=tcp",
                Carrier::Tls,
                "turn.example.com",
                443,
            ),
            (
                "turn:turn.example.com?transport=tcp",
                Carrier::Tcp,
                "turn.example.com",
                3478,
            ),
            (
                "turns:turn.example.com",
                Carrier::Tls,
                "turn.example.com",
                5349,
            ),
            ("turn:[::1]", Carrier::Udp, "::1", 3478),
        ];
        for (url, carrier, host, port) in cases {
            let expected = Endpoint {
                carrier,
                host: host.into(),
                port,
            };
            assert_eq!(Endpoint::parse(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn other_urls_are_passed_over() {
        for url in [
            "",
            "turn:",
            "turn::3478",
            "turn:host:0",
            "turn:host:65536",
            "turn:[::1",
            "turn:[::1]x",
            "turn:a b",
            "turn:user@host",
            "stun:host:3478",
            "turns:host?transport=udp",
            "turn:host?transport=sctp",
            &format!("turn:{}", "a".repeat(600)),
            &format!("turn:{}:3478", "a".repeat(254)),
        ] {
            assert_eq!(Endpoint::parse(url), None, "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(turns?:)?\\PC{0,40}") {
            let _ = Endpoint::parse(&text);
        }
    }
}
