//! Which key signs, which keys verify, and what the JWKS document says, at a given
//! second.
//!
//! A keyring is a value made from the stored records; it is replaced, never changed.
//! It has no clock: `now` comes in. **At most one key signs at a time, and it is one
//! that the document publishes.** A distrusted key is gone from all three answers
//! at once.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stipend_token::Timestamp;

use crate::alg::Algorithm;
use crate::jwk::PublicJwk;
use crate::jws::Verifier;
use crate::secret::sha256;
use crate::signing::Signer;

/// Keys in one keyring. The caller loads only records that are not past `remove_at`.
pub const MAX_KEYS: usize = 64;

/// "Not decided yet", in a form that dates can be compared with: year 9999.
pub const OPEN_ENDED: Timestamp = stipend_token::json::MAX_NUMERIC_DATE;

/// What is stored about a key, apart from its sealed private half. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub kid: String,
    pub alg: Algorithm,
    /// As [`PublicJwk::to_public_json`] writes it.
    pub public_jwk_json: String,
    /// In the document from here on.
    pub publish_at: Timestamp,
    /// May sign from here on.
    pub activate_at: Timestamp,
    /// May no longer sign from here on; [`OPEN_ENDED`] until a successor has taken over.
    pub retire_at: Timestamp,
    /// No longer in the document from here on; [`OPEN_ENDED`] likewise.
    pub remove_at: Timestamp,
    /// Set when the key is compromised: from then on it neither signs nor verifies.
    pub distrusted_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Published, and not distrusted.
    pub fn verifies(&self, now: Timestamp) -> bool {
        self.distrusted_at.is_none() && self.publish_at <= now && now < self.remove_at
    }

    /// Could sign, if no newer key can.
    pub fn may_sign(&self, now: Timestamp) -> bool {
        self.verifies(now) && self.activate_at <= now && now < self.retire_at
    }
}

/// Why stored records don't make a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("there are more keys than a keyring holds")]
    TooMany,
    #[error("a stored public key is malformed")]
    PublicKey,
    #[error("a stored key's kid is not its thumbprint, or its algorithm differs")]
    Inconsistent,
    #[error("a stored key's times are out of order")]
    Times,
    #[error("two stored keys share a kid")]
    Duplicate,
    #[error("the rotation policy can't be kept: {0}")]
    Policy(&'static str),
}

/// The JWKS document and the strong entity tag of exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksDocument {
    pub body: String,
    /// With its quotes, as the `ETag` header wants it.
    pub etag: String,
}

struct Key {
    record: KeyRecord,
    verifier: Verifier,
    signer: Option<Arc<Signer>>,
}

/// The keys of one deployment.
pub struct Keyring {
    keys: Vec<Key>,
    /// Keys of this algorithm sign what asks for it, and nothing else as long as another can.
    beside: Option<Algorithm>,
}

impl Keyring {
    /// Puts records and the signers at hand together. A record without its signer
    /// verifies and is published, but doesn't sign here.
    pub fn new(records: Vec<KeyRecord>, signers: &[Arc<Signer>]) -> Result<Self, KeyringError> {
        if records.len() > MAX_KEYS {
            return Err(KeyringError::TooMany);
        }
        let mut kids = HashSet::new();
        if !records.iter().all(|record| kids.insert(record.kid.clone())) {
            return Err(KeyringError::Duplicate);
        }
        let keys = records.into_iter().map(|record| Key::new(record, signers));
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        // Oldest first: the document's order then only changes at its ends.
        keys.sort_by(|one, other| one.age().cmp(&other.age()));
        Ok(Self { keys, beside: None })
    }

    /// The same with an algorithm whose keys sign only what asks for it.
    #[must_use]
    pub fn with_beside(self, beside: Option<Algorithm>) -> Self {
        Self { beside, ..self }
    }

    /// The key that signs: the newest one that may.
    pub fn signing_key(&self, now: Timestamp) -> Option<&Arc<Signer>> {
        let signers = || self.newest_first(now);
        let is_beside = |signer: &&Arc<Signer>| self.beside == Some(signer.alg());
        signers().find(|signer| !is_beside(signer)).or_else(|| signers().next())
    }

    /// The key that signs with one algorithm: the newest one that may.
    pub fn signing_key_of(&self, algorithm: Algorithm, now: Timestamp) -> Option<&Arc<Signer>> {
        self.newest_first(now).find(|signer| signer.alg() == algorithm)
    }

    fn newest_first(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Signer>> {
        let may_sign = self.keys.iter().rev().filter(move |key| key.record.may_sign(now));
        may_sign.filter_map(|key| key.signer.as_ref())
    }

    /// The signer of one key, as long as what it signs is believed.
    pub fn signer(&self, kid: &str, now: Timestamp) -> Option<&Arc<Signer>> {
        let key = self.keys.iter().find(|key| key.record.kid == kid)?;
        key.signer.as_ref().filter(|_| key.record.verifies(now))
    }

    /// The verifier of a key that is published and trusted. `kid` is only ever
    /// compared (RFC 8725 section 3.10).
    pub fn verifier(&self, kid: &str, now: Timestamp) -> Option<&Verifier> {
        let key = self.keys.iter().find(|key| key.record.kid == kid)?;
        key.record.verifies(now).then_some(&key.verifier)
    }

    /// The public document.
    pub fn jwks(&self, now: Timestamp) -> JwksDocument {
        let published = self.keys.iter().filter(|key| key.record.verifies(now));
        let keys: Vec<_> = published.map(|key| key.verifier.jwk().to_public_json()).collect();
        let body = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(body.as_bytes())));
        JwksDocument { body, etag }
    }

    /// The next second at which the document or the signing key may change by itself.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let times = self
            .keys
            .iter()
            .flat_map(|Key { record, .. }| [record.publish_at, record.activate_at, record.retire_at, record.remove_at]);
        times.filter(|time| now < *time && *time < OPEN_ENDED).min()
    }

    /// The signers at hand, to make the next keyring without opening their keys again.
    pub fn signers(&self) -> impl Iterator<Item = &Arc<Signer>> {
        self.keys.iter().filter_map(|key| key.signer.as_ref())
    }

    /// The stored records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys.iter().map(|key| &key.record)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids = self.keys.iter().map(|key| &key.record.kid);
        formatter.debug_list().entries(kids).finish()
    }
}

impl Key {
    fn new(record: KeyRecord, signers: &[Arc<Signer>]) -> Result<Self, KeyringError> {
        let jwk = PublicJwk::from_json(record.public_jwk_json.as_bytes()).map_err(|_| KeyringError::PublicKey)?;
        if jwk.kid() != record.kid || jwk.thumbprint() != record.kid || jwk.alg() != record.alg {
            return Err(KeyringError::Inconsistent);
        }
        let times = [record.publish_at, record.activate_at, record.retire_at, record.remove_at];
        if !times.is_sorted() {
            return Err(KeyringError::Times);
        }
        let signer = signers.iter().find(|signer| signer.kid() == record.kid && signer.alg() == record.alg);
        Ok(Self { verifier: jwk.verifier().map_err(|_| KeyringError::PublicKey)?, signer: signer.cloned(), record })
    }

    fn age(&self) -> (Timestamp, &str) {
        (self.record.activate_at, &self.record.kid)
    }
}
