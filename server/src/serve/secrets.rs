//! The deployment's own secrets: made at the first start, sealed in the database, and the same
//! on every node. And the check that every key-encryption key is there which something needs.

use super::StartError;
use crate::audit::{DONE, Draft};
use crate::clock::Clock;
use crate::jobs::own_origin;
use crate::sealed::{self, secret_aad};
use crate::store::Store;
use stipend_keys::seal::missing_keks;
use stipend_keys::secret::random_bytes;
use stipend_keys::{KeyEncryption, Sealer, Secret};
use stipend_schema::custody::ServerSecretRow;
use stipend_schema::{AuditDraft, CommitterHandle, Db, Outcome, Row, Work, Write, queries};

/// What fingerprints of credentials are made with.
const FINGERPRINTS: &str = "fingerprints";
/// What wrapped references are sealed with.
const WRAPS: &str = "wraps";
/// What nonces for DPoP proofs are made with.
const NONCES: &str = "nonces";
/// Reads of what another node may be making at the same time.
const MAX_TRIES: usize = 3;

/// The deployment's secrets.
pub(super) struct Secrets {
    pub fingerprints: Secret<[u8; 32]>,
    pub wraps: Secret<[u8; 32]>,
    pub nonces: Secret<[u8; 32]>,
}

/// Finds them, or makes what is missing.
pub(super) async fn secrets(
    store: &Store,
    committer: &CommitterHandle,
    sealer: &Sealer,
    clock: &dyn Clock,
) -> Result<Secrets, StartError> {
    for _ in 0..MAX_TRIES {
        let rows = queries::server_secrets(store.db()).await?;
        let (sealer, now) = (sealer.clone(), clock.now());
        // Whoever holds the key-encryption key may be a network away.
        let found = store.blocking(move || open_or_make(&sealer, &rows, now)).await;
        let writes = match found.map_err(|error| StartError::Kek(error.to_string()))?? {
            Found::All(secrets) => return Ok(secrets),
            Found::Made(writes) => writes,
        };
        let mut draft = Draft::new("server.secrets_made", &own_origin());
        draft.put("count", writes.len());
        match committer.submit(work(writes, draft.outcome(DONE))).await {
            // Read back: two nodes may start at once, and one of them wins.
            Outcome::Committed { .. } | Outcome::Conflict => {}
            _ => break,
        }
    }
    Err(StartError::Kek("the deployment's own secrets could not be stored".to_owned()))
}

enum Found {
    All(Secrets),
    /// Those that were missing, to be stored.
    Made(Vec<Write>),
}

fn open_or_make(sealer: &Sealer, rows: &[ServerSecretRow], now: i64) -> Result<Found, StartError> {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    if let (Some(fingerprints), Some(wraps), Some(nonces)) = (find(FINGERPRINTS), find(WRAPS), find(NONCES)) {
        let (fingerprints, wraps) = (open(sealer, fingerprints)?, open(sealer, wraps)?);
        return Ok(Found::All(Secrets { fingerprints, wraps, nonces: open(sealer, nonces)? }));
    }
    let mut writes = Vec::new();
    for name in [FINGERPRINTS, WRAPS, NONCES].into_iter().filter(|name| find(name).is_none()) {
        let fresh = Secret::new(random_bytes::<32>());
        let sealed = sealer.seal(&secret_aad(name), fresh.expose());
        let sealed = sealed.map_err(|error| StartError::Kek(error.to_string()))?;
        let row = ServerSecretRow { name: name.to_owned(), sealed, created_at: now };
        writes.push(Write::Insert(Row::ServerSecret(row)));
    }
    Ok(Found::Made(writes))
}

fn work(writes: Vec<Write>, record: AuditDraft) -> Work {
    Work { writes, ..Work::recording(0, record) }
}

fn open(sealer: &Sealer, row: &ServerSecretRow) -> Result<Secret<[u8; 32]>, StartError> {
    let bytes = sealer.open(&secret_aad(&row.name), &row.sealed).map_err(|error| StartError::Kek(error.to_string()))?;
    let key = <[u8; 32]>::try_from(bytes.expose().as_slice());
    key.map(Secret::new).map_err(|_| StartError::Kek("a secret of the deployment is damaged".to_owned()))
}

/// Refuses to start without a key-encryption key that something sealed needs, whatever it is:
/// each missing key is named, with what to do about it.
pub(super) async fn check_keks(db: &Db, kek: &dyn KeyEncryption, now: i64) -> Result<(), StartError> {
    let found = sealed::by_key(db, now).await?;
    let missing = missing_keks(kek, found.keys().map(String::as_str));
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if missing.is_empty() { Ok(()) } else { Err(StartError::Kek(missing.join("\n"))) }
}
