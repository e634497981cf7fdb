//! One request and what became of it. Owns deadlines and the difference between an answer and
//! the lack of one; it must never retry, because a retry is an attempt of its own.

use crate::error::BenchError;
use reqwest::{Method, redirect};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer; then the outcome is unknown.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Names the record of an answer.
const REQUEST_ID: &str = "stipend-request-id";

/// One node of the deployment.
#[derive(Clone, Debug)]
pub struct Node {
    http: reqwest::Client,
    pub url: String,
}

/// A client and its secret.
#[derive(Clone)]
pub struct Credentials {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An answer, whatever it says.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    pub request_id: Option<String>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// Nothing was sent.
    Unreached,
    Deadline,
    /// The connection ended first.
    Cut,
}

impl Lost {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreached => "unreached",
            Self::Deadline => "deadline",
            Self::Cut => "cut",
        }
    }
}

impl Node {
    /// # Errors
    /// [`BenchError`], where no client can be made.
    pub fn new(url: &str) -> Result<Self, BenchError> {
        // A second installation in one process is not an error worth stopping for.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST_DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(|error| BenchError::Deployment(error.to_string()))?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    /// # Errors
    /// [`Lost`].
    pub async fn form(
        &self,
        path: &str,
        client: &Credentials,
        key: Option<&str>,
        form: &[(&str, String)],
    ) -> Result<Reply, Lost> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.url))
            .basic_auth(encoded(&client.id), Some(encoded(&client.secret)))
            .form(form);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        receive(request).await
    }

    /// # Errors
    /// [`Lost`].
    pub async fn admin(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Result<Reply, Lost> {
        let mut request = self.http.request(method, format!("{}/admin/v1{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        receive(request).await
    }
}

/// RFC 6749 section 2.3.1: id and secret are form-encoded in HTTP Basic.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Reply, Lost> {
    let lost = |error: reqwest::Error| match () {
        () if error.is_connect() => Lost::Unreached,
        () if error.is_timeout() => Lost::Deadline,
        () => Lost::Cut,
    };
    let answer = request.send().await.map_err(lost)?;
    let status = answer.status().as_u16();
    let request_id = answer.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = answer.bytes().await.map_err(lost)?;
    // What can't be read as JSON is an answer without members; the checker will miss them.
    Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null), request_id })
}
