//! Failed authentications per client and source, to slow guessing down.
//!
//! The pair is what is held up, so a stranger elsewhere cannot turn it against a client;
//! and only secrets that were not proved before ask here at all.

use crate::limits::{MAX_FAILURE_PAIRS, MAX_FAILURES_PER_MINUTE};
use moka::sync::Cache;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const WINDOW_SECONDS: i64 = 60;

type Key = (String, Option<IpAddr>, i64);

#[derive(Debug)]
pub struct Failures {
    counts: Cache<Key, Arc<AtomicU32>>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { counts: Cache::new(MAX_FAILURE_PAIRS) }
    }
}

impl Failures {
    #[must_use]
    pub fn blocked(&self, client_id: &str, source: Option<IpAddr>, now: i64) -> bool {
        self.counts
            .get(&key(client_id, source, now))
            .is_some_and(|count| count.load(Ordering::Relaxed) >= MAX_FAILURES_PER_MINUTE)
    }

    pub fn count(&self, client_id: &str, source: Option<IpAddr>, now: i64) {
        let count = self.counts.get_with(key(client_id, source, now), Arc::default);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn key(client_id: &str, source: Option<IpAddr>, now: i64) -> Key {
    // One IPv6 subscriber has a /64 to spread over.
    let source = source.map(|address| match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    });
    (client_id.chars().take(128).collect(), source, now.div_euclid(WINDOW_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pair_is_held_up_and_only_for_its_minute() {
        let failures = Failures::default();
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..MAX_FAILURES_PER_MINUTE {
            assert!(!failures.blocked("o.a", here, 30));
            failures.count("o.a", here, 30);
        }
        assert!(failures.blocked("o.a", here, 59));
        assert!(!failures.blocked("o.a", here, 60));
        assert!(!failures.blocked("o.a", Some(IpAddr::from([10, 0, 0, 2])), 30));
        assert!(!failures.blocked("o.b", here, 30));
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let failures = Failures::default();
        for host in 0..u128::from(MAX_FAILURES_PER_MINUTE) {
            failures.count("o.a", Some(IpAddr::V6(Ipv6Addr::from((1 << 64) + host))), 0);
        }
        assert!(failures.blocked("o.a", Some(IpAddr::V6(Ipv6Addr::from((1 << 64) + 999))), 0));
    }
}
