/// What every call of a store answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or refused the statement. Asking again may help.
    #[error("the store cannot be reached or failed: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
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
    /// The call contradicts what is stored, which is a bug of the caller.
    #[error("the store refused the call: {0}")]
    Invalid(String),
}
