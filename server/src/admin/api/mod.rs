//! What the admin API says and hears: one type per JSON body, shared by the server and the CLI.
//!
//! Requests refuse members they don't know, so that a misspelt limit is an error and not a
//! default. Times are integer seconds. Nothing here decides anything, and a secret is in no
//! type but the answer meant for it.

mod agents;
mod approvals;
mod audit;
mod audit_sinks;
mod budgets;
mod client_documents;
mod custody;
mod explain;
mod grants;
mod issuers;
mod key_encryption;
mod owners;
mod policies;
mod registration_tokens;
mod resources;
mod responsible;
mod revocations;
mod rules;
mod shapes;
mod signing_keys;
mod streams;

pub use agents::{
    Agent, AgentCertificate, AgentCreated, AgentKey, AgentSecret, ChangeState, KeyCreated, NarrowAgent, NewAgent,
    NewKey, NewSecret, NotReady, PatchAgent, RateAgent, Readiness, ReissueAgent, RevokeAgent, SecretCreated, Warning,
};
pub use approvals::{ApprovalQuery, ApprovalRequest, ApprovalStatus, Approve, Refuse};
pub use audit::{AuditExport, AuditItem, AuditQuery, Checkpoint, ExportQuery, ExportedRecord, StreamQuery, Writer};
pub use audit::{NewRedaction, Redacted, RedactedRecord};
pub use audit_sinks::{AuditSink, AuditSinkCreated, AuditSinkTried, NewAuditSink, PauseAuditSink};
pub use budgets::{Budget, BudgetUse, IncreaseBudget, NewBudget, PatchBudget};
pub use client_documents::{AgentDocument, ClientDocument, NewClientDocument};
pub use custody::{
    ActivateVersion, Credential, CredentialNotReady, CredentialReadiness, CredentialSettings, CredentialState,
    CredentialVersion, Exposure, NewCredential, PatchCredential, ProbeResult, RotateCredential, VersionState,
};
pub use explain::{
    Explain, ExplainFederated, ExplainSubject, Explained, Granted, PolicyExplained, RuleExplained, Verdict, VerdictWord,
};
pub use grants::{CredentialGrant, Edge, EdgeStatus, GrantQuery, GrantSettings, NewGrant, PatchGrant};
pub use issuers::{Issuer, NewIssuer, PatchIssuer};
pub use key_encryption::{KeyEncryptionKey, KeyEncryptionStatus};
pub use owners::{NewOwner, Owner, State};
pub use policies::{
    DryRun, DryRunCount, DryRunExample, DryRunResult, NewPolicy, PatchPolicy, Policy, PolicyChecked, PolicyFault,
    PolicySchema, PolicyState, PolicyVersion, ValidatePolicy,
};
pub use registration_tokens::{
    NewRegistrationToken, RegistrationToken, RegistrationTokenCreated, RegistrationTokenState,
};
pub use resources::{NewResource, PatchResource, Resource};
pub use responsible::{Departed, Departure, Responsible, Transfer};
pub use revocations::{NewRevocation, Revocation, RevokeKind, Severity};
pub use rules::{AcceptRule, NewRule, Rule};
pub use shapes::{
    AccessEntryShape, ApprovalShape, BudgetCapShape, KeySourceShape, PartyShape, RuleSpecShape, ScopeEdgeShape,
};
pub use signing_keys::{Distrust, KeyStatus, SigningKey};
pub use streams::{StopStream, Stream, StreamDelivery};

use crate::records::RoleGrant;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use utoipa::{IntoParams, ToSchema};

/// Where the API lives under the issuer.
pub const BASE: &str = "/admin/v1";
/// The scope every read needs.
pub const SCOPE_READ: &str = "admin:read";
/// The scope every change needs.
pub const SCOPE_WRITE: &str = "admin:write";
/// The scope the audit needs.
pub const SCOPE_AUDIT: &str = "admin:audit";

/// The audience of admin tokens.
#[must_use]
pub fn audience(issuer: &str) -> String {
    format!("{issuer}/admin")
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to send as `after` for the next page. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// 1 to 200; 50 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub after: Option<String>,
}

/// Who is calling.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct WhoAmI {
    /// The client, or the person's subject here.
    pub client_id: String,
    pub owner: String,
    pub roles: Vec<RoleGrant>,
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<WhoAmIPerson>,
}

/// A person who logged in at a trusted issuer.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct WhoAmIPerson {
    pub issuer: String,
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
}

/// RFC 9457: why a request was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// A word for programs.
    pub code: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// What is wrong with one member of the body.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// RFC 6901 pointer into the body.
    pub pointer: String,
    pub detail: String,
}

/// A secret on its one way out. Prints nothing.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(transparent)]
pub struct ShownSecret(String);

impl ShownSecret {
    #[must_use]
    pub fn new(secret: &stipend_keys::Secret<String>) -> Self {
        Self(secret.expose().clone())
    }

    /// The secret. Each call is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ShownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownSecret(…)")
    }
}

/// For members where `null` says "none" and absence says "as it is" (RFC 7396).
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(de: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(de).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_secret_prints_nothing() {
        let secret = ShownSecret::new(&stipend_keys::Secret::new("hunter2".to_owned()));
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"hunter2\"");
    }

    #[test]
    fn null_and_absent_are_told_apart() {
        let null: PatchAgent = serde_json::from_str(r#"{"expires_at":null}"#).unwrap();
        let absent: PatchAgent = serde_json::from_str("{}").unwrap();
        assert_eq!((null.expires_at, absent.expires_at), (Some(None), None));
    }
}
