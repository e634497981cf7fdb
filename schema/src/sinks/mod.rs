//! How the audit leaves the deployment, as it is stored: where it is sent, up to which record of
//! each chain each destination has it, and what has been pruned or redacted.
//!
//! There is no outbox beside the audit: its table is the outbox, and a position is moved only
//! once the destination has what lies before it. Records of one chain become visible in order, so
//! that a position per chain leaves no gap, whatever clocks say and in which order nodes commit.

mod delivery;
mod feed;
mod retention;
mod rows;

pub use delivery::{
    BatchDone, active_sinks, all_sink_owners, claim, deliveries_of, finish_batch, hasten, list_sinks, note_failure,
    open_sink, positions_of, skip_pruned, start_batch,
};
pub use feed::{ChainHead, FeedFilter, chain_heads, first_after, positions_since, records_between};
pub use retention::{
    PRUNE_BATCH, Prunable, delete_pruned, find_record, needed_by_sinks, prunable, pruning_of, prunings,
    redactions_between,
};
pub use rows::{AuditPruningRow, AuditRedactionRow, AuditSinkPositionRow, AuditSinkRow, SinkDeliveryRow};

use crate::db::{Db, DbError, read};
use crate::tables::audit_sinks;
use diesel::prelude::*;

/// Most sinks that are read at once: there are never more active ones.
pub const SINKS_LIMIT: i64 = 256;

pub async fn find_sink(db: &Db, id: &str) -> Result<Option<AuditSinkRow>, DbError> {
    let id = id.to_owned();
    let found = read!(db, get_results::<AuditSinkRow>, audit_sinks::table.find(id).select(AuditSinkRow::as_select()))?;
    Ok(found.into_iter().next())
}
