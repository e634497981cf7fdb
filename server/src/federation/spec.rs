//! What is registered of a trusted issuer: values, and the checks that their types cannot make.

use super::jwks::KeySet;
use super::login::AdminLogin;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use stipend_keys::Algorithm;
use stipend_token::Environment;
use url::Url;
use utoipa::ToSchema;

/// Longest issuer identifier, URL, audience, host, and claim's name or value, in bytes.
pub const MAX_TEXT_BYTES: usize = 512;
/// Audiences, hosts, required claims, and allowed values of one, of an issuer.
pub const MAX_ENTRIES: usize = 32;
/// Longest key set that is registered itself.
pub const MAX_INLINE_BYTES: usize = 32 * 1024;

/// What an issuer is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// Its tokens name it in `iss`.
    #[default]
    Oidc,
    /// A SPIFFE trust domain: its tokens are JWT-SVIDs, which name it in `sub`.
    Spiffe,
}

/// Where an issuer's keys come from. Never from a token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The `jwks_uri` of the metadata at the issuer (OpenID Connect Discovery 1.0).
    Discovery,
    /// A key set at this URL; of a SPIFFE trust domain, its bundle.
    JwksUri(String),
    /// This key set.
    Jwks(Map<String, Value>),
}

/// What an issuer's tokens may be used for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerUse {
    /// As subject tokens of an exchange (RFC 8693).
    SubjectToken,
    /// As assertions by which clients authenticate (RFC 7523).
    ClientAssertion,
    /// As identity assertion grants.
    IdJag,
    /// By which people log in to administer this server.
    AdminLogin,
}

/// How an issuer's claims are read. A name that begins with a slash is a JSON pointer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimMapping {
    /// The claim that names the subject; `sub` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of an issuer with many tenants, the claim that names the subject's: a part of who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Claims that must be there, each with one of these values, or a list that has one of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required: BTreeMap<String, Vec<String>>,
    /// Which of its people administer this server, and how far. Only a platform-admin says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_login: Option<AdminLogin>,
}

/// What is registered of an issuer beside its name and its claims.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSpec {
    pub keys: KeySource,
    /// What `aud` of its subject tokens may say.
    pub audiences: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub uses: Vec<IssuerUse>,
    /// Hosts beside the issuer's own that its keys may be fetched from.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Where its subjects live; both where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
}

/// A trusted issuer as it is registered, in whatever state.
#[derive(Debug)]
pub struct Issuer {
    pub id: String,
    pub owner_id: String,
    /// As its tokens write it: compared byte for byte.
    pub issuer: String,
    pub kind: IssuerKind,
    pub spec: IssuerSpec,
    pub mapping: ClaimMapping,
    /// Its keys, where they are registered themselves.
    pub inline: Option<Arc<KeySet>>,
    pub active: bool,
}

impl Issuer {
    /// A client as the issuer of its own assertions, by the keys that it publishes. It is no
    /// trusted issuer, and never found as one.
    #[must_use]
    pub fn of_client(id: &str, owner_id: &str, jwks_uri: &str) -> Self {
        Self {
            id: id.to_owned(),
            owner_id: owner_id.to_owned(),
            issuer: id.to_owned(),
            kind: IssuerKind::Oidc,
            spec: IssuerSpec {
                keys: KeySource::JwksUri(jwks_uri.to_owned()),
                audiences: Vec::new(),
                algorithms: Algorithm::ALL.to_vec(),
                uses: Vec::new(),
                hosts: Vec::new(),
                environment: None,
            },
            mapping: ClaimMapping::default(),
            inline: None,
            active: true,
        }
    }

    #[must_use]
    pub fn permits(&self, wanted: IssuerUse) -> bool {
        self.spec.uses.contains(&wanted)
    }
}

/// What is wrong with a registration: the member, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpecFault {
    pub pointer: &'static str,
    pub detail: &'static str,
}

pub(super) const fn fault(pointer: &'static str, detail: &'static str) -> SpecFault {
    SpecFault { pointer, detail }
}

