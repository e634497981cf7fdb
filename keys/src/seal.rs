//! Sealing at rest: envelope encryption of anything that must not lie readable in
//! the database.
//!
//! Each item has a data key of its own (AES-256-GCM), wrapped by a key-encryption
//! key behind [`KeyEncryption`]. The caller's `aad` names what the item is (table,
//! id, version): a sealed value moved to another row doesn't open. Rotating the KEK
//! rewraps data keys and never touches the ciphertext. What can't be opened is an
//! error that says which key is missing, never a default.
//!
//! Format 1: `0x01`, length of the KEK id (1 byte), KEK id, length of the wrapped
//! data key (2 bytes, big endian), wrapped data key, nonce (12), ciphertext and tag.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::secret::{Secret, random_bytes};

mod chain;
mod faults;
#[cfg(any(feature = "pkcs11", feature = "vault"))]
mod gate;
mod kek;
mod missing;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
#[cfg(feature = "vault")]
pub mod vault;
pub use chain::{ChainError, KekChain, MAX_CHAIN_PROVIDERS};
pub use faults::{Pkcs11Error, VaultError};
pub use kek::{KekParseError, StaticKek};
pub use missing::{MissingKek, kek_id, missing_keks};

/// Longest value that is sealed.
pub const MAX_PLAINTEXT_BYTES: usize = 64 * 1024;
/// Longest KEK id.
pub const MAX_KEK_ID_BYTES: usize = 255;
/// Longest wrapped data key; a KMS may need more than AES-GCM does.
pub const MAX_WRAPPED_BYTES: usize = 4096;

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const DATA_LABEL: &[u8] = b"stipend-seal-1 data";
const WRAP_LABEL: &[u8] = b"stipend-seal-1 wrap";

/// A data key.
pub type DataKey = Secret<[u8; KEY_BYTES]>;

/// Why something can't be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the value is too long to be sealed")]
    TooLong,
    #[error("the sealed value is malformed or of an unknown format")]
    Malformed,
    #[error("the sealed value needs the key-encryption key {0}, which is not configured")]
    UnknownKek(String),
    #[error("the sealed value was altered, or belongs to something else")]
    Refused,
    #[error("the key-encryption service is unavailable")]
    Unavailable,
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl SealError {
    /// Whether the same call may succeed later without anybody changing the
    /// configuration or the data.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable => true,
            Self::Pkcs11(error) => error.is_temporary(),
            Self::Vault(error) => error.is_temporary(),
            Self::TooLong | Self::Malformed | Self::UnknownKek(_) | Self::Refused => false,
        }
    }
}

/// A provider of key encryption: static keys, a PKCS#11 token, a transit service,
/// or a chain of these.
///
/// Ids are namespaced by who holds the key, so that providers can't take each
/// other's: a static key's id has no colon, the others start with `pkcs11:` and
/// `vault:`.
pub trait KeyEncryption: Send + Sync + fmt::Debug {
    /// The id of the key that wraps now: 1 to 255 bytes of printable ASCII.
    fn current_id(&self) -> &str;
    /// The ids of all keys that unwrap, the current one first.
    fn key_ids(&self) -> Vec<&str>;
    /// Wraps a data key under the current key, bound to `aad`.
    fn wrap(&self, aad: &[u8], data_key: &DataKey) -> Result<Vec<u8>, SealError>;
    /// Unwraps a data key that the key `kek_id` wrapped with the same `aad`.
    fn unwrap(&self, kek_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SealError>;
    /// Whether `wrapped` is what [`KeyEncryption::wrap`] would make now: the current
    /// key, and where the provider keeps versions of a key, the newest it knows.
    fn is_current(&self, kek_id: &str, _wrapped: &[u8]) -> bool {
        kek_id == self.current_id()
    }
}

/// Seals and opens values with whatever key-encryption the deployment has.
#[derive(Debug, Clone)]
pub struct Sealer {
    kek: Arc<dyn KeyEncryption>,
}

impl Sealer {
    pub fn new(kek: Arc<dyn KeyEncryption>) -> Self {
        Self { kek }
    }

