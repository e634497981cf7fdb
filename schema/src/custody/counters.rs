//! The counters of one transaction: locked and loaded, judged one work after the other, and
//! what is to be stored of them.

use super::rows::CounterRow;
use std::collections::{BTreeSet, HashMap};
use stipend_token::constraint::{Mode, Span, Tally};

/// One more of something that is limited.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Count {
    /// Of the counter: what is counted, and over which span.
    pub key: String,
    pub span: Span,
    /// At most.
    pub limit: u64,
    /// Only what is enforced stops a work.
    pub mode: Mode,
    /// The audit's word for a full counter.
    pub reason: &'static str,
    /// Seconds; from then on the counter need not be remembered.
    pub expires_at: i64,
}

/// What became of a work's counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    /// The count that was full, by its place in the work.
    pub exceeded: Option<usize>,
    /// Reasons of observed counts that were full.
    pub observed: Vec<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Counters {
    /// `None`: what is stored can't be read, and counts as full.
    tallies: HashMap<String, (Option<Tally>, i64)>,
    changed: BTreeSet<String>,
}

impl Counters {
    pub fn open(rows: Vec<CounterRow>) -> Self {
        let tally = |row: CounterRow| (row.key, (Tally::read(&row.state), row.expires_at));
        Self { tallies: rows.into_iter().map(tally).collect(), changed: BTreeSet::new() }
    }

    /// Whether all counts have room. Counts nothing.
    pub fn judge(&self, counts: &[Count], now: i64) -> Counted {
        let mut counted = Counted::default();
        for (place, count) in counts.iter().enumerate() {
            let full = match self.tallies.get(&count.key) {
                Some((Some(tally), _)) => tally.count(count.span, now) >= count.limit,
                Some((None, _)) => true,
                // Every counter was made before it is judged.
                None => true,
            };
            match (full, count.mode) {
                (false, _) => {}
                (true, Mode::Observe) => counted.observed.push(count.reason),
                (true, Mode::Enforce) => {
                    counted.exceeded = Some(place);
                    break;
                }
            }
        }
        counted
    }

    /// Counts one more of each.
    pub fn add(&mut self, counts: &[Count], now: i64) {
        for count in counts {
            if let Some((Some(tally), expires_at)) = self.tallies.get_mut(&count.key) {
                tally.add(count.span, now);
                *expires_at = count.expires_at.max(*expires_at);
                self.changed.insert(count.key.clone());
            }
        }
    }

    /// What changed, by key.
    pub fn close(self) -> Vec<CounterRow> {
        let Self { tallies, changed } = self;
        let row = |key: String| {
            let (tally, expires_at) = tallies.get(&key)?;
            Some(CounterRow { state: tally.as_ref()?.write(), expires_at: *expires_at, key })
        };
        changed.into_iter().filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(key: &str, limit: u64, mode: Mode) -> Count {
        Count { key: key.into(), span: Span::Ever, limit, mode, reason: "uses_exhausted", expires_at: 9 }
    }

    #[test]
    fn a_count_stops_at_its_limit_and_an_observed_one_only_says_so() {
        let empty = |key: &str| CounterRow { key: key.into(), state: "[]".into(), expires_at: 0 };
        let mut counters = Counters::open(vec![empty("a"), empty("b")]);
        let counts = [count("a", 2, Mode::Enforce), count("b", 1, Mode::Observe)];
        for observed in [vec![], vec!["uses_exhausted"]] {
            assert_eq!(counters.judge(&counts, 0), Counted { exceeded: None, observed });
            counters.add(&counts, 0);
        }
        assert_eq!(counters.judge(&counts, 0).exceeded, Some(0));
        let rows = counters.close();
        assert_eq!(
            rows.iter().map(|row| (&*row.key, &*row.state)).collect::<Vec<_>>(),
            [("a", "[[0,2]]"), ("b", "[[0,2]]")]
        );
        assert_eq!(Counters::open(rows).judge(&counts, 0).exceeded, Some(0), "it reads back");
    }

    #[test]
    fn a_counter_that_cannot_be_read_is_full() {
        let damaged = CounterRow { key: "a".into(), state: "?".into(), expires_at: 0 };
        let mut counters = Counters::open(vec![damaged]);
        assert_eq!(counters.judge(&[count("a", 9, Mode::Enforce)], 0).exceeded, Some(0));
        counters.add(&[count("a", 9, Mode::Observe)], 0);
        assert!(counters.close().is_empty(), "and is not written over");
    }
}
