//! Rates: so many within a time and so many at once, by the generic cell rate algorithm.
//!
//! All there is to remember of what is limited is one instant: the *theoretical arrival time*,
//! before which everything that was admitted is paid for. The further it lies ahead, the fuller
//! the limit. Integers alone, in microseconds; time is a parameter. Whoever keeps that instant
//! (a process, Redis, the database) computes what [`Rate::take`] computes, and is tested
//! against it.

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;
/// Most within the time of a rate, and most at once.
pub const MAX_COUNT: u32 = 1_000_000;
/// Longest time of a rate, and longest that a full limit takes to be empty again: a day.
pub const MAX_SECONDS: u32 = 86_400;
/// Most cells that one node takes at a time.
pub const MAX_SLAB: u32 = 64;
/// One part in so many of what is admitted at once is taken by a node at a time.
const SLABS: u32 = 16;
/// An instant that lies further ahead than a full limit and this much was written by a clock
/// that was wrong: it is read as if it did not. In microseconds.
pub const SLACK_MICROS: i64 = 60 * MICROS;

/// How often something may happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    burst: u32,
    /// What one costs, in microseconds: rounded up, so that there is never more than was said.
    interval: i64,
}

/// Why something is no rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RateError {
    #[error("a rate is written count/seconds or count/seconds/burst, such as 600/60 or 600/60/100")]
    Malformed,
    #[error("the count and the burst of a rate are 1 to 1000000, its time is 1 to 86400 seconds")]
    OutOfRange,
    #[error("a burst may be no more than what the rate admits in a day")]
    BurstTooLarge,
}

/// What became of asking for cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// How many were there: none, or up to what was asked for.
    pub granted: u32,
    /// The theoretical arrival time from now on.
    pub tat: i64,
    /// Where there was none: in how many microseconds there will be one.
    pub wait: i64,
}

impl Rate {
    /// `count` within `per_seconds`, and `burst` at once.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn new(count: u32, per_seconds: u32, burst: u32) -> Result<Self, RateError> {
        let counts = 1..=MAX_COUNT;
        if !counts.contains(&count) || !counts.contains(&burst) || !(1..=MAX_SECONDS).contains(&per_seconds) {
            return Err(RateError::OutOfRange);
        }
        let (count, per) = (i64::from(count), i64::from(per_seconds).saturating_mul(MICROS));
        let interval = per.saturating_add(count - 1) / count;
        if interval.saturating_mul(i64::from(burst)) > i64::from(MAX_SECONDS).saturating_mul(MICROS) {
            return Err(RateError::BurstTooLarge);
        }
        Ok(Self { burst, interval })
    }

    /// `burst` at once, and one more every so many microseconds, at least one.
    #[must_use]
    pub const fn every(interval: i64, burst: u32) -> Self {
        Self { burst, interval: if interval < 1 { 1 } else { interval } }
    }

    /// Reads `count/seconds`, with a burst of the count, or `count/seconds/burst`.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits { part.parse().map_err(|_| RateError::OutOfRange) } else { Err(RateError::Malformed) }
        };
        let numbers: Vec<u32> = text.split('/').take(4).map(number).collect::<Result<_, _>>()?;
        match *numbers.as_slice() {
            [count, seconds] => Self::new(count, seconds, count),
            [count, seconds, burst] => Self::new(count, seconds, burst),
            _ => Err(RateError::Malformed),
        }
    }

    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// What one costs, in microseconds.
    #[must_use]
    pub fn interval(&self) -> i64 {
        self.interval
    }

    /// How far ahead the arrival time of a full limit lies, in microseconds.
    #[must_use]
    pub fn tolerance(&self) -> i64 {
        self.interval.saturating_mul(i64::from(self.burst))
    }

    /// How many a node takes at a time: a small part of the burst, and one where that is small,
    /// so that small limits are exact over any number of nodes.
    #[must_use]
    pub fn slab(&self) -> u32 {
        (self.burst / SLABS).clamp(1, MAX_SLAB)
    }

    /// Whether another admits more than this, at once or in the long run.
    #[must_use]
    pub fn is_exceeded_by(&self, other: &Self) -> bool {
        other.burst > self.burst || other.interval < self.interval
    }

    /// Takes up to `want` cells at `now`, where the arrival time was `tat`; `None`: nothing has
    /// happened yet.
    #[must_use]
    pub fn take(&self, tat: Option<i64>, now: i64, want: u32) -> Taken {
        let level = self.level(tat, now);
        let room = self.tolerance().saturating_sub(level);
        let cells = (room.max(0) / self.interval).min(i64::from(want));
        let granted = u32::try_from(cells).unwrap_or(0);
        let tat = now.saturating_add(level).saturating_add(self.interval.saturating_mul(i64::from(granted)));
        let wait = if granted == 0 && want > 0 { self.interval.saturating_sub(room) } else { 0 };
        Taken { granted, tat, wait }
    }

    /// In how many microseconds there will be a cell; none where there is one.
    #[must_use]
    pub fn wait(&self, tat: Option<i64>, now: i64) -> Option<i64> {
        Some(self.take(tat, now, 1)).filter(|taken| taken.granted == 0).map(|taken| taken.wait)
    }

    /// How far ahead of `now` the arrival time lies, believed no further than a clock may be off.
    fn level(&self, tat: Option<i64>, now: i64) -> i64 {
        let most = self.tolerance().saturating_add(SLACK_MICROS);
        tat.map_or(0, |tat| tat.saturating_sub(now)).clamp(0, most)
    }
}

/// Whole seconds, rounded up: what `Retry-After` says, so that who waits so long is admitted.
#[must_use]
pub fn seconds_up(micros: i64) -> u32 {
    let seconds = micros.max(0).saturating_add(MICROS - 1) / MICROS;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
