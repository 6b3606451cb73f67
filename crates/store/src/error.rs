/// What every call of a store answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or refused the statement. Asking again may help.
    #[error("the store cannot be reached or failed: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Redis cannot be reached or refused the command. Asking again may help.
    #[error("Redis cannot be reached or failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The schema is older than this version needs; these migrations are missing.
    #[error("the database's schema lacks {}: run `gameserver migrate`", .0.join(", "))]
    Outdated(Vec<String>),
    /// The directory or file of an embedded store cannot be used.
    #[error("the data directory {path} cannot be used: {source}")]
    Directory {
        /// The directory or file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A row holds something that this version does not understand.
    #[error("the store holds a {what} that this version does not understand: {value:?}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// What was found.
        value: String,
    },
    /// The call contradicts what is stored, or holds what cannot be stored: a bug of the caller.
    #[error("the store refused the call: {0}")]
    Invalid(String),
}

impl From<sqlx::Error> for StoreError {
    /// What the database refused for the data's sake is the caller's fault; anything else may be
    /// better next time.
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        let refused = error.as_database_error().is_some_and(|error| {
            let data_exception = |code: &str| code.len() == 5 && code.starts_with("22");
            !matches!(error.kind(), ErrorKind::Other)
                || error.code().as_deref().is_some_and(data_exception)
        });
        if refused {
            Self::Invalid(error.to_string())
        } else {
            Self::Unavailable(error)
        }
    }
}
