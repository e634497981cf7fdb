//! Resources: the audiences tokens are for.

use super::owners::State;
use super::present;
use serde::{Deserialize, Serialize};
use stipend_token::{Audience, Environment, ScopeSet};
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewResource {
    pub owner: String,
    /// The `aud` of its tokens: an absolute URI without query and fragment.
    #[schema(value_type = String, max_length = 512, example = "https://orders.example")]
    pub uri: Audience,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 64)]
    pub scopes: ScopeSet,
    /// `sandbox` or `live`; both where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(sandbox|live)$")]
    pub environment: Option<Environment>,
    /// Longest life of its tokens; 3600 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
    /// Clients that may introspect its tokens.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub introspectors: Vec<String>,
    #[serde(default)]
    pub budget_capable: bool,
    /// Its tokens have a place in a status list, so that services which verify them by
    /// themselves learn of revocations.
    #[serde(default)]
    pub status_list: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchResource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<ScopeSet>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(sandbox|live)$")]
    pub environment: Option<Option<Environment>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub introspectors: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_capable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_list: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Resource {
    pub id: String,
    pub owner: String,
    #[schema(value_type = String)]
    pub uri: Audience,
    pub name: String,
    #[schema(value_type = Vec<String>)]
    pub scopes: ScopeSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Environment>,
    pub ttl_seconds: i64,
    pub introspectors: Vec<String>,
    pub budget_capable: bool,
    pub status_list: bool,
    pub state: State,
    pub created_at: i64,
    pub updated_at: i64,
}
