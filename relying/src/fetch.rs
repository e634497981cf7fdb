//! Fetching a document from the issuer: bounded in time and size, never following a
//! redirect, which would let someone else answer in the issuer's name.

use crate::error::FetchError;
use crate::options::{FETCH_TIMEOUT, MAX_DOCUMENT_BYTES, Options};
use reqwest::header::CACHE_CONTROL;
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use url::{Host, Url};

/// A fetched document.
pub(crate) struct Document {
    pub body: Vec<u8>,
    /// `max-age` of its `Cache-Control`; 0 where it must not be stored.
    pub max_age: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Fetcher {
    http: Client,
    plain: bool,
}

impl Fetcher {
    /// A fetcher for an issuer. Over plain http it can only ever fetch from loopback.
    pub fn new(issuer: &Url, options: &Options) -> Result<Self, FetchError> {
        let plain = is_plain_loopback(issuer);
        if !plain && issuer.scheme() != "https" {
            return Err(FetchError::Url(issuer.to_string()));
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Lost only to another thread that installs one at the same time.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let broken = |error: reqwest::Error| FetchError::Client(error.to_string());
        let builder = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .connect_timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy();
        let builder = match (&options.ca_pem, plain) {
            // No TLS, so no need for a system that has certificates.
            (_, true) => builder.tls_certs_only([]),
            (Some(pem), false) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(broken)?),
            (None, false) => builder,
        };
        Ok(Self { http: builder.build().map_err(broken)?, plain })
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
        self.check(url)?;
        let unreachable =
            |error: reqwest::Error| FetchError::Unreachable { url: url.to_string(), reason: innermost(&error) };
        let mut response = self.http.get(url.clone()).send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { url: url.to_string(), status: response.status().as_u16() });
        }
        let too_large = || FetchError::TooLarge { url: url.to_string() };
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > MAX_DOCUMENT_BYTES) {
            return Err(too_large());
        }
        let max_age = max_age(&response);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > MAX_DOCUMENT_BYTES {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Document { body, max_age })
    }
}

/// The cause at the bottom: what above it says is only "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer within 3 seconds".to_owned();
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
