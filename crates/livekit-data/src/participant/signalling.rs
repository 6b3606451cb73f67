//! The WebSocket to the server.
//!
//! The HTTP upgrade is done here rather than by tungstenite, which writes the whole request to
//! the log at its most verbose level, and the request holds the token.

use super::ConnectError;
use crate::CloseReason;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(super) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where the server is, from its URL.
#[derive(Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    tls: bool,
    /// Path in front of the server's own, empty unless it is behind a proxy.
    prefix: String,
}

impl Server {
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let invalid = |reason: &str| ConnectError::InvalidUrl {
            reason: reason.into(),
        };
        let uri: Uri = url.trim().parse().map_err(|_| invalid("it is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(invalid("its scheme is not one of ws, wss, http and https")),
        };
        // A query would be where a token is, so it is refused rather than shown or sent on.
        if uri.query().is_some() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(invalid(
                "it holds a query or credentials, and the token is given apart",
            ));
        }
        let host = uri.host().ok_or_else(|| invalid("it names no host"))?;
        Ok(Server {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Opens a TCP connection; by IPv4 where the name has both, since that is what LiveKit
    /// offers for media unless told otherwise.
    pub(super) async fn dial(&self) -> Result<TcpStream, ConnectError> {
        let dial = async {
            let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
            let mut addresses: Vec<_> = found.collect();
            addresses.sort_by_key(|address| address.is_ipv6());
            TcpStream::connect(&addresses[..]).await
        };
        let tcp = dial.await.map_err(|source| self.unreachable(source))?;
        tcp.set_nodelay(true)
            .map_err(|source| self.unreachable(source))?;
        Ok(tcp)
    }

    /// Opens the WebSocket at `path`.
    pub(super) async fn upgrade(
        &self,
        tcp: TcpStream,
        path: &str,
        token: &str,
    ) -> Result<WebSocket, ConnectError> {
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            // It could not be part of a header; no server would have signed it.
            return Err(ConnectError::Unauthorized {
                server: self.name(),
            });
        }
        let mut stream = if self.tls {
            MaybeTlsStream::Rustls(self.encrypt(tcp).await?)
        } else {
            MaybeTlsStream::Plain(tcp)
        };
        let key = generate_key();
        let request = format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Authorization: Bearer {token}\r\n\r\n",
            self.prefix,
            self.name(),
        );
        let lost = |source| self.unreachable(source);
        stream.write_all(request.as_bytes()).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;

        let mut received = Vec::with_capacity(1024);
        let (head, head_len) = loop {
            if let Some(found) = parse_head(&received).map_err(|reason| self.strange(reason))? {
                break found;
            }
            if received.len() >= MAX_RESPONSE {
                return Err(self.strange("its HTTP headers do not end"));
            }
            if stream.read_buf(&mut received).await.map_err(lost)? == 0 {
                return Err(self.strange("it closed the connection without an answer"));
            }
        };
        let mut rest = received.split_off(head_len);
        if head.status == 101 {
            if head.accept.as_deref() != Some(derive_accept_key(key.as_bytes()).as_str()) {
                return Err(self.strange("its answer is not to this request"));
            }
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_SIGNAL))
                .max_frame_size(Some(MAX_SIGNAL))
                .read_buffer_size(SIGNAL_BUFFER)
                .write_buffer_size(0);
            let websocket =
                WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config));
            return Ok(websocket.await);
        }
        let wanted = head
            .content_length
            .unwrap_or(MAX_RESPONSE)
            .min(MAX_RESPONSE);
        while rest.len() < wanted {
            match stream.read_buf(&mut rest).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Err(self.refusal(head.status, &rest, token))
    }

    pub(super) fn unreachable(&self, source: io::Error) -> ConnectError {
        ConnectError::Unreachable {
            server: self.name(),
            source,
        }
    }

    fn name(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    fn strange(&self, reason: &str) -> ConnectError {
        ConnectError::Protocol {
            server: self.name(),
            reason: reason.into(),
        }
    }

    /// The server repeats a bad token in its answer, so what it says is never shown for a 401
    /// and searched otherwise.
    fn refusal(&self, status: u16, body: &[u8], token: &str) -> ConnectError {
        let server = self.name();
        let said = String::from_utf8_lossy(body);
        match status {
            401 | 403 => ConnectError::Unauthorized { server },
            404 if said.contains(ROOM_NOT_FOUND) => ConnectError::RoomNotFound { server },
            500 if said.contains(JOIN_FAILED) => ConnectError::Refused {
                reason: CloseReason::JoinFailed,
            },
            _ => {
                let said = if token.is_empty() {
                    said.into()
                } else {
                    said.replace(token, "…")
                };
                let message = said
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(MAX_SHOWN)
                    .collect();
                ConnectError::UnexpectedStatus {
                    server,
                    status,
                    message,
                }
            }
        }
    }

    async fn encrypt(
        &self,
        tcp: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
        let failed = |source| ConnectError::Tls {
            server: self.name(),
            source,
        };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| failed(io::Error::other("the host is not a valid name for TLS")))?;
        let config = tls_config().map_err(failed)?;
        tokio_rustls::TlsConnector::from(config)
            .connect(name, tcp)
            .await
            .map_err(failed)
    }
}

