//! How full limits are, and which secrets were proved: kept here for nodes without Redis, or
//! while it is away. Each take is one statement, so that two nodes never share a cell.
//!
//! Beside the janitor and migrations the only writer outside the committer, because nothing here
//! says what anybody may do: a lost row is a limit that is empty, or a guess that waits.

use crate::db::{Db, DbError, Pools, read};
use crate::tables::{proved_secrets, rate_cells};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::AsyncPgConnection;
use stipend_token::rate::{Rate, SLACK_MICROS, Taken};

/// Most keys that one question may name.
pub const MAX_KEYS: usize = 8;

const MICROS: i64 = 1_000_000;

#[derive(diesel::QueryableByName)]
struct After {
    #[diesel(sql_type = BigInt)]
    tat: i64,
    #[diesel(sql_type = BigInt)]
    granted: i64,
}

/// A statement that answers one row, on whichever backend `$db` is, through the connections that
/// may write. Expanded once per backend, so its values must be owned.
macro_rules! write_one {
    ($db:expr, $query:expr) => {{
        let db: &Db = $db;
        match &*db.pools {
            Pools::Pg(pool) => {
                let answer = async {
                    let mut conn = pool.take().await?;
                    let conn: &mut AsyncPgConnection = &mut conn;
                    diesel_async::RunQueryDsl::get_result::<After>($query, conn).await.map_err(DbError::from_diesel)
                };
                tokio::time::timeout(db.limits.answer_timeout, answer)
                    .await
                    .map_err(DbError::timed_out)
                    .and_then(|answer| answer)
            }
            Pools::Lite(pools) => {
                pools.write.run(move |conn| diesel::RunQueryDsl::get_result::<After>($query, conn)).await
            }
        }
    }};
}

/// Takes up to `want` cells of what is limited as `key`, at `now` in microseconds: what
/// [`Rate::take`] says, in one statement. Safe to drop only in a task of its own.
pub async fn take_cells(db: &Db, key: &str, rate: &Rate, now: i64, want: u32) -> Result<Taken, DbError> {
    let text = match &*db.pools {
        Pools::Pg(_) => take_statement("LEAST", "GREATEST", '$'),
        Pools::Lite(_) => take_statement("min", "max", '?'),
    };
    let first = rate.take(None, now, want);
    let tolerance = rate.tolerance();
    let (key, rate) = (key.to_owned(), *rate);
    let most = tolerance.saturating_add(SLACK_MICROS);
    // By then it is empty, whatever it was.
    let expires_at = now.saturating_add(most).saturating_add(SLACK_MICROS).div_euclid(MICROS);
    let after = write_one!(
        db,
        diesel::sql_query(text)
            .bind::<Text, _>(key)
            .bind::<BigInt, _>(first.tat)
            .bind::<BigInt, _>(i64::from(first.granted))
            .bind::<BigInt, _>(expires_at)
            .bind::<BigInt, _>(now)
            .bind::<BigInt, _>(rate.interval())
            .bind::<BigInt, _>(most)
            .bind::<BigInt, _>(i64::from(want))
            .bind::<BigInt, _>(tolerance)
    )?;
    let granted = u32::try_from(after.granted).unwrap_or(0);
    // What lies beyond the tolerance, and one cell.
    let wait = after.tat.saturating_sub(now).saturating_sub(tolerance).saturating_add(rate.interval());
    Ok(Taken { granted, tat: after.tat, wait: if granted == 0 && want > 0 { wait } else { 0 } })
}

fn take_statement(least: &str, greatest: &str, sign: char) -> String {
    let level = format!("{least}({greatest}(c.tat - {sign}5, 0), {sign}7)");
    let granted = format!("{least}({sign}8, {greatest}({sign}9 - {level}, 0) / {sign}6)");
    format!(
        "INSERT INTO rate_cells AS c (key, tat, granted, expires_at) VALUES ({sign}1, {sign}2, {sign}3, {sign}4) \
         ON CONFLICT (key) DO UPDATE SET tat = {sign}5 + {level} + {granted} * {sign}6, granted = {granted}, \
         expires_at = {sign}4 RETURNING tat, granted"
    )
}

/// The arrival times of what is limited as `keys`, in their order; `None` where nothing happened.
pub async fn arrivals(db: &Db, keys: &[String]) -> Result<Vec<Option<i64>>, DbError> {
    if keys.len() > MAX_KEYS {
        return Err(DbError::Refused("too many keys".to_owned()));
    }
    let named = keys.to_vec();
    let rows = read!(
        db,
        get_results::<(String, i64)>,
        rate_cells::table.filter(rate_cells::key.eq_any(named)).select((rate_cells::key, rate_cells::tat))
    )?;
    let arrival = |key: &String| rows.iter().find(|(found, _)| found == key).map(|(_, tat)| *tat);
    Ok(keys.iter().map(arrival).collect())
}

/// Remembers that the secret of a mark was proved, until `expires_at` in seconds.
pub async fn mark_proved(db: &Db, mark: &str, expires_at: i64) -> Result<(), DbError> {
    let text = match &*db.pools {
        Pools::Pg(_) => mark_statement('$'),
        Pools::Lite(_) => mark_statement('?'),
    };
    let mark = mark.to_owned();
    write_one!(db, diesel::sql_query(text).bind::<Text, _>(mark).bind::<BigInt, _>(expires_at)).map(|_| ())
}

fn mark_statement(sign: char) -> String {
    format!(
        "INSERT INTO proved_secrets (mark, expires_at) VALUES ({sign}1, {sign}2) \
         ON CONFLICT (mark) DO UPDATE SET expires_at = {sign}2 \
         RETURNING expires_at AS tat, expires_at AS granted"
    )
}

/// Forgets it, as if it had never been proved.
pub async fn forget_proved(db: &Db, mark: &str) -> Result<(), DbError> {
    mark_proved(db, mark, 0).await
}

/// Whether the secret of a mark was proved, as far as is known at `now` in seconds.
pub async fn is_proved(db: &Db, mark: &str, now: i64) -> Result<bool, DbError> {
    let mark = mark.to_owned();
    let found = read!(
        db,
        get_results::<String>,
        proved_secrets::table.find(mark).filter(proved_secrets::expires_at.gt(now)).select(proved_secrets::mark)
    )?;
    Ok(!found.is_empty())
}
