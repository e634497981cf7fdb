//! A database that was restored from a backup has forgotten what happened since: what was revoked,
//! suspended, used up and spent. A node that still knows a later feed says so in the database
//! itself, and from then on nobody decides anything on it. Recovering makes the forgotten
//! harmless: everything that was issued is dead, every owner is switched off and every budget
//! closed until people have looked, and then the feed goes on beyond all that anybody has seen.
//! Offline work, in one transaction, on record.

use crate::audit::{Chain, RecordDraft, draft_text};
use crate::committer::{FEED_LOCK, new_writer_id, opening_record};
use crate::db::{Db, DbError, Pools};
use crate::feed::Head;
use crate::rows::AuditRow;
use crate::tables::{audit_records, audit_writers, feed_head};
use diesel::{ExpressionMethods, QueryDsl, QueryResult, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::{Map, json};
use std::time::Duration;

/// What whoever can't go on is told.
pub(crate) const WENT_BACK: &str =
    "the database is older than what was seen of it: it was restored from a backup. Run `stipend recover`";
/// How far beyond anything that may have been seen the feed goes on.
const GAP: i64 = 1_000_000_000;
/// Recovering touches every owner and line: it may take its time.
const LIMIT: Duration = Duration::from_secs(600);
const MICROS: i64 = 1_000_000;

/// Lives of what must stay dead, in seconds: the caller knows the law.
#[derive(Debug, Clone, Copy)]
pub struct Lives {
    /// The longest of our own tokens, with the leeway of who judges them.
    pub tokens: i64,
    /// The longest of other issuers' tokens.
    pub foreign: i64,
}

/// What was done.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
pub struct Recovered {
    pub owners_disabled: usize,
    pub keys_distrusted: usize,
    pub issuers_fenced: usize,
    pub budgets_closed: usize,
    pub approvals_ended: usize,
    /// Where the feed stood, and where it goes on.
    pub from: i64,
    pub to: i64,
}

/// Says in the database that it is older than a node's memory of it.
pub(crate) async fn note_went_back(db: &Db, seen: i64) -> Result<(), DbError> {
    tracing::error!(seen, "{WENT_BACK}");
    // Not where it was recovered between the look and this.
    let text =
        format!("UPDATE feed_head SET recover_from = {seen} WHERE id = 1 AND recover_from < {seen} AND seq < {seen}");
    match &*db.pools {
        Pools::Pg(pool) => {
            let mut conn = pool.take().await?;
            let conn: &mut AsyncPgConnection = &mut conn;
            let run = diesel_async::RunQueryDsl::execute(diesel::sql_query(text), conn);
            let done = tokio::time::timeout(db.limits.answer_timeout, run).await.map_err(DbError::timed_out)?;
            done.map_err(DbError::from_diesel)?;
        }
        Pools::Lite(pools) => {
            let run = move |conn: &mut SqliteConnection| diesel::RunQueryDsl::execute(diesel::sql_query(text), conn);
            pools.write.run(run).await?;
        }
    }
    Ok(())
}

/// Makes a restored database safe to go on with, at `at` (microseconds). `built_in` is the owner
/// that stays. All nodes must be stopped or be unable to commit; those that are not start anew.
///
/// # Errors
/// [`DbError`]; nothing was changed.
pub async fn recover(db: &Db, built_in: &str, lives: Lives, at: i64) -> Result<Recovered, DbError> {
    let plan = Plan::new(built_in, lives, at)?;
    match &*db.pools {
        Pools::Pg(pool) => {
            let mut conn = pool.take().await?;
            let conn: &mut AsyncPgConnection = &mut conn;
            let done = conn.transaction(async |conn| recover_on_postgres(conn, plan).await);
            tokio::time::timeout(LIMIT, done).await.map_err(DbError::timed_out)?.map_err(DbError::from_diesel)
        }
        Pools::Lite(pools) => {
            pools.write.run(move |conn| conn.immediate_transaction(|conn| recover_on_sqlite(conn, plan))).await
        }
    }
}

struct Plan {
    built_in: String,
    lives: Lives,
    writer: String,
    at: i64,
}

/// Names that are put into statements: ids of ours, and numbers.
impl Plan {
    fn new(built_in: &str, lives: Lives, at: i64) -> Result<Self, DbError> {
        if !built_in.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            return Err(DbError::Refused("no id of an owner".to_owned()));
        }
        Ok(Self { built_in: built_in.to_owned(), lives, writer: new_writer_id()?, at })
    }

    fn now(&self) -> i64 {
        self.at.div_euclid(MICROS)
    }

    /// An entry of the revoked set for every row of a table: what was issued until now.
    fn revoke(&self, (kind, before): (&str, &str), (table, column): (&str, &str), owner: &str, life: i64) -> String {
        let (now, ends) = (self.now(), self.now().saturating_add(life));
        format!(
            "INSERT INTO revocations (id, seq, kind, value, issued_before, owner_id, expires_at, reason, severity, \
             revoked_by, created_at) SELECT 'rev_{at}_{kind}_' || {column}, (SELECT seq FROM feed_head), '{kind}', {column}, {before}, \
             {owner}, {ends}, 'the database was restored from a backup', 'critical', 'stipend recover', {now} \
             FROM {table}",
            at = self.at,
        )
    }

    /// In this order.
    fn statements(&self, to: i64) -> [String; 9] {
        let (now, built_in, lives) = (self.now(), &self.built_in, self.lives);
        // Also what was issued this second.
        let before = now.saturating_add(1).to_string();
        [
            "DELETE FROM changes".to_owned(),
            format!(
                "UPDATE feed_head SET seq = {to}, pruned_to = {to}, recover_from = 0, epoch = epoch + 1 WHERE id = 1"
            ),
            // The built-in one's tokens are dead with their keys, and it goes on at once.
            self.revoke(("owner", &before), (&format!("owners WHERE id <> '{built_in}'"), "id"), "id", lives.foreign),
            self.revoke(("issuer", &before), ("issuers", "id"), "owner_id", lives.foreign),
            self.revoke(("key", "NULL"), ("signing_keys", "kid"), "NULL", lives.tokens),
            format!(
                "UPDATE owners SET state = 'disabled', updated_at = {now} WHERE state = 'active' AND id <> '{built_in}'"
            ),
            format!("UPDATE signing_keys SET distrusted_at = {now} WHERE distrusted_at IS NULL"),
            format!(
                "UPDATE budget_lines SET state = 'closed', updated_at = {now} WHERE state = 'active' AND parent_id IS NULL"
            ),
            format!(
                "UPDATE approval_requests SET state = 'refused', updated_at = {now} WHERE state IN ('pending', 'approved')"
            ),
        ]
    }

    fn recovered(&self, head: Head, to: i64, counts: &[usize]) -> Recovered {
        let count = |place: usize| counts.get(place).copied().unwrap_or_default();
        Recovered {
            issuers_fenced: count(3),
            owners_disabled: count(5),
            keys_distrusted: count(6),
            budgets_closed: count(7),
            approvals_ended: count(8),
            from: head.seq.max(head.recover_from),
            to,
        }
    }

    /// What the audit says of it, by a writer of its own.
    fn records(&self, recovered: Recovered) -> [AuditRow; 2] {
        let mut chain = Chain::new(self.writer.clone());
        let opening = opening_record(&mut chain, self.at, &[]);
        let Recovered { owners_disabled, keys_distrusted, issuers_fenced, budgets_closed, approvals_ended, from, to } =
            recovered;
        let mut detail = Map::new();
        detail.insert(
            "recovered".to_owned(),
            json!({
                "owners_disabled": owners_disabled, "keys_distrusted": keys_distrusted,
                "issuers_fenced": issuers_fenced, "budgets_closed": budgets_closed,
                "approvals_ended": approvals_ended, "from": from, "to": to,
            }),
        );
        let members = draft_text([("", None); 4], &detail);
        let draft = RecordDraft { event: "database.recovered", outcome: "ok", reason: None, members: &members };
        [opening, AuditRow::new(&mut chain, self.at, draft)]
    }
}

