//! Revocations: what is dead although it was validly issued.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is revoked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevokeKind {
    /// One token and all that descend from it.
    Token,
    /// What was issued to a client, or through its hands, until now.
    Client,
    /// What was issued for a subject until now.
    Subject,
    /// What was issued for a resource until now.
    Resource,
    /// What was issued to an owner's clients until now.
    Owner,
    /// What came of a trusted issuer's tokens until now, and those tokens.
    Issuer,
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRevocation {
    pub kind: RevokeKind,
    /// The client id, `sub`, resource URI, owner id or issuer id; a bare `jti` only from a platform-admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512)]
    pub value: Option<String>,
    /// The token itself, for kind `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
    pub severity: Severity,
}

impl std::fmt::Debug for NewRevocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a bearer token and does not belong in a log.
        f.debug_struct("NewRevocation").field("kind", &self.kind).field("value", &self.value).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Revocation {
    pub id: String,
    /// `token`, `client`, `owner`, `subject`, `resource`, `key` or `issuer`.
    pub kind: String,
    pub value: String,
    /// Dead is what was issued until then. Absent: whenever it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When nothing it could match can still be alive.
    pub expires_at: i64,
    pub reason: String,
    pub severity: String,
    pub revoked_by: String,
    pub created_at: i64,
}
