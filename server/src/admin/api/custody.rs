//! Credentials in custody. A value goes in and never comes out here.

use super::present;
use crate::custody::{CredentialKind, CredentialValue, HeaderSpec, Metering, Price, ReleaseMode};
use serde::{Deserialize, Serialize};
use stipend_token::Environment;
use stipend_token::constraint::Constraints;
use utoipa::ToSchema;

/// What is said of a credential beside its value. In a change: what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct CredentialSettings {
    pub template: Option<String>,
    pub base_url: Option<Option<String>>,
    pub header: Option<Option<HeaderSpec>>,
    pub modes: Option<Vec<ReleaseMode>>,
    pub constraints: Option<Constraints>,
    pub price: Option<Option<Price>>,
    pub metering: Option<Option<Metering>>,
    pub lease_seconds: Option<i64>,
}

/// A body with members of its own and those of [`CredentialSettings`]: serde can't refuse
/// unknown members of a type that is flattened into another.
macro_rules! credential_body {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// A well-known provider: how its key is sent, where it is, and what it reports as
            /// used.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(example = "openai")]
            pub template: Option<String>,
            /// Where the proxy sends calls. Absent: the template's.
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<String>, format = "uri", max_length = 512)]
            pub base_url: Option<Option<String>>,
            /// Where an API key stands. Absent: as the template says, else
            /// `Authorization: Bearer`.
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<HeaderSpec>)]
            pub header: Option<Option<HeaderSpec>>,
            /// `proxy` alone where absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub modes: Option<Vec<ReleaseMode>>,
            /// Of every use: `methods`, `hosts`, `paths`, `rate`, `max_amount`, `recipients`,
            /// `source`, `time_of_day`, `uses`, `mode`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Object>)]
            pub constraints: Option<Constraints>,
            /// What one call or release costs.
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Price>)]
            pub price: Option<Option<Price>>,
            /// Calls are charged by what the upstream reports as used.
            #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Metering>)]
            pub metering: Option<Option<Metering>>,
            /// How long an agent may keep what it was given; 300 where absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(minimum = 1, maximum = 3600)]
            pub lease_seconds: Option<i64>,
        }

        impl $name {
            #[must_use]
            pub fn settings(&self) -> CredentialSettings {
                CredentialSettings {
                    template: self.template.clone(),
                    base_url: self.base_url.clone(),
                    header: self.header.clone(),
                    modes: self.modes.clone(),
                    constraints: self.constraints.clone(),
                    price: self.price.clone(),
                    metering: self.metering.clone(),
                    lease_seconds: self.lease_seconds,
                }
            }
        }
    };
}

credential_body! {
    /// A key of another service.
    #[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
    NewCredential {
        pub owner: String,
        #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,38}$", example = "qwen-prod")]
        pub name: String,
        /// `{"api_key":{"key":…}}`, `{"basic":{"username":…,"password":…}}`,
        /// `{"oauth_client_credentials":{"token_url":…,"client_id":…,"client_secret":…,"scope":…}}`
        /// or `{"headers":{"headers":{NAME:…}}}`. Write-only.
        #[schema(value_type = Object, write_only)]
        pub value: CredentialValue,
        /// `sandbox` or `live` (where absent); agents of the other never use it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, pattern = "^(sandbox|live)$")]
        pub environment: Option<Environment>,
    }
}

credential_body! {
    /// What is to change of a credential; its value changes by rotation.
    #[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
    PatchCredential {}
}

/// Another value instead of the one in use.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCredential {
    /// Of the credential's kind. Write-only.
    #[schema(value_type = Object, write_only)]
    pub value: CredentialValue,
    /// False: the version waits until it is activated.
    #[serde(default = "yes")]
    pub activate: bool,
    /// How long the version before it may still be used by whoever was given it; 0 where absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2592000)]
    pub retire_after_seconds: i64,
}

fn yes() -> bool {
    true
}

/// Which version, and what becomes of the one before it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateVersion {
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2592000)]
    pub retire_after_seconds: i64,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialState {
    Active,
    Disabled,
    /// All its versions are destroyed. Final.
    Destroyed,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Waits to be activated.
    Pending,
    /// In use.
    Active,
    /// Not in use any more, and still good for whoever was given it.
    Retiring,
    Retired,
    /// The value is gone for good.
    Destroyed,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct CredentialVersion {
    pub id: String,
    pub number: i64,
    pub state: VersionState,
    /// The same for the same secret of the same owner, and otherwise meaningless.
    #[schema(example = "7K3M-PQ0A-VZ9D")]
    pub fingerprint: String,
    pub created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<i64>,
    /// Since when it must be taken as known to others: an agent that had seen it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_at: Option<i64>,
    /// Agents that have seen it in clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed_to: Vec<Exposure>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Exposure {
    pub agent: String,
    pub mode: ReleaseMode,
    pub first_at: i64,
    pub last_at: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Credential {
    pub id: String,
    pub owner: String,
    pub name: String,
    pub kind: CredentialKind,
    #[schema(value_type = String)]
    pub environment: Environment,
    pub state: CredentialState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderSpec>,
    pub modes: Vec<ReleaseMode>,
    #[schema(value_type = Object)]
    pub constraints: Constraints,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metering: Option<Metering>,
    pub lease_seconds: i64,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub readiness: CredentialReadiness,
    /// Newest first; in a list only the active one.
    pub versions: Vec<CredentialVersion>,
}

/// Whether it could be used now, and everything that keeps it from that.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct CredentialReadiness {
    pub ready: bool,
    pub reasons: Vec<CredentialNotReady>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialNotReady {
    Disabled,
    Destroyed,
    OwnerDisabled,
    NoActiveVersion,
    /// Calls could not be sent anywhere.
    NoBaseUrl,
    /// The version in use has been seen by an agent that was revoked.
    Compromised,
}

/// What came of a harmless call with the value in use.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ProbeResult {
    /// The upstream answered 2xx.
    pub accepted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}
