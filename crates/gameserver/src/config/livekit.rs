//! `livekit`: where the LiveKit server is, for us and for players, and the key to it.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `livekit.host` | – | `http(s)://` or `ws(s)://` address that this process reaches it at |
//! | `livekit.public_url` | `livekit.host` | the address that players reach it at |
//! | `livekit.api_key`, `.api_secret` | – | the key, and its secret of at least 32 characters |

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::reader::{Reader, Setting};
use super::{ConfigError, Secret};

/// A LiveKit server and the key to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LiveKitConfig {
    /// `http(s)://` or `ws(s)://` address.
    pub(crate) host: String,
    /// Where players reach it, where that is somewhere else.
    pub(crate) public_url: Option<String>,
    /// Name of the key.
    pub(crate) api_key: String,
    /// The key's secret.
    pub(crate) api_secret: Secret,
}

impl LiveKitConfig {
    /// A server on this machine, that this process knows the key of.
    pub(crate) fn local(port: u16, api_key: &str, api_secret: String) -> Self {
        Self {
            host: format!("ws://127.0.0.1:{port}"),
            public_url: None,
            api_key: api_key.to_owned(),
            api_secret: Secret::new(api_secret),
        }
    }

    /// Where the authority joins rooms: a `ws` or `wss` address.
    pub(crate) fn websocket_url(&self) -> String {
        websocket(&self.host)
    }

    /// Where players join rooms: a `ws` or `wss` address.
    pub(crate) fn players_url(&self) -> String {
        websocket(self.public_url.as_deref().unwrap_or(&self.host))
    }

    pub(super) fn summarize(&self, lines: &mut Vec<String>) {
        lines.push(format!("LiveKit at {}", self.host));
        if let Some(url) = &self.public_url {
            lines.push(format!("LiveKit for players at {url}"));
        }
    }
}

/// The address as browsers want it.
fn websocket(url: &str) -> String {
    url.replacen("http", "ws", usize::from(url.starts_with("http")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveKitSection {
    host: Spanned<String>,
    public_url: Setting,
    api_key: Spanned<String>,
    api_secret: Spanned<String>,
}

impl Reader<'_> {
    pub(super) fn livekit(&self, section: &LiveKitSection) -> Result<LiveKitConfig, ConfigError> {
        let host = self.livekit_address("livekit.host", &section.host)?;
        let public_url = section
            .public_url
            .as_ref()
            .map(|url| self.livekit_address("livekit.public_url", url))
            .transpose()?;
        let api_secret = self.text("livekit.api_secret", &section.api_secret)?;
        if api_secret.len() < MIN_SECRET_BYTES {
            return Err(self.error(
                &section.api_secret,
                "livekit.api_secret",
                "expected at least 32 characters, as LiveKit itself does",
            ));
        }
        Ok(LiveKitConfig {
            host,
            public_url,
            api_key: self.text("livekit.api_key", &section.api_key)?,
            api_secret: Secret::new(api_secret),
        })
    }

    fn livekit_address(&self, key: &str, raw: &Spanned<String>) -> Result<String, ConfigError> {
        let address = self.text(key, raw)?;
        let schemes = ["http://", "https://", "ws://", "wss://"];
        if !schemes.iter().any(|scheme| address.starts_with(scheme)) {
            return Err(self.error(
                raw,
                key,
                "expected an address that starts with https://, http://, wss:// or ws://",
            ));
        }
        Ok(address.trim_end_matches('/').to_owned())
    }
}

/// LiveKit refuses shorter secrets at its start.
const MIN_SECRET_BYTES: usize = 32;
