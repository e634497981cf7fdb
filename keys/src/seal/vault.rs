//! Key-encryption keys in the transit engine of Vault or OpenBao.
//!
//! Data keys are sent there to be wrapped (`POST /v1/{mount}/encrypt/{key}`) and
//! unwrapped (`…/decrypt/{key}`), with the caller's `aad` as `associated_data`, so
//! that the service itself refuses a wrapped key that was moved to another row. What
//! is kept is its ciphertext, `vault:v{version}:{base64}`.
//!
//! The access token is read from a file that an agent renews, and read again where
//! the service answers 403. Allow that token `update` on the two paths and nothing
//! more: with `create`, a wrong name would silently make a new key.
//!
//! Calls block: use them where blocking is allowed. At most [`MAX_CALLS`] are under
//! way; others wait [`CALL_WAIT`] and are refused.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize;

use super::gate::Gate;
use super::{DataKey, KEY_BYTES, KeyEncryption, MAX_WRAPPED_BYTES, SealError, VaultError};
use crate::secret::{Secret, random_bytes};

mod http;
use http::{Call, Client, Verb};

/// Calls to the service under way at once.
pub const MAX_CALLS: usize = 8;
/// How long a caller waits for its turn.
pub const CALL_WAIT: Duration = Duration::from_secs(5);
/// Previous keys that may be configured.
pub const MAX_PREVIOUS_KEYS: usize = 16;

const MAX_NAME_BYTES: usize = 100;
/// Ciphertext of a data key: 12 bytes of nonce, the key, 16 of tag.
const CIPHERTEXT_BYTES: usize = 12 + KEY_BYTES + 16;

/// Where the keys are.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// `https://vault.example:8200`; `http://` only to this machine's loopback, where
    /// an agent listens.
    pub address: String,
    /// Certificates in PEM that sign the service's; required with https.
    pub ca_file: Option<PathBuf>,
    /// The file with the access token.
    pub token_file: PathBuf,
    /// The namespace, where the service has them.
    pub namespace: Option<String>,
    /// Where the transit engine is mounted, usually `transit`.
    pub mount: String,
    /// The key that wraps, of type `aes256-gcm96`.
    pub key: String,
    /// Keys that only unwrap what they wrapped earlier. Older versions of a key need
    /// no entry.
    pub previous: Vec<String>,
    /// The longest that one call may take.
    pub timeout: Duration,
}

impl VaultConfig {
    /// Everything that can't work whatever the service answers. Reads no file.
    pub fn faults(&self) -> Vec<VaultError> {
        let secure = http::check_address(&self.address).map(|(_, secure)| secure);
        let paths = self.namespace.iter().chain([&self.mount]).all(|path| path.split('/').all(is_name));
        let names = paths && self.names().all(|name| is_name(name)) && self.mount.len() <= MAX_NAME_BYTES;
        let mut sorted: Vec<&String> = self.names().collect();
        sorted.sort();
        let twice = sorted.windows(2).any(|pair| pair.first() == pair.last());
        let found = [
            secure.clone().err(),
            (secure == Ok(true) && self.ca_file.is_none()).then_some(VaultError::NoCaFile),
            (!names).then_some(VaultError::Name),
            (self.previous.len() > MAX_PREVIOUS_KEYS).then_some(VaultError::TooManyKeys),
            twice.then_some(VaultError::Duplicate),
        ];
        found.into_iter().flatten().collect()
    }

    /// The key that wraps, then the others.
    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.key).chain(&self.previous)
    }
}

/// Keys in a transit engine.
pub struct VaultKek {
    client: Client,
    gate: Gate,
    mount: String,
    /// Names of `key` and `previous`, and their ids, in this order.
    names: Vec<String>,
    ids: Vec<String>,
    /// The newest version of the current key that an answer has shown.
    newest: AtomicU32,
}

impl VaultKek {
    /// Reads the files, then wraps and unwraps once: the service must be there, allow
    /// both, and refuse another `aad`.
    pub fn connect(config: &VaultConfig) -> Result<Self, VaultError> {
        if let Some(fault) = config.faults().into_iter().next() {
            return Err(fault);
        }
        let names: Vec<String> = config.names().cloned().collect();
        let ids: Vec<String> = names.iter().map(|name| format!("vault:{}/{name}", config.mount)).collect();
        let (client, gate) = (Client::new(config)?, Gate::new(MAX_CALLS, CALL_WAIT));
        let kek = Self { client, gate, mount: config.mount.clone(), names, ids, newest: AtomicU32::new(0) };
        kek.probe()?;
        Ok(kek)
    }

