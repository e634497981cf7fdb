//! The deployment's own secrets: made at the first start, sealed in the database, and the same
//! on every node. And the check that every key-encryption key is there which something needs.

use super::StartError;
use crate::audit::{DONE, Draft};
use crate::clock::Clock;
use crate::jobs::own_origin;
use stipend_keys::seal::{aad_of, kek_id, missing_keks};
use stipend_keys::secret::random_bytes;
use stipend_keys::{KeyEncryption, Sealer, Secret};
use stipend_schema::custody::ServerSecretRow;
use stipend_schema::{CommitterHandle, Db, Outcome, Row, Work, Write, queries};

/// What fingerprints of credentials are made with.
const FINGERPRINTS: &str = "fingerprints";
/// What wrapped references are sealed with.
const WRAPS: &str = "wraps";
/// Reads of what another node may be making at the same time.
const MAX_TRIES: usize = 3;

/// The deployment's secrets.
pub(super) struct Secrets {
    pub fingerprints: Secret<[u8; 32]>,
    pub wraps: Secret<[u8; 32]>,
}

/// Finds them, or makes what is missing.
pub(super) async fn secrets(
    db: &Db,
    committer: &CommitterHandle,
    sealer: &Sealer,
    clock: &dyn Clock,
) -> Result<Secrets, StartError> {
    for _ in 0..MAX_TRIES {
        let rows = queries::server_secrets(db).await?;
        let find = |name: &str| rows.iter().find(|row| row.name == name);
        if let (Some(fingerprints), Some(wraps)) = (find(FINGERPRINTS), find(WRAPS)) {
            return Ok(Secrets { fingerprints: open(sealer, fingerprints)?, wraps: open(sealer, wraps)? });
        }
        let mut writes = Vec::new();
        for name in [FINGERPRINTS, WRAPS].into_iter().filter(|name| find(name).is_none()) {
            let fresh = Secret::new(random_bytes::<32>());
            let sealed = sealer.seal(&aad(name), fresh.expose()).map_err(|error| StartError::Kek(error.to_string()))?;
            let row = ServerSecretRow { name: name.to_owned(), sealed, created_at: clock.now() };
            writes.push(Write::Insert(Row::ServerSecret(row)));
        }
        let mut draft = Draft::new("server.secrets_made", &own_origin());
        draft.put("count", writes.len());
        let work = Work {
            basis: 0,
            deps: Vec::new(),
            burn: None,
            spend: None,
            counts: Vec::new(),
            writes,
            changes: Vec::new(),
            record: draft.outcome(DONE),
        };
        match committer.submit(work).await {
            // Read back: two nodes may start at once, and one of them wins.
            Outcome::Committed { .. } | Outcome::Conflict => {}
            _ => break,
        }
    }
    Err(StartError::Kek("the deployment's own secrets could not be stored".to_owned()))
}

fn open(sealer: &Sealer, row: &ServerSecretRow) -> Result<Secret<[u8; 32]>, StartError> {
    let bytes = sealer.open(&aad(&row.name), &row.sealed).map_err(|error| StartError::Kek(error.to_string()))?;
    let key = <[u8; 32]>::try_from(bytes.expose().as_slice());
    key.map(Secret::new).map_err(|_| StartError::Kek("a secret of the deployment is damaged".to_owned()))
}

fn aad(name: &str) -> Vec<u8> {
    aad_of(&[b"server secret", name.as_bytes()])
}

/// Refuses to start without a key-encryption key that something stored needs.
pub(super) async fn check_keks(db: &Db, kek: &dyn KeyEncryption) -> Result<(), StartError> {
    let mut found: Vec<String> = queries::version_keks(db).await?.into_iter().map(|(id, _)| id).collect();
    for row in queries::server_secrets(db).await? {
        found.extend(kek_id(&row.sealed).ok().map(str::to_owned));
    }
    let missing: Vec<String> =
        missing_keks(kek, found.iter().map(String::as_str)).iter().map(ToString::to_string).collect();
    if missing.is_empty() { Ok(()) } else { Err(StartError::Kek(missing.join("\n"))) }
}
