//! The change feed as nodes read it: a sequence without gaps, made by the committer under the
//! feed's lock, so that what is visible is always a prefix of what was and will be published.
//! This module reads and never writes. It must never step over a gap.

mod tailer;

pub use tailer::{FeedSink, Tailer, TailerConfig, TailerHandle};

use crate::change::Change;
use crate::db::{Db, DbError, read};
use crate::rows::{ChangeRow, RevocationRow};
use crate::tables::{changes, feed_head, revocations};
use diesel::prelude::*;

/// Most rows one read of the feed answers.
pub const FEED_PAGE: i64 = 1000;

/// Where the feed ends, and up to where its beginning has been removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub pruned_to: i64,
    /// The database went back, and nothing may be decided on it: up to where the feed was known.
    /// 0: it did not.
    pub recover_from: i64,
    /// Grows with each recovery.
    pub epoch: i64,
}

impl From<(i64, i64, i64, i64)> for Head {
    fn from((seq, pruned_to, recover_from, epoch): (i64, i64, i64, i64)) -> Self {
        Self { seq, pruned_to, recover_from, epoch }
    }
}

pub async fn load_head(db: &Db) -> Result<Head, DbError> {
    let columns = (feed_head::seq, feed_head::pruned_to, feed_head::recover_from, feed_head::epoch);
    read!(db, first::<(i64, i64, i64, i64)>, feed_head::table.find(1).select(columns)).map(Head::from)
}

/// Changes after `seq`, oldest first, at most `limit` of them.
pub async fn changes_since(db: &Db, seq: i64, limit: i64) -> Result<Vec<Change>, DbError> {
    let limit = limit.clamp(1, FEED_PAGE);
    let rows = read!(
        db,
        get_results::<ChangeRow>,
        changes::table
            .filter(changes::seq.gt(seq))
            .order(changes::seq.asc())
            .limit(limit)
            .select(ChangeRow::as_select())
    )?;
    Ok(rows.into_iter().map(Change::from).collect())
}

/// Revocations published after `seq` and up to `to`.
pub async fn revocations_between(db: &Db, seq: i64, to: i64) -> Result<Vec<RevocationRow>, DbError> {
    read!(
        db,
        get_results::<RevocationRow>,
        revocations::table
            .filter(revocations::seq.gt(seq).and(revocations::seq.le(to)))
            .order((revocations::seq.asc(), revocations::id.asc()))
            .select(RevocationRow::as_select())
    )
}

/// Revocations that have not expired at `now` (seconds), after the row (`seq`, `id`): the
/// next page of a walk that begins at `(0, "")`.
pub async fn live_revocations(db: &Db, now: i64, after: (i64, String)) -> Result<Vec<RevocationRow>, DbError> {
    let (seq, id) = after;
    read!(
        db,
        get_results::<RevocationRow>,
        revocations::table
            .filter(revocations::expires_at.ge(now))
            // What an index can begin at; the next says the rest.
            .filter(revocations::seq.ge(seq))
            .filter(revocations::seq.gt(seq).or(revocations::seq.eq(seq).and(revocations::id.gt(id))))
            .order((revocations::seq.asc(), revocations::id.asc()))
            .limit(FEED_PAGE)
            .select(RevocationRow::as_select())
    )
}
