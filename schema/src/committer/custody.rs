//! Custody's statements: counters under their locks, and what is noted.

/// Statements of one backend, but the lock of a counter's row.
macro_rules! custody_statements {
    ($conn:ty, [$($asyncness:ident)?], [$($wait:tt)*]) => {
        pub(super) $($asyncness)? fn keep_counters(conn: &mut $conn, rows: &[CounterRow]) -> QueryResult<()> {
            for row in rows {
                diesel::update(counters::table.find(&row.key))
                    .set((counters::state.eq(&row.state), counters::expires_at.eq(row.expires_at)))
                    .execute(conn)$($wait)*?;
            }
            Ok(())
        }

        pub(super) $($asyncness)? fn note(conn: &mut $conn, note: &Note) -> QueryResult<()> {
            match note {
                Note::Exposure(row) => {
                    diesel::insert_into(credential_exposures::table)
                        .values(row)
                        .on_conflict((credential_exposures::version_id, credential_exposures::agent_id))
                        .do_update()
                        .set(credential_exposures::last_at.eq(row.last_at))
                        .execute(conn)$($wait)*?
                }
                Note::Use(row) => {
                    diesel::insert_into(credential_uses::table)
                        .values(row)
                        .on_conflict(credential_uses::grant_id)
                        .do_update()
                        .set((
                            credential_uses::version_id.eq(&row.version_id),
                            credential_uses::mode.eq(&row.mode),
                            credential_uses::uses.eq(credential_uses::uses + row.uses),
                            credential_uses::last_at.eq(row.last_at),
                        ))
                        .execute(conn)$($wait)*?
                }
                // Written all at once.
                Note::Status(_) | Note::Reach(_) => 0,
                Note::Polled(polled) => {
                    diesel::update(approval_requests::table.find(&polled.id))
                        .set((
                            approval_requests::polled_at.eq(polled.at),
                            approval_requests::interval_seconds.eq(polled.interval_seconds),
                        ))
                        .execute(conn)$($wait)*?
                }
                Note::Signal(row) => {
                    diesel::insert_into(signal_outbox::table).values(row).execute(conn)$($wait)*?
                }
            };
            Ok(())
        }

        /// Whoever tells of it removes it; one that waits stands for all until then.
        pub(super) $($asyncness)? fn note_exhausted(conn: &mut $conn, line: &str, at: i64) -> QueryResult<()> {
            diesel::insert_into(budget_exhaustions::table)
                .values((budget_exhaustions::line_id.eq(line), budget_exhaustions::at.eq(at)))
                .on_conflict_do_nothing()
                .execute(conn)$($wait)*?;
            Ok(())
        }

        /// Makes the rows that are not there yet and locks all: whoever counts on the same
        /// counter waits until this transaction has ended. `now` in seconds.
        pub(super) $($asyncness)? fn open_counters(
            conn: &mut $conn,
            keys: &BTreeSet<&str>,
            now: i64,
        ) -> QueryResult<Vec<CounterRow>> {
            // The janitor may remove an old row between the two statements: then it is made
            // again, and what is new is not removed.
            for _ in 0..2 {
                for key in keys {
                    let row = CounterRow {
                        key: (*key).to_owned(),
                        state: "[]".to_owned(),
                        expires_at: now.saturating_add(super::custody::UNUSED_SECONDS),
                    };
                    diesel::insert_into(counters::table)
                        .values(&row)
                        .on_conflict_do_nothing()
                        .execute(conn)$($wait)*?;
                }
                let rows = lock_counters(conn, keys)$($wait)*?;
                if rows.len() == keys.len() {
                    return Ok(rows);
                }
            }
            Err(diesel::result::Error::NotFound)
        }
    };
}

pub(super) use custody_statements;

/// How long a counter that nothing was counted on is kept.
pub(super) const UNUSED_SECONDS: i64 = 3600;
