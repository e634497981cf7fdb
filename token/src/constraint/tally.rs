//! Counting calls for the limits that are counted: what is kept of a count, and what it says.
//!
//! Time is whole seconds, so a call counts until the second is over in which it leaves the
//! span: too many calls may be counted for a moment, too few never.

use super::rate::{MAX_PER_SECONDS, Rate};
use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// A span is counted in so many parts at most, and a part counts as long as any of it does.
pub const TALLY_PARTS: u32 = 60;

/// Over which span calls are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Span {
    /// For ever.
    Ever,
    /// The last so many seconds.
    Seconds(u32),
}

impl Span {
    /// Seconds in a part.
    fn part(self) -> i64 {
        match self {
            Self::Ever => i64::MAX,
            Self::Seconds(seconds) => i64::from(seconds.clamp(1, MAX_PER_SECONDS).div_ceil(TALLY_PARTS)),
        }
    }
}

impl From<Rate> for Span {
    fn from(rate: Rate) -> Self {
        Self::Seconds(rate.per_s())
    }
}

/// Calls counted, by the start of the part they fell in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tally(Vec<(Timestamp, u64)>);

impl Tally {
    /// How many calls count now. A part in the future counts as well: clocks differ.
    #[must_use]
    pub fn count(&self, span: Span, now: Timestamp) -> u64 {
        let counting = self.0.iter().filter(|(start, _)| counts(span, *start, now));
        counting.fold(0, |sum, (_, calls)| sum.saturating_add(*calls))
    }

    /// Counts a call, and forgets what counts no more.
    pub fn add(&mut self, span: Span, now: Timestamp) {
        self.0.retain(|(start, _)| counts(span, *start, now));
        let start = match span {
            Span::Ever => 0,
            Span::Seconds(_) => now.div_euclid(span.part()).saturating_mul(span.part()),
        };
        match self.0.iter_mut().find(|(known, _)| *known == start) {
            Some((_, calls)) => *calls = calls.saturating_add(1),
            None => self.0.push((start, 1)),
        }
    }

    /// Reads what [`Tally::write`] wrote. What can't be read counts as full: it was somebody's
    /// limit.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    #[must_use]
    pub fn write(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(start, calls)| format!("[{start},{calls}]")).collect();
        format!("[{}]", parts.join(","))
    }
}

fn counts(span: Span, start: Timestamp, now: Timestamp) -> bool {
    match span {
        Span::Ever => true,
        Span::Seconds(seconds) => start.saturating_add(span.part()) > now.saturating_sub(i64::from(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_call_counts_for_its_span_and_a_second_more() {
        let span = Span::Seconds(60);
        let mut tally = Tally::default();
        tally.add(span, 1000);
        for (now, count) in [(1000, 1), (1059, 1), (1060, 1), (1061, 0), (990, 1)] {
            assert_eq!(tally.count(span, now), count, "{now}");
        }
        assert_eq!(tally.count(Span::Ever, i64::MAX), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_and_reads_back() {
        for seconds in [1, 7, 60, 61, 3600, MAX_PER_SECONDS] {
            let span = Span::Seconds(seconds);
            let mut tally = Tally::default();
            for call in 0..1000 {
                tally.add(span, call * i64::from(seconds) / 90);
            }
            assert!(tally.0.len() <= 62, "{seconds}: {}", tally.0.len());
            assert_eq!(Tally::read(&tally.write()), Some(tally));
        }
        assert_eq!(Tally::read("full"), None);
    }

    proptest! {
        #[test]
        fn never_fewer_than_there_were(
            seconds in prop::sample::select(vec![1u32, 2, 30, 60, 90, 3600]),
            mut calls in prop::collection::vec(0..20_000i64, 1..200),
        ) {
            calls.sort_unstable();
            let span = Span::Seconds(seconds);
            let mut tally = Tally::default();
            for (n, now) in calls.iter().enumerate() {
                let within = calls[..n].iter().filter(|earlier| **earlier > now - i64::from(seconds)).count();
                let counted = usize::try_from(tally.count(span, *now)).unwrap();
                prop_assert!(counted >= within);
                let part = span.part();
                let at_most = calls[..n].iter().filter(|earlier| **earlier + 2 * part > now - i64::from(seconds)).count();
                prop_assert!(counted <= at_most, "no more than a part too many");
                tally.add(span, *now);
            }
        }
    }
}
