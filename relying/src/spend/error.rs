//! How an order to the `/budget` API can fail. What matters most is kept apart: a definite
//! no, after which nothing was done, and an unknown outcome, which only the same request
//! with the same `Idempotency-Key` can settle.

use crate::refusal::{BudgetRefusal, Refusal};

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpendError {
    /// 403 `insufficient_budget`. Final: trying again helps only when there is more.
    #[error("{0}")]
    Insufficient(BudgetRefusal),
    /// 403 `invalid_token`: not active, or not for a resource of this service.
    #[error("the server says that the token is not active, or not for this service")]
    TokenNotActive,
    /// 404: no such hold, capture or line of this service.
    #[error("the server knows no such hold, capture or line of this service")]
    NotFound,
    /// 409: the hold was captured or voided, or the line was settled.
    #[error("it has ended already")]
    Ended,
    /// 422: the key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// 401: the service's own credentials are wrong. Nothing was done.
    #[error("the server does not know this service by its credentials")]
    Unauthenticated,
    /// Any other 4xx. Nothing was done.
    #[error("the server refused the order: {status} {error}")]
    Refused { status: u16, error: String },
    /// No definite answer in the time and tries there were: it may be done or not.
    #[error("whether it was done is unknown after {tries} tries: {reason}")]
    Unknown { tries: u32, reason: String },
}

impl SpendError {
    /// Whether only repeating the request with its key can say what came of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// Whether repeating it unchanged will never do it. Wrong credentials may be put right.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Insufficient(_)
            | Self::TokenNotActive
            | Self::NotFound
            | Self::Ended
            | Self::KeyReused
            | Self::Refused { .. } => true,
            Self::Unauthenticated | Self::Unknown { .. } => false,
        }
    }
}

impl From<SpendError> for Refusal {
    fn from(error: SpendError) -> Self {
        match error {
            SpendError::Insufficient(refusal) => Self::Budget(refusal),
            SpendError::TokenNotActive => Self::NotActive,
            SpendError::NotFound
            | SpendError::Ended
            | SpendError::KeyReused
            | SpendError::Unauthenticated
            | SpendError::Refused { .. }
            | SpendError::Unknown { .. } => Self::Unavailable,
        }
    }
}
