//! What a node does by itself: keeps its keyring current and rotates it, signs audit
//! checkpoints, sweeps what has expired. Each job is one task that lives with the node,
//! and none of them is on the path of a request.

use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::custody::overdue;
use crate::deps;
use crate::export::{deliver_to_sinks, prune_audit};
use crate::pace::Pace;
use crate::ring::{self, KeyOrder, Ordered};
use crate::signals::{push_events, tell_exhaustions};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::{TokenKind, random_id};
use stipend_schema::custody::CredentialVersionRow;
use stipend_schema::ledger::{Spend, Step};
use stipend_schema::{AuditCheckpointRow, Outcome, Row, Work, Write, queries, sweep};
use tokio::task::JoinHandle;

/// How often the keyring is compared with its schedule.
const KEYRING_INTERVAL: Duration = Duration::from_secs(30);
/// How often a checkpoint of this node's audit chain is signed, if it grew.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// How often holds and carved lines are looked at whose time is over.
const HOLDS_INTERVAL: Duration = Duration::from_secs(1);
/// How often versions are retired, and uses of credentials noted.
const CUSTODY_INTERVAL: Duration = Duration::from_secs(5);
/// Grants whose uses are noted in one work.
const USES_AT_ONCE: usize = 500;
/// How often it is looked whether an orphan's grace is over.
const ORPHANS_INTERVAL: Duration = Duration::from_secs(5);
/// Who orders what nobody asked for.
const OWN_CLIENT: &str = "stipend";
/// How often expired rows are swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Sweeps one after the other while there is more.
const MAX_SWEEPS: usize = 20;

/// Starts all jobs; aborting the handles stops them.
#[must_use]
pub fn start(app: &Arc<App>) -> Vec<JoinHandle<()>> {
    vec![
        app.store.background(follow_keys(Arc::clone(app))),
        app.store.background(rotate_keys(Arc::clone(app))),
        app.store.background(sign_checkpoints(Arc::clone(app))),
        app.store.background(sweep_expired(Arc::clone(app))),
        app.store.background(end_due_holds(Arc::clone(app))),
        app.store.background(settle_due_carves(Arc::clone(app))),
        app.store.background(keep_custody(Arc::clone(app))),
        app.store.background(watch_orphans(Arc::clone(app))),
        app.store.background(push_events(Arc::clone(app))),
        app.store.background(tell_exhaustions(Arc::clone(app))),
        app.store.background(deliver_to_sinks(Arc::clone(app))),
        app.store.background(prune_audit(Arc::clone(app))),
    ]
}

/// The origin of what nobody asked for.
#[must_use]
pub fn own_origin() -> Origin {
    Origin { request_id: random_id("req_"), source: None, pace: Pace::default() }
}

async fn follow_keys(app: Arc<App>) {
    loop {
        app.live.keys_changed().await;
        if let Err(error) = app.ring.reload(app.clock.now()).await {
            tracing::error!(%error, "the changed signing keys could not be loaded");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn rotate_keys(app: Arc<App>) {
    loop {
        tokio::time::sleep(KEYRING_INTERVAL).await;
        let ordered = ring::order(&app, &KeyOrder::Schedule, &own_origin(), None).await;
        app.telemetry.job_ran("key_rotation", ordered.is_ok());
        match ordered {
            Ok(Ordered::Done) => tracing::info!("the signing keys were rotated"),
            Ok(Ordered::NothingToDo | Ordered::UnknownKey | Ordered::Overtaken) => {}
            Err(error) => tracing::error!(%error, "the signing keys could not be rotated"),
        }
        // Removed and retired keys leave by the clock, without a change to follow.
        if let Err(error) = app.ring.reload(app.clock.now()).await {
            tracing::error!(%error, "the signing keys could not be loaded");
        }
    }
}

async fn sweep_expired(app: Arc<App>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let now = app.clock.now();
        app.live.prune(now);
        // A busy deployment expires more in a minute than one sweep removes.
        for _ in 0..MAX_SWEEPS {
            let swept = sweep(app.store.db(), now).await;
            app.telemetry.job_ran("sweep", swept.is_ok());
            match swept {
                Ok(swept) => {
                    tracing::debug!(?swept, "swept what has expired");
                    if !swept.is_unfinished() {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "sweeping failed");
                    break;
                }
            }
        }
    }
}

/// What a hold kept back is free again once its time is over.
async fn end_due_holds(app: Arc<App>) {
    loop {
        tokio::time::sleep(HOLDS_INTERVAL).await;
        let due = match queries::due_holds(app.store.db(), app.clock.now()).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "holds whose time is over could not be read");
                continue;
            }
        };
        for hold in due {
            let (event, step) = overdue(&hold, app.clock.now());
            // Another node may have ended it: the ledger knows.
            if !order(&app, event, ("hold", &hold.id), (&hold.client_id, step)).await {
                tracing::warn!("a hold whose time is over could not be ended");
            }
        }
    }
}

/// What a service reported unspent of a carved line comes back once the line is over.
async fn settle_due_carves(app: Arc<App>) {
    loop {
        tokio::time::sleep(HOLDS_INTERVAL).await;
        settle_carves(&app).await;
    }
}

