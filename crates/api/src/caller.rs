//! Who calls, and from where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use uuid::Uuid;

use crate::Shared;
use crate::problem::Problem;

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
            return Err(Problem::unauthorized(
                "`Authorization` has to be `Bearer`, then a token",
            ));
        };
        let caller = shared.tokens.verify(token, shared.now())?;
        shared.seen.note(caller.player_id, shared.now());
        Ok(Some(caller))
    }
}

/// Where a request comes from, for limits: an address, or the network where IPv6 gives a host one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(pub(crate) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|c| c.0.ip());
        Ok(Self(match address.map(|a| a.to_canonical()) {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(IpAddr::V6(v6)) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            Some(v4) => v4,
        }))
    }
}
