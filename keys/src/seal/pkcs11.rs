//! Key-encryption keys in a PKCS#11 token: an HSM, a cloud's HSM client, SoftHSM.
//!
//! Data keys go into the token and come out wrapped: AES-256-GCM by `C_Encrypt`,
//! with the caller's `aad` as GCM's, so that a wrapped key moved to another row is
//! refused by the token itself. The AES keys never leave it: one that could is
//! refused at start. With random nonces one key should wrap fewer than 2^32 data
//! keys (NIST SP 800-38D section 8.3).
//!
//! A key's name in the token is part of everything it wrapped: don't rename a key,
//! and give a new key a new name.
//!
//! Calls block, and a call into a module can't be interrupted: at most
//! [`MAX_SESSIONS`] are under way, others wait [`SESSION_WAIT`] and are refused.
//! A lost session or login is made again; a driver that must be initialised again to
//! see its token needs a restart of the server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use zeroize::Zeroize;

use super::gate::{Gate, lock};
use super::kek::hex;
use super::{DataKey, KeyEncryption, Pkcs11Error, SealError};
use crate::secret::Secret;

mod token;
use token::Connection;

/// Sessions with the token, and so calls under way at once.
pub const MAX_SESSIONS: usize = 4;
/// How long a caller waits for a session.
pub const SESSION_WAIT: Duration = Duration::from_secs(5);
/// Previous keys that may be configured.
pub const MAX_PREVIOUS_KEYS: usize = 16;

/// New sessions that one call tries before it gives up.
const MAX_ATTEMPTS: u32 = 3;
const MAX_LABEL_BYTES: usize = 64;
const MAX_ID_BYTES: usize = 32;

/// A key in the token, by its `CKA_LABEL` or as `id=` and the hex digits of its
/// `CKA_ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyName {
    Label(String),
    Id(Vec<u8>),
}

impl FromStr for KeyName {
    type Err = Pkcs11Error;

    fn from_str(text: &str) -> Result<Self, Pkcs11Error> {
        if let Some(digits) = text.strip_prefix("id=") {
            let id = hex(digits).filter(|id| digits.len() == 2 * id.len() && (1..=MAX_ID_BYTES).contains(&id.len()));
            return id.map(Self::Id).ok_or(Pkcs11Error::KeyName);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=MAX_LABEL_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self::Label(text.to_owned()))
        } else {
            Err(Pkcs11Error::KeyName)
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => formatter.write_str(label),
            Self::Id(id) => {
                formatter.write_str("id=")?;
                id.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }
    }
}

/// Where the keys are.
#[derive(Debug, Clone)]
pub struct Pkcs11Config {
    /// The driver, e.g. `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The user PIN.
    pub pin: Secret<String>,
    /// The AES key that wraps.
    pub key: KeyName,
    /// AES keys that only unwrap what they wrapped earlier.
    pub previous: Vec<KeyName>,
}

impl Pkcs11Config {
    /// Everything that can't work whatever the token holds. Loads no module.
    pub fn faults(&self) -> Vec<Pkcs11Error> {
        let mut sorted = self.ids();
        sorted.sort();
        let twice = sorted.windows(2).any(|pair| pair.first() == pair.last());
        let found = [
            (self.previous.len() > MAX_PREVIOUS_KEYS).then_some(Pkcs11Error::TooManyKeys),
            twice.then_some(Pkcs11Error::Duplicate),
        ];
        found.into_iter().flatten().collect()
    }

    /// Ids of the key that wraps, then of the others.
    fn ids(&self) -> Vec<String> {
        std::iter::once(&self.key).chain(&self.previous).map(|name| format!("pkcs11:{name}")).collect()
    }
}

/// AES keys in a PKCS#11 token.
pub struct Pkcs11Kek {
    config: Pkcs11Config,
    /// Ids of `key` and `previous`, in this order.
    ids: Vec<String>,
    module: Pkcs11,
    gate: Gate,
    idle: Mutex<Vec<Connection>>,
    opening: Mutex<()>,
    /// Set for good once the token refuses the PIN: trying it again could lock the
    /// token.
    pin_refused: AtomicBool,
}