struct Head {
    status: u16,
    accept: Option<String>,
    content_length: Option<usize>,
}

/// The head of an HTTP answer and its length, once all of it is there.
fn parse_head(received: &[u8]) -> Result<Option<(Head, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(received)
        .map_err(|_| "its answer is not HTTP")?;
    let httparse::Status::Complete(len) = parsed else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found
            .and_then(|header| std::str::from_utf8(header.value).ok())
            .map(str::trim)
    };
    let head = Head {
        status: response.code.unwrap_or(0),
        accept: header("sec-websocket-accept").map(str::to_owned),
        content_length: header("content-length").and_then(|len| len.parse().ok()),
    };
    Ok(Some((head, len)))
}

/// This system's roots, read once, with the cryptography named rather than taken from the
/// process-wide default, which an application may have set to something else or not at all.
fn tls_config() -> io::Result<Arc<rustls::ClientConfig>> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no root certificates found",
        ));
    }
    let provider = crate::crypto::tls();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

/// `ErrRoomNotFound` in livekit-server's `pkg/service/errors.go`; a 404 without it means that
/// the path is unknown.
const ROOM_NOT_FOUND: &str = "requested room does not exist";

/// What `readInitialResponse` in livekit-server's `pkg/service/rtcservice.go` says when the room
/// would not take the participant.
const JOIN_FAILED: &str = "connection closed by media";

/// Head and body of an answer to the upgrade; LiveKit's are below 1 kB.
const MAX_RESPONSE: usize = 16 * 1024;

/// How much of a server's words goes into an error, in characters.
const MAX_SHOWN: usize = 200;

/// The longest signalling message is the join response: some 300 bytes a participant, and
/// metadata of up to 64 kB for a room.
const MAX_SIGNAL: usize = 8 << 20;

/// Signalling is sparse, and there may be many participants in a process.
const SIGNAL_BUFFER: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_http_and_websocket() {
        let server = Server::parse("http://127.0.0.1:7880").unwrap();
        assert_eq!(
            (server.name().as_str(), server.tls),
            ("127.0.0.1:7880", false)
        );
        let server = Server::parse("wss://example.com/livekit/").unwrap();
        assert_eq!(
            (server.name().as_str(), server.tls),
            ("example.com:443", true)
        );
        assert_eq!(server.prefix, "/livekit");
        assert_eq!(
            Server::parse("ws://[::1]:7880").unwrap().name(),
            "[::1]:7880"
        );
    }

    #[test]
    fn unusable_urls_are_refused_without_showing_their_secrets() {
        for url in [
            "",
            "127.0.0.1:7880",
            "ftp://host",
            "ws://h?access_token=s3cret",
            "ws://u:s3cret@h",
        ] {
            let error = Server::parse(url).unwrap_err();
            assert!(matches!(error, ConnectError::InvalidUrl { .. }), "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn an_answer_that_repeats_the_token_is_not_shown_with_it() {
        let server = Server::parse("ws://h").unwrap();
        for status in [400, 401, 403, 404, 500] {
            let error = server.refusal(status, b"invalid token: abc.def.ghi", "abc.def.ghi");
            assert!(
                !format!("{error} {error:?}").contains("abc.def.ghi"),
                "{status}"
            );
        }
        let missing = server.refusal(404, ROOM_NOT_FOUND.as_bytes(), "t");
        assert!(matches!(missing, ConnectError::RoomNotFound { .. }));
        let unknown_path = server.refusal(404, b"404 page not found", "t");
        assert!(matches!(
            unknown_path,
            ConnectError::UnexpectedStatus { status: 404, .. }
        ));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_parsed_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
            let _ = parse_head(&bytes);
        }
    }
}
