//! This node's signing keyring: loaded from the store, rotated on schedule, replaced
//! whole whenever a key changes.

use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::deps;
use crate::limits::{LEEWAY_SECONDS, MAX_TTL_SECONDS};
use crate::records::Unavailable;
use crate::sealed::signing_key_aad;
use crate::signals::{Initiator, announce};
use crate::store::{Store, StoreStopped};
use arc_swap::ArcSwap;
use std::sync::Arc;
use stipend_keys::keyring::OPEN_ENDED;
use stipend_keys::rotation::{NewKey, Plan, RotationPolicy, plans};
use stipend_keys::{Algorithm, JwksDocument, KeyRecord, Keyring, Sealer, Secret, Signer, SigningKey};
use stipend_schema::{Outcome, RevocationRow, Row, SigningKeyRow, Work, Write, queries};
use stipend_token::revoked::RevokedKind;

/// Why the stored keys are of no use.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    #[error(transparent)]
    Db(#[from] stipend_schema::DbError),
    #[error(transparent)]
    Store(#[from] StoreStopped),
    #[error("signing key {kid} can't be sealed or opened: {cause}")]
    Sealed { kid: String, cause: stipend_keys::SealError },
    #[error("signing key {0} is damaged")]
    Damaged(String),
    #[error(transparent)]
    Keyring(#[from] stipend_keys::KeyringError),
    #[error("making a signing key failed: {0}")]
    Key(#[from] stipend_keys::KeyError),
}

/// The keyring in use.
#[derive(Debug)]
pub struct Ring {
    current: ArcSwap<Keyring>,
    store: Arc<Store>,
    sealer: Sealer,
    policy: RotationPolicy,
    /// What security events are signed with, where that is not what tokens are.
    events: Option<Algorithm>,
}

impl Ring {
    /// Opens the stored keys.
    ///
    /// # Errors
    /// [`RingError`]; a key sealed by an unknown key-encryption key refuses to start.
    pub async fn open(
        store: Arc<Store>,
        sealer: Sealer,
        (policy, events): (RotationPolicy, Option<Algorithm>),
        now: i64,
    ) -> Result<Self, RingError> {
        let events = events.filter(|events| *events != policy.algorithm);
        policy.check(MAX_TTL_SECONDS, LEEWAY_SECONDS)?;
        let current = ArcSwap::from_pointee(Keyring::new(Vec::new(), &[])?);
        let ring = Self { current, store, sealer, policy, events };
        ring.reload(now).await?;
        Ok(ring)
    }

    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        self.current.load_full()
    }

    #[must_use]
    pub fn jwks(&self, now: i64) -> JwksDocument {
        self.current.load().jwks(now)
    }

    /// Who signs security events.
    #[must_use]
    pub fn event_signer(&self, now: i64) -> Option<Arc<Signer>> {
        let keyring = self.current.load();
        match self.events {
            Some(algorithm) => keyring.signing_key_of(algorithm, now).cloned(),
            None => keyring.signing_key(now).cloned(),
        }
    }

    /// The algorithms of what signs tokens now or will: each once.
    #[must_use]
    pub fn signing_algs(&self, now: i64) -> Vec<&'static str> {
        let keyring = self.current.load();
        let mut algs = Vec::new();
        let signs = |record: &&KeyRecord| record.verifies(now) && now < record.retire_at;
        let of_tokens = |record: &&KeyRecord| Some(record.alg) != self.events;
        let any = keyring.records().any(|record| signs(&record) && of_tokens(&record));
        for record in keyring.records().filter(signs).filter(|record| !any || of_tokens(record)) {
            if !algs.contains(&record.alg.as_str()) {
                algs.push(record.alg.as_str());
            }
        }
        algs
    }

    fn seal(&self, key: &SigningKey) -> Result<Vec<u8>, RingError> {
        let kid = key.kid().to_owned();
        self.sealer
            .seal(&signing_key_aad(&kid), key.to_private_der().expose())
            .map_err(|cause| RingError::Sealed { kid, cause })
    }

    /// Reads the keys again; those already open are not opened again.
    ///
    /// # Errors
    /// [`RingError`]; the keyring in use stays.
    pub async fn reload(&self, now: i64) -> Result<(), RingError> {
        let rows = queries::signing_keys(self.store.db()).await?;
        let open: Vec<Arc<Signer>> = self.current.load().signers().cloned().collect();
        let sealer = self.sealer.clone();
        // Whoever holds the key-encryption key may be a network away.
        let keyring = self.store.blocking(move || keyring(&sealer, &rows, &open, now)).await??;
        self.current.store(Arc::new(keyring.with_beside(self.events)));
        Ok(())
    }
}

/// Whether a key may still sign. One that does not is needed for verifying only, and its
/// public half does for that.
#[must_use]
pub fn signs(row: &SigningKeyRow, now: i64) -> bool {
    now < row.retire_at.unwrap_or(OPEN_ENDED) && row.distrusted_at.is_none()
}

fn keyring(sealer: &Sealer, rows: &[SigningKeyRow], open: &[Arc<Signer>], now: i64) -> Result<Keyring, RingError> {
    let mut records = Vec::new();
    let mut signers = Vec::new();
    for row in rows {
        let record = record(row)?;
        if signs(row, now) {
            let signer = match open.iter().find(|signer| signer.kid() == row.kid) {
                Some(signer) => Arc::clone(signer),
                None => Arc::new(unseal(sealer, row, record.alg)?),
            };
            signers.push(signer);
        }
        if now < record.remove_at {
            records.push(record);
        }
    }
    Ok(Keyring::new(records, &signers)?)
}

fn unseal(sealer: &Sealer, row: &SigningKeyRow, alg: Algorithm) -> Result<Signer, RingError> {
    let der: Secret<Vec<u8>> = sealer
        .open(&signing_key_aad(&row.kid), &row.sealed_private)
        .map_err(|cause| RingError::Sealed { kid: row.kid.clone(), cause })?;
    let key = SigningKey::from_private_der(alg, &der)?;
    if key.kid() != row.kid {
        return Err(RingError::Damaged(row.kid.clone()));
    }
    Ok(key.signer()?)
}

fn record(row: &SigningKeyRow) -> Result<KeyRecord, RingError> {
    Ok(KeyRecord {
        kid: row.kid.clone(),
        alg: row.alg.parse().map_err(|_| RingError::Damaged(row.kid.clone()))?,
        public_jwk_json: row.public_jwk.clone(),
        publish_at: row.publish_at,
        activate_at: row.activate_at,
        retire_at: row.retire_at.unwrap_or(OPEN_ENDED),
        remove_at: row.remove_at.unwrap_or(OPEN_ENDED),
        distrusted_at: row.distrusted_at,
    })
}

/// What an admin or the schedule asks of the keyring.
#[derive(Clone, Debug)]
pub enum KeyOrder {
    /// What the policy says is due.
    Schedule,
    /// A successor now, published ahead as always.
    Rotate,
    /// The key is compromised: gone at once, with a successor that signs at once.
    Distrust { kid: String, reason: String, by: String },
}

/// What came of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ordered {
    Done,
    NothingToDo,
    UnknownKey,
    /// Another node was quicker; look again.
    Overtaken,
}