/// One round of it.
pub async fn settle_carves(app: &App) {
    let due = match queries::due_carves(app.store.db(), app.clock.now()).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "carved lines that are due could not be read");
            return;
        }
    };
    for carve in due {
        let step = Step::Settle { line_id: carve.line_id.clone() };
        if !order(app, "budget.settled", ("line", &carve.line_id), (OWN_CLIENT, step)).await {
            tracing::warn!("a carved line that is due could not be settled");
        }
    }
}

/// Clients that nobody answers for are suspended once their grace is over.
async fn watch_orphans(app: Arc<App>) {
    loop {
        tokio::time::sleep(ORPHANS_INTERVAL).await;
        crate::orphans::suspend(&app).await;
    }
}

/// Versions retire by the clock, and uses are noted now and then.
async fn keep_custody(app: Arc<App>) {
    loop {
        tokio::time::sleep(CUSTODY_INTERVAL).await;
        note_uses(&app).await;
        retire_versions(&app).await;
    }
}

/// Writes when grants were last used.
pub async fn note_uses(app: &App) {
    for writes in app.uses.take().chunks(USES_AT_ONCE) {
        let mut draft = Draft::new("credential.uses_noted", &own_origin());
        draft.put("grants", writes.len());
        let work = Work { writes: writes.to_vec(), ..own_work(app, draft) };
        if !matches!(app.committer.submit(work).await, Outcome::Committed { .. }) {
            tracing::warn!("when grants were last used could not be noted");
        }
    }
}

/// Retires the versions whose time is over.
pub async fn retire_versions(app: &App) {
    // Before they are read: a rotation in between makes this too old.
    let basis = app.live.applied();
    let due = match queries::due_versions(app.store.db(), app.clock.now()).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "versions whose time is over could not be read");
            return;
        }
    };
    for version in due {
        let mut draft = Draft::new("credential.version_retired", &own_origin());
        draft.put("credential", version.credential_id.clone());
        draft.put("version", version.number);
        let dep = deps::credential(&version.credential_id);
        let row = CredentialVersionRow { state: "retired".to_owned(), ..version };
        let work = Work {
            basis,
            deps: vec![dep.clone()],
            writes: vec![Write::Update(Row::CredentialVersion(row))],
            changes: vec![dep],
            ..own_work(app, draft)
        };
        // Overtaken, it is looked at again in a few seconds.
        if matches!(app.committer.submit(work).await, Outcome::Unavailable | Outcome::Invalid(_)) {
            tracing::warn!("a version whose time is over could not be retired");
        }
    }
}

/// A work of our own that only records.
fn own_work(app: &App, draft: Draft) -> Work {
    Work::recording(app.live.applied(), draft.outcome(DONE))
}

/// Has the ledger do a step of our own. Whether it answered.
async fn order(app: &App, event: &'static str, (what, id): (&str, &str), (client_id, step): (&str, Step)) -> bool {
    let mut draft = Draft::new(event, &own_origin());
    draft.put(what, id.to_owned());
    let spend = Some(Spend { client_id: client_id.to_owned(), step, key: None });
    let work = Work { spend, ..own_work(app, draft) };
    matches!(app.committer.submit(work).await, Outcome::Settled { .. })
}

async fn sign_checkpoints(app: Arc<App>) {
    loop {
        tokio::time::sleep(CHECKPOINT_INTERVAL).await;
        checkpoint(&app).await;
    }
}

/// Signs where this node's chain stands, so that its end can't be cut off unseen.
pub async fn checkpoint(app: &App) {
    let head = app.committer.audit_head();
    let db = app.store.db().clone();
    let (writer, n) = (head.writer.clone(), head.n);
    let known = app.store.run(async move { queries::newest_checkpoint(&db, &writer).await }).await;
    // The checkpoint's own record is one more: without anything else there is nothing new.
    if n == 0 || matches!(&known, Ok(Ok(Some(row))) if row.n + 1 >= n) {
        return;
    }
    let now = app.clock.now();
    let at = app.clock.micros();
    let statement = serde_json::json!({
        "iss": app.urls.issuer, "writer": head.writer, "n": n,
        "hash": URL_SAFE_NO_PAD.encode(head.head), "at": at, "iat": now,
    });
    let keyring = app.ring.keyring();
    let Some(signer) = keyring.signing_key(now) else { return };
    let Ok(jws) = signer.sign(TokenKind::AuditCheckpoint, statement.to_string().as_bytes()) else {
        app.telemetry.job_ran("checkpoint", false);
        tracing::error!("an audit checkpoint could not be signed");
        return;
    };
    let mut draft = Draft::new("audit.checkpoint", &own_origin());
    draft.put("n", n);
    let row = AuditCheckpointRow { writer: head.writer, n, hash: head.head.to_vec(), at, jws };
    let work = Work { writes: vec![Write::Insert(Row::AuditCheckpoint(row))], ..own_work(app, draft) };
    let stored = matches!(app.committer.submit(work).await, Outcome::Committed { .. });
    app.telemetry.job_ran("checkpoint", stored);
    if !stored {
        tracing::warn!("an audit checkpoint could not be stored");
    }
}
