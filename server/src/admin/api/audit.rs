//! The audit as it is searched and exported.

use crate::export::{Format, RedactField};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// What is searched for. Newest first, where nothing else is said.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Seconds; included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Seconds; not included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// 1 to 200; 50 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_first: Option<bool>,
    /// `ocsf`: each item is an event of the Open Cybersecurity Schema Framework 1.3.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// What is followed: the same, from a cursor or from now on.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The `id` of the last event had; `Last-Event-ID` goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// A record with all its members (`writer`, `n`, `at` in microseconds, `event`, `outcome`, …),
/// and `hash`: base64url of the SHA-256 of the record's text.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AuditItem {
    pub hash: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub record: Map<String, Value>,
}

/// One chain of records.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Writer {
    pub writer: String,
    /// Number of its newest record.
    pub n: i64,
    /// Hash of that record, base64url.
    pub hash: String,
}

#[derive(Clone, Debug, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    pub writer: String,
    /// The number of the last record already had; 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}

/// One writer's records in order, as they were hashed.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AuditExport {
    pub records: Vec<ExportedRecord>,
    /// Signed statements about this writer's chain after `after`.
    pub checkpoints: Vec<Checkpoint>,
    /// The signed statement that the chain's beginning was pruned, where it was: what is there
    /// comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<Checkpoint>,
    /// Signed statements about records of this page that something was taken out of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<String>,
    /// What to send as `after` for more. Absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// One record, by its place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactedRecord {
    pub writer: String,
    pub n: i64,
}

/// Personal data to be taken out of records, for good.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRedaction {
    #[schema(min_items = 1, max_items = 100)]
    pub records: Vec<RedactedRecord>,
    /// Members of these kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<RedactField>,
    /// Any text that has one of these in it; none of them is recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub values: Vec<String>,
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// The records in which something was found and taken out.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Redacted {
    pub redacted: Vec<RedactedRecord>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExportedRecord {
    /// The text that was hashed, byte for byte.
    pub record: String,
    /// base64url of its SHA-256.
    pub hash: String,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Checkpoint {
    pub writer: String,
    pub n: i64,
    pub hash: String,
    /// Microseconds.
    pub at: i64,
    /// The signed statement.
    pub jws: String,
}
