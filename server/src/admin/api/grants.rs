//! Grants of credentials, and the topology that they make.

use super::owners::State;
use super::present;
use crate::custody::ReleaseMode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_token::constraint::Constraints;
use utoipa::{IntoParams, ToSchema};

/// What is said of a grant. In a change: what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct GrantSettings {
    pub modes: Option<Vec<ReleaseMode>>,
    pub constraints: Option<Constraints>,
    pub task: Option<Option<String>>,
    pub encryption_jwk: Option<Option<Map<String, Value>>>,
    pub expires_at: Option<Option<i64>>,
}

/// A body with members of its own and those of [`GrantSettings`].
macro_rules! grant_body {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// `proxy` alone where absent. The credential must allow them too.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub modes: Option<Vec<ReleaseMode>>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Object>)]
            pub constraints: Option<Constraints>,
            /// One of the agent's tasks, whose budget caps what is spent through this grant.
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<String>, max_length = 64)]
            pub task: Option<Option<String>>,
            /// The agent's public key for `jwe` (RFC 7517): P-256, P-384, P-521, X25519 or RSA.
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Object>)]
            pub encryption_jwk: Option<Option<Map<String, Value>>>,
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<i64>)]
            pub expires_at: Option<Option<i64>>,
        }

        impl $name {
            #[must_use]
            pub fn settings(&self) -> GrantSettings {
                GrantSettings {
                    modes: self.modes.clone(),
                    constraints: self.constraints.clone(),
                    task: self.task.clone(),
                    encryption_jwk: self.encryption_jwk.clone(),
                    expires_at: self.expires_at,
                }
            }
        }
    };
}

grant_body! {
    /// Lets an agent use a credential.
    #[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
    NewGrant {
        pub credential: String,
        pub agent: String,
    }
}

grant_body! {
    /// What is to change of a grant.
    #[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
    PatchGrant {}
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CredentialGrant {
    pub id: String,
    pub credential: String,
    pub agent: String,
    /// The credential's.
    pub owner: String,
    pub state: State,
    pub modes: Vec<ReleaseMode>,
    #[schema(value_type = Object)]
    pub constraints: Constraints,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub encryption_jwk: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Which page of the grants, and of whose.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// 1 to 200; 50 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub after: Option<String>,
}

/// An agent, a credential, and what stands between them.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Edge {
    pub grant: String,
    pub agent: String,
    pub credential: String,
    pub status: EdgeStatus,
    /// By which the credential can be used through this grant.
    pub modes: Vec<ReleaseMode>,
    /// The version in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_mode: Option<ReleaseMode>,
    pub uses: i64,
    /// The agent has seen the version in use in clear.
    pub exposed: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeStatus {
    Active,
    Disabled,
    Expired,
    /// The agent can't get tokens.
    AgentNotReady,
    CredentialNotReady,
    /// The credential allows none of the grant's modes.
    NoMode,
}
