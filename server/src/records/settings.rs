//! What a client has registered of how it authenticates and what its tokens are bound to, beside
//! its method: one JSON column, so that each part can come and go without a migration.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stipend_token::rate::{Rate, RateError};

/// Absent members are off or empty; what is off or empty is not written.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientSettings {
    /// Its access tokens are bound to a DPoP key, always (RFC 9449 section 5.2).
    #[serde(skip_serializing_if = "is_off")]
    pub dpop_bound_access_tokens: bool,
    /// Its access tokens are bound to its certificate, always (RFC 8705 section 3.4).
    #[serde(skip_serializing_if = "is_off")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// For `private_key_jwt`: where it publishes its keys, in place of keys registered here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// What `aud` of ID tokens that other issuers made for it says, where that is not its id here:
    /// only such a one takes its user to another authorization server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_token_audiences: Vec<String>,
    /// For `tls_client_auth`, exactly one of five (RFC 8705 section 2.1.2): the subject's name,
    /// as RFC 4514 writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A host name among the subject's alternative names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address among them, compared in binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// An email address among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// For `federated_jwt`: who it is on the platform that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated: Option<FederatedIdentity>,
    /// For `spiffe_jwt` and `spiffe_x509`: its SPIFFE ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// For `federated_jwt` and `spiffe_jwt`: its platform hands out one token again and again until
    /// that ends, so it is not used up here.
    #[serde(skip_serializing_if = "is_off")]
    pub assertions_reusable: bool,
    /// The grants it may use (RFC 7591 section 2). Absent: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 8)]
    pub grant_types: Option<Vec<String>>,
    /// The types it may name in `authorization_details` (RFC 9396 section 10). Absent: every one.
    /// What comes without being asked for, such as a default budget, is none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 2)]
    pub authorization_details_types: Option<Vec<String>>,
    /// How often it may ask, in place of what holds for all clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<ClientRate>,
    /// How risky what it does is, as somebody outside judges it. Set by a call of its own, and by
    /// no change of the other settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// So many requests within so many seconds, on all nodes together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientRate {
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: u32,
    #[schema(minimum = 1, maximum = 86_400)]
    pub per_s: u32,
    /// So many at once. Absent: `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub burst: Option<u32>,
}

impl ClientRate {
    /// # Errors
    /// [`RateError`].
    pub fn rate(&self) -> Result<Rate, RateError> {
        Rate::new(self.count, self.per_s, self.burst.unwrap_or(self.count))
    }
}

/// CAEP section 3.8.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    Low,
    Medium,
    High,
}

impl RiskLevel {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// On the scale of the policies' `risk`, from 0 to 100.
    #[must_use]
    pub const fn score(self) -> i64 {
        match self {
            Self::Low => 20,
            Self::Medium => 50,
            Self::High => 80,
        }
    }
}

/// A judgement, until it is over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    pub level: RiskLevel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In seconds; afterwards the client is as if nobody had judged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Who judged, and when.
    pub by: String,
    pub at: i64,
}

impl ClientSettings {
    #[must_use]
    pub fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.as_ref().is_none_or(|allowed| allowed.iter().any(|allowed| allowed == grant_type))
    }

    #[must_use]
    pub fn may_ask(&self, details_type: &str) -> bool {
        self.authorization_details_types
            .as_ref()
            .is_none_or(|types| types.iter().any(|allowed| allowed == details_type))
    }

    /// How it is judged now, if it is.
    #[must_use]
    pub fn risk_at(&self, now: i64) -> Option<RiskLevel> {
        let risk = self.risk.as_ref().filter(|risk| risk.expires_at.is_none_or(|at| now < at))?;
        Some(risk.level)
    }

    /// Whether a token's claims are all that the registration requires beside its subject.
    #[must_use]
    pub fn federated_claims(&self) -> Option<&BTreeMap<String, Vec<String>>> {
        self.federated.as_ref().map(|identity| &identity.claims)
    }
}

/// A workload, as its platform knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FederatedIdentity {
    /// `iss` of its tokens: a trusted issuer, registered for client assertions.
    pub issuer: String,
    /// `sub` of its tokens.
    pub subject: String,
    /// Claims that must be there, each with one of these values, or a list that has one of them.
    /// A name that begins with a slash is a JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<String>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_off(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judgement_is_over_at_its_end() {
        let risk = |expires_at| Risk { level: RiskLevel::High, reason: None, expires_at, by: "x".into(), at: 0 };
        let settings = |expires_at| ClientSettings { risk: Some(risk(expires_at)), ..ClientSettings::default() };
        assert_eq!(settings(None).risk_at(i64::MAX), Some(RiskLevel::High));
        assert_eq!(settings(Some(100)).risk_at(99), Some(RiskLevel::High));
        assert_eq!(settings(Some(100)).risk_at(100), None);
        assert!(RiskLevel::Low < RiskLevel::Medium && RiskLevel::Medium < RiskLevel::High);
    }

    #[test]
    fn nothing_set_is_an_empty_object_and_an_unknown_setting_is_refused() {
        assert_eq!(serde_json::to_string(&ClientSettings::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<ClientSettings>("{}").unwrap(), ClientSettings::default());
        assert!(serde_json::from_str::<ClientSettings>(r#"{"dpop":true}"#).is_err());
    }
}
