//! The keys tokens are signed with.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// Not yet published.
    Planned,
    /// Published, not yet signing.
    Published,
    /// Signing.
    Active,
    /// No longer signing; its tokens may still live.
    Retired,
    /// Gone from the JWKS.
    Removed,
    /// Compromised: gone at once, with all it ever signed.
    Distrusted,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SigningKey {
    pub kid: String,
    pub alg: String,
    pub status: KeyStatus,
    #[schema(value_type = Object)]
    pub public_jwk: Map<String, Value>,
    pub publish_at: i64,
    pub activate_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distrusted_at: Option<i64>,
    pub created_at: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Distrust {
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}