macro_rules! recover_statements {
    ($conn:ident, $plan:ident, [$($wait:tt)*]) => {{
        let columns = (feed_head::seq, feed_head::pruned_to, feed_head::recover_from, feed_head::epoch);
        let head: (i64, i64, i64, i64) = feed_head::table.find(1).select(columns).first($conn)$($wait)*?;
        let head = Head::from(head);
        let to = head.seq.max(head.recover_from).saturating_add(GAP);
        let mut counts = Vec::new();
        for statement in $plan.statements(to) {
            counts.push(diesel::sql_query(statement).execute($conn)$($wait)*?);
        }
        let recovered = $plan.recovered(head, to, &counts);
        diesel::insert_into(audit_writers::table)
            .values((audit_writers::writer.eq(&$plan.writer), audit_writers::started_at.eq($plan.at)))
            .execute($conn)$($wait)*?;
        for record in $plan.records(recovered) {
            diesel::insert_into(audit_records::table).values(record).execute($conn)$($wait)*?;
        }
        Ok(recovered)
    }};
}

async fn recover_on_postgres(conn: &mut AsyncPgConnection, plan: Plan) -> QueryResult<Recovered> {
    use diesel_async::RunQueryDsl;
    diesel::sql_query(format!("SELECT pg_advisory_xact_lock({FEED_LOCK})")).execute(conn).await?;
    recover_statements!(conn, plan, [.await])
}

fn recover_on_sqlite(conn: &mut SqliteConnection, plan: Plan) -> QueryResult<Recovered> {
    use diesel::RunQueryDsl;
    recover_statements!(conn, plan, [])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Backend;
    use crate::feed::load_head;
    use crate::testing::TestDatabase;
    use rstest::rstest;

    #[rstest]
    #[tokio::test]
    async fn a_node_that_speaks_after_the_recovery_stops_nobody(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    ) {
        let database = TestDatabase::new(backend).await;
        let db = database.connect().await;
        note_went_back(&db, 5).await.unwrap();
        assert_eq!(load_head(&db).await.unwrap().recover_from, 5);
        recover(&db, "stipend", Lives { tokens: 60, foreign: 60 }, MICROS).await.unwrap();
        note_went_back(&db, 5).await.unwrap();
        assert_eq!(load_head(&db).await.unwrap().recover_from, 0);
    }
}
