//! What the fuzz targets do with the bytes of servers and proxies that answer over HTTP.

use super::dial::Dialler;
use super::proxy::{Proxies, status};
use super::signalling::{Server, parse_head};
use super::tls::RootCertificates;
use std::sync::OnceLock;

/// The answer to an upgrade, and a proxy's: read as it grows, it says the same in the end. Then
/// what it says to a join that it refuses, with a body that may hold the token.
pub fn http(data: &[u8]) {
    let head = parse_head(data).map(|head| head.map(|(head, len)| (head.status, len)));
    assert_eq!(head.is_ok(), status(data).is_ok());
    assert_eq!(head.ok().flatten(), status(data).ok().flatten());
    for len in 0..data.len().min(LONGEST) {
        let early = status(&data[..len]);
        if let Ok(Some((_, end))) = early {
            assert!(end <= len);
            assert_eq!(early, status(data), "what follows changes nothing");
        }
        assert!(
            early.is_ok() || status(data).is_err(),
            "what follows mends nothing"
        );
    }
    if let Ok(Some((status, end))) = head {
        let error = server().refusal(status, &data[end..], TOKEN);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(TOKEN));
        assert!(shown.len() < 10_000);
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let dialler = Dialler::new(RootCertificates::none(), Proxies::Never);
        Server::parse("ws://server", dialler).expect("the URL can be used")
    })
}

/// What is in the corpus.
const TOKEN: &str = "abc.def.ghi";

/// A head is parsed once for each of its lengths.
const LONGEST: usize = 1_024;
