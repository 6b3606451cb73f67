//! HTTP proxies between this machine and the server.

use super::dial::Io;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use std::fmt;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::http::Uri;

/// Whether connections over TCP go through an HTTP proxy. Datagrams never do. Neither do
/// connections to this machine itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Proxies {
    /// As the environment says each time that a connection is opened: `HTTPS_PROXY` for `wss`,
    /// `HTTP_PROXY` for `ws`, `ALL_PROXY` for either, except for what `NO_PROXY` lists; the same
    /// in lower case.
    #[default]
    Environment,
    /// They never do.
    Never,
    /// As these settings say.
    Settings(ProxySettings),
}

/// What the environment's variables would say. Empty is the same as not set.
///
/// A proxy is an URL such as `http://user:password@proxy.example.com:3128`; with `https` the
/// connection to the proxy is encrypted too. SOCKS is not spoken. Passwords are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `wss`, as in `HTTPS_PROXY`.
    pub https: String,
    /// For `ws`, as in `HTTP_PROXY`.
    pub http: String,
    /// For either, as in `ALL_PROXY`.
    pub all: String,
    /// Hosts that are reached without: names, which stand for their subdomains too, IP addresses
    /// and networks, separated by commas, as in `NO_PROXY`.
    pub no: String,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings")
            .field("no", &self.no)
            .finish_non_exhaustive()
    }
}

/// A proxy to go through.
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encrypted: bool,
    /// Value of the header.
    authorization: Option<String>,
}

impl Proxies {
    /// The proxy for this host, if any. The error says what is wrong with the settings.
    pub(super) fn find(
        &self,
        host: &str,
        port: u16,
        encrypted: bool,
    ) -> Result<Option<Proxy>, &'static str> {
        if is_local(host) {
            return Ok(None);
        }
        let matcher = match self {
            Proxies::Environment => Matcher::from_env(),
            Proxies::Never => return Ok(None),
            Proxies::Settings(settings) => Matcher::builder()
                .https(settings.https.as_str())
                .http(settings.http.as_str())
                .all(settings.all.as_str())
                .no(settings.no.as_str())
                .build(),
        };
        let scheme = if encrypted { "https" } else { "http" };
        let target: Result<Uri, _> = format!("{scheme}://{}", authority(host, port)).parse();
        let target = target.map_err(|_| "the host cannot be part of an URL")?;
        matcher.intercept(&target).map(Proxy::new).transpose()
    }
}

impl Proxy {
    fn new(intercept: Intercept) -> Result<Self, &'static str> {
        let uri = intercept.uri();
        let encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("its scheme is neither http nor https"),
        };
        let authorization = match intercept.basic_auth().map(|value| value.to_str()) {
            None => None,
            Some(Ok(value)) => Some(value.to_owned()),
            Some(Err(_)) => return Err("its credentials cannot be part of a header"),
        };
        let default = if encrypted { 443 } else { 80 };
        Ok(Proxy {
            host: uri
                .host()
                .unwrap_or_default()
                .trim_matches(['[', ']'])
                .into(),
            port: uri.port_u16().unwrap_or(default),
            encrypted,
            authorization,
        })
    }

    /// Host and port.
    pub(super) fn name(&self) -> String {
        authority(&self.host, self.port)
    }

    /// Asks for a tunnel (RFC 9110, section 9.3.6) over a connection to the proxy. The error says
    /// what is wrong.
    pub(super) async fn tunnel(
        &self,
        stream: &mut Io,
        host: &str,
        port: u16,
    ) -> Result<(), String> {
        let target = authority(host, port);
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        let lost = |error: std::io::Error| error.to_string();
        stream.write_all(request.as_bytes()).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        let mut answer = Vec::with_capacity(512);
        let (status, end) = loop {
            if stream.read_buf(&mut answer).await.map_err(lost)? == 0 {
                return Err("it closed the connection without an answer".into());
            }
            if let Some(found) = status(&answer)? {
                break found;
            }
            if answer.len() >= MAX_ANSWER {
                return Err("its HTTP headers do not end".into());
            }
        };
        match status {
            // The server speaks only when spoken to, so nothing of it can be here yet.
            200..=299 if end == answer.len() => Ok(()),
            200..=299 => Err("it says more than was asked for".into()),
            407 => Err("it does not accept the user name and password, or wants some".into()),
            status => Err(format!("it refuses with HTTP status {status}")),
        }
    }
}

/// The status and the length of an answer's head, once that is complete.
pub(super) fn status(answer: &[u8]) -> Result<Option<(u16, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(answer) {
        Ok(httparse::Status::Complete(end)) => Ok(Some((response.code.unwrap_or(0), end))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err("its answer is not HTTP"),
    }
}

/// As Go's `http.ProxyFromEnvironment` has it.
fn is_local(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Host and port as an URL has them.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// A proxy's answer is a status line and a few headers.
const MAX_ANSWER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ProxySettings {
        ProxySettings {
            https: "http://user:s3cret@secure.example:3128".into(),
            all: "proxy.example".into(),
            no: "direct.example, 192.0.2.0/24".into(),
            ..ProxySettings::default()
        }
    }

    fn found(host: &str, encrypted: bool) -> Option<String> {
        let proxies = Proxies::Settings(settings());
        let proxy = proxies.find(host, 443, encrypted).unwrap();
        proxy.map(|proxy| proxy.name())
    }

    #[test]
    fn the_scheme_and_the_host_choose_the_proxy() {
        assert_eq!(
            found("livekit.example", true).unwrap(),
            "secure.example:3128"
        );
        assert_eq!(found("livekit.example", false).unwrap(), "proxy.example:80");
        for direct in ["direct.example", "a.direct.example", "192.0.2.1"] {
            assert_eq!(found(direct, true), None, "{direct}");
        }
    }

    #[test]
    fn this_machine_is_reached_without_a_proxy() {
        for local in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(found(local, true), None, "{local}");
        }
        assert!(found("2001:db8::1", true).is_some());
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let proxies = Proxies::Settings(settings());
        let proxy = proxies.find("livekit.example", 443, true).unwrap().unwrap();
        assert_eq!(proxy.authorization.unwrap(), "Basic dXNlcjpzM2NyZXQ=");
        assert!(!format!("{proxies:?}").contains("s3cret"));
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused() {
        let all = "socks5://user:s3cret@proxy.example:1080".into();
        let settings = ProxySettings {
            all,
            ..ProxySettings::default()
        };
        let error = Proxies::Settings(settings).find("livekit.example", 443, true);
        assert_eq!(error.err(), Some("its scheme is neither http nor https"));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256)) {
            let _ = status(&bytes);
        }
    }
}
