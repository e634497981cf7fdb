//! Exchanges that wait for people.

use crate::approval::{ApprovalState, Decision, Narrowing, Offer};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How a request stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// Somebody has still to answer.
    Pending,
    /// All have said yes; the token has not been fetched.
    Approved,
    /// Somebody has said no.
    Refused,
    /// The token was issued.
    Consumed,
    /// Its time was over before a token was fetched.
    Expired,
}

impl ApprovalStatus {
    #[must_use]
    pub fn new(state: ApprovalState, is_over: bool) -> Self {
        match state {
            ApprovalState::Pending | ApprovalState::Approved if is_over => Self::Expired,
            ApprovalState::Pending => Self::Pending,
            ApprovalState::Approved => Self::Approved,
            ApprovalState::Refused => Self::Refused,
            ApprovalState::Consumed => Self::Consumed,
        }
    }
}

/// A request for an approval. The handle that its client polls with is not in it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ApprovalRequest {
    pub id: String,
    pub status: ApprovalStatus,
    /// The client that asks.
    pub client_id: String,
    pub owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_owner: Option<String>,
    pub target_owner: String,
    /// What the client says it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// What would be issued, at most.
    pub offer: Offer,
    /// What is left of it after the answers so far. Absent: they have nothing in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Offer>,
    /// The owners that must say yes.
    pub approvers: Vec<String>,
    /// Those that have not answered.
    pub awaiting: Vec<String>,
    pub decisions: Vec<Decision>,
    /// The token that was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    pub expires_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Which requests.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalQuery {
    /// Of one state; one that has expired keeps the state it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ApprovalState>,
    /// 1 to 200; 50 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub after: Option<String>,
}

/// A yes, for all the owners that the caller may answer for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// What is left of the offer.
    #[serde(default)]
    pub narrowing: Narrowing,
}

/// A no.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}
