//! The one way to an upstream.

use super::answer;
use super::body::{AnswerBody, Meter};
use super::fault::UpstreamFault;
use super::guard::{Guard, Lookup, SystemLookup};
use super::headers;
use super::limits::{CONNECT_TIMEOUT, KEEP_CONNECTION, MAX_CALLS, MAX_IDLE_CONNECTIONS, MAX_REQUEST_BYTES, Timeouts};
use super::mask::Mask;
use super::request::{self, RequestBody};
use super::usage::UsageStyle;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ipnet::IpNet;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::Secret;
use stipend_token::constraint::Method;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

/// What a node may call.
#[derive(Debug)]
pub struct UpstreamConfig {
    /// Networks that may be called though they are private or special.
    pub allow_networks: Vec<IpNet>,
    /// Hosts, as a URL writes them without the port, that may be called over plain http: the
    /// key then crosses the network in the clear.
    pub allow_http_hosts: Vec<String>,
    /// Certificates (PEM) of authorities to trust besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    pub connect_timeout: Duration,
    /// Calls under way at once.
    pub max_calls: usize,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            allow_http_hosts: Vec::new(),
            ca_pem: None,
            connect_timeout: CONNECT_TIMEOUT,
            max_calls: MAX_CALLS,
        }
    }
}

/// Why the engine can't start.
#[derive(Debug, thiserror::Error)]
#[error("TLS to upstreams can't be set up: {0}")]
pub struct SetupError(String);

/// One call to be forwarded.
#[derive(Debug)]
pub struct Forward {
    pub method: Method,
    /// From [`super::join`].
    pub url: Url,
    /// The agent's, as they came.
    pub headers: HeaderMap,
    pub body: RequestBody,
    pub max_body_bytes: u64,
    /// Headers to put in, in the place of any of the same name.
    pub inject: Vec<(HeaderName, Secret<String>)>,
    /// What must never come back: the key, and where it is one half of a pair, the pair. In
    /// bodies a secret of less than 8 bytes is left alone.
    pub mask: Vec<Secret<String>>,
    /// How to read what the answer says was used, if that is wanted.
    pub usage: Option<UsageStyle>,
    pub timeouts: Timeouts,
}

impl Forward {
    /// A call without a body, with the default bounds and nothing put in.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: RequestBody::Whole(bytes::Bytes::new()),
            max_body_bytes: MAX_REQUEST_BYTES,
            inject: Vec::new(),
            mask: Vec::new(),
            usage: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// An answer as it may reach the agent. A redirect is answered as it is, without `Location`:
/// an agent that followed it would take its token elsewhere.
#[derive(Debug)]
pub struct Forwarded {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
    pub meter: Meter,
}

/// The upstreams of a node. Made once; connections to them are kept and shared.
pub struct Upstreams {
    client: Client,
    guard: Guard,
    calls: Arc<Semaphore>,
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstreams").field("guard", &self.guard).finish_non_exhaustive()
    }
}

fn client(guard: &Guard, connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .http1_only()
        .no_proxy()
        .referer(false)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .pool_idle_timeout(KEEP_CONNECTION)
        .dns_resolver(Arc::new(guard.clone()))
}

/// One that trusts these and nobody else.
fn client_of_none(
    guard: &Guard,
    connect_timeout: Duration,
    certificates: Vec<Certificate>,
) -> Result<Client, reqwest::Error> {
    client(guard, connect_timeout).tls_certs_only(certificates).build()
}

/// A client that connects where the guard lets it, and trusts these authorities beside the
/// system's.
///
/// # Errors
/// [`SetupError`] where the certificates can't be read.
pub(crate) fn guarded_client(
    guard: &Guard,
    connect_timeout: Duration,
    ca_pem: Option<&[u8]>,
) -> Result<Client, SetupError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost only to another thread that installs one at the same time.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let broken = |error: reqwest::Error| SetupError(error.to_string());
    let certificates = ca_pem.map(Certificate::from_pem_bundle).transpose().map_err(broken)?;
    if certificates.as_ref().is_some_and(Vec::is_empty) {
        return Err(SetupError("no certificate among the additional ones".to_owned()));
    }
    let certificates = certificates.unwrap_or_default();
    match client(guard, connect_timeout).tls_certs_merge(certificates.clone()).build() {
        Ok(client) => Ok(client),
        // A machine without certificates of its own can still call what the additional ones
        // vouch for, and what is called by plain http; others are not trusted.
        Err(error) => {
            tracing::warn!(%error, "the system's certificates can't be used for calls to others");
            client_of_none(guard, connect_timeout, certificates).map_err(broken)
        }
    }
}

impl Upstreams {
    /// # Errors
    /// [`SetupError`] where the certificates can't be read.
    pub fn new(config: UpstreamConfig) -> Result<Self, SetupError> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// The same, with names looked up elsewhere.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn with_lookup(config: UpstreamConfig, lookup: Arc<dyn Lookup>) -> Result<Self, SetupError> {
        let guard = Guard::new(config.allow_networks, config.allow_http_hosts, lookup);
        let client = guarded_client(&guard, config.connect_timeout, config.ca_pem.as_deref())?;
        let calls = Arc::new(Semaphore::new(config.max_calls.min(Semaphore::MAX_PERMITS)));
        Ok(Self { client, guard, calls })
    }

    /// Forwards one call and answers as soon as the head of the answer is there. Dropping the
    /// future ends the upstream's request: at once, unless the upstream has stopped taking it
    /// in; then the socket is closed when the kernel gives up on it, after half a minute.
    ///
    /// # Errors
    /// [`UpstreamFault`]; [`UpstreamFault::nothing_was_sent`] says whether the call can have
    /// had an effect.
    pub async fn forward(&self, call: Forward) -> Result<Forwarded, UpstreamFault> {
        let permit = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| UpstreamFault::Busy)?;
        self.guard.check(&call.url)?;
        let headers = headers::request(&call.headers, &call.inject)?;
        let mask = Mask::new(&call.mask);
        let method =
            http::Method::from_bytes(call.method.as_str().as_bytes()).map_err(|_| UpstreamFault::UrlRefused)?;
        let has_body = !matches!(&call.body, RequestBody::Whole(bytes) if bytes.is_empty());
        let (body, upload) = request::outgoing(call.body, call.max_body_bytes)?;
        let timeouts = call.timeouts.bounded();
        let deadline = Instant::now() + timeouts.total;
        let mut request = self.client.request(method.clone(), call.url).headers(headers);
        if has_body {
            request = request.body(body);
        } else if matches!(method, http::Method::POST | http::Method::PUT | http::Method::PATCH) {
            // RFC 9110 section 8.6: a method that means a body says that there is none.
            request = request.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let answered = tokio::select! {
            answered = request.send() => answered,
            fault = upload.stalled(timeouts, deadline) => return Err(fault),
        };
        let response = answered.map_err(|error| upload.fault().unwrap_or_else(|| UpstreamFault::from_http(&error)))?;
        let passage = answer::Passage { mask, usage: call.usage, upload, timeouts, deadline, permit };
        answer::pass(response, method == http::Method::HEAD, passage)
    }

    /// Whether a URL may be called, as far as that can be seen without looking its name up.
    ///
    /// # Errors
    /// [`UpstreamFault::UrlRefused`], [`UpstreamFault::AddressRefused`].
    pub fn check(&self, url: &Url) -> Result<(), UpstreamFault> {
        self.guard.check(url)
    }

    /// Calls that could be begun now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.calls.available_permits()
    }
}
