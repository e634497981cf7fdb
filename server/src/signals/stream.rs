//! A stream as it is registered: whose it is, what it asks for, and how it is delivered.

use super::event::EventKind;
use crate::deps;
use crate::records::{LoadError, Loaded};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stipend_schema::Db;
use stipend_schema::signals::{SignalStreamRow, find_stream_of};
use url::Url;

/// SSF section 8.1.2.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    Enabled,
    /// Events are kept for later.
    Paused,
    /// Events are not kept.
    Disabled,
}

impl StreamState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Paused, Self::Disabled].into_iter().find(|state| state.as_str() == text)
    }
}

/// SSF section 6.1.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "method")]
pub enum Delivery {
    #[serde(rename = "urn:ietf:rfc:8935")]
    Push { endpoint_url: Url },
    #[serde(rename = "urn:ietf:rfc:8936")]
    Poll,
}

impl Delivery {
    pub const PUSH: &'static str = "urn:ietf:rfc:8935";
    pub const POLL: &'static str = "urn:ietf:rfc:8936";
}

/// What its receiver asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    pub events_requested: Vec<String>,
    pub delivery: Delivery,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Why an admin has stopped it: then only an admin lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

#[derive(Debug)]
pub struct Stream {
    pub id: String,
    pub owner_id: String,
    /// Its receiver.
    pub client_id: String,
    pub state: StreamState,
    pub state_reason: Option<String>,
    pub spec: StreamSpec,
    /// What a push sends as `Authorization`, sealed.
    pub sealed_authorization: Option<Vec<u8>>,
    pub created_at: i64,
}

impl Stream {
    /// # Errors
    /// What of the row can't be read.
    pub fn read(row: SignalStreamRow) -> Result<Self, &'static str> {
        Ok(Self {
            state: StreamState::parse(&row.state).ok_or("stream state")?,
            spec: serde_json::from_str(&row.spec).map_err(|_| "stream")?,
            id: row.id,
            owner_id: row.owner_id,
            client_id: row.client_id,
            state_reason: row.state_reason,
            sealed_authorization: row.sealed_authorization,
            created_at: row.created_at,
        })
    }

    /// Those of what it asked for that there are.
    #[must_use]
    pub fn delivers(&self, kind: EventKind) -> bool {
        self.spec.events_requested.iter().any(|wanted| wanted == kind.uri())
    }
}

pub(crate) async fn load(db: Db, client_id: String) -> Result<Loaded<Stream>, LoadError> {
    let deps = vec![deps::stream_of(&client_id)];
    let stream = find_stream_of(&db, &client_id).await?.map(Stream::read).transpose().map_err(LoadError::Corrupt)?;
    Ok(Loaded { value: stream.map(Arc::new), deps })
}
