//! The audit leaves the house: to webhooks (`deliver.rs`), to whoever follows it live, and as
//! lines of OCSF.
//!
//! There is no second outbox: the audit's own table is read from a position of each chain on, and
//! a position moves only once its destination has what lies before it (`read.rs`). What is sent is
//! what was recorded, in the order of each chain. Nothing here is on the path of a request, decides
//! anything, or records anything of its own deliveries: that would never end.

mod batch;
mod deliver;
mod lag;
pub mod ocsf;
mod read;
mod sink;

pub use batch::{Message, message};
pub use deliver::{deliver_to_sinks, try_once};
pub use lag::{Lag, Numbers, lag_of, numbers};
pub use read::{Plan, Run, next, read_runs};
pub use sink::{Format, Sink, SinkSpec, SinkState, aad, row};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};
use stipend_schema::AuditRow;

/// What this node knows of how the audit leaves.
#[derive(Debug, Default)]
pub struct Exports {
    /// How many seconds the sink that is furthest behind is behind, as last looked at.
    behind: AtomicI64,
}

impl Exports {
    /// Seconds that the sink furthest behind is behind.
    #[must_use]
    pub fn behind_seconds(&self) -> i64 {
        self.behind.load(Ordering::Relaxed)
    }

    fn note_behind(&self, seconds: i64) {
        self.behind.store(seconds, Ordering::Relaxed);
    }
}

/// A record as it was hashed, with its hash: a line of `stipend audit export`.
pub(crate) fn native(row: &AuditRow) -> Value {
    json!({"record": row.record, "hash": URL_SAFE_NO_PAD.encode(&row.hash)})
}
