//! Documents as they were read: each for as long as its answer said, within bounds. Only what was
//! good is kept; a failure is known to the brakes alone, which count tries and no results, so what
//! was mended is found at the next one.
//!
//! A document is fetched once for all who wait for it. How much is fetched is bounded for each
//! document, each host and the node, and most tightly for what is no client's yet: names of those
//! a stranger can invent.

use super::brake::Brake;
use super::metadata::Document;
use super::url::DocumentUrl;
use crate::admission::aside;
use crate::federation::{FetchFault, Fetched, Fetcher, Wanted};
use crate::limits::{
    DEFAULT_DOCUMENT_SECONDS, DOCUMENT_TRIES, DOCUMENT_TRY_SECONDS, DOCUMENTS_AT_ONCE, DOCUMENTS_OF_HOST_AT_ONCE,
    MAX_ALL_CLIENT_DOCUMENTS, MAX_CACHED_DOCUMENTS, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_SECONDS, MAX_WAITING_FOR_HOST,
    MIN_DOCUMENT_SECONDS, NEW_DOCUMENT_OF_HOST_SECONDS, NEW_DOCUMENT_SECONDS, NEW_DOCUMENTS, NEW_DOCUMENTS_OF_HOST,
};
use crate::reason::Reason;
use crate::store::Store;
use moka::sync::Cache;
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};

/// A document, and when it was read. Of two readings of one document the later has the larger
/// number, on whatever nodes they were made.
#[derive(Clone, Debug)]
pub struct Read {
    pub document: Arc<Document>,
    pub at: i64,
}

#[derive(Debug)]
struct Kept {
    read: Read,
    until: i64,
}

#[derive(Debug, Default)]
struct Slot {
    kept: RwLock<Option<Kept>>,
    /// Held by whoever fetches.
    flight: Mutex<()>,
}

impl Slot {
    fn answer(&self, after: Option<i64>, now: i64) -> Option<Read> {
        let kept = self.kept.read();
        let good = kept.as_ref().filter(|kept| now < kept.until && after.is_none_or(|after| kept.read.at > after));
        good.map(|kept| kept.read.clone())
    }
}

/// What is fetched of one host.
#[derive(Debug)]
struct Host {
    waiting: Arc<Semaphore>,
    fetching: Semaphore,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING_FOR_HOST)),
            fetching: Semaphore::new(DOCUMENTS_OF_HOST_AT_ONCE),
        }
    }
}

/// All documents of a node.
#[derive(Debug)]
pub struct Documents {
    fetcher: Arc<Fetcher>,
    store: Arc<Store>,
    slots: Cache<String, Arc<Slot>>,
    hosts: Cache<String, Arc<Host>>,
    room: Arc<Semaphore>,
    tries: Brake,
    new_of_host: Brake,
    new: Brake,
}

impl Documents {
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>, store: Arc<Store>) -> Self {
        // Only hosts of entries come here.
        let hosts = u64::try_from(MAX_ALL_CLIENT_DOCUMENTS).unwrap_or(u64::MAX);
        Self {
            fetcher,
            store,
            slots: Cache::new(MAX_CACHED_DOCUMENTS),
            hosts: Cache::new(hosts),
            room: Arc::new(Semaphore::new(DOCUMENTS_AT_ONCE)),
            tries: Brake::new(DOCUMENT_TRIES, DOCUMENT_TRY_SECONDS, MAX_CACHED_DOCUMENTS),
            new_of_host: Brake::new(NEW_DOCUMENTS_OF_HOST, NEW_DOCUMENT_OF_HOST_SECONDS, hosts),
            new: Brake::new(NEW_DOCUMENTS, NEW_DOCUMENT_SECONDS, 1),
        }
    }

    /// The document, as it was read not long ago, and later than `after`; `known`: it is a
    /// client's already.
    ///
    /// # Errors
    /// The [`Reason`]: what is wrong with the document, or that it can't be had.
    pub async fn read(&self, url: &DocumentUrl, known: bool, after: Option<i64>, now: i64) -> Result<Read, Reason> {
        let kept = self.slots.get(url.as_str()).and_then(|slot| slot.answer(after, now));
        if let Some(read) = kept {
            return Ok(read);
        }
        self.fetcher.check(url.url()).map_err(|_| Reason::DocumentUrl)?;
        let origin = url.origin();
        let host = self.hosts.get_with(origin.clone(), Arc::default);
        let waiting = Arc::clone(&host.waiting).try_acquire_owned().map_err(|_| Reason::Busy)?;
        let slot = self.slots.get_with(url.as_str().to_owned(), Arc::default);
        let (fetcher, room, url) = (Arc::clone(&self.fetcher), Arc::clone(&self.room), url.clone());
        let (tries, new_of_host, new) = (self.tries.clone(), self.new_of_host.clone(), self.new.clone());
        // In a task of its own: who hangs up in the middle takes it from nobody.
        let fetched = self.store.run(async move {
            let _waiting = waiting;
            let _flight = slot.flight.lock().await;
            if let Some(read) = slot.answer(after, now) {
                return Ok(read);
            }
            // Fetches count, and not who waits for one.
            let may = known || (new_of_host.admits(&origin, now) && new.admits("", now));
            if !may || !tries.admits(url.as_str(), now) {
                return Err(Reason::DocumentTooOften);
            }
            let _fetching = host.fetching.acquire().await.map_err(|_| Reason::Busy)?;
            let _room = room.try_acquire().map_err(|_| Reason::Busy)?;
            let fetched = fetch(&fetcher, &url).await;
            let mut kept = slot.kept.write();
            // What was there is over, or is known to be old: nothing stands in for what fails.
            *kept = None;
            let (document, seconds) = fetched?;
            let at = after.map_or(now, |after| now.max(after.saturating_add(1)));
            let read = Read { document: Arc::new(document), at };
            *kept = Some(Kept { read: read.clone(), until: now.saturating_add(seconds) });
            Ok(read)
        });
        aside(fetched).await.unwrap_or(Err(Reason::Internal))
    }
}

/// Fetches a document and reads it; answers also for how long it counts.
async fn fetch(fetcher: &Fetcher, url: &DocumentUrl) -> Result<(Document, i64), Reason> {
    let told = |fault: &dyn std::fmt::Display| {
        tracing::info!(url = url.as_str(), %fault, "a client's metadata document is not good");
    };
    let Fetched { bytes, media_type, max_age } =
        match fetcher.get(Wanted::ClientMetadata, url.url(), MAX_DOCUMENT_BYTES).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                told(&fault);
                return Err(if fault == FetchFault::Busy { Reason::Busy } else { Reason::DocumentUnavailable });
            }
        };
    if !media_type.as_deref().is_some_and(is_json) {
        told(&"it is not served as JSON");
        return Err(Reason::DocumentUnavailable);
    }
    let document = Document::parse(&bytes, url.as_str()).map_err(|fault| {
        told(&fault);
        Reason::from(fault)
    })?;
    let seconds = max_age.unwrap_or(DEFAULT_DOCUMENT_SECONDS);
    Ok((document, seconds.clamp(MIN_DOCUMENT_SECONDS, MAX_DOCUMENT_SECONDS)))
}

/// Section 4: `application/json`, or a more specific kind of it.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}
