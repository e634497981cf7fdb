//! A small HTTP server on loopback that answers what it is told and counts what it is asked.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stipend_keys::{Algorithm, Signer, SigningKey, TokenKind};
use stipend_relying::{DiscoverError, Options, Verifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const NOW: i64 = 1_795_230_000;
pub const AUDIENCE: &str = "https://orders.example";
const METADATA: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/keys";

#[derive(Clone)]
pub enum Reply {
    Json(String),
    /// With a `Cache-Control`.
    Cached(String, &'static str),
    Status(u16),
    Redirect(String),
    /// A body of this many bytes, announced or in chunks.
    Large {
        bytes: usize,
        announced: bool,
    },
    /// Accepts and says nothing.
    Silent,
    /// Answers after a while.
    Slow(String, Duration),
}

#[derive(Default)]
struct Script {
    replies: HashMap<&'static str, Reply>,
    asked: HashMap<String, usize>,
}

pub struct StandIn {
    pub issuer: String,
    script: Arc<Mutex<Script>>,
    pub key: SigningKey,
    signer: Signer,
}

impl StandIn {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let served = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&served)));
            }
        });
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let signer = key.signer().unwrap();
        let stand_in = Self { issuer, script, key, signer };
        stand_in.metadata(Reply::Json(stand_in.honest_metadata().to_string()));
        stand_in.jwks(Reply::Json(jwks_of(&[&stand_in.key])));
        stand_in
    }

    pub fn honest_metadata(&self) -> Value {
        json!({ "issuer": self.issuer, "jwks_uri": self.url(JWKS), "response_types_supported": ["none"] })
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    pub fn metadata(&self, reply: Reply) {
        self.script.lock().unwrap().replies.insert(METADATA, reply);
    }

    pub fn jwks(&self, reply: Reply) {
        self.script.lock().unwrap().replies.insert(JWKS, reply);
    }

    /// What it answers at a path.
    pub fn reply(&self, path: &'static str, reply: Reply) {
        self.script.lock().unwrap().replies.insert(path, reply);
    }

    /// How often the keys were asked for.
    pub fn jwks_asked(&self) -> usize {
        self.asked(JWKS)
    }

    pub fn asked(&self, path: &str) -> usize {
        self.script.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }

    pub async fn discover(&self) -> Result<Verifier, DiscoverError> {
        self.discover_with(Options::default()).await
    }

    pub async fn discover_with(&self, options: Options) -> Result<Verifier, DiscoverError> {
        Verifier::discover(&self.issuer, AUDIENCE, NOW, options).await
    }

    /// Claims of a good token.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.issuer, "sub": "agent:acme.planner", "client_id": "acme.planner", "aud": AUDIENCE,
            "scope": "orders:read", "jti": "t_1", "iat": NOW, "exp": NOW + 300, "env": "live",
        })
    }

    pub fn token(&self) -> String {
        self.sign(&self.claims())
    }

    /// A good token but for one claim; `null` leaves it out.
    pub fn token_with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        self.sign(&claims)
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.signer.sign(TokenKind::AccessToken, claims.to_string().as_bytes()).unwrap()
    }

    pub fn sign_claims_as(&self, kind: TokenKind, claims: &Value) -> String {
        self.signer.sign(kind, claims.to_string().as_bytes()).unwrap()
    }

    pub fn sign_as(&self, kind: TokenKind) -> String {
        self.signer.sign(kind, self.claims().to_string().as_bytes()).unwrap()
    }
}

pub fn jwks_of(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> =
        keys.iter().map(|key| serde_json::from_str(&key.public_jwk().to_public_json()).unwrap()).collect();
    json!({ "keys": keys }).to_string()
}

async fn answer(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let reply = {
        let mut script = script.lock().unwrap();
        *script.asked.entry(path.clone()).or_default() += 1;
        script.replies.get(path.as_str()).cloned().unwrap_or(Reply::Status(404))
    };
    let plain = |status: u16, more: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n{body}")
    };
    let text = match reply {
        Reply::Json(body) => plain(200, "", &body),
        Reply::Cached(body, cache) => plain(200, &format!("cache-control: {cache}\r\n"), &body),
        Reply::Status(status) => plain(status, "", ""),
        Reply::Redirect(to) => plain(302, &format!("location: {to}\r\n"), ""),
        Reply::Large { bytes, announced: true } => plain(200, "", &" ".repeat(bytes)),
        Reply::Large { bytes, announced: false } => {
            let body = " ".repeat(bytes);
            format!("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n")
        }
        Reply::Silent => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return;
        }
        Reply::Slow(body, wait) => {
            tokio::time::sleep(wait).await;
            plain(200, "", &body)
        }
    };
    // The client may have left.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
