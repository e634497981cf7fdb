//! The two calls of the transit engine over HTTP, and what its answers mean.
//!
//! Strict on purpose: no redirect is followed (it would carry the access token
//! along), no proxy of the environment is used, certificates are checked against the
//! configured CA only, and time and size of an answer are bounded. Texts of the
//! service are read for what kind of error they mean and go no further.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use ureq::http::{Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Error};
use zeroize::Zeroize;

use super::{MAX_CALLS, VaultConfig};
use crate::seal::VaultError;
use crate::seal::gate::lock;
use crate::secret::Secret;

/// Longest body of an answer; what is expected has a few hundred bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
const MAX_TOKEN_BYTES: usize = 8 * 1024;
const MAX_CA_BYTES: usize = 4 * 1024 * 1024;
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const MIN_TIMEOUT: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Encrypt,
    Decrypt,
}

/// One call: `input` is the plaintext in base64, or the ciphertext.
pub(super) struct Call<'a> {
    pub verb: Verb,
    pub mount: &'a str,
    pub key: &'a str,
    pub input: &'a str,
    pub aad: &'a [u8],
    /// Mount and key as errors name them.
    pub path: &'a str,
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<&'a str>,
    associated_data: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    plaintext: Option<String>,
    ciphertext: Option<String>,
}

#[derive(Deserialize)]
struct Complaint {
    errors: Vec<String>,
}

pub(super) struct Client {
    agent: Agent,
    base: String,
    namespace: Option<String>,
    token_file: PathBuf,
    token: Mutex<Secret<String>>,
}

impl Client {
    pub(super) fn new(config: &VaultConfig) -> Result<Self, VaultError> {
        let (base, secure) = check_address(&config.address)?;
        let timeout = config.timeout.clamp(MIN_TIMEOUT, MAX_TIMEOUT);
        let mut builder = Agent::config_builder()
            .https_only(secure)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections_per_host(MAX_CALLS)
            .max_response_header_size(16 * 1024)
            .timeout_global(Some(timeout));
        if secure {
            let file = config.ca_file.as_deref().ok_or(VaultError::NoCaFile)?;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
            builder = builder.tls_config(tls.root_certs(read_roots(file)?).build());
        }
        Ok(Self {
            agent: builder.build().new_agent(),
            base,
            namespace: config.namespace.clone(),
            token_file: config.token_file.clone(),
            token: Mutex::new(read_token(&config.token_file)?),
        })
    }

    /// The ciphertext or plaintext of the answer; `None` where the service refuses
    /// the input.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Option<Secret<String>>, VaultError> {
        let token = lock(&self.token).clone();
        match self.call_as(call, &token) {
            Err(VaultError::Denied(_)) => {}
            done => return done,
        }
        // The agent that writes the file may have renewed it.
        let renewed = read_token(&self.token_file)?;
        let done = self.call_as(call, &renewed);
        *lock(&self.token) = renewed;
        done
    }

    fn call_as(&self, call: &Call<'_>, token: &Secret<String>) -> Result<Option<Secret<String>>, VaultError> {
        // Both calls may be repeated. One is lost where the other side closes an idle
        // connection just as it is used.
        let response = match self.send(call, token) {
            Err(VaultError::Unreachable) => self.send(call, token)?,
            sent => sent?,
        };
        let status = response.status().as_u16();
        let mut body = read_body(response)?;
        let result = match status {
            200 => success(call, &body).map(Some),
            400 => complaint(call, &body),
            403 => Err(VaultError::Denied(call.path.to_owned())),
            404 => Err(VaultError::KeyMissing(call.path.to_owned())),
            429 => Err(VaultError::RateLimited),
            503 => Err(VaultError::Sealed),
            300..=399 => Err(VaultError::Redirected),
            500..=599 => Err(VaultError::Failed),
            _ => Err(VaultError::BadAnswer),
        };
        body.zeroize();
        result
    }

    fn send(&self, call: &Call<'_>, token: &Secret<String>) -> Result<Response<Body>, VaultError> {
        let (verb, plaintext, ciphertext) = match call.verb {
            Verb::Encrypt => ("encrypt", Some(call.input), None),
            Verb::Decrypt => ("decrypt", None, Some(call.input)),
        };
        let question = Question { plaintext, ciphertext, associated_data: STANDARD.encode(call.aad) };
        let mut body = serde_json::to_vec(&question).map_err(|_| VaultError::BadAnswer)?;
        let url = format!("{}/v1/{}/{verb}/{}", self.base, call.mount, call.key);
        let mut request = self
            .agent
            .post(url)
            .header("content-type", "application/json")
            // Vault's own guard against requests that a browser was tricked into.
            .header("x-vault-request", "true")
            .header("x-vault-token", token.expose());
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let sent = request.send(&body[..]);
        body.zeroize();
        sent.map_err(|error| fault(&error))
    }
}