/// Carries out an order in one transaction that nobody's change can overtake.
///
/// # Errors
/// [`Unavailable`] when the store does not answer or a key can't be made.
pub async fn order(
    app: &App,
    order: &KeyOrder,
    origin: &Origin,
    by: Option<(&str, &str)>,
) -> Result<Ordered, Unavailable> {
    let basis = app.live.applied();
    let now = app.clock.now();
    let db = app.store.db().clone();
    let rows = app
        .store
        .run(async move { queries::signing_keys(&db).await })
        .await
        .map_err(|_| Unavailable)?
        .map_err(|_| Unavailable)?;
    let (ring, wanted) = (Arc::clone(&app.ring), order.clone());
    // A new key is sealed here, by whoever holds the key-encryption key.
    let decided = app.store.blocking(move || decide(&ring, &wanted, rows, now)).await.map_err(|_| Unavailable)?;
    let Some(writes) = decided.map_err(|error| {
        tracing::error!(%error, "planning the signing keys failed");
        Unavailable
    })?
    else {
        return Ok(match order {
            KeyOrder::Distrust { .. } => Ordered::UnknownKey,
            KeyOrder::Schedule | KeyOrder::Rotate => Ordered::NothingToDo,
        });
    };
    let work = announce(app, work(order, writes, basis, origin, by), None, Initiator::Admin).await?;
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => {
            let ring = Arc::clone(&app.ring);
            let reloaded = app.store.run(async move { ring.reload(now).await }).await;
            if !matches!(reloaded, Ok(Ok(()))) {
                tracing::error!("the new keyring could not be loaded yet");
            }
            Ok(Ordered::Done)
        }
        Outcome::Stale | Outcome::Conflict | Outcome::Replayed { .. } => Ok(Ordered::Overtaken),
        Outcome::Invalid(what) => {
            tracing::error!(what, "the signing key work was refused");
            Err(Unavailable)
        }
        Outcome::Settled { .. } | Outcome::Exceeded { .. } | Outcome::Unavailable => Err(Unavailable),
    }
}

