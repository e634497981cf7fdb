//! A bound on how many callers are inside at once. Who finds it full waits, but
//! only so long: a service that hangs must not collect every thread of the server.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
    patience: Duration,
}

impl Gate {
    pub(super) const fn new(places: usize, patience: Duration) -> Self {
        Self { free: Mutex::new(places), freed: Condvar::new(), patience }
    }

    /// A place, held until dropped; `None` when none came free in time.
    pub(super) fn enter(&self) -> Option<Pass<'_>> {
        let waited = self.freed.wait_timeout_while(lock(&self.free), self.patience, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Pass { gate: self })
    }
}

pub(super) struct Pass<'a> {
    gate: &'a Gate,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        *lock(&self.gate.free) += 1;
        self.gate.freed.notify_one();
    }
}

/// Locks; what is guarded here is whole after any panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_enter_as_there_are_places() {
        let gate = Gate::new(2, Duration::from_millis(1));
        let (first, second) = (gate.enter(), gate.enter());
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn who_waits_enters_when_a_place_comes_free() {
        let gate = Gate::new(1, Duration::from_secs(60));
        let pass = gate.enter();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter().is_some());
            drop(pass);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_panic_inside_gives_the_place_back() {
        let gate = Gate::new(1, Duration::from_millis(1));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _pass = gate.enter();
            panic!("inside");
        }));
        assert!(panicked.is_err() && gate.enter().is_some());
    }
}
