//! Failed authentications, to slow guessing down on all nodes together: of each client from each
//! source, and from each source whatever it claims.
//!
//! What is held up is always a source, so a stranger elsewhere cannot turn it against a client;
//! and only secrets that were not proved before ask here at all. A node counts by itself as well,
//! so that there is a brake when nobody else answers, and a full limit is asked about only once.

use crate::limits::{MAX_FAILURE_PAIRS, MAX_FAILURES_PER_MINUTE, MAX_SOURCE_FAILURES_PER_MINUTE};
use crate::rates::SharedCells;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use stipend_keys::sha256;
use stipend_token::rate::Rate;

/// What `MAX_FAILURES_PER_MINUTE` is between two failures, in microseconds.
const PAIR_INTERVAL: i64 = 3_000_000;
/// The same of `MAX_SOURCE_FAILURES_PER_MINUTE`.
const SOURCE_INTERVAL: i64 = 300_000;

const OF_PAIR: Rate = Rate::every(PAIR_INTERVAL, MAX_FAILURES_PER_MINUTE);
const OF_SOURCE: Rate = Rate::every(SOURCE_INTERVAL, MAX_SOURCE_FAILURES_PER_MINUTE);

/// An arrival time; none before the first failure.
type Arrival = Arc<Mutex<Option<i64>>>;

#[derive(Debug)]
pub struct Failures {
    arrivals: Cache<String, Arrival>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { arrivals: Cache::new(MAX_FAILURE_PAIRS) }
    }
}

impl Failures {
    /// How long the source must wait before it may try a secret of the client, if it must, in
    /// microseconds.
    pub(super) async fn hold_up(
        &self,
        cells: &SharedCells,
        client_id: &str,
        source: Option<IpAddr>,
        now: i64,
    ) -> Option<i64> {
        let keys = keys(client_id, source);
        if let Some(wait) = self.full(&keys, now) {
            return Some(wait);
        }
        // Nobody to ask: what this node has counted by itself still holds.
        let shared = cells.arrivals(&keys).await.ok()?;
        for (key, tat) in keys.iter().zip(shared) {
            self.learn(key, tat);
        }
        self.full(&keys, now)
    }

    /// Counts a failure.
    pub async fn count(&self, cells: &SharedCells, client_id: &str, source: Option<IpAddr>, now: i64) {
        for (key, rate) in keys(client_id, source).iter().zip([OF_PAIR, OF_SOURCE]) {
            let arrival = self.arrival(key);
            {
                let mut tat = arrival.lock();
                *tat = Some(rate.take(*tat, now, 1).tat);
            }
            if let Ok(taken) = cells.take(key, &rate, now, 1).await {
                self.learn(key, Some(taken.tat));
            }
        }
    }

    fn full(&self, keys: &[String; 2], now: i64) -> Option<i64> {
        let wait = |(key, rate): (&String, Rate)| rate.wait(*self.arrivals.get(key)?.lock(), now);
        keys.iter().zip([OF_PAIR, OF_SOURCE]).filter_map(wait).max()
    }

    fn learn(&self, key: &str, tat: Option<i64>) {
        if tat.is_some() {
            let arrival = self.arrival(key);
            let mut known = arrival.lock();
            *known = tat.max(*known);
        }
    }

    fn arrival(&self, key: &str) -> Arrival {
        self.arrivals.get_with_by_ref(key, Arc::default)
    }
}

/// Of the pair, and of the source. A digest, because what is claimed may be anything, and where
/// it is kept nobody needs to read it.
fn keys(client_id: &str, source: Option<IpAddr>) -> [String; 2] {
    // One IPv6 subscriber has a /64 to spread over.
    let source = source.map(|address| match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    });
    let source = source.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let digest = |text: &str| URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()));
    [format!("failed:{}", digest(&format!("{source} {client_id}"))), format!("failed-from:{}", digest(&source))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_230_000_000_000;

    fn fail(failures: &Failures, client_id: &str, source: Option<IpAddr>, now: i64) {
        for (key, rate) in keys(client_id, source).iter().zip([OF_PAIR, OF_SOURCE]) {
            let arrival = failures.arrival(key);
            let mut tat = arrival.lock();
            *tat = Some(rate.take(*tat, now, 1).tat);
        }
    }

    fn waits(failures: &Failures, client_id: &str, source: Option<IpAddr>, now: i64) -> Option<i64> {
        failures.full(&keys(client_id, source), now)
    }

    #[test]
    fn the_rates_are_what_the_limits_say() {
        assert_eq!(OF_PAIR, Rate::new(MAX_FAILURES_PER_MINUTE, 60, MAX_FAILURES_PER_MINUTE).unwrap());
        let most = MAX_SOURCE_FAILURES_PER_MINUTE;
        assert_eq!(OF_SOURCE, Rate::new(most, 60, most).unwrap());
        assert_eq!(OF_PAIR.tolerance(), 60_000_000);
    }

    #[test]
    fn only_the_pair_is_held_up_and_lets_one_through_now_and_then() {
        let failures = Failures::default();
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..MAX_FAILURES_PER_MINUTE {
            assert_eq!(waits(&failures, "o.a", here, NOW), None);
            fail(&failures, "o.a", here, NOW);
        }
        assert_eq!(waits(&failures, "o.a", here, NOW), Some(PAIR_INTERVAL));
        assert_eq!(waits(&failures, "o.a", here, NOW + PAIR_INTERVAL), None);
        assert_eq!(waits(&failures, "o.a", Some(IpAddr::from([10, 0, 0, 2])), NOW), None);
        assert_eq!(waits(&failures, "o.b", here, NOW), None);
    }

    #[test]
    fn a_source_that_tries_many_clients_is_held_up_for_all_of_them() {
        let failures = Failures::default();
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        for n in 0..MAX_SOURCE_FAILURES_PER_MINUTE {
            let id = format!("o.a{n}");
            assert_eq!(waits(&failures, &id, here, NOW), None);
            fail(&failures, &id, here, NOW);
        }
        assert_eq!(waits(&failures, "o.another", here, NOW), Some(SOURCE_INTERVAL));
        assert_eq!(waits(&failures, "o.another", Some(IpAddr::from([10, 0, 0, 2])), NOW), None);
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let failures = Failures::default();
        for host in 0..u128::from(MAX_FAILURES_PER_MINUTE) {
            fail(&failures, "o.a", Some(IpAddr::V6(Ipv6Addr::from((1 << 64) + host))), NOW);
        }
        assert!(waits(&failures, "o.a", Some(IpAddr::V6(Ipv6Addr::from((1 << 64) + 999))), NOW).is_some());
    }

    #[test]
    fn a_claim_cannot_be_made_to_look_like_another_source() {
        let (here, there) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        assert_ne!(keys("x 10.0.0.2 o.a", here), keys("o.a", there));
        assert_ne!(keys("o.a", here)[0], keys("o.a", None)[0]);
        assert!(keys("\u{0}", here).iter().all(|key| key.is_ascii() && key.len() < 64));
    }
}
