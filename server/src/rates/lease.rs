//! Cells that a node has taken ahead of its requests. Over N nodes a limit is exact but for what
//! each has taken and not used: at most N times a slab less one, which a second later is forfeit.

use crate::limits::MAX_LEASE_MICROS;
use moka::sync::Cache;
use parking_lot::Mutex;
use std::sync::Arc;
use stipend_token::rate::{Rate, SLACK_MICROS, Taken};

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leave {
    Go,
    /// In so many microseconds.
    Wait(i64),
}

#[derive(Debug)]
pub(super) struct Leases {
    leases: Cache<String, Arc<Lease>>,
}

impl Leases {
    pub fn new(most: u64) -> Self {
        Self { leases: Cache::new(most) }
    }

    /// What this node has of a limit. One that was pushed out forfeits what it had.
    pub fn of(&self, key: &str) -> Arc<Lease> {
        self.leases.get_with_by_ref(key, Arc::default)
    }
}

#[derive(Debug, Default)]
pub(super) struct Lease {
    state: Mutex<State>,
    /// Held while more is asked for: one question at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    cells: u32,
    /// Until when they are good, in microseconds.
    good_until: i64,
    /// Until when the limit is known to be full.
    full_until: i64,
}

impl Lease {
    /// One cell: of what was taken before, or by `ask`ing for a slab.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub async fn take<E>(
        &self,
        rate: &Rate,
        now: i64,
        ask: impl AsyncFnOnce(u32) -> Result<Taken, E>,
    ) -> Result<Leave, E> {
        if let Some(leave) = self.state.lock().known(rate, now) {
            return Ok(leave);
        }
        let _turn = self.asking.lock().await;
        // Whoever asked meanwhile may have brought enough.
        if let Some(leave) = self.state.lock().known(rate, now) {
            return Ok(leave);
        }
        let taken = ask(rate.slab()).await?;
        Ok(self.state.lock().bring(now, taken))
    }
}

impl State {
    /// What is known without asking.
    fn known(&mut self, rate: &Rate, now: i64) -> Option<Leave> {
        // A clock that went back must neither lock anybody out nor keep cells for ever.
        let full = self.full_until.saturating_sub(now);
        if (1..=rate.interval().saturating_add(SLACK_MICROS)).contains(&full) {
            return Some(Leave::Wait(full));
        }
        if self.cells > 0 && (1..=MAX_LEASE_MICROS).contains(&self.good_until.saturating_sub(now)) {
            self.cells -= 1;
            return Some(Leave::Go);
        }
        None
    }

    fn bring(&mut self, now: i64, taken: Taken) -> Leave {
        *self = Self::default();
        let Some(rest) = taken.granted.checked_sub(1) else {
            self.full_until = now.saturating_add(taken.wait);
            return Leave::Wait(taken.wait);
        };
        self.cells = rest;
        self.good_until = now.saturating_add(MAX_LEASE_MICROS);
        Leave::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    const NOW: i64 = 1_795_230_000_000_000;

    /// What all nodes share.
    #[derive(Default)]
    struct Store {
        tat: AtomicI64,
        asked: AtomicUsize,
    }

    impl Store {
        async fn take(&self, lease: &Lease, rate: &Rate, now: i64) -> Leave {
            let ask = async |want| {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let taken = rate.take(Some(self.tat.load(Ordering::Relaxed)), now, want);
                self.tat.store(taken.tat, Ordering::Relaxed);
                Ok::<_, Infallible>(taken)
            };
            lease.take(rate, now, ask).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_slab_is_asked_for_once_and_a_full_limit_once_until_it_has_room() {
        let (store, lease, rate) = (Store::default(), Lease::default(), Rate::new(160, 16, 160).unwrap());
        for _ in 0..160 {
            assert_eq!(store.take(&lease, &rate, NOW).await, Leave::Go);
        }
        assert_eq!((rate.slab(), store.asked.load(Ordering::Relaxed)), (10, 16));
        for _ in 0..1000 {
            assert_eq!(store.take(&lease, &rate, NOW).await, Leave::Wait(100_000));
        }
        assert_eq!(store.asked.load(Ordering::Relaxed), 17);
        assert_eq!(store.take(&lease, &rate, NOW + 99_999).await, Leave::Wait(1));
        assert_eq!(store.take(&lease, &rate, NOW + 100_000).await, Leave::Go);
    }

    /// The bound that is published: within any time no more than the burst, what accrues, and a
    /// slab less one of each node.
    #[tokio::test]
    async fn what_nodes_hoard_is_a_slab_each_and_forfeit_after_its_time() {
        let (store, rate) = (Store::default(), Rate::new(160, 16, 160).unwrap());
        let nodes = [Lease::default(), Lease::default(), Lease::default()];
        for node in &nodes {
            assert_eq!(store.take(node, &rate, NOW).await, Leave::Go);
        }
        // Emptied again, but for what the nodes hold; what they hold is no longer good then.
        let (mut admitted, later) = (0, NOW + 3_000_000);
        for node in nodes.iter().cycle().take(1000) {
            admitted += i32::from(store.take(node, &rate, later).await == Leave::Go);
        }
        assert_eq!(admitted, 160);
        // A moment before it would have been: the most that there ever is.
        let store = Store::default();
        let nodes = [Lease::default(), Lease::default(), Lease::default()];
        for node in &nodes {
            assert_eq!(store.take(node, &rate, NOW).await, Leave::Go);
        }
        let (mut admitted, later) = (0, NOW + MAX_LEASE_MICROS - 1);
        for node in nodes.iter().cycle().take(1000) {
            admitted += i32::from(store.take(node, &rate, later).await == Leave::Go);
        }
        let hoard = 3 * (i32::try_from(rate.slab()).unwrap() - 1);
        assert!(admitted <= 160 + hoard && admitted > 140, "{admitted}");
    }

    #[tokio::test]
    async fn a_clock_that_goes_back_locks_nobody_out() {
        let (store, lease, rate) = (Store::default(), Lease::default(), Rate::new(1, 1, 1).unwrap());
        assert_eq!(store.take(&lease, &rate, NOW).await, Leave::Go);
        assert_eq!(store.take(&lease, &rate, NOW).await, Leave::Wait(1_000_000));
        let before = NOW - 86_400_000_000;
        assert_eq!(store.take(&lease, &rate, before).await, Leave::Wait(1_000_000 + SLACK_MICROS));
        assert_eq!(store.take(&lease, &rate, before + 1_000_000 + SLACK_MICROS).await, Leave::Go);
    }
}
