//! The profile: what a run must know about an issuer and cannot find out.
//!
//! Owns the file format. It names clients, resources and one allowed exchange,
//! and says which features an issuer lacks; it must never say anything about
//! how the issuer is built.

mod sections;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

pub use sections::{
    Authority, Budget, Certificates, Details, Dpop, IdentityAssertion, IdentityProvider, KeyFile, Protected, Signals,
    Spiffe, Subject,
};

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("cannot read {path}: {cause}")]
    Unreadable { path: String, cause: std::io::Error },
    #[error("not a profile: {0}")]
    Malformed(#[from] toml::de::Error),
    #[error("the issuer's URL is given neither in the profile nor by --issuer")]
    NoIssuer,
    #[error("the issuer is plain http; say --allow-http or issuer.insecure_http = true")]
    PlainHttp,
    #[error("client {client}: {reason}")]
    Client { client: String, reason: String },
}

/// A value that must not appear in a debug print.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub issuer: IssuerSection,
    pub clients: BTreeMap<String, Client>,
    pub resources: BTreeMap<String, Resource>,
    pub introspection: Option<Introspection>,
    pub exchange: Option<Exchange>,
    pub registration: Option<Registration>,
    pub documents: Option<Documents>,
    pub dpop: Option<Dpop>,
    /// Endpoints that take access tokens, by a name of one's own.
    #[serde(default)]
    pub protected: BTreeMap<String, Protected>,
    pub idp: Option<IdentityProvider>,
    pub id_jag: Option<IdentityAssertion>,
    pub certificates: Option<Certificates>,
    pub spiffe: Option<Spiffe>,
    pub details: Option<Details>,
    pub budget: Option<Budget>,
    pub signals: Option<Signals>,
    /// A resource whose tokens have a place in a status list.
    pub status_resource: Option<String>,
    #[serde(default)]
    pub tokens: Tokens,
    #[serde(default)]
    pub capabilities: Capabilities,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSection {
    /// The issuer identifier, byte for byte. `--issuer` overrides it.
    #[serde(default)]
    pub url: String,
    /// What `scope` comes back when it is left out; absent if it is an error.
    pub default_scope: Option<String>,
    #[serde(default)]
    pub insecure_http: bool,
    /// Whose certificates the issuer's TLS listener is trusted by: PEM, in place or as a file
    /// name. Left out, the system's.
    pub ca_pem: Option<String>,
    pub ca_file: Option<String>,
}

/// How a client authenticates. The keys `basic`, `post`, `jwt`, `other`,
/// `disabled`, `expired_secret`, `odd`, `legacy_aud`, `public` and
/// `no_exchange` have a meaning of their own; further names are free.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    pub id: String,
    pub secret: Option<Secret>,
    /// A second secret, valid at the same time.
    pub second_secret: Option<Secret>,
    /// `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`.
    pub method: Option<String>,
    /// PKCS#8, in place or as a file name.
    pub private_key_pem: Option<Secret>,
    pub private_key_file: Option<String>,
    pub alg: Option<String>,
    pub kid: Option<String>,
    /// The `sub` its own tokens carry, where that is known.
    pub sub: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    pub uri: String,
    #[serde(default)]
    pub scopes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The client that asks: a relying service of `resource`.
    pub client: String,
    /// Resource whose tokens can be introspected and revoked.
    pub resource: String,
    /// A resource the asking client has nothing to do with.
    pub foreign_resource: Option<String>,
}

/// What lets the run register clients (RFC 7591 section 3).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Good for at least 40 clients, with secrets, by client credentials, at resource `a`.
    pub initial_access_token: Secret,
}

/// Where the run publishes documents of clients, and how the issuer gets there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    /// Address and port that the run listens at, for plain HTTP.
    pub listen: String,
    /// What the URLs of the documents begin with, up to a slash: the issuer admits what is under
    /// it as clients, 40 at least, by client credentials, at resource `a`. Left out, it is the
    /// listener's own address.
    pub url: Option<String>,
}

/// One allowed exchange and what surrounds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub subject_client: String,
    pub subject_resource: String,
    pub subject_scope: String,
    pub actor_client: String,
    /// Resource of the actor's own token; without it no actor token is sent.
    pub actor_resource: Option<String>,
    /// The target, by its `resources` name, sent as `audience`.
    pub audience: String,
    pub scope: String,
    /// A scope of the target that the subject token does not stand for.
    pub wider_scope: String,
    /// A client for which no rule exists.
    pub unruled_client: Option<String>,
    /// Clients that hand the token on, each to the next, all at `audience`.
    #[serde(default)]
    pub chain: Vec<String>,
    /// Longest `act` chain allowed.
    pub depth_cap: Option<usize>,
    /// Who may introspect tokens for `audience`; `introspection.client` if left out.
    pub introspection_client: Option<String>,
    /// A subject token that carries `may_act`, and who it does and does not name.
    pub may_act: Option<MayAct>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MayAct {
    pub subject_token: Secret,
    pub allowed_client: String,
    pub refused_client: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// An access token of this issuer that has expired.
    pub expired: Option<Secret>,
    /// Or a resource whose tokens live so short that the run can wait.
    pub short_lived_resource: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// False: the rows of level H are skipped.
    #[serde(default = "yes")]
    pub house: bool,
    /// Feature name to the reason shown on its rows.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
    /// Wrong secrets to try before a lack of throttling is a failure.
    #[serde(default = "guesses")]
    pub guesses: usize,
}

fn yes() -> bool {
    true
}

fn guesses() -> usize {
    200
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { house: yes(), missing: BTreeMap::new(), guesses: guesses() }
    }
}

impl Profile {
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        Ok(toml::from_str(text)?)
    }

    /// Reads a profile; key files are looked up beside it.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let mut profile = Self::from_toml(&read(path)?)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for client in profile.clients.values_mut() {
            if let Some(file) = client.private_key_file.take() {
                client.private_key_pem = Some(Secret(read(&folder.join(file))?));
            }
        }
        if let Some(file) = profile.issuer.ca_file.take() {
            profile.issuer.ca_pem = Some(read(&folder.join(file))?);
        }
        for key in profile.keys_mut() {
            if let Some(file) = key.private_key_file.take() {
                key.private_key_pem = Secret(read(&folder.join(file))?);
            }
        }
        Ok(profile)
    }

    /// The keys of everybody whom the runner plays.
    fn keys_mut(&mut self) -> impl Iterator<Item = &mut KeyFile> {
        let idp = self.idp.iter_mut().map(|idp| &mut idp.key);
        let authority = self.certificates.iter_mut().map(|section| &mut section.authority.key);
        let spiffe = self.spiffe.iter_mut().flat_map(|s| {
            [&mut s.key, &mut s.other_key].into_iter().chain(s.authority.as_mut().map(|authority| &mut authority.key))
        });
        idp.chain(authority).chain(spiffe)
    }

    /// Refuses what no run can work with.
    pub fn validate(&self, allow_http: bool) -> Result<(), ProfileError> {
        if self.issuer.url.is_empty() {
            return Err(ProfileError::NoIssuer);
        }
        if self.issuer.url.starts_with("http://") && !(allow_http || self.issuer.insecure_http) {
            return Err(ProfileError::PlainHttp);
        }
        for (name, client) in &self.clients {
            crate::client::Credential::of(name, client)
                .map_err(|reason| ProfileError::Client { client: name.clone(), reason })?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, ProfileError> {
    std::fs::read_to_string(path).map_err(|cause| ProfileError::Unreadable { path: path.display().to_string(), cause })
}
