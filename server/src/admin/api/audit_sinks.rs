//! Where the audit is sent.

use super::ShownSecret;
use crate::export::{Format, SinkState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A sink to be made. Records are sent as they come, from now on or from `since` on.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAuditSink {
    /// Whose audit; absent: the whole deployment's, for its admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Where to: https.
    #[schema(max_length = 512)]
    pub url: String,
    #[serde(default)]
    pub format: Format,
    /// Only these events; absent or empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub events: Vec<String>,
    /// Only this outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Records of this time and newer, in seconds; absent: from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// A sink, and how its delivery goes.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AuditSink {
    pub id: String,
    /// Whose audit; absent: the whole deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub name: String,
    /// Without its query.
    pub url: String,
    pub format: Format,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Records of this time and newer, in seconds.
    pub since: i64,
    pub state: SinkState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Records that have not been looked at or have not arrived.
    pub lag_records: i64,
    /// Age of the oldest of them in seconds, 0 where there is none.
    pub lag_seconds: i64,
    /// Records that have arrived, and the requests they came in.
    pub records: i64,
    pub batches: i64,
    /// Tries that came to nothing, and how many of them in a row by now.
    pub failed: i64,
    pub attempts: i64,
    /// Records that were pruned while the sink was paused.
    pub missed: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
    /// Why the last of those came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When the next try is due, where the last came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AuditSinkCreated {
    pub audit_sink: AuditSink,
    /// What deliveries are signed with (Standard Webhooks). Shown once.
    #[schema(value_type = String)]
    pub secret: ShownSecret,
}

/// Why a sink is paused.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseAuditSink {
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// What came of a trial.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AuditSinkTried {
    pub arrived: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
