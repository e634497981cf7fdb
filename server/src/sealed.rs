//! What is sealed at rest, and which key-encryption key each of it needs: versions of
//! credentials, the deployment's own secrets, and signing keys that still sign.
//!
//! The check at start and the rewrap both go by this list, so that a key may be dropped
//! exactly when nothing here names it. It reads ids and opens nothing.

use crate::ring;
use std::collections::BTreeMap;
use stipend_keys::seal::{aad_of, kek_id};
use stipend_schema::{Db, DbError, SigningKeyRow, queries};

/// How much a key-encryption key has wrapped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wrapped {
    /// Versions of credentials.
    pub versions: i64,
    /// Secrets of the deployment itself.
    pub secrets: i64,
    /// Signing keys that still sign.
    pub signing_keys: i64,
}

impl Wrapped {
    #[must_use]
    pub fn total(&self) -> i64 {
        self.versions.saturating_add(self.secrets).saturating_add(self.signing_keys)
    }
}

/// What each key-encryption key has wrapped, by its id. A sealed value of no known format
/// needs no key: nothing opens it.
///
/// # Errors
/// [`DbError`].
pub async fn by_key(db: &Db, now: i64) -> Result<BTreeMap<String, Wrapped>, DbError> {
    let mut keys: BTreeMap<String, Wrapped> = BTreeMap::new();
    for (id, versions) in queries::version_keks(db).await? {
        keys.entry(id).or_default().versions += versions;
    }
    for row in queries::server_secrets(db).await? {
        if let Ok(id) = kek_id(&row.sealed) {
            keys.entry(id.to_owned()).or_default().secrets += 1;
        }
    }
    for row in signing_keys(db, now).await? {
        if let Ok(id) = kek_id(&row.sealed_private) {
            keys.entry(id.to_owned()).or_default().signing_keys += 1;
        }
    }
    Ok(keys)
}

/// Signing keys whose private half is still needed.
///
/// # Errors
/// [`DbError`].
pub async fn signing_keys(db: &Db, now: i64) -> Result<Vec<SigningKeyRow>, DbError> {
    let mut rows = queries::signing_keys(db).await?;
    rows.retain(|row| ring::signs(row, now));
    Ok(rows)
}

/// What a secret of the deployment is sealed as.
#[must_use]
pub fn secret_aad(name: &str) -> Vec<u8> {
    aad_of(&[b"server secret", name.as_bytes()])
}

/// What the private half of a signing key is sealed as.
#[must_use]
pub fn signing_key_aad(kid: &str) -> Vec<u8> {
    [b"stipend signing key ", kid.as_bytes()].concat()
}
