//! Who answers for a client.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The person who answers for a client.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Responsible {
    /// `user:<issuer>:<sub>` for one who can log in, or any name that people know.
    pub person: String,
    /// Who is to answer for it, once it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_by: Option<String>,
    /// Since when nobody answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphaned_at: Option<i64>,
    /// When it is suspended, unless somebody answers for it by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend_at: Option<i64>,
}

/// Names who answers for a client: at once where nobody did, and else once it is accepted.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    #[schema(min_length = 1, max_length = 256)]
    pub person: String,
}

/// That a person has gone.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Departed {
    #[schema(min_length = 1, max_length = 256)]
    pub person: String,
    /// How long the clients go on until they are suspended; 604800 (a week) where absent, and 0
    /// at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 7776000)]
    pub grace_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// What a departure has left behind.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Departure {
    pub person: String,
    /// The clients that nobody answers for now.
    pub orphaned: Vec<String>,
    /// Those that were offered to the person, and are not any more.
    pub withdrawn: Vec<String>,
    /// When the orphans are suspended.
    pub suspend_at: i64,
    /// There are more: call again.
    pub more: bool,
}