fn success(call: &Call<'_>, body: &[u8]) -> Result<Secret<String>, VaultError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| VaultError::BadAnswer)?;
    let Data { plaintext, ciphertext } = answer.data;
    let (plaintext, ciphertext) = (plaintext.map(Secret::new), ciphertext.map(Secret::new));
    let wanted = match call.verb {
        Verb::Encrypt => ciphertext,
        Verb::Decrypt => plaintext,
    };
    wanted.ok_or(VaultError::BadAnswer)
}

/// What a 400 means. Only its text tells; what is unknown counts as a refusal of
/// the input, which is all that can be wrong with a request of ours.
fn complaint(call: &Call<'_>, body: &[u8]) -> Result<Option<Secret<String>>, VaultError> {
    let complaint: Complaint = serde_json::from_slice(body).map_err(|_| VaultError::BadAnswer)?;
    let says = |text: &str| complaint.errors.iter().any(|error| error.contains(text));
    let path = || call.path.to_owned();
    if says("encryption key not found") {
        Err(VaultError::KeyMissing(path()))
    } else if says("disallowed by policy") {
        Err(VaultError::VersionDisallowed(path()))
    } else if says("version is too new") {
        Err(VaultError::VersionUnknown(path()))
    } else if call.verb == Verb::Encrypt || says("non-AEAD") || says("context") {
        Err(VaultError::KeyUnfit(path()))
    } else {
        Ok(None)
    }
}

fn read_body(mut response: Response<Body>) -> Result<Vec<u8>, VaultError> {
    let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
    body.map_err(|error| match fault(&error) {
        VaultError::TimedOut => VaultError::TimedOut,
        _ => VaultError::BadAnswer,
    })
}

fn fault(error: &Error) -> VaultError {
    match error {
        Error::Timeout(_) => VaultError::TimedOut,
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => VaultError::TimedOut,
        Error::RedirectFailed | Error::TooManyRedirects => VaultError::Redirected,
        Error::Protocol(_) | Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..) => VaultError::BadAnswer,
        _ => VaultError::Unreachable,
    }
}

/// The address without a slash at its end, and whether it is https.
pub(super) fn check_address(address: &str) -> Result<(String, bool), VaultError> {
    let uri: Uri = address.parse().map_err(|_| VaultError::Address)?;
    let authority = uri.authority().ok_or(VaultError::Address)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(VaultError::Address);
    }
    match uri.scheme_str() {
        Some("https") => Ok((format!("https://{authority}"), true)),
        Some("http") if is_loopback(authority.host()) => Ok((format!("http://{authority}"), false)),
        _ => Err(VaultError::Address),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_roots(path: &Path) -> Result<RootCerts, VaultError> {
    let unreadable = || VaultError::CaFile(path.display().to_string());
    let pem = read_file(path, MAX_CA_BYTES).ok_or_else(unreadable)?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|_| unreadable())?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() { Err(unreadable()) } else { Ok(RootCerts::from(certificates)) }
}

/// A token is one line of visible ASCII; anything else could not be a header.
fn read_token(path: &Path) -> Result<Secret<String>, VaultError> {
    let unreadable = || VaultError::TokenFile(path.display().to_string());
    let bytes = Secret::new(read_file(path, MAX_TOKEN_BYTES).ok_or_else(unreadable)?);
    let token = bytes.expose().trim_ascii();
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(unreadable());
    }
    let token = std::str::from_utf8(token).map_err(|_| unreadable())?;
    Ok(Secret::new(token.to_owned()))
}

fn read_file(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    let bound = u64::try_from(limit).ok()?.checked_add(1)?;
    File::open(path).ok()?.take(bound).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= limit).then_some(bytes)
}
