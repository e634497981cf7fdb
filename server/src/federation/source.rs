//! Where an issuer's keys are read from: its own registration, a key set's URL, or the metadata
//! that its issuer identifier leads to.
//!
//! A key belongs to the issuer it was fetched for (RFC 8725 section 3.8): discovery is believed
//! only where the metadata names that issuer, and its `jwks_uri` only at the issuer's own host or
//! at one that the registration lists.

use super::bundle::authorities;
use super::fetch::{FetchFault, Fetcher, MAX_FETCH_BYTES, Wanted};
use super::jwks::KeySet;
use super::spec::{Issuer, IssuerKind, KeySource, MAX_INLINE_BYTES, SpecFault};
use serde_json::{Map, Value};
use stipend_keys::{JwkError, PublicJwk, PublicJwkSet};
use stipend_token::json::{Limits, parse_object, str_member};
use url::Url;

/// Longest metadata document.
const MAX_METADATA_BYTES: usize = 256 * 1024;
/// Nesting of a metadata document.
const MAX_METADATA_DEPTH: usize = 12;
const METADATA_PATH: &str = "/.well-known/openid-configuration";

/// Why an issuer's keys could not be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeySourceFault {
    #[error("the metadata can't be fetched: {0}")]
    Metadata(FetchFault),
    #[error("the metadata is no JSON object with issuer and jwks_uri")]
    MetadataForm,
    #[error("the metadata is another issuer's")]
    OtherIssuer,
    #[error("jwks_uri leads to a host that is neither the issuer's nor listed")]
    Host,
    #[error("the keys can't be fetched: {0}")]
    Keys(FetchFault),
    #[error("the keys are no JSON key set")]
    KeysForm,
}

/// Fetches an issuer's keys as they are now.
///
/// # Errors
/// [`KeySourceFault`].
pub(super) async fn fetch_keys(fetcher: &Fetcher, issuer: &Issuer) -> Result<KeySet, KeySourceFault> {
    let url = match &issuer.spec.keys {
        KeySource::Jwks(_) => return inline_keys(&issuer.spec.keys, issuer.kind).ok_or(KeySourceFault::KeysForm),
        KeySource::JwksUri(url) => Url::parse(url).map_err(|_| KeySourceFault::Host)?,
        KeySource::Discovery => discover(fetcher, issuer).await?,
    };
    let document = fetcher.get(Wanted::Keys, &url, MAX_FETCH_BYTES).await.map_err(KeySourceFault::Keys)?;
    let set = match issuer.kind {
        IssuerKind::Oidc => PublicJwkSet::from_published_json(&document.bytes),
        IssuerKind::Spiffe => PublicJwkSet::from_spiffe_bundle_json(&document.bytes),
    };
    // A set without a usable key is an answer as well: its issuer has taken them all back.
    set.map(|set| key_set(&set, &document.bytes, issuer.kind)).map_err(|_| KeySourceFault::KeysForm)
}

/// OpenID Connect Discovery 1.0, section 4.
async fn discover(fetcher: &Fetcher, issuer: &Issuer) -> Result<Url, KeySourceFault> {
    let base = issuer.issuer.trim_end_matches('/');
    let own = Url::parse(&issuer.issuer).map_err(|_| KeySourceFault::MetadataForm)?;
    let url = Url::parse(&format!("{base}{METADATA_PATH}")).map_err(|_| KeySourceFault::MetadataForm)?;
    let document =
        fetcher.get(Wanted::IssuerMetadata, &url, MAX_METADATA_BYTES).await.map_err(KeySourceFault::Metadata)?;
    let limits = Limits { max_bytes: MAX_METADATA_BYTES, max_depth: MAX_METADATA_DEPTH };
    let metadata = parse_object(&document.bytes, limits).map_err(|_| KeySourceFault::MetadataForm)?;
    let member = |name| str_member(&metadata, name).ok().flatten().ok_or(KeySourceFault::MetadataForm);
    // Section 4.3: exactly the issuer that was asked.
    if member("issuer")? != issuer.issuer {
        return Err(KeySourceFault::OtherIssuer);
    }
    let keys = Url::parse(member("jwks_uri")?).map_err(|_| KeySourceFault::MetadataForm)?;
    let host = keys.host_str().ok_or(KeySourceFault::MetadataForm)?;
    if own.host_str() == Some(host) || issuer.spec.hosts.iter().any(|listed| listed == host) {
        Ok(keys)
    } else {
        Err(KeySourceFault::Host)
    }
}

/// Keys that are registered themselves.
#[must_use]
pub fn inline_keys(source: &KeySource, kind: IssuerKind) -> Option<KeySet> {
    let KeySource::Jwks(set) = source else { return None };
    let text = Value::Object(set.clone()).to_string();
    parse_inline(set, kind).ok().map(|set| key_set(&set, text.as_bytes(), kind))
}

/// The keys of a document that was read already; of a trust domain's, the authorities as well.
fn key_set(set: &PublicJwkSet, document: &[u8], kind: IssuerKind) -> KeySet {
    let authorities = (kind == IssuerKind::Spiffe).then(|| authorities(document)).flatten();
    KeySet::new(set).with_authorities(authorities)
}

fn parse_inline(set: &Map<String, Value>, kind: IssuerKind) -> Result<PublicJwkSet, JwkError> {
    let text = Value::Object(set.clone()).to_string();
    match kind {
        IssuerKind::Oidc => PublicJwkSet::from_published_json(text.as_bytes()),
        IssuerKind::Spiffe => PublicJwkSet::from_spiffe_bundle_json(text.as_bytes()),
    }
}

/// A registered set is a copy of what an issuer publishes, so it may have keys that are of no
/// use here; but not private ones.
pub(super) fn check_inline(set: &Map<String, Value>, kind: IssuerKind) -> Result<(), SpecFault> {
    let fault = |detail| Err(SpecFault { pointer: "/keys/jwks", detail });
    if Value::Object(set.clone()).to_string().len() > MAX_INLINE_BYTES {
        return fault("is longer than 32 KiB");
    }
    let entries = set.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if entries.iter().any(|key| PublicJwk::parse_value(key) == Err(JwkError::PrivateMember)) {
        return fault("has a private or symmetric key: register public keys only");
    }
    match parse_inline(set, kind) {
        Ok(usable) if !usable.keys().is_empty() => Ok(()),
        _ => fault("has no usable key: P-256, Ed25519, or RSA of 2048 bits and more"),
    }
}
