//! Retention: beginnings of chains that are older than they are to be kept are pruned, and what
//! remains is still proved.
//!
//! A chain is cut at a checkpoint, whose hash was signed when it was the chain's head; only what a
//! process that was killed left behind its last checkpoint is cut at its end. The cut is signed
//! and on record before anything is removed, so that a beginning that is missing without such a
//! statement is a fault. What an active sink has not had stays.

use crate::app::App;
use crate::audit::{DONE, Draft};
use crate::clock::MICROS_PER_SECOND;
use crate::jobs::own_origin;
use crate::limits::{AUDIT_PRUNE_EVERY, MAX_PRUNE_BATCHES, MAX_PRUNED_CHAINS};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use stipend_keys::TokenKind;
use stipend_schema::queries::audit_writers;
use stipend_schema::sinks::{
    AuditPruningRow, Prunable, delete_pruned, find_record, first_after, needed_by_sinks, prunable, prunings,
};
use stipend_schema::{DbError, Outcome, Row, Work, Write};

const SECONDS_PER_DAY: i64 = 86_400;

/// The job; without a time to keep records for it does nothing.
pub async fn prune_audit(app: Arc<App>) {
    while app.config.audit_retention_days.is_some() {
        tokio::time::sleep(AUDIT_PRUNE_EVERY).await;
        if let Err(error) = prune(&app).await {
            tracing::warn!(%error, "the audit could not be pruned");
        }
    }
}

/// One round of it; how many records were removed.
///
/// # Errors
/// [`DbError`].
pub async fn prune(app: &App) -> Result<usize, DbError> {
    let Some(days) = app.config.audit_retention_days else { return Ok(0) };
    let kept = days.saturating_mul(SECONDS_PER_DAY);
    let before = app.clock.now().saturating_sub(kept).saturating_mul(MICROS_PER_SECOND);
    let db = app.store.db();
    let mut cuts: HashMap<String, i64> = prunings(db).await?.into_iter().map(|row| (row.writer, row.n)).collect();
    let mut cut = 0;
    let mut after = String::new();
    'chains: loop {
        let heads = audit_writers(db, &after).await?;
        let Some(last) = heads.last() else { break };
        after.clone_from(&last.writer);
        for head in heads {
            if cut >= MAX_PRUNED_CHAINS {
                break 'chains;
            }
            let pruned = cuts.get(&head.writer).copied().unwrap_or(0);
            let Some(point) = point_of(app, &head.writer, (pruned, head.n), before).await? else { continue };
            if announce(app, &head.writer, &point, before).await {
                cuts.insert(head.writer, point.n);
                cut += 1;
            }
        }
    }
    remove(app, &cuts).await
}

/// Where a chain can be cut now, further than it was.
async fn point_of(
    app: &App,
    writer: &str,
    (pruned, newest): (i64, i64),
    before: i64,
) -> Result<Option<Prunable>, DbError> {
    let db = app.store.db();
    let Some((_, oldest, _)) = first_after(db, writer, pruned).await?.filter(|(_, at, _)| *at < before) else {
        return Ok(None);
    };
    tracing::debug!(writer, oldest, "records of a chain are older than they are kept");
    let limit = needed_by_sinks(db, writer).await?.unwrap_or(i64::MAX);
    let end = find_record(db, writer, newest).await?.filter(|row| row.at < before && row.n <= limit);
    let point = match end {
        // All of it is old: it has ended, or has long been quiet.
        Some(row) => row.hash.try_into().ok().map(|hash| Prunable { n: row.n, hash }),
        None => prunable(db, writer, before, limit).await?,
    };
    let Some(point) = point.filter(|point| point.n > pruned) else { return Ok(None) };
    let stored = find_record(db, writer, point.n).await?;
    if stored.is_none_or(|row| row.hash != point.hash) {
        tracing::error!(writer, n = point.n, "not pruned: a record is not as it was signed");
        return Ok(None);
    }
    Ok(Some(point))
}

/// Signs the cut and puts it on record; whether that was done.
async fn announce(app: &App, writer: &str, point: &Prunable, before: i64) -> bool {
    let (now, at) = (app.clock.now(), app.clock.micros());
    let hash = URL_SAFE_NO_PAD.encode(point.hash);
    let statement = json!({
        "iss": app.urls.issuer, "writer": writer, "n": point.n, "hash": hash, "at": at, "iat": now,
    });
    let keyring = app.ring.keyring();
    let Some(signer) = keyring.signing_key(now) else { return false };
    let Ok(jws) = signer.sign(TokenKind::AuditPruning, statement.to_string().as_bytes()) else {
        tracing::error!("a pruning of the audit could not be signed");
        return false;
    };
    let mut draft = Draft::new("audit.pruned", &own_origin());
    draft.put("writer", writer.to_owned());
    draft.put("n", point.n);
    draft.put("hash", hash);
    draft.put("before", before / MICROS_PER_SECOND);
    let row = AuditPruningRow { writer: writer.to_owned(), n: point.n, hash: point.hash.to_vec(), at, jws };
    let work = Work {
        writes: vec![Write::Insert(Row::AuditPruning(row))],
        ..Work::recording(app.live.applied(), draft.outcome(DONE))
    };
    // Another node may have cut it further meanwhile: that is a conflict, and no harm.
    matches!(app.committer.submit(work).await, Outcome::Committed { .. })
}

/// Removes what was cut off, some of it now and the rest in later rounds.
async fn remove(app: &App, cuts: &HashMap<String, i64>) -> Result<usize, DbError> {
    let (mut removed, mut batches) = (0_usize, 0);
    for (writer, n) in cuts {
        while batches < MAX_PRUNE_BATCHES {
            match delete_pruned(app.store.db(), writer, *n).await? {
                0 => break,
                rows => removed = removed.saturating_add(rows),
            }
            batches += 1;
        }
    }
    Ok(removed)
}
