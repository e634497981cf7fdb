//! How long answers took, from the moment a request was due: a generator that waits for slow
//! answers must not lose them from its figures.

use crate::clock::Micros;
use crate::load::history::Kind;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest time that is told apart: ten minutes.
const MAX_MICROS: u64 = 600_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

#[derive(Debug, Default)]
pub struct Latency(Mutex<BTreeMap<Kind, Histogram<u64>>>);

/// Times of one kind of operation, in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Times {
    pub operation: &'static str,
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

impl Latency {
    pub fn record(&self, kind: Kind, due: Micros, answered: Micros) {
        let mut all = self.0.lock();
        if !all.contains_key(&kind)
            && let Ok(fresh) = Histogram::new_with_bounds(1, MAX_MICROS, DIGITS)
        {
            all.insert(kind, fresh);
        }
        if let Some(histogram) = all.get_mut(&kind) {
            histogram.saturating_record(answered.saturating_sub(due).max(1));
        }
    }

    #[must_use]
    pub fn times(&self) -> Vec<Times> {
        let all = self.0.lock();
        let times = |(kind, histogram): (&Kind, &Histogram<u64>)| Times {
            operation: kind.as_str(),
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        };
        all.iter().map(times).collect()
    }
}