    /// A service that doesn't know `associated_data` ignores it without a word: so
    /// it is asked to refuse.
    fn probe(&self) -> Result<(), VaultError> {
        let refused_to_wrap = || VaultError::KeyUnfit(self.path(0));
        let key = Secret::new(random_bytes::<KEY_BYTES>());
        let wrapped = self.encrypt(b"stipend-probe", &key)?;
        let Some(Ciphertext { text, .. }) = Ciphertext::parse(wrapped.as_bytes()) else {
            return Err(refused_to_wrap());
        };
        match self.decrypt(0, b"stipend-probe", text)? {
            Some(unwrapped) if unwrapped.expose() == key.expose() => {}
            _ => return Err(VaultError::BadAnswer),
        }
        match self.decrypt(0, b"stipend-probe-2", text)? {
            None => Ok(()),
            Some(_) => Err(VaultError::NoAssociatedData),
        }
    }

    /// `None` never comes back: to refuse to encrypt is about the key.
    fn encrypt(&self, aad: &[u8], data_key: &DataKey) -> Result<String, VaultError> {
        let name = self.names.first().ok_or(VaultError::Name)?;
        let _pass = self.gate.enter().ok_or(VaultError::Busy)?;
        let mut plaintext = STANDARD.encode(data_key.expose());
        let path = self.path(0);
        let call = Call { verb: Verb::Encrypt, mount: &self.mount, key: name, input: &plaintext, aad, path: &path };
        let answer = self.client.call(&call);
        plaintext.zeroize();
        let ciphertext = answer?.ok_or(VaultError::KeyUnfit(path))?;
        let parsed = Ciphertext::parse(ciphertext.expose().as_bytes()).ok_or(VaultError::BadAnswer)?;
        self.newest.fetch_max(parsed.version, Ordering::Relaxed);
        Ok(parsed.text.to_owned())
    }

    /// `None` where the service refuses the value.
    fn decrypt(&self, index: usize, aad: &[u8], ciphertext: &str) -> Result<Option<DataKey>, VaultError> {
        let name = self.names.get(index).ok_or(VaultError::Name)?;
        let _pass = self.gate.enter().ok_or(VaultError::Busy)?;
        let path = self.path(index);
        let call = Call { verb: Verb::Decrypt, mount: &self.mount, key: name, input: ciphertext, aad, path: &path };
        let Some(plaintext) = self.client.call(&call)? else {
            return Ok(None);
        };
        let mut bytes = STANDARD.decode(plaintext.expose()).map_err(|_| VaultError::BadAnswer)?;
        let key = bytes.as_slice().try_into().map(Secret::new);
        bytes.zeroize();
        key.map(Some).map_err(|_| VaultError::BadAnswer)
    }

    fn path(&self, index: usize) -> String {
        format!("{}/{}", self.mount, self.names.get(index).map_or("", String::as_str))
    }
}

impl KeyEncryption for VaultKek {
    fn current_id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }

    fn key_ids(&self) -> Vec<&str> {
        self.ids.iter().map(String::as_str).collect()
    }

    fn wrap(&self, aad: &[u8], data_key: &DataKey) -> Result<Vec<u8>, SealError> {
        Ok(self.encrypt(aad, data_key)?.into_bytes())
    }

    fn unwrap(&self, kek_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SealError> {
        let index = self.ids.iter().position(|id| id == kek_id);
        let index = index.ok_or_else(|| SealError::UnknownKek(kek_id.to_owned()))?;
        // Nothing is sent that is not exactly what the service once gave.
        let ciphertext = Ciphertext::parse(wrapped).ok_or(SealError::Malformed)?;
        self.decrypt(index, aad, ciphertext.text)?.ok_or(SealError::Refused)
    }

    fn is_current(&self, kek_id: &str, wrapped: &[u8]) -> bool {
        let version = Ciphertext::parse(wrapped).map(|ciphertext| ciphertext.version);
        kek_id == self.current_id() && version.is_some_and(|version| version >= self.newest.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for VaultKek {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("VaultKek")?;
        formatter.debug_list().entries(&self.ids).finish()
    }
}

/// `vault:v3:` and base64, in its one spelling.
struct Ciphertext<'a> {
    text: &'a str,
    version: u32,
}

impl<'a> Ciphertext<'a> {
    fn parse(wrapped: &'a [u8]) -> Option<Self> {
        if wrapped.len() > MAX_WRAPPED_BYTES {
            return None;
        }
        let text = std::str::from_utf8(wrapped).ok()?;
        let (digits, base64) = text.strip_prefix("vault:v")?.split_once(':')?;
        let version: u32 = digits.parse().ok().filter(|version| *version > 0)?;
        let canonical = version.to_string() == digits;
        let bytes = STANDARD.decode(base64).ok()?;
        (canonical && bytes.len() == CIPHERTEXT_BYTES).then_some(Self { text, version })
    }
}

/// One segment of a path, with nothing that a URL would read otherwise.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) && !text.bytes().all(|byte| byte == b'.')
}
