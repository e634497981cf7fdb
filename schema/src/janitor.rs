//! Removes what has expired, a bounded number of rows a run. Safe to run on several nodes at
//! once: deletes skip what another node is deleting, and removing twice removes once.
//! It must never remove what could still be asked for: expiry is judged with room for clocks
//! that differ, and the feed's lost beginning is announced before it is removed.

use crate::committer::FEED_LOCK;
use crate::db::{Db, DbError, Pools};
use crate::tables::{changes, feed_head};
use diesel::sql_types::BigInt;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncPgConnection};

/// Most rows removed from one table in one run.
const ROWS_PER_RUN: i64 = 10_000;
/// How long changes are kept for nodes that fell behind, in seconds.
const CHANGES_KEPT_SECONDS: i64 = 7 * 24 * 3600;
/// How long a token's line is kept after the token when nothing was done with it, in seconds.
const UNUSED_LINES_KEPT_SECONDS: i64 = 3600;
/// How long a request for an approval is kept after its end, for people to look at, in seconds.
const APPROVALS_KEPT_SECONDS: i64 = 24 * 3600;
/// Room for clocks that differ, in seconds.
const SKEW_SECONDS: i64 = 60;

/// What a run removed. A table at its limit has more to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    pub burns: usize,
    pub revocations: usize,
    /// Answers to `Idempotency-Key`s.
    pub answers: usize,
    /// Lines of tokens that were over before anything was spent from them.
    pub lines: usize,
    /// Counters that count nothing any more.
    pub counters: usize,
    /// Requests for an approval that were over a day ago.
    pub approvals: usize,
    pub changes: usize,
    /// Places in status lists of tokens that are over.
    pub places: usize,
    /// Security events that were kept long enough, or of which their stream has too many.
    pub signals: usize,
    /// Limits that are empty again.
    pub cells: usize,
    /// Secrets that were proved too long ago.
    pub marks: usize,
    /// What was said of where tokens are that are over.
    pub reach: usize,
}

impl Swept {
    /// Whether a table was at its limit: there is more to remove.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let limit = usize::try_from(ROWS_PER_RUN).unwrap_or(usize::MAX);
        [
            self.burns,
            self.revocations,
            self.answers,
            self.lines,
            self.counters,
            self.approvals,
            self.changes,
            self.places,
            self.signals,
            self.cells,
            self.marks,
            self.reach,
        ]
        .into_iter()
        .any(|rows| rows >= limit)
    }
}

/// One run, at `now` in seconds.
pub async fn sweep(db: &Db, now: i64) -> Result<Swept, DbError> {
    let expired = now.saturating_sub(SKEW_SECONDS);
    let burns = delete(db, "jti_used", "key_hash", "expires_at <", expired, "").await?;
    let revocations = delete(db, "revocations", "id", "expires_at <", expired, "").await?;
    let answers = delete(db, "budget_answers", "key_hash", "expires_at <", expired, "").await?;
    let unused = now.saturating_sub(UNUSED_LINES_KEPT_SECONDS);
    let lines = delete(db, "budget_lines", "id", "expires_at <", unused, NOTHING_DONE).await?;
    let counters = delete(db, "counters", "key", "expires_at <", expired, "").await?;
    let places = delete(db, "status_entries", "list, idx", "expires_at <", expired, "").await?;
    let over = now.saturating_sub(APPROVALS_KEPT_SECONDS);
    let approvals = delete(db, "approval_requests", "id", "expires_at <", over, "").await?;
    let signals = delete(db, "signal_outbox", "id", "expires_at <", expired, "").await?;
    let signals = signals + delete(db, "signal_outbox", "id", "attempts >", -1, TOO_MANY).await?;
    let cells = delete(db, "rate_cells", "key", "expires_at <", expired, "").await?;
    let marks = delete(db, "proved_secrets", "mark", "expires_at <", expired, "").await?;
    let reach = delete(db, "signal_reach", "kind, value, audience, ends_at", "ends_at <", expired, "").await?;
    let floor = raise_floor(db, now.saturating_sub(CHANGES_KEPT_SECONDS)).await?;
    let changes = delete(db, "changes", "seq", "seq <=", floor, "").await?;
    Ok(Swept { burns, revocations, answers, lines, counters, approvals, changes, places, signals, cells, marks, reach })
}

