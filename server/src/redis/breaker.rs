//! Whether Redis is used: a pure machine, so that what it does can be tested without one. A
//! timeout leaves Redis alone at once, because everybody who asks would wait as long; other
//! faults do after some in a row. Who asks never tries: one task does, after pauses that grow.

use crate::limits::{REDIS_FAULTS, REDIS_FIRST_PAUSE, REDIS_LONGEST_PAUSE, REDIS_STABLE};
use std::time::{Duration, Instant};

/// What went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Timeout,
    /// The connection is gone.
    Lost,
    /// It answered, and refused.
    Refused,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Closed { since: Instant, faults: u32 },
    Open,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    state: State,
    /// Times that it was tried in vain, or did not stay.
    tries: u32,
}

impl Breaker {
    /// Before it was ever reached.
    pub fn new() -> Self {
        Self { state: State::Open, tries: 0 }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// It answered.
    pub fn succeeded(&mut self) {
        if let State::Closed { faults, .. } = &mut self.state {
            *faults = 0;
        }
    }

    /// It did not. Whether this opened the breaker.
    pub fn failed(&mut self, fault: Fault, now: Instant) -> bool {
        let State::Closed { since, faults } = &mut self.state else { return false };
        *faults = faults.saturating_add(1);
        if fault == Fault::Refused && *faults < REDIS_FAULTS {
            return false;
        }
        let stable = now.saturating_duration_since(*since) >= REDIS_STABLE;
        self.tries = if stable { 0 } else { self.tries.saturating_add(1) };
        self.state = State::Open;
        true
    }

    /// It was tried, and answered. Whether that closed the breaker.
    pub fn recovered(&mut self, now: Instant) -> bool {
        let closes = !self.is_closed();
        if closes {
            self.state = State::Closed { since: now, faults: 0 };
        }
        closes
    }

    /// It was tried in vain.
    pub fn tried(&mut self) {
        self.tries = self.tries.saturating_add(1);
    }

    /// How long to leave it alone; `jitter` is anything.
    pub fn pause(&self, jitter: u8) -> Duration {
        let doubled = REDIS_FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX));
        let pause = doubled.min(REDIS_LONGEST_PAUSE);
        pause.saturating_add(pause.saturating_mul(u32::from(jitter)) / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        assert!(!breaker.is_closed() && breaker.recovered(now) && breaker.is_closed());
        breaker
    }

    #[test]
    fn one_timeout_or_lost_connection_opens_it_and_refusals_only_in_a_row() {
        let now = Instant::now();
        for fault in [Fault::Timeout, Fault::Lost] {
            let mut breaker = closed(now);
            assert!(breaker.failed(fault, now) && !breaker.is_closed());
            assert!(!breaker.failed(fault, now), "it is open already");
        }
        let mut breaker = closed(now);
        for _ in 1..REDIS_FAULTS {
            assert!(!breaker.failed(Fault::Refused, now));
        }
        breaker.succeeded();
        for _ in 1..REDIS_FAULTS {
            assert!(!breaker.failed(Fault::Refused, now));
        }
        assert!(breaker.failed(Fault::Refused, now));
    }

    #[test]
    fn pauses_double_to_their_bound_and_never_end_together() {
        let mut breaker = Breaker::new();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(breaker.pause(0).as_millis());
            breaker.tried();
        }
        assert_eq!(pauses[..5], [250, 500, 1000, 2000, 2000]);
        assert_eq!(pauses[39], 2000);
        assert_eq!(breaker.pause(255).as_millis(), 2498);
        // With the connection's time limit this leaves room in the five seconds of recovery.
        assert!(breaker.pause(255) < Duration::from_secs(3));
    }

    #[test]
    fn one_that_comes_and_goes_is_left_alone_longer_and_longer() {
        let mut now = Instant::now();
        let mut breaker = closed(now);
        for pause in [500, 1000, 2000] {
            assert!(breaker.failed(Fault::Timeout, now));
            assert_eq!(breaker.pause(0).as_millis(), pause);
            assert!(breaker.recovered(now));
        }
        now += REDIS_STABLE;
        assert!(breaker.failed(Fault::Timeout, now));
        assert_eq!(breaker.pause(0).as_millis(), 250);
    }
}
