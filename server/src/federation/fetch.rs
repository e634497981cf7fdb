//! The one way by which this server fetches a document by itself: keys of issuers, their
//! metadata, metadata of clients.
//!
//! A guarded, bounded GET. Never a redirect, a proxy of the environment, a second try, a cookie,
//! or an address that is special and not listed; the addresses that were checked are the ones
//! connected to. What a document says is its reader's business.

use crate::proxy::{Guard, Lookup, SetupError, SystemLookup, UpstreamFault, guarded_client};
use crate::telemetry::{Phase, Telemetry, phase};
use http::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap};
use ipnet::IpNet;
use reqwest::Client;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

impl FetchFault {
    /// The metrics' word.
    fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::Status(_) => "status",
            Self::Call(_) => "unreachable",
        }
    }
}

/// What a fetch is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Keys of an issuer.
    Keys,
    /// Where they are.
    IssuerMetadata,
    ClientMetadata,
}

impl Wanted {
    fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "jwks",
            Self::IssuerMetadata => "issuer_metadata",
            Self::ClientMetadata => "client_metadata",
        }
    }
}

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub bytes: Vec<u8>,
    /// `Content-Type`, without parameters, in lower case.
    pub media_type: Option<String>,
    /// For how much longer it may be kept by what its answer says (RFC 9111 sections 4.2 and 5.2.2);
    /// `None` where that says nothing.
    pub max_age: Option<i64>,
}

/// Fetches documents. Made once for a node.
pub struct Fetcher {
    client: Client,
    guard: Guard,
    room: Semaphore,
    telemetry: Telemetry,
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
        Ok(Self { client, guard, room: Semaphore::new(MAX_FETCHES), telemetry: Telemetry::default() })
    }

    /// The same, telling how its fetches went.
    #[must_use]
    pub fn measured(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Fetches a document of at most `max_bytes` (and [`MAX_FETCH_BYTES`]). Only 200 is an
    /// answer.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn get(&self, wanted: Wanted, url: &Url, max_bytes: usize) -> Result<Fetched, FetchFault> {
        let _timed = phase(Phase::Fetch);
        let began = Instant::now();
        let fetched = self.fetch(url, max_bytes).await;
        let outcome = fetched.as_ref().map_or_else(|fault| fault.as_str(), |_| "fetched");
        self.telemetry.fetched(wanted.as_str(), outcome, began.elapsed());
        fetched
    }

    async fn fetch(&self, url: &Url, max_bytes: usize) -> Result<Fetched, FetchFault> {
        let _permit = self.room.try_acquire().map_err(|_| FetchFault::Busy)?;
        self.guard.check(url).map_err(FetchFault::Call)?;
        let reading = self.read(url, max_bytes.min(MAX_FETCH_BYTES));
        tokio::time::timeout(FETCH_DEADLINE, reading).await.unwrap_or(Err(FetchFault::TooSlow))
    }

    /// Whether this could be fetched, as far as the URL says.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub fn check(&self, url: &Url) -> Result<(), FetchFault> {
        self.guard.check(url).map_err(FetchFault::Call)
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
        let max_age = max_age(response.headers());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len().saturating_add(chunk.len()) > max_bytes {
                return Err(FetchFault::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes, media_type, max_age })
    }
}

/// What can't be read counts as said by nobody, but for `no-store` and `no-cache`.
fn max_age(headers: &HeaderMap) -> Option<i64> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut most: Option<i64> = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(0),
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse::<u32>().ok().map(i64::from);
                // Twice with two values: the shorter is within both.
                most = most.map_or(seconds, |most| seconds.map(|seconds| seconds.min(most)).or(Some(most)));
            }
            _ => {}
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(|age| age.trim().parse::<u32>().ok());
    most.map(|most| most.saturating_sub(age.map_or(0, i64::from)).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_long_it_may_be_kept() {
        let said = |lines: &[&str], age: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, line.parse().unwrap());
            }
            if let Some(age) = age {
                headers.insert(AGE, age.parse().unwrap());
            }
            max_age(&headers)
        };
        assert_eq!((said(&[], None), said(&["public"], Some("9")), said(&["max-age=x"], None)), (None, None, None));
        assert_eq!((said(&["public, max-age=600"], None), said(&["Max-Age=600"], Some("100"))), (Some(600), Some(500)));
        assert_eq!((said(&["max-age=5"], Some("9")), said(&["max-age=600, no-cache"], None)), (Some(0), Some(0)));
        assert_eq!((said(&["no-store"], None), said(&["max-age=900", "max-age=60"], None)), (Some(0), Some(60)));
    }
}