/// What the journal speaks of stays. A hold is not looked for: it leaves a use on each line of
/// its path, which is never removed.
const NOTHING_DONE: &str = "AND account_kind = 'token' \
    AND NOT EXISTS (SELECT 1 FROM budget_uses u WHERE u.line_id = budget_lines.id) \
    AND NOT EXISTS (SELECT 1 FROM budget_carves c WHERE c.line_id = budget_lines.id) \
    AND NOT EXISTS (SELECT 1 FROM budget_lines child WHERE child.parent_id = budget_lines.id)";

/// The oldest go: a receiver that has not asked for so long has more to do than to read them.
const TOO_MANY: &str = "AND id IN (SELECT t.id FROM (SELECT o.id, row_number() \
    OVER (PARTITION BY o.stream_id ORDER BY o.created_at DESC, o.id DESC) AS place FROM signal_outbox o) t \
    WHERE t.place > 10000)";

async fn delete(db: &Db, table: &str, key: &str, condition: &str, value: i64, only: &str) -> Result<usize, DbError> {
    let skip = match &*db.pools {
        Pools::Pg(_) => "FOR UPDATE SKIP LOCKED",
        Pools::Lite(_) => "",
    };
    let (column, _) = condition.split_once(' ').unwrap_or((condition, ""));
    let bind = match &*db.pools {
        Pools::Pg(_) => "$1",
        Pools::Lite(_) => "?",
    };
    let text = format!(
        "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} \
         WHERE {condition} {bind} {only} ORDER BY {column} LIMIT {ROWS_PER_RUN} {skip})"
    );
    match &*db.pools {
        Pools::Pg(pool) => {
            let mut conn = pool.take().await?;
            let conn: &mut AsyncPgConnection = &mut conn;
            let query = diesel::sql_query(text).bind::<BigInt, _>(value);
            let run = diesel_async::RunQueryDsl::execute(query, conn);
            tokio::time::timeout(db.limits.answer_timeout, run)
                .await
                .map_err(DbError::timed_out)?
                .map_err(DbError::from_diesel)
        }
        Pools::Lite(pools) => {
            pools
                .write
                .run(move |conn| {
                    let query = diesel::sql_query(text).bind::<BigInt, _>(value);
                    diesel::RunQueryDsl::execute(query, conn)
                })
                .await
        }
    }
}

/// Announces that changes before `before` (seconds) are gone, and answers up to which.
/// Done alone under the feed's lock: a fence that still saw the old floor has committed by
/// then, and every later one sees the new floor before the rows disappear.
async fn raise_floor(db: &Db, before: i64) -> Result<i64, DbError> {
    match &*db.pools {
        Pools::Pg(pool) => {
            let mut conn = pool.take().await?;
            let conn: &mut AsyncPgConnection = &mut conn;
            let raise = conn.transaction(async |conn| raise_on_postgres(conn, before).await);
            tokio::time::timeout(db.limits.answer_timeout, raise)
                .await
                .map_err(DbError::timed_out)?
                .map_err(DbError::from_diesel)
        }
        Pools::Lite(pools) => {
            pools.write.run(move |conn| conn.immediate_transaction(|conn| raise_on_sqlite(conn, before))).await
        }
    }
}

macro_rules! raise_floor_statements {
    ($conn:ident, $before:ident, [$($wait:tt)*]) => {{
        let floor: i64 = feed_head::table
            .find(1)
            .select(feed_head::pruned_to)
            .first($conn)$($wait)*?;
        // `at` need not grow with `seq`, so the floor is where old changes end without a break.
        let kept: Option<i64> = changes::table
            .filter(changes::seq.gt(floor))
            .filter(changes::at.ge($before))
            .order(changes::seq.asc())
            .select(changes::seq)
            .first($conn)$($wait)*
            .optional()?;
        let end = match kept {
            Some(seq) => seq.saturating_sub(1),
            None => feed_head::table
                .find(1)
                .select(feed_head::seq)
                .first($conn)$($wait)*?,
        };
        let raised = end.min(floor.saturating_add(ROWS_PER_RUN)).max(floor);
        if raised > floor {
            diesel::update(feed_head::table.find(1))
                .set(feed_head::pruned_to.eq(raised))
                .execute($conn)$($wait)*?;
        }
        Ok(raised)
    }};
}

async fn raise_on_postgres(conn: &mut AsyncPgConnection, before: i64) -> QueryResult<i64> {
    use diesel_async::RunQueryDsl;
    diesel::sql_query(format!("SELECT pg_advisory_xact_lock({FEED_LOCK})")).execute(conn).await?;
    raise_floor_statements!(conn, before, [.await])
}

fn raise_on_sqlite(conn: &mut SqliteConnection, before: i64) -> QueryResult<i64> {
    use diesel::RunQueryDsl;
    raise_floor_statements!(conn, before, [])
}
