//! Whether a token that verifies has been revoked or suspended since: its place in a status list
//! (draft-ietf-oauth-status-list, section 8.3).
//!
//! Asked after the token was verified, and of lists under the token's own issuer only. A list is
//! believed until its `ttl` is over, and while the issuer can't be reached a little longer, never
//! beyond its `exp`. What can't be known is not served: there is no way by which a list that is
//! missing, old, too large or of somebody else makes a token good.

use crate::cache::KeyCache;
use crate::error::VerifyError;
use crate::fetch::Fetcher;
use crate::options::Options;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use stipend_keys::{MAX_JWT_BYTES, TokenKind, Unverified};
use stipend_token::json;
use stipend_token::{AccessToken, Status, StatusList, StatusReference, Timestamp};
use url::Url;

/// Status lists kept at once; beyond, the one fetched first goes.
const MAX_LISTS: usize = 256;
/// Longest status list when inflated.
const MAX_LIST_BYTES: usize = 64 * 1024;
/// `ttl` where a list says none, in seconds.
const DEFAULT_TTL: i64 = 60;
/// Between two tries to fetch a list that can't be had, in seconds.
const COOL_DOWN: i64 = 1;
/// What is asked for (section 8.1).
const KIND: &str = "application/statuslist+jwt";

/// Whether the status of tokens is looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StatusCheck {
    /// Never: a revoked token is served until it expires.
    Off,
    /// Where a token has one.
    #[default]
    WhereNamed,
    /// Always: a token without one is refused.
    Required,
}

/// A list that was verified.
#[derive(Debug)]
struct Known {
    list: StatusList,
    issued_at: Timestamp,
    expires_at: Timestamp,
    fetched_at: Timestamp,
    fresh_until: Timestamp,
}

/// One list, and who is fetching it.
#[derive(Debug, Default)]
struct Slot {
    known: Mutex<Option<Arc<Known>>>,
    /// When it was last tried, held while it is.
    attempted_at: tokio::sync::Mutex<Option<Timestamp>>,
}

/// The lists of one issuer.
#[derive(Debug)]
pub(crate) struct StatusCache {
    fetcher: Fetcher,
    issuer: String,
    options: Options,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

impl StatusCache {
    pub fn new(fetcher: Fetcher, issuer: &str, options: Options) -> Self {
        Self { fetcher, issuer: issuer.to_owned(), options, slots: Mutex::default() }
    }

    /// Refuses a verified token that its list does not call valid.
    pub async fn check(&self, token: &AccessToken, keys: &KeyCache, now: Timestamp) -> Result<(), VerifyError> {
        let reference = match (self.options.status, &token.status) {
            (StatusCheck::Off, _) | (StatusCheck::WhereNamed, None) => return Ok(()),
            (StatusCheck::Required, None) => return Err(VerifyError::NoStatus),
            (_, Some(reference)) => reference,
        };
        let known = self.find(reference, keys, now).await?;
        match known.list.find(reference.idx) {
            Some(Status::Valid) => Ok(()),
            Some(Status::Suspended) => Err(VerifyError::Suspended),
            Some(Status::Invalid | Status::Other(_)) => Err(VerifyError::Revoked),
            // Section 8.3, step 7: an index out of bounds rejects the token.
            None => Err(VerifyError::NoStatus),
        }
    }

    async fn find(&self, to: &StatusReference, keys: &KeyCache, now: Timestamp) -> Result<Arc<Known>, VerifyError> {
        let url = self.address(&to.uri)?;
        let slot = self.slot(&to.uri, now);
        if let Some(known) = slot.fresh(now) {
            return Ok(known);
        }
        let mut attempted = slot.attempted_at.lock().await;
        // Who waited finds what the other one fetched.
        if let Some(known) = slot.fresh(now) {
            return Ok(known);
        }
        let too_soon = attempted.is_some_and(|at| now.saturating_sub(at).saturating_abs() < COOL_DOWN);
        if !too_soon {
            *attempted = Some(now);
            match self.fetch(&url, &to.uri, keys, now).await {
                Some(fetched) if slot.is_newer(&fetched) => *slot.known.lock() = Some(Arc::new(fetched)),
                // A list of the past is what a revoked token would like to be judged by.
                Some(_) | None => {}
            }
        }
        let known = slot.known.lock().clone();
        known.filter(|known| self.will_do(known, now)).ok_or(VerifyError::StatusUnavailable)
    }

