//! One request, as raw as a vector needs it, and the reply as it came.
//!
//! Owns time limits and the polite wait on throttling. It must never follow
//! redirects or decode more than it was asked to: the rows judge what is on
//! the wire.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, redirect};
use serde_json::Value;

use crate::check::{Miss, ensure};
use crate::encode::form_encode;

const REQUEST_SECONDS: u64 = 10;
const MAX_REPLY_BYTES: usize = 1 << 20;
/// Throttled requests are sent again this often, when asked to by `Retry-After`.
const MAX_THROTTLE_WAITS: usize = 3;
const MAX_THROTTLE_SECONDS: u64 = 5;
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
}

impl Http {
    /// `roots` are what the issuer's certificate must come from, in PEM; none is the system's.
    pub(crate) fn new(roots: Option<&str>) -> Result<Self, String> {
        Self::build(roots, None)
    }

    /// The same with a certificate and its key, in PEM.
    pub(crate) fn showing(roots: Option<&str>, identity: &str) -> Result<Self, String> {
        Self::build(roots, Some(identity))
    }

    fn build(roots: Option<&str>, identity: Option<&str>) -> Result<Self, String> {
        // A second installation in one process is not an error worth stopping for.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder =
            reqwest::Client::builder().timeout(Duration::from_secs(REQUEST_SECONDS)).redirect(redirect::Policy::none());
        if let Some(roots) = roots {
            let roots = reqwest::Certificate::from_pem_bundle(roots.as_bytes()).map_err(|error| error.to_string())?;
            builder = builder.tls_certs_only(roots);
        }
        if let Some(identity) = identity {
            let identity = reqwest::Identity::from_pem(identity.as_bytes()).map_err(|error| error.to_string())?;
            builder = builder.identity(identity);
        }
        builder.build().map(|client| Self { client }).map_err(|error| error.to_string())
    }

    pub(crate) fn get(&self, url: &str) -> Request {
        Request::new(self, Method::GET, url)
    }

    /// A form post; parameters follow with `with`.
    pub(crate) fn form(&self, url: &str) -> Request {
        Request { content_type: Some(FORM.into()), ..Request::new(self, Method::POST, url) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    http: Http,
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    content_type: Option<String>,
    pairs: Vec<(String, String)>,
    raw: Option<Vec<u8>>,
    waits: bool,
}

impl Request {
    fn new(http: &Http, method: Method, url: &str) -> Self {
        Self {
            http: http.clone(),
            method,
            url: url.to_owned(),
            headers: Vec::new(),
            content_type: None,
            pairs: Vec::new(),
            raw: None,
            waits: true,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.pairs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the parameter, wherever it stood.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.pairs.retain(|(key, _)| key != name);
        self
    }

    /// The same parameter a second time, with the same value.
    pub(crate) fn repeat(self, name: &str) -> Option<Self> {
        let value = self.param(name)?.to_owned();
        Some(self.with(name, &value))
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.pairs.iter().map(|(key, _)| key.clone()).collect();
        names.dedup();
        names
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        self
    }

    pub(crate) fn content_type(mut self, value: &str) -> Self {
        self.content_type = Some(value.to_owned());
        self
    }

    /// Over other connections.
    pub(crate) fn through(mut self, http: &Http) -> Self {
        self.http = http.clone();
        self
    }

    pub(crate) fn to(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    /// What a proof of possession is made for (RFC 9449 section 4.2): method and URL.
    pub(crate) fn target(&self) -> (&str, &str) {
        (self.method.as_str(), self.url.split(['?', '#']).next().unwrap_or_default())
    }

    /// The parameters in the query instead of the body.
    pub(crate) fn in_query(mut self) -> Self {
        let query = self.encoded();
        self.url = format!("{}?{query}", self.url);
        self.pairs.clear();
        self
    }

    /// The body as it stands, instead of the parameters.
    pub(crate) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(body.into());
        self
    }

    /// Further bytes behind the encoded parameters.
    pub(crate) fn raw_suffix(self, more: &[u8]) -> Self {
        let mut body = self.encoded().into_bytes();
        body.extend_from_slice(more);
        self.raw(body)
    }

    pub(crate) fn encoded(&self) -> String {
        let pairs = self.pairs.iter();
        let encoded: Vec<String> = pairs.map(|(k, v)| format!("{}={}", form_encode(k), form_encode(v))).collect();
        encoded.join("&")
    }

    /// Takes a throttled answer as the answer.
    pub(crate) fn impatient(mut self) -> Self {
        self.waits = false;
        self
    }

    pub(crate) async fn send(&self) -> Result<Reply, Miss> {
        let mut waited = 0;
        loop {
            let reply = self.send_once().await?;
            match reply.retry_after() {
                Some(seconds) if self.waits && waited < MAX_THROTTLE_WAITS => {
                    waited += 1;
                    tokio::time::sleep(Duration::from_secs(seconds.min(MAX_THROTTLE_SECONDS))).await;
                }
                _ => return Ok(reply),
            }
        }
    }

    async fn send_once(&self) -> Result<Reply, Miss> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = &self.content_type {
            append(&mut headers, "content-type", content_type)?;
        }
        for (name, value) in &self.headers {
            append(&mut headers, name, value)?;
        }
        let mut request = self.http.client.request(self.method.clone(), &self.url).headers(headers);
        if self.method != Method::GET && self.method != Method::HEAD {
            request = request.body(self.raw.clone().unwrap_or(self.encoded().into_bytes()));
        }
        let started = Instant::now();
        let response = request.send().await.map_err(transport)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(transport)?.to_vec();
        ensure!(body.len() <= MAX_REPLY_BYTES, "a reply of {} bytes", body.len());
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Reply { status, headers, body, json, took: started.elapsed() })
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Miss> {
    let name = HeaderName::from_bytes(name.as_bytes());
    let value = HeaderValue::from_bytes(value.as_bytes());
    match (name, value) {
        (Ok(name), Ok(value)) => {
            headers.append(name, value);
            Ok(())
        }
        _ => Err(Miss::Fail("the runner built a header that HTTP does not allow".into())),
    }
}

fn transport(error: reqwest::Error) -> Miss {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Miss::Fail(format!("no answer: {text}"))
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) json: Value,
    pub(crate) took: Duration,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    pub(crate) fn text(&self, member: &str) -> Option<&str> {
        self.json.get(member).and_then(Value::as_str)
    }

    pub(crate) fn error(&self) -> &str {
        self.text("error").unwrap_or_default()
    }

    pub(crate) fn is_json(&self) -> bool {
        let media = self.header("content-type").split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/json") && self.json.is_object()
    }

    pub(crate) fn no_store(&self) -> bool {
        let mut directives = self.header("cache-control").split(',');
        directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
    }

    /// Status and code, as the table shows them.
    pub(crate) fn brief(&self) -> String {
        match self.error() {
            "" => self.status.to_string(),
            error => format!("{} {error}", self.status),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        let throttled = self.status == 429 || self.status == 503;
        self.header("retry-after").trim().parse().ok().filter(|_| throttled)
    }
}
