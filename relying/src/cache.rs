//! The issuer's keys, kept: fetched again when they grow old or a token names one that is
//! not there, by one caller at a time and not more often than the cool-down allows, so that
//! a storm of forged key ids costs the issuer one request. A fetch that fails takes nothing
//! away: the keys at hand stay good until they are too stale.

use crate::error::{DiscoverError, VerifyError};
use crate::fetch::Fetcher;
use crate::options::Options;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use stipend_keys::{PublicJwkSet, Verifier as KeyVerifier};
use stipend_token::Timestamp;
use tokio::sync::Mutex;
use url::Url;

#[derive(Debug)]
pub(crate) struct KeyCache {
    fetcher: Fetcher,
    jwks_uri: Url,
    options: Options,
    keys: RwLock<Arc<Keys>>,
    /// Held while fetching.
    fetching: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Keys {
    by_id: HashMap<String, Arc<KeyVerifier>>,
    fetched_at: Timestamp,
    fresh_until: Timestamp,
    attempted_at: Timestamp,
}

impl KeyCache {
    pub async fn load(
        fetcher: Fetcher,
        jwks_uri: Url,
        now: Timestamp,
        options: Options,
    ) -> Result<Self, DiscoverError> {
        let keys = fetch(&fetcher, &jwks_uri, now, &options).await?;
        Ok(Self { fetcher, jwks_uri, options, keys: RwLock::new(Arc::new(keys)), fetching: Mutex::new(()) })
    }

    /// Where the keys are published.
    pub fn address(&self) -> &str {
        self.jwks_uri.as_str()
    }

    /// The issuer's key of this id.
    pub async fn find(&self, kid: &str, now: Timestamp) -> Result<Arc<KeyVerifier>, VerifyError> {
        let keys = self.now();
        if keys.is_good(kid, now) || !self.may_fetch(&keys, now) {
            return self.judge(&keys, kid, now);
        }
        let turn = match self.fetching.try_lock() {
            Ok(turn) => turn,
            // Someone is fetching. Who has a key that will do need not wait for it.
            Err(_) if keys.by_id.contains_key(kid) && !self.too_stale(&keys, now) => {
                return self.judge(&keys, kid, now);
            }
            Err(_) => self.fetching.lock().await,
        };
        // Who waited finds what the other one fetched, or that it failed just now.
        let keys = self.now();
        if !keys.is_good(kid, now) && self.may_fetch(&keys, now) {
            // Noted before the fetch: one that is abandoned half-way counts as well.
            *self.keys.write() = Arc::new(Keys { attempted_at: now, ..keys.as_ref().clone() });
            if let Ok(fetched) = fetch(&self.fetcher, &self.jwks_uri, now, &self.options).await {
                *self.keys.write() = Arc::new(fetched);
            }
        }
        drop(turn);
        self.judge(&self.now(), kid, now)
    }

    fn now(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read())
    }

    fn judge(&self, keys: &Keys, kid: &str, now: Timestamp) -> Result<Arc<KeyVerifier>, VerifyError> {
        if self.too_stale(keys, now) {
            return Err(VerifyError::KeysUnavailable);
        }
        keys.by_id.get(kid).cloned().ok_or(VerifyError::UnknownKey)
    }

    fn too_stale(&self, keys: &Keys, now: Timestamp) -> bool {
        now.saturating_sub(keys.fetched_at) > self.options.max_stale_seconds
    }

    /// A clock that was set back does not keep the keys from ever being fetched again.
    fn may_fetch(&self, keys: &Keys, now: Timestamp) -> bool {
        now.saturating_sub(keys.attempted_at).saturating_abs() >= self.options.cool_down_seconds.max(1)
    }
}

impl Keys {
    fn is_good(&self, kid: &str, now: Timestamp) -> bool {
        now < self.fresh_until && self.by_id.contains_key(kid)
    }
}

/// A set without a usable key is a fault of the issuer and replaces nothing.
async fn fetch(fetcher: &Fetcher, uri: &Url, now: Timestamp, options: &Options) -> Result<Keys, DiscoverError> {
    let document = fetcher.fetch(uri).await?;
    let set = PublicJwkSet::from_published_json(&document.body).map_err(|_| DiscoverError::NoKeys)?;
    let by_id: HashMap<_, _> = set
        .keys()
        .iter()
        .filter_map(|key| KeyVerifier::from_jwk(key).ok())
        .map(|verifier| (verifier.kid().to_owned(), Arc::new(verifier)))
        .collect();
    if by_id.is_empty() {
        return Err(DiscoverError::NoKeys);
    }
    let fresh_until = options.fresh_until(now, document.max_age);
    Ok(Keys { by_id, fetched_at: now, fresh_until, attempted_at: now })
}
