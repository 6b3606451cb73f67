//! How a game's authority and its clients share the work.

use std::fmt;
use std::str::FromStr;

/// How a game's authority and its clients share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityMode {
    /// The server simulates and sends each player the state that it may see.
    Full,
    /// The server simulates from validated inputs and sends what it confirmed of them; every client
    /// simulates as well, runs ahead and rolls back.
    Validated,
    /// The server simulates nothing. Players share their states with each other, and the result is
    /// what most of them report.
    Observer,
}

impl AuthorityMode {
    /// The name in configuration and over HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Validated => "validated",
            Self::Observer => "observer",
        }
    }
}

impl FromStr for AuthorityMode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        match name {
            "full" => Ok(Self::Full),
            "validated" => Ok(Self::Validated),
            "observer" => Ok(Self::Observer),
            _ => Err(UnknownMode(name.to_owned())),
        }
    }
}

impl fmt::Display for AuthorityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such authority mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no authority mode {0:?}; use \"validated\", \"full\" or \"observer\"")]
pub struct UnknownMode(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_found_by_its_name() {
        for mode in [
            AuthorityMode::Full,
            AuthorityMode::Validated,
            AuthorityMode::Observer,
        ] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        let error = "Full".parse::<AuthorityMode>().unwrap_err().to_string();
        assert!(error.contains("\"validated\""), "{error}");
    }
}