fn decide(
    ring: &Ring,
    order: &KeyOrder,
    mut rows: Vec<SigningKeyRow>,
    now: i64,
) -> Result<Option<Vec<Write>>, RingError> {
    let mut writes = Vec::new();
    match order {
        KeyOrder::Schedule => {}
        KeyOrder::Rotate => {
            // A successor is already on its way.
            if rows.iter().any(|row| row.distrusted_at.is_none() && row.activate_at > now) {
                return Ok(None);
            }
        }
        KeyOrder::Distrust { kid, reason, by } => {
            let Some(row) = rows.iter_mut().find(|row| &row.kid == kid && row.distrusted_at.is_none()) else {
                return Ok(None);
            };
            row.distrusted_at = Some(now);
            writes.push(Write::Update(Row::SigningKey(row.clone())));
            writes.push(Write::Insert(Row::Revocation(RevocationRow {
                id: stipend_keys::random_id("rev_"),
                seq: 0,
                kind: RevokedKind::Key.as_str().to_owned(),
                value: kid.clone(),
                issued_before: None,
                owner_id: None,
                expires_at: now + MAX_TTL_SECONDS + LEEWAY_SECONDS,
                reason: reason.clone(),
                severity: "critical".to_owned(),
                revoked_by: by.clone(),
                created_at: now,
            })));
        }
    }
    let mut records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    records.retain(|record| now < record.remove_at);
    let mut policy = ring.policy;
    if matches!(order, KeyOrder::Rotate) {
        // Due at once: the shortest period that still publishes ahead.
        policy.period_seconds = 0;
    }
    for plan in plans(&records, &policy, ring.events, now) {
        apply(ring, &plan, &rows, &mut writes, now)?;
    }
    Ok((!writes.is_empty()).then_some(writes))
}

fn apply(ring: &Ring, plan: &Plan, rows: &[SigningKeyRow], writes: &mut Vec<Write>, now: i64) -> Result<(), RingError> {
    for change in &plan.changes {
        if let Some(row) = rows.iter().find(|row| row.kid == change.kid) {
            let mut row = row.clone();
            row.activate_at = change.activate_at;
            row.retire_at = open_end(change.retire_at);
            row.remove_at = open_end(change.remove_at);
            writes.push(Write::Update(Row::SigningKey(row)));
        }
    }
    if let Some(new) = &plan.create {
        writes.push(Write::Insert(Row::SigningKey(make(ring, new, now)?)));
    }
    Ok(())
}

fn make(ring: &Ring, new: &NewKey, now: i64) -> Result<SigningKeyRow, RingError> {
    let key = SigningKey::generate(new.algorithm)?;
    Ok(SigningKeyRow {
        kid: key.kid().to_owned(),
        alg: key.alg().as_str().to_owned(),
        public_jwk: key.public_jwk().to_public_json(),
        sealed_private: ring.seal(&key)?,
        publish_at: new.publish_at,
        activate_at: new.activate_at,
        retire_at: open_end(new.retire_at),
        remove_at: open_end(new.remove_at),
        distrusted_at: None,
        created_at: now,
    })
}

fn open_end(at: i64) -> Option<i64> {
    (at < OPEN_ENDED).then_some(at)
}

fn work(order: &KeyOrder, writes: Vec<Write>, basis: i64, origin: &Origin, by: Option<(&str, &str)>) -> Work {
    let mut draft = Draft::new("signing_key.rotated", origin);
    let mut changes = vec![deps::keyring()];
    if let Some((client_id, owner_id)) = by {
        draft.client(client_id, owner_id);
    }
    if let KeyOrder::Distrust { kid, reason, .. } = order {
        draft.event("signing_key.distrusted");
        draft.put("kid", kid.clone());
        draft.put("why", reason.clone());
        changes.push(deps::key(kid));
    }
    let kids: Vec<String> = writes
        .iter()
        .filter_map(|write| match write {
            Write::Insert(Row::SigningKey(row)) => Some(row.kid.clone()),
            _ => None,
        })
        .collect();
    draft.put("new_kids", kids);
    Work { deps: vec![deps::keyring()], writes, changes, ..Work::recording(basis, draft.outcome(DONE)) }
}
