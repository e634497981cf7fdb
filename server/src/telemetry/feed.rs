//! How far this node's view is behind, measured where the feed arrives.

use super::Telemetry;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use stipend_schema::{Change, FeedSink, RevocationRow, TailerHandle};

/// A sink that measures on the way to another.
pub struct MeasuredSink {
    sink: Arc<dyn FeedSink>,
    telemetry: Telemetry,
    tailer: OnceLock<TailerHandle>,
}

impl fmt::Debug for MeasuredSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredSink").finish_non_exhaustive()
    }
}

impl MeasuredSink {
    #[must_use]
    pub fn new(sink: Arc<dyn FeedSink>, telemetry: Telemetry) -> Self {
        Self { sink, telemetry, tailer: OnceLock::new() }
    }

    /// Whose polls fill it. Until then nothing is measured: what a start finds is not late.
    pub fn follow(&self, tailer: TailerHandle) {
        let _ = self.tailer.set(tailer);
    }
}

impl FeedSink for MeasuredSink {
    fn apply(&self, changes: &[Change], revocations: &[RevocationRow], head: i64) {
        self.sink.apply(changes, revocations, head);
        // A refill after the feed was lost says nothing of when its rows came.
        let Some(tailer) = self.tailer.get().filter(|_| !changes.is_empty()) else { return };
        // What is new now was not there when the last poll began: the lag is at most this, by one
        // monotonic clock, whatever the clocks of other machines say.
        let lag = Instant::now().saturating_duration_since(tailer.fresh_since());
        for _ in revocations {
            self.telemetry.revocation_applied(lag);
        }
    }

    fn lost(&self) {
        self.sink.lost();
    }
}
