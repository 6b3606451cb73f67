//! How a game's authority and its clients share the work.

use std::fmt;
use std::str::FromStr;

/// How a game's authority and its clients share the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthorityMode {
    /// The server simulates and sends each player the state that it may see.
    #[default]
    Full,
}

impl FromStr for AuthorityMode {
    type Err = ModeError;

    fn from_str(name: &str) -> Result<Self, ModeError> {
        match name {
            "full" => Ok(Self::Full),
            "validated" | "observer" => Err(ModeError::NotYet(name.to_owned())),
            _ => Err(ModeError::Unknown(name.to_owned())),
        }
    }
}

impl fmt::Display for AuthorityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
        }
    }
}

/// Why an authority mode cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// It is planned, and not in this version.
    #[error("authority mode {0:?} comes in a later version; use \"full\"")]
    NotYet(String),
    /// There is no such mode.
    #[error("there is no authority mode {0:?}; use \"full\"")]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_can_be_used() {
        assert_eq!("full".parse(), Ok(AuthorityMode::Full));
        assert_eq!(AuthorityMode::Full.to_string(), "full");
        let later: ModeError = "validated".parse::<AuthorityMode>().unwrap_err();
        assert!(later.to_string().contains("later version"), "{later}");
        assert!(matches!(
            "Full".parse::<AuthorityMode>(),
            Err(ModeError::Unknown(_))
        ));
    }
}
