//! What is said of a credential and of a grant, beside the value: JSON columns of the database
//! and members of the admin API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_token::budget::{Amount, Unit};
use stipend_token::constraint::Constraints;
use utoipa::ToSchema;

/// How long an agent may keep what it was given, where nothing is said, and at most.
pub const DEFAULT_LEASE_SECONDS: i64 = 300;
pub const MAX_LEASE_SECONDS: i64 = 3600;

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// One secret in one header.
    ApiKey,
    /// HTTP Basic (RFC 7617).
    Basic,
    /// The upstream's own client credentials grant (RFC 6749 section 4.4): the token is fetched
    /// and refreshed here.
    OauthClientCredentials,
    /// Several headers.
    Headers,
}

/// How an agent comes by a credential.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseMode {
    /// Calls go through the server, and the agent never sees the value.
    Proxy,
    /// A reference that can be turned into the value once.
    Wrapped,
    /// The value encrypted to the agent's registered key.
    Jwe,
    /// The value itself.
    Plaintext,
}

impl ReleaseMode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Wrapped => "wrapped",
            Self::Jwe => "jwe",
            Self::Plaintext => "plaintext",
        }
    }
}

/// Where an API key stands in a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderSpec {
    /// A field name in lower case.
    #[schema(example = "authorization")]
    pub name: String,
    /// Before the key, as `Bearer ` with its space.
    #[serde(default)]
    pub prefix: String,
}

/// What one call or release costs. An integer, in the unit's smallest part.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    #[schema(value_type = String, example = "call")]
    pub unit: String,
    pub decimals: i64,
    #[schema(value_type = i64, minimum = 0, maximum = 999999999999999i64)]
    pub amount: Amount,
}

impl Price {
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        Unit::new(&self.unit, self.decimals).ok()
    }
}

/// Calls are charged by what the upstream reports as used: `USD` at 6 decimals.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Metering {
    /// Held before each call, in millionths of a dollar, instead of a bound that is computed from
    /// what the request says. What a call uses beyond it is taken from what is left, and told as
    /// overage where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub max_cost: Option<Amount>,
    /// Prices instead of the template's: by prefix of the model's name, millionths of a dollar
    /// per million tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub prices: Option<Value>,
}

/// What is said of a credential.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderSpec>,
    pub modes: Vec<ReleaseMode>,
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metering: Option<Metering>,
    #[serde(default = "default_lease")]
    pub lease_seconds: i64,
}

fn default_lease() -> i64 {
    DEFAULT_LEASE_SECONDS
}

/// What is said of a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    pub modes: Vec<ReleaseMode>,
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    /// One of the agent's tasks, whose budget caps what is spent through this grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The agent's key for `jwe` (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_jwk: Option<Map<String, Value>>,
}
