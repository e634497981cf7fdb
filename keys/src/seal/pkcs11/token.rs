//! What is said to the token: loading its module, logging in, finding keys, AES-GCM.
//!
//! Answers of the token are reduced to our own errors here; what it says in text may
//! quote what it was given.

use std::ffi::c_ulong;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::{AuthPin, Ulong};
use zeroize::Zeroize;

use super::super::gate::lock;
use super::{KeyName, Pkcs11Config};
use crate::seal::{KEY_BYTES, NONCE_BYTES, Pkcs11Error};
use crate::secret::random_bytes;

const TAG_BYTES: usize = 16;
const TAG_BITS: c_ulong = 128;
const KEY_LENGTH: c_ulong = 32;
/// Nonce, wrapped key, tag.
pub(super) const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// Modules stay loaded and initialised as long as the process: a module may have
/// threads of its own, and initialising is once per process, not per provider.
static MODULES: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());

pub(super) fn module(path: &Path) -> Result<Pkcs11, Pkcs11Error> {
    let mut modules = lock(&MODULES);
    if let Some((_, module)) = modules.iter().find(|(known, _)| known == path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(|_| Pkcs11Error::Module(path.display().to_string()))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(unavailable(&error)),
    }
    modules.push((path.to_owned(), module.clone()));
    Ok(module)
}

/// The token's code, without any text of its own.
pub(super) fn unavailable(error: &Error) -> Pkcs11Error {
    Pkcs11Error::Unavailable(match error {
        Error::Pkcs11(code, function) => format!("{function:?}: {code:?}"),
        _ => "the module does not follow PKCS#11".to_owned(),
    })
}

/// A session that is logged in, with the handles of all configured keys, the
/// current one first.
pub(super) struct Connection {
    session: Session,
    keys: Vec<ObjectHandle>,
}

impl Connection {
    pub(super) fn open(module: &Pkcs11, config: &Pkcs11Config) -> Result<Self, Pkcs11Error> {
        let slot = find_slot(module, &config.token)?;
        let mechanisms = module.get_mechanism_list(slot).map_err(|error| unavailable(&error))?;
        if !mechanisms.contains(&MechanismType::AES_GCM) {
            return Err(Pkcs11Error::Mechanism);
        }
        let session = module.open_ro_session(slot).map_err(|error| unavailable(&error))?;
        log_in(&session, config)?;
        let mut keys = vec![find_key(&session, &config.key, true)?];
        for name in &config.previous {
            keys.push(find_key(&session, name, false)?);
        }
        Ok(Self { session, keys })
    }

    /// Encrypts under the current key. The nonce comes first in the output.
    pub(super) fn wrap(&self, aad: &[u8], data_key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, Error> {
        let mut nonce = random_bytes::<NONCE_BYTES>();
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, aad, Ulong::from(TAG_BITS))?);
        let sealed = self.session.encrypt(&mechanism, self.key(0)?, data_key)?;
        // Some tokens draw the nonce themselves and write it over ours: read it after.
        let wrapped = [&nonce[..], &sealed].concat();
        if wrapped.len() == WRAPPED_BYTES { Ok(wrapped) } else { Err(Error::InvalidValue) }
    }

    /// The key, or `None` where the token refuses the value.
    ///
    /// Tokens disagree about the code for a wrong tag; some use the one of a broken
    /// device. So where a call fails, the session has to unwrap what it has just
    /// wrapped: if it can, and fails at the value again, the value is to blame.
    pub(super) fn unwrap_or_refuse(&self, index: usize, aad: &[u8], wrapped: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let error = match self.unwrap(index, aad, wrapped) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) => error,
        };
        if is_about_the_session(&error) || self.probe().is_err() {
            return Err(error);
        }
        match self.unwrap(index, aad, wrapped) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_about_the_session(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn unwrap(&self, index: usize, aad: &[u8], wrapped: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or(Error::InvalidValue)?;
        let mut nonce = *nonce;
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, aad, Ulong::from(TAG_BITS))?);
        self.session.decrypt(&mechanism, self.key(index)?, sealed)
    }

    /// Wraps and unwraps a key that nobody uses, under an `aad` that nobody uses.
    pub(super) fn probe(&self) -> Result<(), Error> {
        const AAD: &[u8] = b"stipend-probe";
        let key = random_bytes::<KEY_BYTES>();
        let mut unwrapped = self.unwrap(0, AAD, &self.wrap(AAD, &key)?)?;
        let same = unwrapped == key;
        unwrapped.zeroize();
        if same { Ok(()) } else { Err(Error::InvalidValue) }
    }

    fn key(&self, index: usize) -> Result<ObjectHandle, Error> {
        self.keys.get(index).copied().ok_or(Error::InvalidValue)
    }
}

