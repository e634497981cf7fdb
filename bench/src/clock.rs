//! The time of a run: microseconds since it began, by a clock that never goes back. What is
//! compared with what is always read from the same epoch.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the run began.
pub type Micros = u64;

#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    began: Instant,
    /// Seconds since 1970, of the beginning: the server's records are found by it.
    pub began_at: i64,
}

impl Epoch {
    #[must_use]
    pub fn now() -> Self {
        #[expect(clippy::disallowed_methods, reason = "read once for a run, to ask for records since then")]
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_at: i64::try_from(wall.as_secs()).unwrap_or_default() }
    }

    #[must_use]
    pub fn micros(&self) -> Micros {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    #[must_use]
    pub fn instant(&self, at: Micros) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.began + Duration::from_micros(at))
    }
}
