//! Why an exchange would be allowed or refused.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::net::IpAddr;
use stipend_token::rule::ExchangeMode;
use stipend_token::{Audience, Environment, ScopeSet};
use utoipa::ToSchema;

/// An exchange to judge without doing it. One of `subject_token`, `subject` and `federated`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The client that would exchange.
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<ExplainSubject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated: Option<ExplainFederated>,
    /// Whether the client would send an actor token too.
    #[serde(default)]
    pub actor_token_present: bool,
    /// The subject token's own where empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 8)]
    pub audience: Vec<Audience>,
    /// Where the request would come from, for policies that ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10.1.2.3")]
    pub source: Option<IpAddr>,
    /// Space separated, as at the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What would be asked for is an identity assertion grant; `audience` is the resource that
    /// stands for its authorization server.
    #[serde(default)]
    pub id_jag: bool,
}

/// A good token of a trusted issuer, only imagined.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainFederated {
    /// The issuer's id.
    pub issuer: String,
    /// The subject's name there.
    pub subject: String,
}

/// A subject token that is only imagined.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainSubject {
    pub client_id: String,
    /// The client's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 8)]
    pub audience: Vec<Audience>,
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub act: Option<Map<String, Value>>,
    /// `live` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Environment>,
    /// Clients of the token's ancestors, root first.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub lineage_clients: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Explained {
    pub allowed: bool,
    /// What the token endpoint would answer as `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Granted>,
    /// What each rule of the actor's owner says.
    pub rules: Vec<RuleExplained>,
    /// Which policies would refuse what rules allow, of those that the caller may see. Amounts
    /// are not known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyExplained>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Granted {
    #[schema(value_type = Vec<String>)]
    pub aud: Vec<Audience>,
    #[schema(value_type = Vec<String>)]
    pub scope: ScopeSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub act: Option<Value>,
    pub expires_in: i64,
    #[schema(value_type = String)]
    pub mode: ExchangeMode,
    /// Ids of the rules it took. Empty: none was needed.
    pub rules: Vec<String>,
    /// The owners whose people must approve first. Empty: the token endpoint issues it at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
}

/// A statement of a policy that refuses.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PolicyExplained {
    pub policy: String,
    pub version: i64,
    /// From 1.
    pub statement: usize,
}

impl fmt::Display for PolicyExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}, statement {}", self.policy, self.version, self.statement)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RuleExplained {
    pub id: String,
    /// One for each audience asked for, in that order.
    pub verdicts: Vec<Verdict>,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Verdict {
    #[schema(value_type = String)]
    pub audience: Audience,
    pub verdict: VerdictWord,
    /// What the rule lets through, when it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope: Option<ScopeSet>,
    /// The owner that has not accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    Allows,
    Disabled,
    OtherActor,
    OtherSubject,
    OtherAudience,
    OtherOrigin,
    NotAccepted,
    Impersonates,
    ScopeExceeded,
    OtherForm,
}
