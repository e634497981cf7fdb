//! Owners: the isolation boundary.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether an owner, a resource or a rule is in use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Active,
    Disabled,
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwner {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,38}$", example = "payments")]
    pub id: String,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Owner {
    pub id: String,
    pub name: String,
    pub state: State,
    pub created_at: i64,
    pub updated_at: i64,
}
