//! Driver errors as this crate's own. Texts come from the driver's short message only: its
//! detail quotes row values.

use diesel::result::{DatabaseErrorKind, Error};

/// Why the database did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    #[error("database URL: {0}")]
    Url(&'static str),
    /// No connection, a lost one, or no answer in time.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database answered, and refused.
    #[error("the database refused a statement: {0}")]
    Refused(String),
    /// A thread that used the database panicked: what it did is not known.
    #[error("a database thread failed")]
    ThreadFailed,
    #[error("migrations: {0}")]
    Migration(String),
}

impl DbError {
    pub(crate) fn from_diesel(error: Error) -> Self {
        if lost_connection(&error) { Self::Unavailable(brief(&error)) } else { Self::Refused(brief(&error)) }
    }

    pub(crate) fn timed_out(_: tokio::time::error::Elapsed) -> Self {
        Self::Unavailable("no answer in time".to_owned())
    }
}

/// Whether the connection is gone, as opposed to a statement refused.
pub(crate) fn lost_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection, _)
            | Error::BrokenTransactionManager
    )
}

pub(crate) fn brief(error: &Error) -> String {
    match error {
        Error::DatabaseError(kind, information) => format!("{kind:?}: {}", information.message()),
        other => other.to_string(),
    }
}
