//! Agents, relying services and admins: everything that authenticates.

use super::responsible::Responsible;
use super::revocations::Severity;
use super::shapes::AccessEntryShape;
use super::{AgentDocument, ShownSecret, present};
use crate::records::{AuthMethod, ClientKind, ClientSettings, ClientState, RiskLevel, RoleGrant};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_token::access::AccessEntry;
use stipend_token::{Environment, ScopeSet};
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    pub owner: String,
    /// The client id is `<owner>.<name>`.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,38}$", example = "refunds")]
    pub name: String,
    /// `agent` where absent. Only a platform-admin makes an `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ClientKind>,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub purpose: String,
    /// `live` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(sandbox|live)$")]
    pub environment: Option<Environment>,
    pub auth_method: AuthMethod,
    /// What it may get tokens for; the first entry is the default resource.
    #[serde(default)]
    #[schema(value_type = Vec<AccessEntryShape>, max_items = 64)]
    pub access: Vec<AccessEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope_ceiling: Option<ScopeSet>,
    /// Life of its tokens; 300 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
    /// Put into its tokens: who else may act for it (RFC 8693 section 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub may_act: Option<Map<String, Value>>,
    /// Only a platform-admin gives roles, and only to an `admin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Public keys, for `private_key_jwt`, or with their certificates in `x5c` for
    /// `self_signed_tls_client_auth`: a JWK set (RFC 7517 section 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Map<String, Value>>,
    /// Life of the first secret, or of the keys: 90 days (secret) and 365 days (keys) where
    /// absent; 365 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_in_seconds: Option<i64>,
    /// Admits the token endpoint's URL as the audience of client assertions.
    #[serde(default)]
    pub legacy_assertion_aud: bool,
    /// What its tokens are bound to, and what its method of authentication needs to know.
    #[serde(default)]
    pub settings: ClientSettings,
}

/// The answer to a registration.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AgentCreated {
    pub agent: Agent,
    /// Shown once. Absent where the agent authenticates otherwise, and when it was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_secret: Option<ShownSecret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Agent {
    pub id: String,
    pub owner: String,
    pub name: String,
    pub kind: ClientKind,
    pub purpose: String,
    #[schema(value_type = String)]
    pub environment: Environment,
    pub state: ClientState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    pub auth_method: AuthMethod,
    #[schema(value_type = Vec<AccessEntryShape>)]
    pub access: Vec<AccessEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope_ceiling: Option<ScopeSet>,
    pub ttl_seconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub may_act: Option<Map<String, Value>>,
    pub roles: Vec<RoleGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The client it was cloned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reissue_of: Option<String>,
    pub legacy_assertion_aud: bool,
    #[serde(default)]
    pub settings: ClientSettings,
    pub created_at: i64,
    pub updated_at: i64,
    pub readiness: Readiness,
    /// Who answers for it, where somebody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<Responsible>,
    /// The metadata document that it is known by, in place of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<AgentDocument>,
    pub secrets: Vec<AgentSecret>,
    pub keys: Vec<AgentKey>,
}

/// Whether the client could get a token now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    pub reasons: Vec<NotReady>,
    /// What does not keep it from a token yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// What will keep a client from getting a token unless somebody does something.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Nobody answers for it any more.
    Orphaned,
}

/// What keeps a client from getting a token.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    NotActive,
    Expired,
    OwnerDisabled,
    NoSecret,
    SecretExpired,
    NoKey,
    NoAccess,
}

/// A secret, without the secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AgentSecret {
    pub id: String,
    pub created_at: i64,
    pub expires_at: i64,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AgentKey {
    pub id: String,
    pub kid: String,
    pub alg: String,
    /// For `self_signed_tls_client_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<AgentCertificate>,
    pub created_at: i64,
    pub expires_at: i64,
}

/// The certificate of a key, without the certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AgentCertificate {
    /// SHA-256 of its DER in base64url (RFC 8705 section 3.1).
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: String,
    /// It is of no use afterwards, whatever `expires_at` says.
    pub not_after: i64,
}

/// Narrows: each member given must lie within what is there.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NarrowAgent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<AccessEntryShape>>)]
    pub access: Option<Vec<AccessEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope_ceiling: Option<ScopeSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
}

/// Changes what is given; `null` takes away what may be absent (RFC 7396).
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchAgent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<AccessEntryShape>>)]
    pub access: Option<Vec<AccessEntry>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope_ceiling: Option<Option<ScopeSet>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub may_act: Option<Option<Map<String, Value>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleGrant>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Option<i64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_assertion_aud: Option<bool>,
    /// Replaced whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ClientSettings>,
}

/// Why an owner, an agent or a resource changes state.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeAgent {
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
    pub severity: Severity,
}

/// How risky what an agent does is.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateAgent {
    pub level: RiskLevel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub reason: Option<String>,
    /// Afterwards the agent is as if nobody had judged it. Absent: until somebody says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31536000)]
    pub expires_in_seconds: Option<i64>,
}

/// A clone under a new name, with credentials of its own.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReissueAgent {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,38}$")]
    pub name: String,
    /// Not longer than the original's, which it is where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
    /// Keys of the clone, as at its registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_in_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// 90 days where absent, 365 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31536000)]
    pub expires_in_seconds: Option<i64>,
}

/// A new secret: the only time it is shown.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SecretCreated {
    pub id: String,
    #[schema(value_type = String)]
    pub client_secret: ShownSecret,
    pub expires_at: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// A public JWK (RFC 7517): P-256, Ed25519 or RSA from 2048 bits; with its certificate in
    /// `x5c` for `self_signed_tls_client_auth`.
    #[schema(value_type = Object)]
    pub jwk: Map<String, Value>,
    /// 365 days where absent, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31536000)]
    pub expires_in_seconds: Option<i64>,
}

/// The answer to a new key.
pub type KeyCreated = AgentKey;