impl Pkcs11Kek {
    /// Loads the module, logs in, finds every key, and wraps and unwraps once with
    /// the current one.
    pub fn connect(config: Pkcs11Config) -> Result<Self, Pkcs11Error> {
        if let Some(fault) = config.faults().into_iter().next() {
            return Err(fault);
        }
        let ids = config.ids();
        let module = token::module(&config.module)?;
        let (gate, idle) = (Gate::new(MAX_SESSIONS, SESSION_WAIT), Mutex::new(Vec::new()));
        let (opening, pin_refused) = (Mutex::new(()), AtomicBool::new(false));
        let kek = Self { config, ids, module, gate, idle, opening, pin_refused };
        let connection = kek.open()?;
        connection.probe().map_err(|error| token::unavailable(&error))?;
        lock(&kek.idle).push(connection);
        Ok(kek)
    }

    fn open(&self) -> Result<Connection, Pkcs11Error> {
        // One at a time: a wrong PIN must not be tried by four threads at once.
        let _opening = lock(&self.opening);
        if self.pin_refused.load(Ordering::Relaxed) {
            return Err(Pkcs11Error::WrongPin);
        }
        let opened = Connection::open(&self.module, &self.config);
        if matches!(opened, Err(Pkcs11Error::WrongPin)) {
            self.pin_refused.store(true, Ordering::Relaxed);
        }
        opened
    }

    /// Runs `call` on a session. Where it fails the session may be lost (the token
    /// was reset, somebody logged out): it is tried again on new ones.
    fn run<T>(&self, call: impl Fn(&Connection) -> Result<T, Error>) -> Result<T, Pkcs11Error> {
        let _pass = self.gate.enter().ok_or(Pkcs11Error::Busy)?;
        let reused = lock(&self.idle).pop();
        if let Some(connection) = reused {
            if let Ok(done) = call(&connection) {
                lock(&self.idle).push(connection);
                return Ok(done);
            }
            // The others are as old as this one. Dropped outside the lock: each
            // closes its session.
            let suspect = std::mem::take(&mut *lock(&self.idle));
            drop((connection, suspect));
        }
        let mut attempt = 1;
        loop {
            match self.run_anew(&call) {
                Err(error) if error.is_temporary() && attempt < MAX_ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    fn run_anew<T>(&self, call: impl Fn(&Connection) -> Result<T, Error>) -> Result<T, Pkcs11Error> {
        let connection = self.open()?;
        let done = call(&connection).map_err(|error| token::unavailable(&error))?;
        lock(&self.idle).push(connection);
        Ok(done)
    }
}

impl KeyEncryption for Pkcs11Kek {
    fn current_id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }

    fn key_ids(&self) -> Vec<&str> {
        self.ids.iter().map(String::as_str).collect()
    }

    fn wrap(&self, aad: &[u8], data_key: &DataKey) -> Result<Vec<u8>, SealError> {
        Ok(self.run(|connection| connection.wrap(aad, data_key.expose()))?)
    }

    fn unwrap(&self, kek_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SealError> {
        let index = self.ids.iter().position(|id| id == kek_id);
        let index = index.ok_or_else(|| SealError::UnknownKek(kek_id.to_owned()))?;
        if wrapped.len() != token::WRAPPED_BYTES {
            return Err(SealError::Malformed);
        }
        let unwrapped = self.run(|connection| connection.unwrap_or_refuse(index, aad, wrapped))?;
        let mut bytes = unwrapped.ok_or(SealError::Refused)?;
        let key = bytes.as_slice().try_into().map(Secret::new);
        bytes.zeroize();
        key.map_err(|_| SealError::Malformed)
    }
}

impl fmt::Debug for Pkcs11Kek {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pkcs11Kek")?;
        formatter.debug_list().entries(&self.ids).finish()
    }
}
