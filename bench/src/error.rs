//! What keeps a run from happening. What a run finds is no error but a violation.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The deployment can't be set up or read.
    #[error("{0}")]
    Deployment(String),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    #[error("{0}")]
    Usage(String),
    /// An answer that is not what it must be, where figures of others go on.
    #[error("{0}")]
    Wrong(String),
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}
