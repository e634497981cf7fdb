//! Key-encryption keys from configuration: one current, and the previous ones for
//! what they still have wrapped.
//!
//! A key's id is derived from the key, so that nobody has to name keys and no two
//! nodes can disagree about a name. With random nonces one key should wrap fewer
//! than 2^32 data keys (NIST SP 800-38D section 8.3).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroize;

use super::{DataKey, KEY_BYTES, KeyEncryption, SealError, decrypt, encrypt};
use crate::secret::{Secret, sha256};

/// Previous keys that may be configured.
pub const MAX_PREVIOUS_KEYS: usize = 16;

const ID_BYTES: usize = 9;

/// Why configured key text is not a key. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KekParseError {
    #[error("a key-encryption key must be 64 hex digits or 43 base64url characters without padding")]
    Format,
    #[error("a key-encryption key is not random: all its bytes are equal")]
    Weak,
    #[error("a key-encryption key is configured twice")]
    Duplicate,
    #[error("too many previous key-encryption keys are configured")]
    TooMany,
}

struct Key {
    id: String,
    bytes: Secret<[u8; KEY_BYTES]>,
}

/// AES-256 keys held in memory.
pub struct StaticKek {
    current: Key,
    previous: Vec<Key>,
}

impl StaticKek {
    /// Takes raw keys. The first wraps; all unwrap.
    pub fn new(current: Secret<[u8; 32]>, previous: Vec<Secret<[u8; 32]>>) -> Result<Self, KekParseError> {
        if previous.len() > MAX_PREVIOUS_KEYS {
            return Err(KekParseError::TooMany);
        }
        let current = Key::new(current)?;
        let previous = previous.into_iter().map(Key::new);
        let previous = previous.collect::<Result<Vec<_>, _>>()?;
        let mut ids: Vec<_> = previous.iter().map(|key| &key.id).chain([&current.id]).collect();
        ids.sort();
        if ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(KekParseError::Duplicate);
        }
        Ok(Self { current, previous })
    }

    /// Reads keys as 64 hex digits or 43 base64url characters, e.g. from
    /// `openssl rand -hex 32`. Space around a key is ignored.
    pub fn parse(current: &str, previous: &[&str]) -> Result<Self, KekParseError> {
        let previous = previous.iter().map(|text| parse_key(text));
        Self::new(parse_key(current)?, previous.collect::<Result<Vec<_>, _>>()?)
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.previous).map(|key| key.id.as_str())
    }

    fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == id)
    }
}

impl KeyEncryption for StaticKek {
    fn current_id(&self) -> &str {
        &self.current.id
    }

    fn key_ids(&self) -> Vec<&str> {
        self.ids().collect()
    }

    fn wrap(&self, aad: &[u8], data_key: &DataKey) -> Result<Vec<u8>, SealError> {
        encrypt(self.current.bytes.expose(), aad, data_key.expose())
    }

    fn unwrap(&self, kek_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SealError> {
        let key = self.find(kek_id).ok_or_else(|| SealError::UnknownKek(kek_id.to_owned()))?;
        let opened = decrypt(key.bytes.expose(), aad, wrapped)?;
        let bytes = <[u8; KEY_BYTES]>::try_from(opened.expose().as_slice());
        Ok(Secret::new(bytes.map_err(|_| SealError::Malformed)?))
    }
}

impl fmt::Debug for StaticKek {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StaticKek")?;
        formatter.debug_list().entries(self.ids()).finish()
    }
}

impl Key {
    fn new(bytes: Secret<[u8; KEY_BYTES]>) -> Result<Self, KekParseError> {
        let raw = bytes.expose();
        if raw.iter().all(|byte| Some(byte) == raw.first()) {
            return Err(KekParseError::Weak);
        }
        let mut input = b"stipend-kek-id".to_vec();
        input.extend_from_slice(raw);
        let digest = sha256(&input);
        input.zeroize();
        let id = URL_SAFE_NO_PAD.encode(digest.get(..ID_BYTES).unwrap_or(&digest));
        Ok(Self { id, bytes })
    }
}

fn parse_key(text: &str) -> Result<Secret<[u8; KEY_BYTES]>, KekParseError> {
    let text = text.trim();
    let mut bytes = if text.len() == 2 * KEY_BYTES {
        hex(text).ok_or(KekParseError::Format)?
    } else {
        URL_SAFE_NO_PAD.decode(text).map_err(|_| KekParseError::Format)?
    };
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
    bytes.zeroize();
    Ok(Secret::new(key.map_err(|_| KekParseError::Format)?))
}

/// Reads pairs of hex digits; an odd digit at the end is left out.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(high)? << 4) | digit(low)?),
            _ => None,
        })
        .collect()
}