    /// The address as written, if it is under the issuer and can be read in one way only.
    fn address(&self, uri: &str) -> Result<Url, VerifyError> {
        let base = self.issuer.trim_end_matches('/');
        let under = uri.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
        let url = Url::parse(uri).ok().filter(|url| under && url.as_str() == uri);
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
        url.ok_or(VerifyError::NoStatus)
    }

    fn slot(&self, uri: &str, now: Timestamp) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(uri) {
            return Arc::clone(slot);
        }
        if slots.len() >= MAX_LISTS {
            slots.retain(|_, slot| slot.known.lock().as_ref().is_some_and(|known| now < known.expires_at));
        }
        if slots.len() >= MAX_LISTS {
            let fetched_at = |slot: &Slot| slot.known.lock().as_ref().map(|known| known.fetched_at);
            let oldest = slots.iter().min_by_key(|(_, slot)| fetched_at(slot)).map(|(uri, _)| uri.clone());
            oldest.and_then(|uri| slots.remove(&uri));
        }
        Arc::clone(slots.entry(uri.to_owned()).or_default())
    }

    /// Whether a list may still be judged by while a newer one can't be had.
    fn will_do(&self, known: &Known, now: Timestamp) -> bool {
        let most = known.fresh_until.saturating_add(self.options.status_max_stale_seconds.max(0));
        now < known.expires_at && now < most.max(known.fresh_until)
    }

    async fn fetch(&self, url: &Url, uri: &str, keys: &KeyCache, now: Timestamp) -> Option<Known> {
        let document = self.fetcher.fetch_as(url, Some(KIND), MAX_JWT_BYTES).await.ok()?;
        let text = std::str::from_utf8(&document.body).ok()?;
        let token = Unverified::parse(text.trim()).ok()?;
        let key = keys.find(token.kid()?, now).await.ok()?;
        let verified = key.verify(token, TokenKind::StatusList).ok()?;
        self.read(verified.claims(), uri, now)
    }

    /// Section 8.3, steps 3 to 6.
    fn read(&self, claims: &Map<String, Value>, uri: &str, now: Timestamp) -> Option<Known> {
        let text = |name| claims.get(name).and_then(Value::as_str);
        let date = |name| json::date_member(claims, name).ok().flatten();
        if text("sub") != Some(uri) || text("iss").is_some_and(|issuer| issuer != self.issuer) {
            return None;
        }
        let (issued_at, expires_at) = (date("iat")?, date("exp")?);
        if issued_at > now.saturating_add(self.options.leeway()) || expires_at <= now {
            return None;
        }
        let ttl = json::int_member(claims, "ttl").ok()?.unwrap_or(DEFAULT_TTL).max(1);
        let most = self.options.status_max_age_seconds.max(1);
        let list = json::object_member(claims, "status_list").ok().flatten()?;
        let list = StatusList::from_json(list, MAX_LIST_BYTES).ok()?;
        let fresh_until = now.saturating_add(ttl.min(most)).min(expires_at);
        Some(Known { list, issued_at, expires_at, fetched_at: now, fresh_until })
    }
}

impl Slot {
    fn fresh(&self, now: Timestamp) -> Option<Arc<Known>> {
        let known = self.known.lock();
        // A clock that was set back makes nothing fresh for ever.
        known.as_ref().filter(|known| (known.fetched_at..known.fresh_until).contains(&now)).cloned()
    }

    fn is_newer(&self, fetched: &Known) -> bool {
        self.known.lock().as_ref().is_none_or(|known| fetched.issued_at >= known.issued_at)
    }
}
