//! The audit leaves the house: to webhooks (`deliver.rs`), to whoever follows it live, and as
//! lines of OCSF.
//!
//! There is no second outbox: the audit's own table is read from a position of each chain on, and
//! a position moves only once its destination has what lies before it (`read.rs`). What is sent is
//! what was recorded, in the order of each chain. Nothing here is on the path of a request, decides
//! anything, or records anything of its own deliveries: that would never end.

mod batch;
mod cursor;
mod deliver;
mod follow;
mod lag;
pub mod ocsf;
mod read;
mod redact;
mod retention;
mod sink;

pub use batch::{Message, message};
pub use cursor::{Cursor, Place};
pub use deliver::{deliver_to_sinks, try_once};
pub use follow::{May, Seat, Wanted, follow, written};
pub use lag::{Lag, Numbers, lag_of, numbers};
pub use read::{Plan, Run, next, read_runs};
pub use redact::{REDACTED, RedactField, Redaction, redact};
pub use retention::{prune, prune_audit};
pub use sink::{Format, Sink, SinkSpec, SinkState, aad, row};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use stipend_schema::AuditRow;
use stipend_schema::sinks::ChainHead;
use tokio::sync::watch;

/// How far the audit was, and when that was asked, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub at: i64,
    pub heads: Arc<Vec<ChainHead>>,
}

/// How far the audit is, for whoever waits for more.
pub type Heads = watch::Receiver<Known>;

/// What this node knows of how the audit leaves.
#[derive(Debug)]
pub struct Exports {
    /// How far the sink that is furthest behind is behind, as last looked at.
    behind: Mutex<Lag>,
    /// How many follow, by caller.
    followers: Mutex<HashMap<String, usize>>,
    known: watch::Sender<Known>,
    stopping: watch::Sender<bool>,
}

impl Default for Exports {
    fn default() -> Self {
        Self {
            behind: Mutex::default(),
            followers: Mutex::default(),
            known: watch::Sender::new(Known::default()),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Exports {
    /// How far behind sinks are: the most records, and the most seconds, of any.
    #[must_use]
    pub fn behind(&self) -> Lag {
        *self.behind.lock()
    }

    /// Ends whoever follows: the server stops.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    fn note_behind(&self, lag: Lag) {
        *self.behind.lock() = lag;
    }

    fn note_heads(&self, at: i64, heads: &Arc<Vec<ChainHead>>) {
        self.known.send_replace(Known { at, heads: Arc::clone(heads) });
    }

    fn heads(&self) -> Heads {
        self.known.subscribe()
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// A record as it was hashed, with its hash: a line of `stipend audit export`.
pub(crate) fn native(row: &AuditRow) -> Value {
    json!({"record": row.record, "hash": URL_SAFE_NO_PAD.encode(&row.hash)})
}
