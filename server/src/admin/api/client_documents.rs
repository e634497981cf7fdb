//! Client documents: which metadata documents are clients of an owner, and what those get.

use crate::documents::{Covers, DocumentTemplate, EntryState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClientDocument {
    pub owner: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The document's URL, to the byte; or, with `covers: prefix`, what the URLs of all of them
    /// begin with, up to a slash.
    #[schema(format = "uri", max_length = 512)]
    pub url: String,
    /// `one` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Covers>,
    /// What each client gets when it comes first.
    pub template: DocumentTemplate,
    /// How many clients come of it at most; one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 250)]
    pub max_clients: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ClientDocument {
    pub id: String,
    pub owner: String,
    pub name: String,
    pub url: String,
    pub covers: Covers,
    pub template: DocumentTemplate,
    pub state: EntryState,
    /// Clients that have come of it, in whatever state.
    pub clients: i64,
    pub max_clients: i64,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

/// The metadata document that an agent is known by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AgentDocument {
    /// The `client_id` that it presents.
    pub url: String,
    /// What admits it.
    pub client_document: String,
    /// When its document was last read and said something else than before.
    pub changed_at: i64,
}
