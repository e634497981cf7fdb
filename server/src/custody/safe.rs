//! The safe: sealing values, opening them, and what is remembered of opened ones.
//!
//! A value is sealed with its owner, credential and version as associated data, so that a row
//! that was moved or swapped does not open. Key encryption may be a call over the network or to
//! a hardware token, so it never runs on a thread that serves requests.

use super::value::CredentialValue;
use crate::limits::MAX_OPENED_VALUES;
use crate::store::Store;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::seal::aad_of;
use stipend_keys::{Fingerprinter, KeyEncryption, SealError, Sealer, Secret, StaticKek};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long an opened value is kept in memory after it was opened.
const KEPT_OPEN: Duration = Duration::from_secs(60);
/// Values that are sealed or opened at once. The threads that may block serve the database as
/// well: a key-encryption service that hangs must not take them all.
const AT_ONCE: usize = 16;
/// How long others wait for their turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a value can't be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SafeError {
    #[error("the key-encryption service is unavailable")]
    Unavailable,
    #[error("the sealed value can't be opened")]
    Damaged,
}

/// Which version of which credential of which owner.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub owner: &'a str,
    pub credential: &'a str,
    pub version: &'a str,
}

impl Place<'_> {
    fn aad(self) -> Vec<u8> {
        let parts = ["credential version", self.owner, self.credential, self.version];
        aad_of(&parts.map(str::as_bytes))
    }
}

/// A value as it is stored.
#[derive(Debug)]
pub struct Sealed {
    pub bytes: Vec<u8>,
    pub kek_id: String,
}

#[derive(Debug)]
pub struct Safe {
    kek: Arc<dyn KeyEncryption>,
    sealer: Sealer,
    fingerprints: Fingerprinter,
    wraps: Sealer,
    store: Arc<Store>,
    turns: Arc<Semaphore>,
    opened: Cache<String, Arc<CredentialValue>>,
}

impl Safe {
    /// # Errors
    /// [`SealError`] for a deployment secret that is no key.
    pub fn new(
        kek: Arc<dyn KeyEncryption>,
        fingerprints: &Secret<[u8; 32]>,
        wraps: Secret<[u8; 32]>,
        store: Arc<Store>,
    ) -> Result<Self, SealError> {
        let wraps = StaticKek::new(wraps, Vec::new()).map_err(|_| SealError::Malformed)?;
        Ok(Self {
            sealer: Sealer::new(Arc::clone(&kek)),
            kek,
            fingerprints: Fingerprinter::derive(fingerprints),
            wraps: Sealer::new(Arc::new(wraps)),
            store,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            opened: Cache::builder().max_capacity(MAX_OPENED_VALUES).time_to_live(KEPT_OPEN).build(),
        })
    }

    /// The key-encryption key that seals now.
    #[must_use]
    pub fn current_kek(&self) -> &str {
        self.kek.current_id()
    }

    /// Seals a value.
    ///
    /// # Errors
    /// [`SafeError`].
    pub async fn seal(&self, place: Place<'_>, value: &CredentialValue) -> Result<Sealed, SafeError> {
        let (sealer, aad, json) = (self.sealer.clone(), place.aad(), value.to_json());
        let bytes = self.blocking(move || sealer.seal(&aad, json.expose())).await?;
        let kek_id = stipend_keys::seal::kek_id(&bytes).map_err(|_| SafeError::Damaged)?.to_owned();
        Ok(Sealed { bytes, kek_id })
    }

    /// Opens a value.
    ///
    /// # Errors
    /// [`SafeError`].
    pub async fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Arc<CredentialValue>, SafeError> {
        if let Some(value) = self.opened.get(place.version) {
            return Ok(value);
        }
        let (sealer, aad, bytes) = (self.sealer.clone(), place.aad(), sealed.to_vec());
        let json = self.blocking(move || sealer.open(&aad, &bytes)).await?;
        let value = serde_json::from_slice(json.expose()).map_err(|_| SafeError::Damaged)?;
        let value = Arc::new(value);
        self.opened.insert(place.version.to_owned(), Arc::clone(&value));
        Ok(value)
    }

    /// The same value under the current key-encryption key.
    ///
    /// # Errors
    /// [`SafeError`].
    pub async fn rewrap(&self, place: Place<'_>, sealed: &[u8]) -> Result<Sealed, SafeError> {
        let bytes = self.rewrap_as(place.aad(), sealed).await?;
        let kek_id = stipend_keys::seal::kek_id(&bytes).map_err(|_| SafeError::Damaged)?.to_owned();
        Ok(Sealed { bytes, kek_id })
    }

    /// The same for what is no version of a credential, by what it is sealed as.
    ///
    /// # Errors
    /// [`SafeError`].
    pub async fn rewrap_as(&self, aad: Vec<u8>, sealed: &[u8]) -> Result<Vec<u8>, SafeError> {
        let (sealer, bytes) = (self.sealer.clone(), sealed.to_vec());
        self.blocking(move || sealer.rewrap(&aad, &bytes)).await
    }

    /// Forgets an opened value.
    pub fn forget(&self, version: &str) {
        self.opened.invalidate(version);
    }

    /// What an owner is shown instead of the value.
    #[must_use]
    pub fn fingerprint(&self, owner: &str, value: &CredentialValue) -> String {
        self.fingerprints.fingerprint(owner.as_bytes(), value.secret_text().expose().as_bytes())
    }

    /// Makes a reference of a statement of our own: nobody else can read or make one.
    ///
    /// # Errors
    /// [`SafeError`].
    pub fn wrap(&self, statement: &[u8]) -> Result<Vec<u8>, SafeError> {
        self.wraps.seal(b"wrapped release", statement).map_err(trouble)
    }

    /// The statement of a reference, if we made it.
    #[must_use]
    pub fn unwrap(&self, reference: &[u8]) -> Option<Secret<Vec<u8>>> {
        self.wraps.open(b"wrapped release", reference).ok()
    }

    /// Seals what is kept under the deployment's own secret, for one place.
    ///
    /// # Errors
    /// [`SafeError`].
    pub fn seal_note(&self, aad: &[u8], note: &[u8]) -> Result<Vec<u8>, SafeError> {
        self.wraps.seal(aad, note).map_err(trouble)
    }

    /// What was sealed for that place.
    #[must_use]
    pub fn open_note(&self, aad: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        self.wraps.open(aad, sealed).ok()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, SafeError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(SafeError::Unavailable) };
        let work = move || {
            // Until it is done, whatever becomes of whoever waits for it.
            let _turn = turn;
            work()
        };
        self.store.blocking(work).await.map_err(|_| SafeError::Unavailable)?.map_err(trouble)
    }
}

fn trouble(error: SealError) -> SafeError {
    // Says which key is missing or what was refused, and nothing of the value.
    tracing::error!(%error, "a sealed value could not be used");
    if error.is_temporary() { SafeError::Unavailable } else { SafeError::Damaged }
}
