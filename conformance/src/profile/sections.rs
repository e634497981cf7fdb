//! The optional sections: what unlocks the rows on bound tokens, on issuers that the runner
//! plays itself, on certificates, and on what is asked for beyond scopes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Secret;

/// Tokens bound to a key (RFC 9449).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpop {
    /// Has a secret, and may have tokens for resource `a`, bound or not.
    pub client: String,
    /// Registered with `dpop_bound_access_tokens`.
    pub bound_client: Option<String>,
    /// May exchange the bound tokens of `exchange.subject_client`, by a key of its own.
    pub handed_on: Option<String>,
    /// Whether the issuer demands a nonce of its own in every proof.
    #[serde(default)]
    pub nonce: bool,
}

/// An endpoint that takes access tokens of the issuer (RFC 6750, RFC 9728).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    /// The name in `resources` of what its tokens are for.
    pub resource: String,
    pub scope: String,
    /// Has a secret.
    pub client: String,
    #[serde(default = "get")]
    pub method: String,
    pub url: String,
    /// JSON, sent as it stands.
    pub body: Option<String>,
    /// Whether the resource has metadata by RFC 9728.
    #[serde(default)]
    pub metadata: bool,
    /// A scope of the resource that is not enough here.
    pub narrow_scope: Option<String>,
    /// May have a token of the same scope, and yet nothing of what is behind this endpoint.
    pub other_client: Option<String>,
    /// The same for something of which one call in an hour or more is allowed.
    pub limited_url: Option<String>,
}

fn get() -> String {
    "GET".into()
}

/// A private key that the runner signs with: PKCS#8, in place or as a file name.
#[derive(Clone, Debug, Deserialize)]
pub struct KeyFile {
    #[serde(default = "no_key")]
    pub private_key_pem: Secret,
    pub private_key_file: Option<String>,
    pub alg: Option<String>,
    pub kid: Option<String>,
}

fn no_key() -> Secret {
    Secret(String::new())
}

/// An issuer that the runner plays, and whose tokens the issuer under test takes.
#[derive(Clone, Debug, Deserialize)]
pub struct IdentityProvider {
    pub issuer: String,
    #[serde(flatten)]
    pub key: KeyFile,
    /// Where the runner publishes metadata and keys, such as `127.0.0.1:4700`; left out, the
    /// issuer under test knows the key already.
    pub listen: Option<String>,
    /// The `aud` of its ID tokens.
    pub audience: String,
    /// May act for its users at `resource` with `scope`. Has a secret.
    pub client: String,
    /// For which no rule exists.
    pub other_client: Option<String>,
    pub resource: String,
    pub scope: String,
    /// A scope of `resource` that the rule does not give.
    pub wider_scope: String,
    /// It is one issuer for many tenants, and this claim names the user's.
    pub tenant_claim: Option<String>,
    /// Whether its identity assertions are taken as JWT bearer grants.
    #[serde(default)]
    pub grants: bool,
    /// Whether plain JWTs of it are grants as well, which have the type `JWT` or none
    /// (draft-ietf-oauth-identity-chaining).
    #[serde(default)]
    pub plain_grants: bool,
}

/// An exchange that leads to another authorization server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityAssertion {
    /// May exchange the tokens of `exchange.subject_client`. Has a secret.
    pub client: String,
    /// The other server's issuer identifier.
    pub audience: String,
    pub scope: String,
    /// What the grant may name there.
    pub resource: Option<String>,
    /// `client` may take ID tokens of `idp` there, if they were made for it.
    #[serde(default)]
    pub id_tokens: bool,
}

/// An authority whose certificates the runner makes: its name must be a common name alone.
#[derive(Clone, Debug, Deserialize)]
pub struct Authority {
    pub common_name: String,
    #[serde(flatten)]
    pub key: KeyFile,
}

/// Clients by certificate (RFC 8705).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// Trusted for `tls_client_auth`.
    pub authority: Authority,
    #[serde(default)]
    pub subjects: Vec<Subject>,
    /// Client id, certificate and key for `self_signed_tls_client_auth`.
    pub self_signed: Option<SelfSigned>,
    /// Has a secret, and is registered with `tls_client_certificate_bound_access_tokens`.
    pub bound_client: Option<String>,
}

/// A client and the one name by which its certificates are known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub client_id: String,
    /// `common_name` (a subject DN of it alone), `san_dns`, `san_uri`, `san_ip` or `san_email`.
    pub kind: String,
    pub value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfSigned {
    pub client_id: String,
    pub certificate_pem: String,
    pub private_key_pem: Secret,
}

/// A trust domain that the runner plays.
#[derive(Clone, Debug, Deserialize)]
pub struct Spiffe {
    /// Of the workload.
    pub spiffe_id: String,
    /// Authenticates by JWT-SVID.
    pub jwt_client_id: Option<String>,
    /// Authenticates by X.509-SVID.
    pub x509_client_id: Option<String>,
    #[serde(flatten)]
    pub key: KeyFile,
    /// Of the X.509-SVIDs.
    pub authority: Option<Authority>,
    /// Signs for another trust domain, which the issuer knows too.
    pub other_key: KeyFile,
}

/// `authorization_details` (RFC 9396): lists in JSON, sent as they stand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Has a secret.
    pub client: String,
    pub resource: String,
    pub scope: String,
    /// Granted as it is.
    pub granted: String,
    /// Within it, and outside it.
    pub narrower: String,
    pub wider: String,
    /// A client with a secret that may have tokens of `scope` at `resource`, and is registered for
    /// other types than that of `granted` (RFC 9396 section 10).
    pub limited_client: Option<String>,
    /// Each wrong in one way: `unknown field`, `wrong JSON type`, `invalid value` and
    /// `missing field` are tried, and whatever else is named.
    #[serde(default)]
    pub faults: BTreeMap<String, String>,
}

/// Budgets, as Stipend has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Has a secret and a line in `unit` that holds at least 100000.
    pub client: String,
    /// Serves `resource`, and spends.
    pub service: String,
    /// Serves another resource.
    pub other_service: String,
    pub resource: String,
    /// Has the same scope, and takes no budgets.
    pub plain_resource: String,
    pub scope: String,
    pub unit: String,
    pub decimals: u64,
    /// A unit in which the client has no line, with its decimals.
    pub other_unit: String,
    pub other_decimals: u64,
}

/// Security events (OpenID SSF 1.0) and who may have a stream of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signals {
    /// A relying service of resource `a` without a stream. Has a secret.
    pub client: String,
    /// Another, which does not serve `a`.
    pub other_client: String,
    /// The name in `resources` of the security events service, and the scopes for it.
    pub resource: String,
    pub scope: String,
    /// A scope that lets a stream be read and not changed.
    pub read_scope: String,
    /// Where the runner takes pushed events, such as `127.0.0.1:4702`: an address that the issuer
    /// under test may send to. Left out, push is not tried.
    pub listen: Option<String>,
    /// Whether clients that the run registers may have tokens of resource `a`.
    #[serde(default)]
    pub registered_clients: bool,
    /// Whether `budget.resource` is served by `client`.
    #[serde(default)]
    pub budgets: bool,
}
