//! The one way by which this server fetches a document by itself: keys of issuers, their
//! metadata, metadata of clients.
//!
//! A guarded, bounded GET. Never a redirect, a proxy of the environment, a second try, a cookie,
//! or an address that is special and not listed; the addresses that were checked are the ones
//! connected to. What a document says is its reader's business.

use crate::proxy::{Guard, Lookup, SetupError, SystemLookup, UpstreamFault, guarded_client};
use http::header::ACCEPT;
use ipnet::IpNet;
use reqwest::Client;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// One fetch, from the name to the last byte.
pub const FETCH_DEADLINE: Duration = Duration::from_secs(3);
/// Longest document.
pub const MAX_FETCH_BYTES: usize = 1024 * 1024;
/// Fetches under way on one node; one more fails as busy.
pub const MAX_FETCHES: usize = 64;

/// What may be fetched beside public addresses over https.
#[derive(Debug, Default)]
pub struct FetchConfig {
    pub networks: Vec<IpNet>,
    /// Hosts that may be called by plain http.
    pub http_hosts: Vec<String>,
    /// Certificates (PEM) of authorities beside the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// Why there is no document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchFault {
    #[error("too many fetches are under way on this node")]
    Busy,
    #[error("the document did not arrive in time")]
    TooSlow,
    #[error("the document is too long")]
    TooLarge,
    #[error("the answer's status is {0}, not 200")]
    Status(u16),
    #[error(transparent)]
    Call(UpstreamFault),
}

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub bytes: Vec<u8>,
    /// `Content-Type`, without parameters, in lower case.
    pub media_type: Option<String>,
}

/// Fetches documents. Made once for a node.
pub struct Fetcher {
    client: Client,
    guard: Guard,
    room: Semaphore,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// # Errors
    /// [`SetupError`] where the certificates can't be read.
    pub fn new(config: FetchConfig) -> Result<Self, SetupError> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// The same, with names looked up elsewhere.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn with_lookup(config: FetchConfig, lookup: Arc<dyn Lookup>) -> Result<Self, SetupError> {
        let guard = Guard::new(config.networks, config.http_hosts, lookup);
        let client = guarded_client(&guard, FETCH_DEADLINE, config.ca_pem.as_deref())?;
        Ok(Self { client, guard, room: Semaphore::new(MAX_FETCHES) })
    }

    /// Fetches a document of at most `max_bytes` (and [`MAX_FETCH_BYTES`]). Only 200 is an
    /// answer.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn get(&self, url: &Url, max_bytes: usize) -> Result<Fetched, FetchFault> {
        let _permit = self.room.try_acquire().map_err(|_| FetchFault::Busy)?;
        self.guard.check(url).map_err(FetchFault::Call)?;
        let reading = self.read(url, max_bytes.min(MAX_FETCH_BYTES));
        tokio::time::timeout(FETCH_DEADLINE, reading).await.unwrap_or(Err(FetchFault::TooSlow))
    }

    async fn read(&self, url: &Url, max_bytes: usize) -> Result<Fetched, FetchFault> {
        let failed = |error: reqwest::Error| FetchFault::Call(UpstreamFault::from_http(&error));
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(failed)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchFault::Status(response.status().as_u16()));
        }
        let declared = response.content_length().and_then(|length| usize::try_from(length).ok());
        if declared.is_some_and(|length| length > max_bytes) {
            return Err(FetchFault::TooLarge);
        }
        let media_type = response.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let media_type =
            media_type.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len().saturating_add(chunk.len()) > max_bytes {
                return Err(FetchFault::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes, media_type })
    }
}
