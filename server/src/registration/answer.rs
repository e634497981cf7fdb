//! The client information response (RFC 7591 section 3.2.1): all that is registered, what the
//! server set included.

use super::bounds::{Given, scopes_of};
use super::metadata::Said;
use crate::admin::api::ShownSecret;
use crate::app::App;
use crate::grant::GRANT_TYPES;
use crate::reason::Reason;
use crate::records::AuthMethod;
use serde::Serialize;
use serde_json::{Value, json};
use stipend_keys::Secret;
use stipend_schema::queries::ClientBundle;
use stipend_token::access::AccessEntry;
use stipend_token::details::DETAILS_TYPES;
use stipend_token::{Audience, ScopeSet};

/// A registered client, for whoever holds its registration access token.
#[derive(Debug, Serialize)]
pub struct Registered {
    pub client_id: String,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<ShownSecret>,
    /// There where the client has a secret, shown or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<i64>,
    registration_access_token: ShownSecret,
    registration_client_uri: String,
    token_endpoint_auth_method: AuthMethod,
    grant_types: Vec<String>,
    authorization_details_types: Vec<String>,
    response_types: [String; 0],
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_subject_dn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_email: Option<String>,
    dpop_bound_access_tokens: bool,
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(flatten)]
    said: Said,
    /// What `resource` may name, and the scopes there: not in the RFC, and nowhere else to be
    /// learned by a program.
    access: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Place {
    resource: Audience,
    scopes: ScopeSet,
}

/// Makes the answer from what is stored, and what is shown this once.
pub(super) fn registered(
    app: &App,
    bundle: &ClientBundle,
    (said, given): (&Said, &Given),
    access_token: &Secret<String>,
    secret: Option<ShownSecret>,
) -> Result<Registered, Reason> {
    let row = &bundle.client;
    let read = |_| Reason::Internal;
    let access: Vec<AccessEntry> = serde_json::from_str(&row.access).map_err(read)?;
    let keys = bundle.keys.iter().map(|key| serde_json::from_str(&key.jwk)).collect::<Result<Vec<Value>, _>>();
    let keys = keys.map_err(read)?;
    let secret_end = bundle.secrets.iter().map(|secret| secret.expires_at).max();
    let settings = given.settings.clone();
    let grants = settings.grant_types;
    Ok(Registered {
        client_id_issued_at: row.created_at,
        client_secret: secret,
        client_secret_expires_at: secret_end,
        registration_access_token: ShownSecret::new(access_token),
        registration_client_uri: format!("{}/{}", app.urls.registration_endpoint, row.id),
        token_endpoint_auth_method: serde_json::from_value(Value::from(row.auth_method.as_str())).map_err(read)?,
        grant_types: grants.unwrap_or_else(|| GRANT_TYPES.map(str::to_owned).to_vec()),
        authorization_details_types: settings
            .authorization_details_types
            .unwrap_or_else(|| DETAILS_TYPES.map(str::to_owned).to_vec()),
        response_types: [],
        scope: scopes_of(&access, given.scope_ceiling.as_ref()),
        jwks: (!keys.is_empty()).then(|| json!({"keys": keys})),
        jwks_uri: settings.jwks_uri,
        tls_client_auth_subject_dn: settings.tls_client_auth_subject_dn,
        tls_client_auth_san_dns: settings.tls_client_auth_san_dns,
        tls_client_auth_san_uri: settings.tls_client_auth_san_uri,
        tls_client_auth_san_ip: settings.tls_client_auth_san_ip,
        tls_client_auth_san_email: settings.tls_client_auth_san_email,
        dpop_bound_access_tokens: settings.dpop_bound_access_tokens,
        tls_client_certificate_bound_access_tokens: settings.tls_client_certificate_bound_access_tokens,
        said: said.clone(),
        access: access.into_iter().map(|entry| Place { resource: entry.resource, scopes: entry.scopes }).collect(),
        client_id: row.id.clone(),
    })
}
