//! The only source of chance in a simulation, so that a seed is a run: SplitMix64 (Steele, Lea and
//! Flood, OOPSLA 2014).

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Clones draw from one sequence.
#[derive(Clone, Debug)]
pub(super) struct Chance(Arc<Mutex<u64>>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn one_in(&self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Up to so many milliseconds, in microseconds.
    pub fn millis(&self, most: u64) -> Duration {
        Duration::from_micros(self.below(most.saturating_mul(1000)))
    }

    pub fn pick<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        let place = usize::try_from(self.below(u64::try_from(all.len()).ok()?)).ok()?;
        all.get(place)
    }
}
