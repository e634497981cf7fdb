//! Fetching a document from the issuer: bounded in time and size, never following a
//! redirect, which would let someone else answer in the issuer's name.

use crate::error::FetchError;
use crate::options::{FETCH_TIMEOUT, MAX_DOCUMENT_BYTES, Options};
use reqwest::header::{ACCEPT, CACHE_CONTROL};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use std::time::Duration;
use url::{Host, Url};

/// A fetched document.
pub(crate) struct Document {
    pub body: Vec<u8>,
    /// `max-age` of its `Cache-Control`; 0 where it must not be stored.
    pub max_age: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    http: Client,
    plain: bool,
}

impl Fetcher {
    /// A fetcher for an issuer. Over plain http it can only ever fetch from loopback.
    pub fn new(issuer: &Url, options: &Options) -> Result<Self, FetchError> {
        let http = client_for(issuer, options.ca_pem.as_deref(), FETCH_TIMEOUT)?;
        Ok(Self { http, plain: is_plain_loopback(issuer) })
    }

    /// Whether this may be fetched at all.
    pub fn check(&self, url: &Url) -> Result<(), FetchError> {
        if if self.plain { is_plain_loopback(url) } else { url.scheme() == "https" } {
            Ok(())
        } else {
            Err(FetchError::Url(url.to_string()))
        }
    }

    pub async fn fetch(&self, url: &Url) -> Result<Document, FetchError> {
        self.fetch_as(url, None, MAX_DOCUMENT_BYTES).await
    }

    /// The same for a document of one media type, of at most so many bytes.
    pub async fn fetch_as(&self, url: &Url, kind: Option<&str>, max_bytes: usize) -> Result<Document, FetchError> {
        self.check(url)?;
        let unreachable =
            |error: reqwest::Error| FetchError::Unreachable { url: url.to_string(), reason: innermost(&error) };
        let mut request = self.http.get(url.clone());
        if let Some(kind) = kind {
            request = request.header(ACCEPT, kind);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { url: url.to_string(), status: response.status().as_u16() });
        }
        let max_age = max_age(&response);
        let body = read_body(&mut response, max_bytes).await.map_err(unreachable)?;
        let body = body.ok_or_else(|| FetchError::TooLarge { url: url.to_string() })?;
        Ok(Document { body, max_age })
    }
}

/// An HTTP client for one server: over https, or over plain http to loopback.
pub(crate) fn client_for(url: &Url, ca_pem: Option<&[u8]>, timeout: Duration) -> Result<Client, FetchError> {
    let plain = is_plain_loopback(url);
    if !plain && url.scheme() != "https" {
        return Err(FetchError::Url(url.to_string()));
    }
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost only to another thread that installs one at the same time.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let broken = |error: reqwest::Error| FetchError::Client(error.to_string());
    let builder =
        Client::builder().timeout(timeout).connect_timeout(timeout).redirect(redirect::Policy::none()).no_proxy();
    let builder = match (ca_pem, plain) {
        // No TLS, so no need for a system that has certificates.
        (_, true) => builder.tls_certs_only([]),
        (Some(pem), false) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(broken)?),
        (None, false) => builder,
    };
    builder.build().map_err(broken)
}

/// The body, or nothing where it is longer than `most`.
pub(crate) async fn read_body(response: &mut Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |length| length > most) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The cause at the bottom: what above it says is only "error sending request".
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn max_age(response: &Response) -> Option<i64> {
    let values = response.headers().get_all(CACHE_CONTROL);
    let directives = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut age = None;
    for directive in directives.map(|directive| directive.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(0);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok().filter(|seconds: &i64| *seconds >= 0);
        }
    }
    age
}

/// Plain http crosses no network on loopback.
fn is_plain_loopback(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    loopback && url.scheme() == "http"
}
