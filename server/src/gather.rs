//! Refusals before authentication, gathered so that a stranger can't fill the disk.
//!
//! The first refusal of a kind (reason, claimed client, source) in a second is recorded
//! before it is answered. Those that follow in that second wait for its end and share
//! one record with their count: still recorded before the answer, and a brake on guessing.

use crate::admission::aside;
use crate::audit::{Draft, Origin};
use crate::clock::Clock;
use crate::limits::MAX_GATHERED;
use crate::pace::Pace;
use crate::reason::Reason;
use crate::store::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use stipend_schema::{CommitterHandle, Outcome, Work};
use tokio::sync::watch;

/// What makes two refusals alike.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Kind {
    event: &'static str,
    reason: Reason,
    claimed_client: Option<String>,
    source: Option<std::net::IpAddr>,
}

/// One kind within one second.
#[derive(Debug)]
struct Bucket {
    repeats: u64,
    recorded: watch::Sender<Option<bool>>,
}

#[derive(Debug, Default)]
struct Buckets {
    open: HashMap<Kind, Bucket>,
}

#[derive(Debug)]
pub struct Gatherer {
    buckets: Arc<Mutex<Buckets>>,
    committer: CommitterHandle,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
}

/// What the caller must do.
enum Turn {
    /// Record it now; then close the bucket at the second's end.
    First,
    Later(watch::Receiver<Option<bool>>),
}

/// Longest claimed client id that is kept.
const MAX_CLAIMED_BYTES: usize = 128;

impl Gatherer {
    #[must_use]
    pub fn new(committer: CommitterHandle, clock: Arc<dyn Clock>, store: Arc<Store>) -> Self {
        Self { buckets: Arc::default(), committer, clock, store }
    }

    /// Records a refusal; true once it is durable.
    pub async fn refuse(&self, event: &'static str, reason: Reason, claimed: Option<&str>, origin: &Origin) -> bool {
        let kind = Kind { event, reason, claimed_client: claimed.map(printable), source: origin.source };
        let (kind, turn) = self.turn(kind);
        match turn {
            Turn::First => {
                let recorded = record(&self.committer, &kind, origin, 1).await;
                self.close_later(kind);
                recorded
            }
            Turn::Later(mut recorded) => {
                let end = async move {
                    match recorded.wait_for(Option::is_some).await {
                        Ok(answer) => *answer == Some(true),
                        Err(_) => false,
                    }
                };
                aside(end).await
            }
        }
    }

    fn turn(&self, mut kind: Kind) -> (Kind, Turn) {
        let mut buckets = self.buckets.lock();
        if buckets.open.len() >= MAX_GATHERED && !buckets.open.contains_key(&kind) {
            // Past the bound the claimed client and the source are no longer told apart.
            kind.claimed_client = None;
            kind.source = None;
        }
        let turn = match buckets.open.get_mut(&kind) {
            Some(bucket) => {
                bucket.repeats += 1;
                Turn::Later(bucket.recorded.subscribe())
            }
            None => {
                let bucket = Bucket { repeats: 0, recorded: watch::Sender::new(None) };
                buckets.open.insert(kind.clone(), bucket);
                Turn::First
            }
        };
        (kind, turn)
    }

    /// At the second's end: one record for all that repeated it.
    fn close_later(&self, kind: Kind) {
        let (buckets, committer) = (Arc::clone(&self.buckets), self.committer.clone());
        let left = 1_000_000 - self.clock.micros().rem_euclid(1_000_000);
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(1_000_000));
        self.store.background(async move {
            tokio::time::sleep(left).await;
            let Some(bucket) = buckets.lock().open.remove(&kind) else { return };
            if bucket.repeats > 0 {
                let origin = Origin { request_id: String::new(), source: kind.source, pace: Pace::default() };
                let recorded = record(&committer, &kind, &origin, bucket.repeats).await;
                bucket.recorded.send_replace(Some(recorded));
            }
        });
    }
}

async fn record(committer: &CommitterHandle, kind: &Kind, origin: &Origin, count: u64) -> bool {
    let mut draft = Draft::new(kind.event, origin);
    if let Some(claimed) = &kind.claimed_client {
        draft.put("claimed_client", claimed.clone());
    }
    draft.put("count", count);
    let work = Work::recording(0, draft.refused(kind.reason));
    matches!(committer.submit(work).await, Outcome::Committed { .. })
}

/// What a stranger claims to be, made safe to store and short.
fn printable(claimed: &str) -> String {
    claimed.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).take(MAX_CLAIMED_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_client_is_short_and_printable() {
        assert_eq!(printable("a\r\nb\u{1b}[31mä"), "a??b?[31m?");
        assert_eq!(printable(&"x".repeat(1000)).len(), MAX_CLAIMED_BYTES);
    }
}