impl IssuerSpec {
    /// Checks a registration as a whole. What may be called by plain http, and which addresses,
    /// is the deployment's to say, and is asked at each fetch.
    ///
    /// # Errors
    /// [`SpecFault`], the first.
    pub fn check(&self, issuer: &str, kind: IssuerKind) -> Result<(), SpecFault> {
        match kind {
            IssuerKind::Oidc => check_url("/issuer", issuer)?,
            IssuerKind::Spiffe => check_trust_domain(issuer)?,
        }
        self.check_keys(kind)?;
        check_texts("/audiences", &self.audiences)?;
        check_texts("/hosts", &self.hosts)?;
        if self.hosts.iter().any(|host| !url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host)) {
            return Err(fault("/hosts", "are host names or addresses, as a URL writes them, without a port"));
        }
        if self.algorithms.is_empty() || has_repeats(&self.algorithms) {
            return Err(fault("/algorithms", "names at least one of ES256, EdDSA, PS256 and RS256, each once"));
        }
        if self.uses.is_empty() || has_repeats(&self.uses) {
            return Err(fault("/uses", "names at least one use, each once"));
        }
        // Without one, every token that the issuer made for anybody would do.
        let any_audience = self.uses.iter().any(|one| matches!(one, IssuerUse::SubjectToken | IssuerUse::AdminLogin));
        if any_audience && self.audiences.is_empty() {
            return Err(fault("/audiences", "names what `aud` of its tokens may say"));
        }
        Ok(())
    }

    fn check_keys(&self, kind: IssuerKind) -> Result<(), SpecFault> {
        match &self.keys {
            KeySource::Discovery if kind == IssuerKind::Spiffe => {
                Err(fault("/keys", "of a trust domain are a bundle: jwks_uri or jwks"))
            }
            KeySource::Discovery => Ok(()),
            KeySource::JwksUri(url) => check_url("/keys/jwks_uri", url),
            KeySource::Jwks(set) => super::source::check_inline(set, kind),
        }
    }
}

impl ClaimMapping {
    /// # Errors
    /// [`SpecFault`], the first.
    pub fn check(&self) -> Result<(), SpecFault> {
        let names = self.subject.iter().chain(&self.tenant).chain(self.required.keys());
        if self.required.len() > MAX_ENTRIES || names.into_iter().any(|name| !is_text(name)) {
            return Err(fault("/mapping", "names at most 32 claims, each of 1 to 512 bytes"));
        }
        if self.required.values().any(|values| values.is_empty() || check_texts("", values).is_err()) {
            return Err(fault("/mapping/required", "has 1 to 32 allowed values for each claim"));
        }
        Ok(())
    }
}

pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

pub(super) fn check_texts(pointer: &'static str, texts: &[String]) -> Result<(), SpecFault> {
    if texts.len() > MAX_ENTRIES || has_repeats(texts) || texts.iter().any(|text| !is_text(text)) {
        return Err(fault(pointer, "names at most 32, each once, each of 1 to 512 bytes"));
    }
    Ok(())
}

fn has_repeats<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().any(|(at, item)| items.iter().take(at).any(|earlier| earlier == item))
}

/// RFC 8414 section 2, as a URL that can be called.
fn check_url(pointer: &'static str, text: &str) -> Result<(), SpecFault> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let plain = url.is_some_and(|url| {
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
    });
    if plain && is_text(text) {
        return Ok(());
    }
    Err(fault(pointer, "is an https URL without query, fragment and user information"))
}

/// SPIFFE ID, section 2.1: `spiffe://` and the trust domain, nothing else.
fn check_trust_domain(text: &str) -> Result<(), SpecFault> {
    let name = text.strip_prefix("spiffe://").unwrap_or_default();
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    if (1..=255).contains(&name.len()) && name.bytes().all(known) {
        return Ok(());
    }
    Err(fault("/issuer", "of a trust domain is spiffe:// and its name"))
}
