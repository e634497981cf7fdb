//! Making a list: at most once a second, from the entries only when something could have changed,
//! signed when it did or when the last signature grows old. Never from a view that may be stale.

use super::judge::{States, status};
use super::places::{LIST_PREFIX, Places};
use crate::app::App;
use crate::limits::{
    LEEWAY_SECONDS, MAX_CACHED_STATUS_LISTS, MAX_STATUS_BUILDS, MAX_TTL_SECONDS, STATUS_LIST_LIFE_SECONDS,
    STATUS_LIST_PLACES, STATUS_LIST_RESIGN_SECONDS, STATUS_LIST_TTL_SECONDS,
};
use crate::live::Live;
use crate::reason::Reason;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::future::Cache;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::{TokenKind, sha256};
use stipend_schema::signals::{Fallen, StatusEntryRow, fallen, status_entries};
use stipend_token::{Status, StatusList};
use tokio::sync::Semaphore;

/// Valid, invalid and suspended.
const BITS: u8 = 2;
/// Characters after the prefix of a list's name.
const NAME_CHARS: usize = 27;
/// How long after a change a list is made from its entries again: a token of the same second, or
/// of an issue that was under way, may have come in since.
const SETTLING_SECONDS: i64 = 5;
/// How long a list is kept without looking whether it still has entries.
const KEPT: Duration = Duration::from_secs(120);

/// A signed list.
#[derive(Debug)]
pub struct Published {
    pub jwt: String,
    pub etag: String,
}

/// What a list was made from.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    /// The newest revocation this node has applied.
    revoked: i64,
    fallen: Arc<Fallen>,
}

#[derive(Debug)]
struct Made {
    version: Version,
    /// When that version was first seen, in seconds.
    since: i64,
    list: Value,
    published: Arc<Published>,
    signed_at: i64,
}

/// The lists of a node: the one it fills, and those it was asked for.
#[derive(Debug)]
pub struct StatusLists {
    pub(super) places: Places,
    made: Cache<String, Arc<Made>>,
    /// What is answered in a second, by list and second.
    answers: Cache<(String, i64), Option<Arc<Published>>>,
    fallen: Cache<i64, Arc<Fallen>>,
    builds: Semaphore,
}

impl Default for StatusLists {
    fn default() -> Self {
        let briefly = Duration::from_secs(2);
        Self {
            places: Places::default(),
            made: Cache::builder().max_capacity(MAX_CACHED_STATUS_LISTS).time_to_live(KEPT).build(),
            answers: Cache::builder().max_capacity(MAX_CACHED_STATUS_LISTS).time_to_live(briefly).build(),
            fallen: Cache::builder().max_capacity(2).time_to_live(briefly).build(),
            builds: Semaphore::new(MAX_STATUS_BUILDS),
        }
    }
}

impl StatusLists {
    /// The list as of this second; nothing for one that has no tokens, or none any more.
    ///
    /// # Errors
    /// [`Reason::StoreUnavailable`]: never an old list in place of a new one.
    pub async fn find(&self, app: &App, list: &str) -> Result<Option<Arc<Published>>, Reason> {
        let name = list.strip_prefix(LIST_PREFIX).filter(|name| name.len() == NAME_CHARS);
        if !name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')) {
            return Ok(None);
        }
        let now = app.clock.now();
        let build = self.build(app, list, now);
        // One build for all that ask in a second.
        self.answers.try_get_with((list.to_owned(), now), build).await.map_err(|reason| *reason)
    }

    async fn build(&self, app: &App, list: &str, now: i64) -> Result<Option<Arc<Published>>, Reason> {
        let _turn = self.builds.acquire().await.map_err(|_| Reason::StoreUnavailable)?;
        if !app.view_is_fresh().await {
            return Err(Reason::StoreUnavailable);
        }
        // Before the entries are read: what changes meanwhile makes another version.
        let version = Version { revoked: app.live.newest_revocation(), fallen: self.fallen(app, now).await? };
        let known = self.made.get(list).await;
        let same = known.as_ref().filter(|made| made.version == version);
        let since = same.map_or(now, |made| made.since);
        let settled = now.saturating_sub(since) > SETTLING_SECONDS;
        let contents = match same.filter(|_| settled) {
            Some(made) => made.list.clone(),
            None => match self.read(app, list, &version).await? {
                Some(contents) => contents,
                None => return Ok(None),
            },
        };
        if let Some(made) = &known
            && made.list == contents
            && now.saturating_sub(made.signed_at) < STATUS_LIST_RESIGN_SECONDS
        {
            let published = Arc::clone(&made.published);
            let made = Made { version, since, list: contents, published, signed_at: made.signed_at };
            let made = Arc::new(made);
            self.made.insert(list.to_owned(), Arc::clone(&made)).await;
            return Ok(Some(Arc::clone(&made.published)));
        }
        let published = Arc::new(sign(app, list, &contents, now)?);
        let made = Made { version, since, list: contents, published: Arc::clone(&published), signed_at: now };
        self.made.insert(list.to_owned(), Arc::new(made)).await;
        Ok(Some(published))
    }

    /// What left the active state lately, asked once a second.
    async fn fallen(&self, app: &App, now: i64) -> Result<Arc<Fallen>, Reason> {
        let db = app.store.db().clone();
        let since = now.saturating_sub(MAX_TTL_SECONDS.saturating_add(LEEWAY_SECONDS));
        let read = async {
            let read = app.store.run(async move { fallen(&db, since, now).await }).await;
            read.ok().and_then(Result::ok).map(Arc::new).ok_or(Reason::StoreUnavailable)
        };
        self.fallen.try_get_with(now, read).await.map_err(|reason| *reason)
    }

    async fn read(&self, app: &App, list: &str, version: &Version) -> Result<Option<Value>, Reason> {
        let (db, name) = (app.store.db().clone(), list.to_owned());
        let limit = i64::from(STATUS_LIST_PLACES);
        let read = app.store.run(async move { status_entries(&db, &name, limit).await }).await;
        let entries = read.ok().and_then(Result::ok).ok_or(Reason::StoreUnavailable)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let (live, fallen) = (Arc::clone(&app.live), Arc::clone(&version.fallen));
        // Thousands of names.
        let made = app.store.blocking(move || contents(&entries, &live, &fallen)).await;
        made.ok().flatten().map(Some).ok_or(Reason::Internal)
    }
}

fn contents(entries: &[StatusEntryRow], live: &Live, fallen: &Fallen) -> Option<Value> {
    let mut list = StatusList::new(BITS, usize::from(STATUS_LIST_PLACES)).ok()?;
    let states = States::of(fallen);
    for entry in entries {
        let status = live.read_revoked(|revoked| status(entry, revoked, &states));
        if status != Status::Valid {
            list.set(entry.idx, status).ok()?;
        }
    }
    list.to_json().ok()
}

/// Section 5.1 of the draft.
fn sign(app: &App, list: &str, contents: &Value, now: i64) -> Result<Published, Reason> {
    let claims = json!({
        "iss": app.urls.issuer, "sub": super::uri(app, list), "iat": now,
        "exp": now.saturating_add(STATUS_LIST_LIFE_SECONDS), "ttl": STATUS_LIST_TTL_SECONDS,
        "status_list": contents,
    });
    let keyring = app.ring.keyring();
    let signer = keyring.signing_key(now).ok_or(Reason::NoSigningKey)?;
    let jwt = signer.sign(TokenKind::StatusList, claims.to_string().as_bytes()).map_err(|error| {
        tracing::error!(%error, "signing a status list failed");
        Reason::Internal
    })?;
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(jwt.as_bytes())));
    Ok(Published { jwt, etag })
}
