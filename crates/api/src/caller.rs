//! Who calls, and from where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use gs_store::Ban;
use ipnet::IpNet;
use uuid::Uuid;

use crate::problem::Problem;
use crate::{Shared, security};

/// A player who is signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) player_id: Uuid,
    /// The family of refresh tokens that the access token comes from.
    pub(crate) session: Uuid,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let caller =
            <Self as OptionalFromRequestParts<Shared>>::from_request_parts(parts, shared).await?;
        caller.ok_or_else(|| {
            Problem::unauthorized("this call needs `Authorization: Bearer` with an access token")
        })
    }
}

impl OptionalFromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Shared,
    ) -> Result<Option<Self>, Problem> {
        let Some(header) = parts.headers.get(AUTHORIZATION) else {
            return Ok(None);
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|h| h.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let Some(token) = token else {
            let detail = "`Authorization` has to be `Bearer`, then a token";
            security::token_refused(detail);
            return Err(Problem::unauthorized(detail));
        };
        let token = token.to_owned();
        // For the log.
        let Ok(_) = Origin::from_request_parts(parts, shared).await;
        let caller = Self::verified(&token, shared)
            .await
            .inspect_err(|problem| {
                if problem.status() == StatusCode::UNAUTHORIZED {
                    security::token_refused(problem.detail());
                }
            })?;
        shared.seen.note(caller.player_id, shared.now());
        Ok(Some(caller))
    }
}

impl Caller {
    /// Whom a token names, if that player's session stands.
    async fn verified(token: &str, shared: &Shared) -> Result<Self, Problem> {
        let (store, environment) = (shared.store(), shared.environment());
        let caller = shared.tokens.verify(token, store, environment).await?;
        security::is_from(caller.player_id);
        caller.check_session(shared).await?;
        Ok(caller)
    }

    /// Refuses a session that has ended, and a player who is banned.
    async fn check_session(self, shared: &Shared) -> Result<(), Problem> {
        let session = shared.store().session(self.session, shared.now()).await?;
        let session = session.filter(|s| s.player_id == self.player_id);
        let ban = match &session {
            Some(session) => session.ban.clone(),
            // A ban ends all sessions; the player is told why.
            None => standing_ban(shared, self.player_id).await?,
        };
        match (ban, session) {
            (Some(ban), _) => Err(Problem::banned(&ban)),
            (None, None) => Err(Problem::unauthorized("the session has ended: sign in")),
            (None, Some(_)) => Ok(()),
        }
    }
}

/// The player's ban, where one stands.
pub(crate) async fn standing_ban(shared: &Shared, player_id: Uuid) -> Result<Option<Ban>, Problem> {
    let bans = shared.store().bans_of(&[player_id], shared.now()).await?;
    Ok(bans.into_iter().next())
}

/// Where a request comes from, for limits: an address, or the network where IPv6 gives a host one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(pub(crate) IpAddr);

impl FromRequestParts<Shared> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Shared,
    ) -> Result<Self, Self::Rejection> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|c| c.0.ip().to_canonical());
        let trusted = &shared.parts.settings.trusted_proxies;
        let address = match peer {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(peer) => caller_behind(peer, &parts.headers, trusted),
        };
        security::comes_from(address);
        Ok(Self(network(address)))
    }
}

/// Who called: the peer, or where that is a trusted proxy, the nearest address in
/// `X-Forwarded-For` that is none. What stands before that one is the caller's own word.
fn caller_behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut nearest = peer;
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for address in forwarded.into_iter().rev() {
        if !is_trusted(nearest) {
            break;
        }
        let Ok(address) = address.trim().parse::<IpAddr>() else {
            break;
        };
        nearest = address.to_canonical();
    }
    nearest
}

/// The address, or the network where IPv6 gives a host one.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        caller_behind(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_who_called() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(
            behind("192.0.2.1", &["198.51.100.9"], &proxies),
            "192.0.2.1"
        );
        assert_eq!(
            behind("10.0.0.1", &["198.51.100.9"], &proxies),
            "198.51.100.9"
        );
        assert_eq!(
            behind("fd00::1", &["198.51.100.9"], &proxies),
            "198.51.100.9"
        );
        assert_eq!(behind("10.0.0.1", &[], &proxies), "10.0.0.1");
        assert_eq!(behind("10.0.0.1", &["198.51.100.9"], &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_caller_writes_before_its_proxy_counts_for_nothing() {
        let proxies = ["10.0.0.0/8"];
        let forged = ["203.0.113.7, 198.51.100.9, 10.0.0.2"];
        assert_eq!(behind("10.0.0.1", &forged, &proxies), "198.51.100.9");
        let lines = ["203.0.113.7", "198.51.100.9"];
        assert_eq!(behind("10.0.0.1", &lines, &proxies), "198.51.100.9");
        let junk = ["203.0.113.7, nonsense"];
        assert_eq!(behind("10.0.0.1", &junk, &proxies), "10.0.0.1");
        assert_eq!(
            behind("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &proxies),
            "10.0.0.3"
        );
    }
}
