//! `server` and `authority`: what the processes listen on, whom they believe, and their bounds.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `server.host` | all addresses; 127.0.0.1 for `dev` | address to listen on |
//! | `server.http_port` | 8080 | port of the HTTP API, 1–65535 |
//! | `server.sign_ins_per_minute` | 60 | calls that sign somebody in, from one address, 1–60,000 |
//! | `server.tickets_per_minute` | 600 | tickets and parties asked for from one address, 1–60,000 |
//! | `server.trusted_proxies` | none | networks whose `Forwarded` and `X-Forwarded-For` are believed |
//! | `server.cors_origins` | `["*"]` | origins whose pages may call the API |
//! | `server.admin_key` | none | key to `/admin`, at least 32 characters |
//! | `server.max_connections` | 16,384 | open connections, 1–1,000,000 |
//! | `server.max_connections_per_address` | 1,024 | of one address that is no trusted proxy |
//! | `authority.http_port` | 8081 | port of health and metrics, 1–65535 |
//! | `authority.max_rooms` | 256 | matches at a time, 1–4,096 |

use std::net::IpAddr;

use axum::http::HeaderValue;
use ipnet::IpNet;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::reader::{Reader, Setting};
use super::{ConfigError, Secret};

/// The HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerConfig {
    /// The address to listen on; the command's own default where absent.
    pub(crate) host: Option<IpAddr>,
    /// Port of the HTTP API.
    pub(crate) http_port: u16,
    /// Calls that sign somebody in, from one address.
    pub(crate) sign_ins_per_minute: u32,
    /// Tickets and parties asked for from one address in a minute.
    pub(crate) tickets_per_minute: u32,
    /// Who may say in whose name it asks.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may call; any where absent.
    pub(crate) cors_origins: Option<Vec<HeaderValue>>,
    /// The operators' key.
    pub(crate) admin_key: Option<Secret>,
    /// Most open connections.
    pub(crate) max_connections: usize,
    /// Most of one address that is no trusted proxy.
    pub(crate) max_connections_per_address: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            host: None,
            http_port: 8080,
            sign_ins_per_minute: SIGN_INS_PER_MINUTE,
            tickets_per_minute: TICKETS_PER_MINUTE,
            trusted_proxies: Vec::new(),
            cors_origins: None,
            admin_key: None,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
        }
    }
}

impl ServerConfig {
    pub(super) fn summarize(&self, lines: &mut Vec<String>) {
        lines.push(match self.host {
            Some(host) => format!("HTTP on {host}, port {}", self.http_port),
            None => format!("HTTP on port {}", self.http_port),
        });
        lines.push(format!(
            "connections: at most {}, {} of one address",
            self.max_connections, self.max_connections_per_address
        ));
        if !self.trusted_proxies.is_empty() {
            let networks: Vec<String> = self.trusted_proxies.iter().map(IpNet::to_string).collect();
            lines.push(format!("trusted proxies: {}", networks.join(", ")));
        }
        lines.push(match &self.cors_origins {
            None => "pages of any origin may call the API".to_owned(),
            Some(origins) => {
                let origins: Vec<&str> = origins.iter().filter_map(|o| o.to_str().ok()).collect();
                format!("pages that may call the API: {}", origins.join(", "))
            }
        });
        lines.push(match self.admin_key {
            Some(_) => "/admin: with the key".to_owned(),
            None => "/admin: off, for `server.admin_key` is absent".to_owned(),
        });
    }
}

/// The authority's own process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthorityProcess {
    /// Port of its health and metrics.
    pub(crate) http_port: u16,
    /// Most matches at a time.
    pub(crate) max_rooms: usize,
}

