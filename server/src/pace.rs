//! How one request stands with the limits on how often its client may ask: asked once, however
//! often its decision is made again, and what `Retry-After` then says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Shared by all who serve one request.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counted: AtomicBool,
    /// Seconds; 0: nothing holds it up.
    wait: AtomicU32,
}

impl Pace {
    /// Whether the request is still to be counted: true once.
    #[must_use]
    pub fn count(&self) -> bool {
        !self.0.counted.swap(true, Ordering::Relaxed)
    }

    /// It is held up for this long, in microseconds.
    pub fn hold_up(&self, micros: i64) {
        self.0.wait.store(stipend_token::rate::seconds_up(micros).max(1), Ordering::Relaxed);
    }

    /// The seconds after which it may be tried again, where it was held up.
    #[must_use]
    pub fn wait(&self) -> Option<u32> {
        Some(self.0.wait.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_once_and_waits_in_whole_seconds() {
        let pace = Pace::default();
        assert!(pace.count() && !pace.clone().count());
        assert_eq!(pace.wait(), None);
        for (micros, seconds) in [(1, 1), (1_000_000, 1), (1_000_001, 2), (-5, 1)] {
            pace.clone().hold_up(micros);
            assert_eq!(pace.wait(), Some(seconds));
        }
    }
}