    /// Encrypts `plaintext` under a new data key, bound to `aad`.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            return Err(SealError::TooLong);
        }
        let data_key = Secret::new(random_bytes::<KEY_BYTES>());
        let body = encrypt(data_key.expose(), &labelled(DATA_LABEL, &[aad]), plaintext)?;
        self.envelope(aad, &data_key, &body)
    }

    /// Decrypts what [`Sealer::seal`] made with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let envelope = Envelope::parse(sealed)?;
        let data_key = self.data_key(aad, &envelope)?;
        decrypt(data_key.expose(), &labelled(DATA_LABEL, &[aad]), envelope.body)
    }

    /// The same sealed value with its data key under the current KEK. It is opened
    /// on the way: nothing that would not open is carried over.
    pub fn rewrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let envelope = Envelope::parse(sealed)?;
        let data_key = self.data_key(aad, &envelope)?;
        decrypt(data_key.expose(), &labelled(DATA_LABEL, &[aad]), envelope.body)?;
        self.envelope(aad, &data_key, envelope.body)
    }

    /// Whether [`Sealer::rewrap`] would put another KEK, or a newer version of it.
    pub fn needs_rewrap(&self, sealed: &[u8]) -> Result<bool, SealError> {
        let envelope = Envelope::parse(sealed)?;
        Ok(!self.kek.is_current(envelope.kek_id, envelope.wrapped))
    }

    fn data_key(&self, aad: &[u8], envelope: &Envelope<'_>) -> Result<DataKey, SealError> {
        let aad = labelled(WRAP_LABEL, &[envelope.kek_id.as_bytes(), aad]);
        self.kek.unwrap(envelope.kek_id, &aad, envelope.wrapped)
    }

    fn envelope(&self, aad: &[u8], data_key: &DataKey, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let kek_id = self.kek.current_id();
        let wrap_aad = labelled(WRAP_LABEL, &[kek_id.as_bytes(), aad]);
        let wrapped = self.kek.wrap(&wrap_aad, data_key)?;
        let id_length = u8::try_from(kek_id.len()).map_err(|_| SealError::Malformed)?;
        let wrapped_length = u16::try_from(wrapped.len()).map_err(|_| SealError::Malformed)?;
        if wrapped.len() > MAX_WRAPPED_BYTES || kek_id.is_empty() {
            return Err(SealError::Malformed);
        }
        let mut sealed = vec![VERSION, id_length];
        sealed.extend_from_slice(kek_id.as_bytes());
        sealed.extend_from_slice(&wrapped_length.to_be_bytes());
        sealed.extend_from_slice(&wrapped);
        sealed.extend_from_slice(body);
        Ok(sealed)
    }
}

/// The parts of a sealed value.
struct Envelope<'a> {
    kek_id: &'a str,
    wrapped: &'a [u8],
    body: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn parse(sealed: &'a [u8]) -> Result<Self, SealError> {
        Self::split(sealed).ok_or(SealError::Malformed)
    }

    fn split(sealed: &'a [u8]) -> Option<Self> {
        let rest = sealed.strip_prefix(&[VERSION])?;
        let (id_length, rest) = rest.split_first()?;
        let (kek_id, rest) = rest.split_at_checked(usize::from(*id_length))?;
        let (wrapped_length, rest) = rest.split_first_chunk::<2>()?;
        let wrapped_length = usize::from(u16::from_be_bytes(*wrapped_length));
        let (wrapped, body) = rest.split_at_checked(wrapped_length)?;
        // The id is quoted in errors: printable or nothing.
        if kek_id.is_empty() || !kek_id.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let too_long = body.len() > NONCE_BYTES + MAX_PLAINTEXT_BYTES + AES_256_GCM.tag_len();
        if too_long || wrapped.len() > MAX_WRAPPED_BYTES {
            return None;
        }
        let kek_id = std::str::from_utf8(kek_id).ok()?;
        Some(Self { kek_id, wrapped, body })
    }
}

/// The `aad` of an item that several fields name, e.g. a kind, an owner, an id and a
/// version. Joining them with a separator would let `("a/b", "c")` and `("a", "b/c")`
/// open each other's values; here every field goes in with its length.
pub fn aad_of(fields: &[&[u8]]) -> Vec<u8> {
    labelled(b"", fields)
}

/// AAD with a label of its purpose; every part with its length, so no two lists
/// read the same.
fn labelled(label: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut out = label.to_vec();
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// AES-256-GCM with a random nonce, which comes first in the output.
fn encrypt(key: &[u8; KEY_BYTES], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce = random_bytes::<NONCE_BYTES>();
    let mut buffer = plaintext.to_vec();
    let tag = cipher(key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer)
        .map_err(|_| SealError::TooLong)?;
    let mut out = nonce.to_vec();
    out.extend_from_slice(&buffer);
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

fn decrypt(key: &[u8; KEY_BYTES], aad: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Malformed)?;
    let mut buffer = ciphertext.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = cipher(key)?.open_in_place(nonce, Aad::from(aad), &mut buffer);
    let length = match opened {
        Ok(plaintext) => plaintext.len(),
        Err(_) => {
            buffer.zeroize();
            return Err(SealError::Refused);
        }
    };
    buffer.truncate(length);
    Ok(Secret::new(buffer))
}

fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError::Malformed)?;
    Ok(LessSafeKey::new(key))
}
