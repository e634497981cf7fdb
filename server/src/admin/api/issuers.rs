//! Trusted issuers: those that are not ours, and what their tokens are believed for.

use super::owners::State;
use super::present;
use super::shapes::KeySourceShape;
use crate::federation::{ClaimMapping, IssuerKind, IssuerUse, KeySource};
use serde::{Deserialize, Serialize};
use stipend_keys::Algorithm;
use stipend_token::Environment;
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIssuer {
    pub owner: String,
    /// The `iss` of its tokens, byte for byte; of a SPIFFE trust domain `spiffe://` and its name.
    #[schema(max_length = 512, example = "https://login.example")]
    pub issuer: String,
    #[serde(default)]
    pub kind: IssuerKind,
    /// What people call it; the issuer where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    #[schema(value_type = KeySourceShape)]
    pub keys: KeySource,
    /// What `aud` of its subject tokens may say.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub audiences: Vec<String>,
    /// All that this server knows where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    pub algorithms: Option<Vec<Algorithm>>,
    #[schema(min_items = 1)]
    pub uses: Vec<IssuerUse>,
    #[serde(default)]
    pub mapping: ClaimMapping,
    /// Hosts beside the issuer's own that its keys may be fetched from.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub hosts: Vec<String>,
    /// `sandbox` or `live`: where its subjects live; both where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(sandbox|live)$")]
    pub environment: Option<Environment>,
}

/// What its tokens call it, its kind and its owner never change.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchIssuer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeySourceShape>)]
    pub keys: Option<KeySource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub audiences: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    pub algorithms: Option<Vec<Algorithm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub uses: Option<Vec<IssuerUse>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<ClaimMapping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub hosts: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(sandbox|live)$")]
    pub environment: Option<Option<Environment>>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Issuer {
    pub id: String,
    pub owner: String,
    pub issuer: String,
    pub kind: IssuerKind,
    pub name: String,
    #[schema(value_type = KeySourceShape)]
    pub keys: KeySource,
    pub audiences: Vec<String>,
    #[schema(value_type = Vec<String>)]
    pub algorithms: Vec<Algorithm>,
    pub uses: Vec<IssuerUse>,
    pub mapping: ClaimMapping,
    pub hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Environment>,
    pub state: State,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}
