//! Time as a parameter. Everything that needs "now" takes it from a [`Clock`]; the
//! system clock is read in exactly one place.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};

pub const MICROS_PER_SECOND: i64 = 1_000_000;

pub trait Clock: Send + Sync + Debug {
    /// Microseconds since the Unix epoch.
    fn micros(&self) -> i64;

    /// Whole seconds since the Unix epoch.
    fn now(&self) -> i64 {
        self.micros().div_euclid(MICROS_PER_SECOND)
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn micros(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
        let now = std::time::SystemTime::now();
        // A clock before 1970 or after the year 294,246 is as wrong as one at zero.
        now.duration_since(std::time::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_micros()).ok())
            .unwrap_or(0)
    }
}

/// The machine's clock, moved by hand: tests advance it instead of sleeping.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    shift_micros: AtomicI64,
}

impl ShiftedClock {
    /// Moves the clock by `seconds`; negative goes back.
    pub fn advance(&self, seconds: i64) {
        self.shift_micros.fetch_add(seconds.saturating_mul(MICROS_PER_SECOND), Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn micros(&self) -> i64 {
        SystemClock.micros().saturating_add(self.shift_micros.load(Ordering::SeqCst))
    }
}
