//! The check at start: does the configuration hold every key that the database
//! needs?
//!
//! A server that starts without one of them would only find out when an agent asks
//! for the credential. So the ids that stand in the sealed values are compared with
//! the configured ones first, and each missing key is named with what to do about it.

use std::collections::BTreeSet;
use std::fmt;

use super::{Envelope, KeyEncryption, SealError};

/// The id of the key-encryption key that a sealed value needs.
pub fn kek_id(sealed: &[u8]) -> Result<&str, SealError> {
    Ok(Envelope::parse(sealed)?.kek_id)
}

/// A key that sealed values need and no provider has. Its `Display` is a sentence
/// for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingKek {
    id: String,
}

impl MissingKek {
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for MissingKek {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids come out of the database: nothing that could fake a line of a log.
        let id: String = self.id.chars().filter(char::is_ascii_graphic).take(super::MAX_KEK_ID_BYTES).collect();
        write!(formatter, "sealed values need the key-encryption key {id}, which is not configured: ")?;
        match id.split_once(':') {
            None => formatter.write_str(
                "it is a static key; restore it from your backup and add it to the previous keys \
                 (STIPEND_KEK_PREVIOUS) until everything is rewrapped",
            ),
            Some(("pkcs11", name)) => write!(
                formatter,
                "it is the key {name} in a PKCS#11 token; configure that token with this key as current or previous"
            ),
            Some(("vault", name)) => write!(
                formatter,
                "it is the transit key {name} of a Vault or OpenBao; configure that service with this key as current \
                 or previous"
            ),
            Some((kind, _)) => {
                write!(formatter, "its kind {kind} is unknown here; a newer release of Stipend may have sealed it")
            }
        }
    }
}

/// Of the ids found in the database, those that `kek` can't unwrap for: each once,
/// in order. Empty means every value's key is there.
pub fn missing_keks<'a>(kek: &dyn KeyEncryption, found: impl IntoIterator<Item = &'a str>) -> Vec<MissingKek> {
    let known = kek.key_ids();
    let missing: BTreeSet<&str> = found.into_iter().filter(|id| !known.contains(id)).collect();
    missing.into_iter().map(|id| MissingKek { id: id.to_owned() }).collect()
}