fn is_about_the_session(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::UserNotLoggedIn
                | RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::CryptokiNotInitialized,
            _
        )
    )
}

fn find_slot(module: &Pkcs11, label: &str) -> Result<Slot, Pkcs11Error> {
    let slots = module.get_slots_with_token().map_err(|error| unavailable(&error))?;
    let labelled = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|token| token.label() == label);
    let found: Vec<Slot> = slots.into_iter().filter(labelled).collect();
    match found.as_slice() {
        [] => Err(Pkcs11Error::TokenNotFound(label.to_owned())),
        [slot] => Ok(*slot),
        several => Err(Pkcs11Error::TokenAmbiguous(label.to_owned(), several.len())),
    }
}

fn log_in(session: &Session, config: &Pkcs11Config) -> Result<(), Pkcs11Error> {
    let pin = AuthPin::new(config.pin.expose().as_str().into());
    match session.login(UserType::User, Some(&pin)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
            Err(Pkcs11Error::WrongPin)
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Pkcs11Error::PinLocked),
        Err(Error::Pkcs11(RvError::UserPinNotInitialized, _)) => Err(Pkcs11Error::PinNotSet),
        Err(error) => Err(unavailable(&error)),
    }
}

fn find_key(session: &Session, name: &KeyName, wraps: bool) -> Result<ObjectHandle, Pkcs11Error> {
    let named = match name {
        KeyName::Label(label) => Attribute::Label(label.clone().into_bytes()),
        KeyName::Id(id) => Attribute::Id(id.clone()),
    };
    let template =
        [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::AES), Attribute::Token(true), named];
    let found = session.find_objects(&template).map_err(|error| unavailable(&error))?;
    let key = match found.as_slice() {
        [] => return Err(Pkcs11Error::KeyMissing(name.to_string())),
        [key] => *key,
        several => return Err(Pkcs11Error::KeyAmbiguous(name.to_string(), several.len())),
    };
    match unfit(session, key, wraps).map_err(|error| unavailable(&error))? {
        Some(why) => Err(Pkcs11Error::KeyUnfit(name.to_string(), why)),
        None => Ok(key),
    }
}

/// What a key lacks. An attribute that the token doesn't tell counts as lacking.
fn unfit(session: &Session, key: ObjectHandle, wraps: bool) -> Result<Option<&'static str>, Error> {
    let asked = [
        AttributeType::ValueLen,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
    ];
    let has = session.get_attributes(key, &asked)?;
    let long = |attribute: &Attribute| matches!(attribute, Attribute::ValueLen(bytes) if **bytes == KEY_LENGTH);
    Ok(if !has.iter().any(long) {
        Some("it must have 256 bits")
    } else if !has.contains(&Attribute::Sensitive(true)) || !has.contains(&Attribute::Extractable(false)) {
        Some("it could be read out of the token; generate one that is sensitive and not extractable")
    } else if !has.contains(&Attribute::Decrypt(true)) {
        Some("it may not decrypt")
    } else if wraps && !has.contains(&Attribute::Encrypt(true)) {
        Some("it may not encrypt")
    } else {
        None
    })
}
