//! Reading the whole ledger as it was at one moment, page by page, for its proof.

use crate::db::{Db, DbError, Pools};
use crate::ledger::{CaptureEntry, CarveEntry, HoldEntry, Journal, Proof, UseEntry};
use diesel::sql_types::{BigInt, Text};
use diesel_async::AsyncPgConnection;

/// Rows read at once.
const PAGE: i64 = 5_000;

/// Each after an id, in the order of ids, a page long. `@` stands for the id.
const HOLDS: &str = "SELECT h.id, h.amount, h.captured, h.state, h.path, CAST((SELECT coalesce(sum(c.spent + c.overage), 0) \
    FROM budget_captures c WHERE c.hold_id = h.id) AS BIGINT) AS booked FROM budget_holds h WHERE h.id > @ ORDER BY h.id";
const CAPTURES: &str = "SELECT c.id, c.spent, c.overage, c.refunded, c.overages, h.path FROM budget_captures c \
    JOIN budget_holds h ON h.id = c.hold_id WHERE c.id > @ ORDER BY c.id";
const CARVES: &str = "SELECT line_id AS id, path, amount, reported, state, returned FROM budget_carves \
    WHERE line_id > @ ORDER BY line_id";
/// All periods of a line come together: a page ends with a line.
const USES: &str = "SELECT line_id AS id, period, held, spent, carved, overage FROM budget_uses \
    WHERE (line_id, period) > (@, #) ORDER BY line_id, period";

fn statement(text: &str, first: &str, second: &str) -> String {
    format!("{} LIMIT {PAGE}", text.replace('@', first).replace('#', second))
}

/// Pages of `$entry` by `$text`, each handed to `$take`.
macro_rules! pages {
    ($run:path, $conn:ident, $journal:ident, [$($wait:tt)*], $text:expr, $entry:ident, $take:ident) => {{
        let mut after = String::new();
        loop {
            let query = diesel::sql_query($text).bind::<Text, _>(after.clone());
            let page: Vec<$entry> = $run(query, $conn)$($wait)*?;
            page.iter().for_each(|entry| $journal.$take(entry));
            match page.last() {
                Some(last) => after.clone_from(&last.id),
                None => break,
            }
        }
    }};
}

macro_rules! read_ledger {
    ($run:path, $conn:ident, [$($wait:tt)*], $first:literal, $second:literal) => {{
        let mut journal = Journal::default();
        pages!($run, $conn, journal, [$($wait)*], statement(HOLDS, $first, ""), HoldEntry, hold);
        pages!($run, $conn, journal, [$($wait)*], statement(CAPTURES, $first, ""), CaptureEntry, capture);
        pages!($run, $conn, journal, [$($wait)*], statement(CARVES, $first, ""), CarveEntry, carve);
        let mut after = (String::new(), i64::MIN);
        loop {
            let query = diesel::sql_query(statement(USES, $first, $second));
            let query = query.bind::<Text, _>(after.0.clone()).bind::<BigInt, _>(after.1);
            let page: Vec<UseEntry> = $run(query, $conn)$($wait)*?;
            page.iter().for_each(|entry| journal.compare(entry));
            match page.last() {
                Some(last) => after = (last.id.clone(), last.period),
                None => break,
            }
        }
        Ok(journal.close())
    }};
}

/// Recomputes every line from its journal. Memory grows with the lines that were ever used.
pub async fn verify_ledger(db: &Db) -> Result<Proof, DbError> {
    match &*db.pools {
        Pools::Pg(pool) => {
            let mut conn = pool.take().await?;
            let conn: &mut AsyncPgConnection = &mut conn;
            // One snapshot: a hold and the line it was booked on are of the same moment.
            conn.build_transaction()
                .repeatable_read()
                .read_only()
                .run(async |conn| read_ledger!(diesel_async::RunQueryDsl::get_results, conn, [.await], "$1", "$2"))
                .await
                .map_err(DbError::from_diesel)
        }
        Pools::Lite(pools) => {
            pools
                .read
                .run(move |conn| {
                    diesel::Connection::transaction(conn, |conn| {
                        read_ledger!(diesel::RunQueryDsl::get_results, conn, [], "?", "?")
                    })
                })
                .await
        }
    }
}
