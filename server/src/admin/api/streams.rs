//! Streams of security events, for whoever looks after them.

use crate::signals::StreamState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stream of security events (OpenID Shared Signals Framework), as its service made it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Stream {
    pub id: String,
    /// The service that is told.
    pub client_id: String,
    pub owner: String,
    pub state: StreamState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Why an admin has stopped it: then only an admin lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    pub delivery: StreamDelivery,
    /// Of a push, the host that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is told of, by the URIs of the events.
    pub events: Vec<String>,
    /// Events that the service has not taken yet.
    pub waiting: i64,
    /// Events that it has taken.
    pub delivered: i64,
    /// Tries that came to nothing.
    pub failed: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
    /// Why the last of those came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Who comes to whom.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamDelivery {
    /// RFC 8935.
    Push,
    /// RFC 8936.
    Poll,
}

/// Why a stream is stopped.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopStream {
    /// For administrators and the audit; the service is told that one has stopped it.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}
