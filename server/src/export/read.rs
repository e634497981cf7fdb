//! What comes next of the audit after a position: some records of some chains, in the order of
//! each chain, chains merged by time.

use crate::limits::{AUDIT_CHAINS_AT_ONCE, MAX_AUDIT_BATCH_BYTES, MAX_AUDIT_BATCH_RECORDS};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use stipend_schema::queries::AUDIT_PAGE_LIMIT;
use stipend_schema::sinks::{ChainHead, FeedFilter, records_between};
use stipend_schema::{AuditRow, Db, DbError};

/// The records of one chain after `after` and up to `to`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Run {
    pub writer: String,
    pub after: i64,
    pub to: i64,
}

/// What was read: which parts of the chains, and what in them passes the filter.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub runs: Vec<Run>,
    pub rows: Vec<AuditRow>,
}

/// Reads what comes after `positions`, at most a batch of it. No runs: there is nothing new.
///
/// # Errors
/// [`DbError`].
pub async fn next(
    db: &Db,
    positions: &BTreeMap<String, i64>,
    heads: &[ChainHead],
    filter: &FeedFilter,
) -> Result<Plan, DbError> {
    let mut plan = Plan::default();
    let mut room = MAX_AUDIT_BATCH_BYTES;
    let at = |writer: &str| positions.get(writer).copied().unwrap_or(0);
    let behind = heads.iter().filter(|head| head.n > at(&head.writer));
    for head in behind.take(AUDIT_CHAINS_AT_ONCE) {
        let left = MAX_AUDIT_BATCH_RECORDS.saturating_sub(i64::try_from(plan.rows.len()).unwrap_or(i64::MAX));
        if left <= 0 || room == 0 {
            break;
        }
        let after = at(&head.writer);
        let rows = records_between(db, (&head.writer, after, head.n), filter, left).await?;
        let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= left;
        let mut to = if more { after } else { head.n };
        let mut last = after;
        for row in rows {
            if row.record.len() > room && !plan.rows.is_empty() {
                room = 0;
                to = last;
                break;
            }
            room = room.saturating_sub(row.record.len());
            last = row.n;
            to = to.max(row.n);
            plan.rows.push(row);
        }
        if to > after {
            plan.runs.push(Run { writer: head.writer.clone(), after, to });
        }
    }
    order(&mut plan.rows);
    Ok(plan)
}

/// Reads again what was planned before.
///
/// # Errors
/// [`DbError`].
pub async fn read_runs(db: &Db, runs: &[Run], filter: &FeedFilter) -> Result<Vec<AuditRow>, DbError> {
    let mut rows = Vec::new();
    for run in runs {
        rows.extend(records_between(db, (&run.writer, run.after, run.to), filter, AUDIT_PAGE_LIMIT).await?);
    }
    order(&mut rows);
    Ok(rows)
}

/// By time, but never against the order of a chain, whatever its clock did meanwhile.
fn order(rows: &mut [AuditRow]) {
    let mut latest: HashMap<String, i64> = HashMap::new();
    let mut times: HashMap<(String, i64), i64> = HashMap::new();
    for row in rows.iter() {
        let at = latest.entry(row.writer.clone()).or_insert(row.at);
        *at = (*at).max(row.at);
        times.insert((row.writer.clone(), row.n), *at);
    }
    rows.sort_by_cached_key(|row| {
        let at = times.get(&(row.writer.clone(), row.n)).copied().unwrap_or(row.at);
        (at, row.writer.clone(), row.n)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(writer: &str, n: i64, at: i64) -> AuditRow {
        AuditRow {
            writer: writer.to_owned(),
            n,
            at,
            event: String::new(),
            outcome: String::new(),
            owner_id: None,
            subject_owner_id: None,
            client_id: None,
            jti: None,
            record: String::new(),
            hash: Vec::new(),
        }
    }

    #[test]
    fn chains_are_merged_by_time_and_a_clock_that_went_back_does_not_turn_one_round() {
        let mut rows = vec![row("a", 1, 10), row("a", 2, 30), row("a", 3, 5), row("b", 1, 20), row("b", 2, 40)];
        order(&mut rows);
        let said: Vec<(&str, i64)> = rows.iter().map(|row| (row.writer.as_str(), row.n)).collect();
        assert_eq!(said, [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)]);
    }
}