impl Default for AuthorityProcess {
    fn default() -> Self {
        Self {
            http_port: 8081,
            max_rooms: 256,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    host: Setting,
    http_port: Setting,
    sign_ins_per_minute: Setting,
    tickets_per_minute: Setting,
    trusted_proxies: Option<Vec<Spanned<String>>>,
    cors_origins: Option<Vec<Spanned<String>>>,
    admin_key: Setting,
    max_connections: Setting,
    max_connections_per_address: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthoritySection {
    http_port: Setting,
    max_rooms: Setting,
}

impl Reader<'_> {
    pub(super) fn server(
        &self,
        section: Option<&ServerSection>,
    ) -> Result<ServerConfig, ConfigError> {
        let otherwise = ServerConfig::default();
        let Some(section) = section else {
            return Ok(otherwise);
        };
        Ok(ServerConfig {
            host: section
                .host
                .as_ref()
                .map(|raw| self.address(raw))
                .transpose()?,
            http_port: self.port("server.http_port", &section.http_port, otherwise.http_port)?,
            sign_ins_per_minute: self.number_or(
                "server.sign_ins_per_minute",
                &section.sign_ins_per_minute,
                otherwise.sign_ins_per_minute,
                (1, MOST_SIGN_INS_PER_MINUTE),
                "calls from 1 to 60000",
            )?,
            tickets_per_minute: self.number_or(
                "server.tickets_per_minute",
                &section.tickets_per_minute,
                otherwise.tickets_per_minute,
                (1, MOST_TICKETS_PER_MINUTE),
                "tickets from 1 to 60000",
            )?,
            trusted_proxies: section
                .trusted_proxies
                .iter()
                .flatten()
                .map(|raw| self.network(raw))
                .collect::<Result<_, _>>()?,
            cors_origins: match &section.cors_origins {
                Some(origins) => self.origins(origins)?,
                None => None,
            },
            admin_key: section
                .admin_key
                .as_ref()
                .map(|raw| self.admin_key(raw))
                .transpose()?,
            max_connections: self.number_or(
                "server.max_connections",
                &section.max_connections,
                otherwise.max_connections,
                (1, MOST_CONNECTIONS),
                "connections from 1 to 1000000",
            )?,
            max_connections_per_address: self.number_or(
                "server.max_connections_per_address",
                &section.max_connections_per_address,
                otherwise.max_connections_per_address,
                (1, MOST_CONNECTIONS),
                "connections from 1 to 1000000",
            )?,
        })
    }

    pub(super) fn authority(
        &self,
        section: Option<&AuthoritySection>,
    ) -> Result<AuthorityProcess, ConfigError> {
        let otherwise = AuthorityProcess::default();
        let Some(section) = section else {
            return Ok(otherwise);
        };
        Ok(AuthorityProcess {
            http_port: self.port(
                "authority.http_port",
                &section.http_port,
                otherwise.http_port,
            )?,
            max_rooms: self.number_or(
                "authority.max_rooms",
                &section.max_rooms,
                otherwise.max_rooms,
                (1, MOST_ROOMS),
                "rooms from 1 to 4096",
            )?,
        })
    }

    fn port(&self, key: &str, raw: &Setting, otherwise: u16) -> Result<u16, ConfigError> {
        self.number_or(key, raw, otherwise, (1, u16::MAX), "a port from 1 to 65535")
    }

    fn address(&self, raw: &Spanned<String>) -> Result<IpAddr, ConfigError> {
        let text = self.text("server.host", raw)?;
        text.parse().map_err(|_| {
            self.error(
                raw,
                "server.host",
                format!("expected an IP address such as 0.0.0.0, found `{text}`"),
            )
        })
    }

    /// A network, or one address.
    fn network(&self, raw: &Spanned<String>) -> Result<IpNet, ConfigError> {
        let key = "server.trusted_proxies";
        let text = self.text(key, raw)?;
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| {
            self.error(
                raw,
                key,
                format!("expected an address or a network such as 10.0.0.0/8, found `{text}`"),
            )
        })
    }

    /// None: any origin.
    fn origins(&self, raw: &[Spanned<String>]) -> Result<Option<Vec<HeaderValue>>, ConfigError> {
        let key = "server.cors_origins";
        let mut origins = Vec::new();
        for entry in raw {
            let text = self.text(key, entry)?;
            if text == "*" && raw.len() == 1 {
                return Ok(None);
            }
            let value = is_origin(&text).then(|| HeaderValue::from_str(&text).ok());
            let Some(Some(value)) = value else {
                return Err(self.error(
                    entry,
                    key,
                    format!(
                        "expected an origin such as https://play.example.org, without a path, or \
                         \"*\" alone, found `{text}`"
                    ),
                ));
            };
            origins.push(value);
        }
        Ok(Some(origins))
    }

    fn admin_key(&self, raw: &Spanned<String>) -> Result<Secret, ConfigError> {
        let text = self.text("server.admin_key", raw)?;
        if text.len() < MIN_ADMIN_KEY || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(self.error(
                raw,
                "server.admin_key",
                "expected at least 32 letters, digits or signs without spaces; make one with \
                 `openssl rand -hex 32`",
            ));
        }
        Ok(Secret::new(text))
    }
}

/// As browsers write it: scheme, host and perhaps a port, in lower case, nothing after.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b))
    })
}

/// A household or a classroom behind one address; a guesser of passwords gets 3,600 an hour.
const SIGN_INS_PER_MINUTE: u32 = 60;
/// For load tests: one a millisecond.
const MOST_SIGN_INS_PER_MINUTE: u32 = 60_000;
/// A LAN party behind one address; whoever would fill the queue gets 36,000 an hour.
const TICKETS_PER_MINUTE: u32 = 600;
/// One a millisecond, the finest that is counted.
const MOST_TICKETS_PER_MINUTE: u32 = 60_000;
/// Some 10 kB each while they wait: 160 MB when full.
const MAX_CONNECTIONS: usize = 16_384;
/// A school or a carrier's network behind one address, a few connections for each of its browsers.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// Beyond what one machine's ports and memory are good for.
const MOST_CONNECTIONS: usize = 1_000_000;
/// Guessing it takes longer than anybody lives, at any rate.
const MIN_ADMIN_KEY: usize = 32;
/// A thread ticks a few hundred rooms; more than this is several processes' work.
const MOST_ROOMS: usize = 4_096;
