//! The keys of trusted issuers, as far as they were fetched.
//!
//! One slot for each issuer and key source. A fetch is made once for all who wait for it, and at
//! most once in [`COOL_DOWN_SECONDS`] whatever the reason: names of keys are chosen by whoever
//! sends a token, so an unknown one may cost a fetch only by time. Good keys stay while fetches
//! fail, up to [`MAX_STALE_SECONDS`]; a fetch that succeeds replaces them all, so a key that its
//! issuer has taken back is gone.

use super::fetch::Fetcher;
use super::source::{KeySourceFault, fetch_keys};
use super::spec::{Issuer, KeySource};
use crate::admission::aside;
use crate::certificate::Authorities;
use crate::store::Store;
use moka::sync::Cache;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use stipend_keys::{PublicJwkSet, Verifier, sha256};
use tokio::sync::{Mutex, Semaphore};

/// Keys younger than this are used without asking.
pub const FRESH_SECONDS: i64 = 300;
/// Between two fetches for one issuer, failed ones included.
pub const COOL_DOWN_SECONDS: i64 = 10;
/// Keys that can't be fetched again are used this long after they were fetched.
pub const MAX_STALE_SECONDS: i64 = 3600;
/// Issuers whose keys are kept; beyond, the least used go.
pub const MAX_CACHED_ISSUERS: u64 = 1024;
/// Requests that wait for fetches at once; one more is refused.
pub const MAX_WAITING: usize = 1024;

/// Why there is no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyFault {
    #[error("the issuer publishes no such key")]
    Unknown,
    #[error("the issuer's keys can't be had")]
    Unavailable,
}

/// An issuer's usable keys.
#[derive(Debug)]
pub struct KeySet {
    by_kid: HashMap<String, Arc<Verifier>>,
    /// Of a trust domain: whose certificates its workloads have.
    authorities: Option<Authorities>,
}

impl KeySet {
    /// A set as it was read: a `kid` in it is of one key.
    #[must_use]
    pub fn new(set: &PublicJwkSet) -> Self {
        let verifiers = set.keys().iter().filter_map(|jwk| jwk.verifier().ok());
        let by_kid = verifiers.map(|verifier| (verifier.kid().to_owned(), Arc::new(verifier))).collect();
        Self { by_kid, authorities: None }
    }

    /// The same, with the authorities that the same bundle names.
    #[must_use]
    pub fn with_authorities(self, authorities: Option<Authorities>) -> Self {
        Self { authorities, ..self }
    }

    #[must_use]
    pub fn find(&self, kid: &str) -> Option<Arc<Verifier>> {
        self.by_kid.get(kid).cloned()
    }
}

/// What is known of one issuer's keys.
#[derive(Debug, Default)]
struct Known {
    keys: Option<KeySet>,
    fetched_at: i64,
    tried_at: Option<i64>,
}

#[derive(Debug, Default)]
struct Slot {
    known: RwLock<Known>,
    /// Held by whoever fetches.
    flight: Mutex<()>,
}

impl Slot {
    /// What can be said without a fetch; `None` where one is due.
    fn answer<T>(&self, wanted: &impl Fn(&KeySet) -> Option<T>, now: i64) -> Option<Result<T, KeyFault>> {
        let known = self.known.read();
        let cooling = known.tried_at.is_some_and(|at| now.saturating_sub(at) < COOL_DOWN_SECONDS);
        let age = now.saturating_sub(known.fetched_at);
        let usable = known.keys.as_ref().filter(|_| age < MAX_STALE_SECONDS);
        let found = usable.and_then(wanted);
        match found {
            Some(key) if age < FRESH_SECONDS || cooling => Some(Ok(key)),
            None if cooling && usable.is_some() => Some(Err(KeyFault::Unknown)),
            None if cooling => Some(Err(KeyFault::Unavailable)),
            Some(_) | None => None,
        }
    }

    fn settle(&self, fetched: Result<KeySet, KeySourceFault>, issuer: &Issuer, now: i64) {
        let mut known = self.known.write();
        known.tried_at = Some(now);
        match fetched {
            Ok(keys) => {
                known.keys = Some(keys);
                known.fetched_at = now;
            }
            Err(error) => tracing::warn!(issuer = issuer.id, %error, "the keys of a trusted issuer were not fetched"),
        }
    }
}

/// The keys of all issuers of a node.
#[derive(Debug)]
pub struct IssuerKeys {
    fetcher: Arc<Fetcher>,
    store: Arc<Store>,
    slots: Cache<[u8; 32], Arc<Slot>>,
    waiting: Arc<Semaphore>,
}

impl IssuerKeys {
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>, store: Arc<Store>) -> Self {
        let waiting = Arc::new(Semaphore::new(MAX_WAITING));
        Self { fetcher, store, slots: Cache::new(MAX_CACHED_ISSUERS), waiting }
    }

    /// The key of this issuer with this name, fetched if need be.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub async fn find(&self, issuer: &Arc<Issuer>, kid: &str, now: i64) -> Result<Arc<Verifier>, KeyFault> {
        let kid = kid.to_owned();
        self.look_up(issuer, move |keys| keys.find(&kid), now).await
    }

    /// The authorities of a trust domain's certificates, fetched if need be.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub async fn authorities(&self, issuer: &Arc<Issuer>, now: i64) -> Result<Authorities, KeyFault> {
        self.look_up(issuer, |keys| keys.authorities.clone(), now).await
    }

    async fn look_up<T: Send + 'static>(
        &self,
        issuer: &Arc<Issuer>,
        wanted: impl Fn(&KeySet) -> Option<T> + Send + Sync + 'static,
        now: i64,
    ) -> Result<T, KeyFault> {
        if let Some(inline) = &issuer.inline {
            return wanted(inline).ok_or(KeyFault::Unknown);
        }
        let slot = self.slots.get_with(place(issuer), Arc::default);
        if let Some(answer) = slot.answer(&wanted, now) {
            return answer;
        }
        let permit = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| KeyFault::Unavailable)?;
        let (fetcher, issuer) = (Arc::clone(&self.fetcher), Arc::clone(issuer));
        // In a task of its own: who hangs up in the middle must not set the clock back.
        let waited = self.store.run(async move {
            let _permit = permit;
            let _flight = slot.flight.lock().await;
            if let Some(answer) = slot.answer(&wanted, now) {
                return answer;
            }
            slot.settle(fetch_keys(&fetcher, &issuer).await, &issuer, now);
            slot.answer(&wanted, now).unwrap_or(Err(KeyFault::Unavailable))
        });
        aside(waited).await.unwrap_or(Err(KeyFault::Unavailable))
    }
}

/// Keys are the issuer's and its source's: with another source, what was fetched is forgotten.
fn place(issuer: &Issuer) -> [u8; 32] {
    let source = match &issuer.spec.keys {
        KeySource::Discovery => format!("discovery {}", issuer.spec.hosts.join(" ")),
        KeySource::JwksUri(url) => format!("jwks_uri {url}"),
        KeySource::Jwks(_) => String::new(),
    };
    sha256(format!("{} {source}", issuer.id).as_bytes())
}
