//! The WebSocket to the server.
//!
//! The HTTP upgrade is done here rather than by tungstenite, which writes the whole request to
//! the log at its most verbose level, and the request holds the token.

use super::ConnectError;
use super::dial::{Connected, DialError, Dialler, Io, Security};
use super::proxy::authority;
use crate::CloseReason;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

pub(super) type WebSocket = WebSocketStream<Io>;

/// Where the server is, from its URL.
#[derive(Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    security: Security,
    /// Path in front of the server's own, empty unless it is behind a proxy.
    prefix: String,
    dialler: Arc<Dialler>,
}

impl Server {
    pub(super) fn parse(url: &str, dialler: Dialler) -> Result<Self, ConnectError> {
        let invalid = |reason: &str| ConnectError::InvalidUrl {
            reason: reason.into(),
        };
        let uri: Uri = url.trim().parse().map_err(|_| invalid("it is not a URL"))?;
        let security = match uri.scheme_str() {
            Some("ws" | "http") => Security::Plain,
            Some("wss" | "https") => Security::Tls,
            _ => return Err(invalid("its scheme is not one of ws, wss, http and https")),
        };
        // A query would be where a token is, so it is refused rather than shown or sent on.
        if uri.query().is_some() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(invalid(
                "it holds a query or credentials, and the token is given apart",
            ));
        }
        let default_port = match security {
            Security::Plain => 80,
            Security::Tls => 443,
        };
        let host = uri.host().ok_or_else(|| invalid("it names no host"))?;
        Ok(Server {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            security,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            dialler: Arc::new(dialler),
        })
    }

    /// Opens a connection, which is not encrypted yet.
    pub(super) async fn dial(&self) -> Result<Connected, ConnectError> {
        let dialled = self.dialler.connect(&self.host, self.port, self.security);
        dialled.await.map_err(|error| match error {
            DialError::Unreachable(source) => self.unreachable(source),
            DialError::Proxy { proxy, reason } => ConnectError::Proxy { proxy, reason },
        })
    }

    pub(super) fn dialler(&self) -> Arc<Dialler> {
        self.dialler.clone()
    }

    /// Opens the WebSocket at `path`.
    pub(super) async fn upgrade(
        &self,
        mut stream: Io,
        path: &str,
        token: &str,
    ) -> Result<WebSocket, ConnectError> {
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            // It could not be part of a header; no server would have signed it.
            return Err(ConnectError::Unauthorized {
                server: self.name(),
            });
        }
        if self.security == Security::Tls {
            let encrypted = self.dialler.encrypt(&self.host, stream).await;
            stream = encrypted.map_err(|source| ConnectError::Tls {
                server: self.name(),
                source,
            })?;
        }
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
        authority(&self.host, self.port)
    }

    fn strange(&self, reason: &str) -> ConnectError {
        ConnectError::Protocol {
            server: self.name(),
            reason: reason.into(),
        }
    }

    /// The server repeats a bad token in its answer, so what it says is never shown for a 401
    /// and searched otherwise.
    pub(super) fn refusal(&self, status: u16, body: &[u8], token: &str) -> ConnectError {
        let server = self.name();
        let said = String::from_utf8_lossy(body);
        match status {
            401 | 403 => ConnectError::Unauthorized { server },
            404 if said.contains(ROOM_NOT_FOUND) => ConnectError::RoomNotFound { server },
            500 if said.contains(JOIN_FAILED) => ConnectError::Refused {
                reason: CloseReason::JoinFailed,
            },
            _ => {
                let mut said: String = said.chars().filter(|c| !c.is_control()).collect();
                if !token.is_empty() {
                    said = said.replace(token, "…");
                }
                let message = said.chars().take(MAX_SHOWN).collect();
                ConnectError::UnexpectedStatus {
                    server,
                    status,
                    message,
                }
            }
        }
    }
}

pub(super) struct Head {
    pub(super) status: u16,
    accept: Option<String>,
    content_length: Option<usize>,
}

/// The head of an HTTP answer and its length, once all of it is there.
pub(super) fn parse_head(received: &[u8]) -> Result<Option<(Head, usize)>, &'static str> {
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
    use super::super::proxy::Proxies;
    use super::super::tls::RootCertificates;
    use super::*;

    fn parse(url: &str) -> Result<Server, ConnectError> {
        Server::parse(
            url,
            Dialler::new(RootCertificates::system(), Proxies::Never),
        )
    }

    #[test]
    fn urls_are_read_as_http_and_websocket() {
        let server = parse("http://127.0.0.1:7880").unwrap();
        assert_eq!(
            (server.name().as_str(), server.security),
            ("127.0.0.1:7880", Security::Plain)
        );
        let server = parse("wss://example.com/livekit/").unwrap();
        assert_eq!(
            (server.name().as_str(), server.security),
            ("example.com:443", Security::Tls)
        );
        assert_eq!(server.prefix, "/livekit");
        assert_eq!(parse("ws://[::1]:7880").unwrap().name(), "[::1]:7880");
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
            let error = parse(url).unwrap_err();
            assert!(matches!(error, ConnectError::InvalidUrl { .. }), "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn an_answer_that_repeats_the_token_is_not_shown_with_it() {
        let server = parse("ws://h").unwrap();
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
