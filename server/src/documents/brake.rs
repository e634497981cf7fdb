//! How often something may be tried: some times at once, and then once in a while. What was
//! tried and how it ended is not remembered, only that it was.

use moka::sync::Cache;
use parking_lot::Mutex;
use std::sync::Arc;

/// A rate for each of many names (the generic cell rate algorithm, in whole seconds).
#[derive(Clone, Debug)]
pub(super) struct Brake {
    /// Tries at once.
    burst: i64,
    /// Between two tries, afterwards.
    every_seconds: i64,
    /// When each name's next try is due by the rate alone.
    due: Cache<String, Arc<Mutex<i64>>>,
}

impl Brake {
    pub fn new(burst: i64, every_seconds: i64, names: u64) -> Self {
        Self { burst, every_seconds, due: Cache::new(names) }
    }

    /// Counts a try, if there is room for it.
    pub fn admits(&self, name: &str, now: i64) -> bool {
        let due = self.due.get_with_by_ref(name, || Arc::new(Mutex::new(now)));
        let mut due = due.lock();
        let ahead = due.saturating_sub(now);
        if ahead > self.every_seconds.saturating_mul(self.burst.saturating_sub(1)) {
            return false;
        }
        *due = now.max(*due).saturating_add(self.every_seconds);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_then_one_in_a_while() {
        let brake = Brake::new(3, 10, 8);
        assert!((0..3).all(|_| brake.admits("a", 100)));
        assert!(!brake.admits("a", 100) && !brake.admits("a", 109));
        assert!(brake.admits("b", 100), "each name for itself");
        assert!(brake.admits("a", 110) && !brake.admits("a", 110));
        // A long pause fills it again, and no further.
        assert!((0..3).all(|_| brake.admits("a", 1000)));
        assert!(!brake.admits("a", 1000));
    }
}
