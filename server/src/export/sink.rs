//! A sink as it is registered: whose audit it gets, which of it, where and how.

use serde::{Deserialize, Serialize};
use stipend_keys::seal::aad_of;
use stipend_schema::queries::OwnerFilter;
use stipend_schema::sinks::{AuditSinkRow, FeedFilter};
use url::Url;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As they were hashed, each with its hash.
    #[default]
    Native,
    /// As events of the Open Cybersecurity Schema Framework.
    Ocsf,
}

impl Format {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ocsf => "ocsf",
        }
    }
}

/// Whether anything is sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SinkState {
    Active,
    Paused,
}

impl SinkState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
        }
    }
}

/// What never changes of a sink: a batch that is sent again must be the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SinkSpec {
    pub endpoint_url: Url,
    pub format: Format,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// It begins with records of this time; microseconds.
    pub since: i64,
}

/// A sink.
#[derive(Clone, Debug)]
pub struct Sink {
    pub id: String,
    /// Whose audit; none: all of it.
    pub owner: Option<String>,
    pub name: String,
    pub state: SinkState,
    pub state_reason: Option<String>,
    pub spec: SinkSpec,
    sealed_secret: Vec<u8>,
    pub created_at: i64,
    pub updated_at: i64,
}

impl Sink {
    /// # Errors
    /// What of a row this version can't read.
    pub fn read(row: AuditSinkRow) -> Result<Self, &'static str> {
        let state = match row.state.as_str() {
            "active" => SinkState::Active,
            "paused" => SinkState::Paused,
            _ => return Err("audit sink's state"),
        };
        let spec = serde_json::from_str(&row.spec).map_err(|_| "audit sink")?;
        Ok(Self {
            id: row.id,
            owner: row.owner_id,
            name: row.name,
            state,
            state_reason: row.state_reason,
            spec,
            sealed_secret: row.sealed_secret,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }

    /// What its secret is sealed in.
    #[must_use]
    pub fn sealed_secret(&self) -> &[u8] {
        &self.sealed_secret
    }

    /// Which records it gets.
    #[must_use]
    pub fn filter(&self) -> FeedFilter {
        FeedFilter {
            owners: self.owner.clone().map_or(OwnerFilter::All, |owner| OwnerFilter::Only(vec![owner])),
            events: self.spec.events.clone(),
            outcome: self.spec.outcome.clone(),
            client_id: None,
            jti: None,
        }
    }

    /// Where it is, without what may be a secret of the receiver's.
    #[must_use]
    pub fn shown_url(&self) -> String {
        let mut url = self.spec.endpoint_url.clone();
        url.set_query(None);
        url.to_string()
    }
}

/// What the secret of a sink is sealed as.
#[must_use]
pub fn aad(id: &str) -> Vec<u8> {
    aad_of(&[b"audit sink", id.as_bytes()])
}

/// The row of a sink in another state.
#[must_use]
pub fn row(row: AuditSinkRow, state: SinkState, why: Option<&str>, now: i64) -> AuditSinkRow {
    AuditSinkRow { state: state.as_str().to_owned(), state_reason: why.map(str::to_owned), updated_at: now, ..row }
}
