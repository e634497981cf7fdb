//! Registration tokens: what lets programs register clients of an owner (RFC 7591 section 3).

use super::ShownSecret;
use crate::registration::Template;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegistrationToken {
    pub owner: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// What each client registered by it gets at most.
    pub template: Template,
    /// How many clients it registers; one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub max_uses: Option<i64>,
    /// Its life; a day where absent, 90 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 7_776_000)]
    pub expires_in_seconds: Option<i64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationTokenState {
    Active,
    Revoked,
}

impl RegistrationTokenState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

/// A registration token without what it is.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RegistrationToken {
    pub id: String,
    pub owner: String,
    pub name: String,
    pub template: Template,
    pub state: RegistrationTokenState,
    /// Clients it has registered.
    pub uses: i64,
    pub max_uses: i64,
    pub expires_at: i64,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RegistrationTokenCreated {
    pub registration_token: RegistrationToken,
    /// What registers: the bearer token of `POST /oauth2/register`. Shown once.
    #[schema(value_type = String)]
    pub initial_access_token: ShownSecret,
}
