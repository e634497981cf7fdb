//! The host on which the run publishes documents: metadata of clients, and their keys.
//!
//! Owns a listener of the run's own, for as long as a row needs it. The issuer reaches it under
//! the address that the profile names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::check::{Miss, fail, skip};
use crate::client::asserted;
use crate::encode::{nonce, now};
use crate::http::Reply;
use crate::issuer::Issuer;
use crate::jws::{Signer, set};

const MAX_HEAD_BYTES: usize = 16 * 1024;
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// An issuer may bound how often it tries what is new to it: asked again so often.
const MAX_TRIES: usize = 8;
const BETWEEN_TRIES: Duration = Duration::from_secs(4);
const MAX_BINDS: usize = 50;
const BETWEEN_BINDS: Duration = Duration::from_millis(50);
const ASSERTION_SECONDS: i64 = 60;
const KID: &str = "k1";

/// How a path answers: status, header lines, body.
#[derive(Clone)]
pub(crate) struct Page {
    status: u16,
    lines: String,
    body: String,
}

impl Page {
    pub(crate) fn json(document: &Value) -> Self {
        Self::of(200, document)
    }

    /// The same with another status.
    pub(crate) fn of(status: u16, document: &Value) -> Self {
        Self { status, lines: "content-type: application/json\r\n".into(), body: document.to_string() }
    }

    /// A document under another type.
    pub(crate) fn typed(media_type: &str, document: &Value) -> Self {
        Self { status: 200, lines: format!("content-type: {media_type}\r\n"), body: document.to_string() }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self { status: 302, lines: format!("location: {to}\r\n"), body: String::new() }
    }
}

#[derive(Default)]
struct Pages {
    pages: HashMap<String, Page>,
    hits: HashMap<String, usize>,
}

/// The host, while it is there.
pub(crate) struct Host {
    /// Under it documents are published; ends with a slash.
    base: String,
    path: String,
    pages: Arc<Mutex<Pages>>,
    _server: JoinSet<()>,
}

/// A client with a document, and the key that its assertions are signed by.
pub(crate) struct Agent {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) signer: Signer,
}

impl Agent {
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.signer.public_jwk().unwrap_or_default();
        for (name, value) in [("kid", KID), ("alg", "ES256"), ("use", "sig")] {
            set(&mut jwk, name, json!(value));
        }
        jwk
    }

    /// Its document, as it should be, with the members of `changes`; `null` takes one away.
    pub(crate) fn document(&self, changes: Value) -> Value {
        let mut document = json!({
            "client_id": self.url, "client_name": "conformance", "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"], "jwks": {"keys": [self.jwk()]},
        });
        if let (Some(document), Value::Object(changes)) = (document.as_object_mut(), changes) {
            for (name, value) in changes {
                match value {
                    Value::Null => document.remove(&name),
                    value => document.insert(name, value),
                };
            }
        }
        document
    }

    /// A client credentials request by an assertion in the name of `client_id`.
    pub(crate) async fn asks_as(&self, issuer: &Issuer, client_id: &str) -> Result<Reply, Miss> {
        for _ in 0..MAX_TRIES {
            let issued = now();
            let claims = json!({
                "iss": client_id, "sub": client_id, "aud": issuer.url(), "jti": nonce(), "iat": issued,
                "exp": issued + ASSERTION_SECONDS,
            });
            let assertion = self.signer.sign(&self.signer.header(), &claims);
            let reply = asserted(issuer.bare_grant()?, &assertion).send().await?;
            if reply.status != 429 {
                return Ok(reply);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        fail("documents are still tried too often after half a minute")
    }

    pub(crate) async fn asks(&self, issuer: &Issuer) -> Result<Reply, Miss> {
        self.asks_as(issuer, &self.url).await
    }
}

impl Host {
    /// Listens where the profile says.
    pub(crate) async fn start(issuer: &Issuer) -> Result<Self, Miss> {
        let Some(section) = &issuer.profile.documents else { return skip("the profile has no [documents]") };
        let listener = bind(&section.listen).await?;
        let address = listener.local_addr().or_else(|error| fail(error.to_string()))?;
        let base = section.url.clone().unwrap_or_else(|| format!("http://{address}/"));
        let Ok(parsed) = url::Url::parse(&base) else { return fail("documents.url is no URL") };
        let pages: Arc<Mutex<Pages>> = Arc::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&pages)));
        Ok(Self { base, path: parsed.path().to_owned(), pages, _server: server })
    }

    /// A URL under the prefix that the issuer admits.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// A client of its own name, whose document is not published yet.
    pub(crate) fn agent(&self) -> Result<Agent, Miss> {
        let name = format!("{}.json", nonce().replace('_', "-"));
        let signer = Signer::stranger(Some(KID)).map_err(Miss::Fail)?;
        Ok(Agent { url: self.url(&name), name, signer })
    }

    pub(crate) fn publish(&self, name: &str, page: Page) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).pages.insert(format!("{}{name}", self.path), page);
    }

    pub(crate) fn hits(&self, name: &str) -> usize {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.hits.get(&format!("{}{name}", self.path)).copied().unwrap_or_default()
    }
}

/// The row before may still be letting go of the address.
async fn bind(address: &str) -> Result<TcpListener, Miss> {
    let mut seen = String::new();
    for _ in 0..MAX_BINDS {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => seen = error.to_string(),
        }
        tokio::time::sleep(BETWEEN_BINDS).await;
    }
    fail(format!("can't listen at {address}: {seen}"))
}

async fn accept(listener: TcpListener, pages: Arc<Mutex<Pages>>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while open.try_join_next().is_some() {}
        open.spawn(answer(stream, Arc::clone(&pages)));
    }
}

async fn answer(mut stream: TcpStream, pages: Arc<Mutex<Pages>>) {
    let mut head = Vec::new();
    let reading = async {
        let mut chunk = [0; 2048];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
            match stream.read(&mut chunk).await {
                Ok(read) if read > 0 => head.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                _ => return,
            }
        }
    };
    if tokio::time::timeout(HEAD_DEADLINE, reading).await.is_err() {
        return;
    }
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    let page = {
        let mut pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
        *pages.hits.entry(path.clone()).or_default() += 1;
        pages.pages.get(&path).cloned()
    };
    let page = page.unwrap_or(Page { status: 404, lines: String::new(), body: String::new() });
    let Page { status, lines, body } = page;
    let text =
        format!("HTTP/1.1 {status} X\r\n{lines}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    // An issuer that hung up reads nothing.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
