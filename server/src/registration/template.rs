//! What the clients of a registration token get at most: stored with the token as JSON.

use crate::admin::api::AccessEntryShape;
use crate::grant::GRANT_TYPES;
use crate::limits::DEFAULT_TTL_SECONDS;
use crate::records::{AuthMethod, ClientSettings};
use serde::{Deserialize, Serialize};
use stipend_token::Environment;
use stipend_token::access::AccessEntry;
use utoipa::ToSchema;

/// The methods that a client can register: what they need is in RFC 7591 and RFC 8705, or made
/// by us.
pub const REGISTRABLE: [AuthMethod; 5] = [
    AuthMethod::PrivateKeyJwt,
    AuthMethod::ClientSecretBasic,
    AuthMethod::ClientSecretPost,
    AuthMethod::TlsClientAuth,
    AuthMethod::SelfSignedTlsClientAuth,
];

/// Most methods that a template names.
pub const MAX_AUTH_METHODS: usize = REGISTRABLE.len();

/// What each client gets at most.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RegistrationTemplate)]
pub struct Template {
    /// What it may get tokens for; the first entry is the default resource.
    #[schema(value_type = Vec<AccessEntryShape>, min_items = 1, max_items = 64)]
    pub access: Vec<AccessEntry>,
    /// How it may authenticate; private_key_jwt and client_secret_basic where absent.
    #[serde(default = "default_auth_methods")]
    #[schema(min_items = 1, max_items = 5)]
    pub auth_methods: Vec<AuthMethod>,
    /// The grants it may use; every one where absent.
    #[serde(default = "default_grant_types")]
    #[schema(min_items = 1, max_items = 8)]
    pub grant_types: Vec<String>,
    /// `live` where absent.
    #[serde(default = "default_environment")]
    #[schema(value_type = String, pattern = "^(sandbox|live)$")]
    pub environment: Environment,
    /// Life of its tokens; 300 where absent.
    #[serde(default = "default_ttl")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: i64,
    /// Life of its secret; 90 days where absent, 365 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_in_seconds: Option<i64>,
    /// How long after its registration the client itself ends; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_expires_in_seconds: Option<i64>,
    /// What its tokens are bound to, whatever it says.
    #[serde(default)]
    pub settings: ClientSettings,
}

fn default_auth_methods() -> Vec<AuthMethod> {
    vec![AuthMethod::PrivateKeyJwt, AuthMethod::ClientSecretBasic]
}

fn default_grant_types() -> Vec<String> {
    GRANT_TYPES.map(str::to_owned).to_vec()
}

fn default_environment() -> Environment {
    Environment::Live
}

fn default_ttl() -> i64 {
    DEFAULT_TTL_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_what_the_documentation_says() {
        let text = r#"{"access":[{"resource":"https://orders.example","scopes":["read"]}]}"#;
        let template: Template = serde_json::from_str(text).unwrap();
        assert_eq!(template.auth_methods, [AuthMethod::PrivateKeyJwt, AuthMethod::ClientSecretBasic]);
        assert_eq!((template.environment, template.ttl_seconds), (Environment::Live, 300));
        assert_eq!(template.grant_types, GRANT_TYPES);
        let stored = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&stored).unwrap(), template);
        assert!(serde_json::from_str::<Template>(r#"{"access":[],"roles":[]}"#).is_err(), "no roles by registration");
    }
}
