//! An issuer that is not ours: its keys, the tokens that it signs, and a host that publishes
//! them, well or badly, and counts who asks.
#![allow(dead_code, reason = "each test binary uses its part of it")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A signing key of an issuer.
pub struct Key {
    pub kid: String,
    pair: Pair,
}

impl Key {
    /// For ES256.
    pub fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(alg, document.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Ec(pair) }
    }

    /// For EdDSA.
    pub fn ed25519(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Ed(pair) }
    }

    pub fn alg(&self) -> &'static str {
        match self.pair {
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid, "use": "sig", "alg": "ES256"})
            }
            Pair::Ed(pair) => {
                let x = B64.encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "use": "sig", "alg": "EdDSA"})
            }
        }
    }

    /// A token with this header and these claims, whatever they are.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
        };
        format!("{input}.{}", B64.encode(signature))
    }

    /// A token of this `typ` (none where empty).
    pub fn token(&self, typ: &str, claims: &Value) -> String {
        let mut header = json!({"alg": self.alg(), "kid": self.kid});
        if !typ.is_empty() {
            header["typ"] = json!(typ);
        }
        self.sign(&header, claims)
    }
}

/// How a path of the host answers.
#[derive(Clone)]
pub enum Face {
    /// With a document.
    Json(Value),
    /// With a status and a body as they stand.
    Raw(u16, String),
    /// With these header lines, each with its end, and a body.
    Headed(String, String),
    /// Somewhere else.
    Redirect(String),
    /// With a document, after this long.
    Slow(Duration, Value),
    /// With a body that never ends.
    Endless,
    /// Not at all, while the connection stays.
    Silent,
    /// By closing the connection.
    Closed,
}

#[derive(Default)]
struct State {
    faces: HashMap<String, Face>,
    hits: HashMap<String, usize>,
}

/// A host on this machine.
pub struct Idp {
    /// `http://127.0.0.1:port`: its issuer identifier.
    pub issuer: String,
    state: Arc<Mutex<State>>,
}

pub const METADATA: &str = "/.well-known/openid-configuration";
pub const KEYS: &str = "/keys";

impl Idp {
    /// A host with metadata, and these keys.
    pub async fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let idp = Self { issuer: issuer.clone(), state: Arc::clone(&state) };
        idp.face(METADATA, Face::Json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}{KEYS}")})));
        idp.publish(keys);
        #[allow(clippy::disallowed_methods, reason = "the host lives as long as the test")]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&state)));
            }
        });
        idp
    }

    /// Replaces the keys that are published.
    pub fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.face(KEYS, Face::Json(json!({"keys": keys})));
    }

    pub fn face(&self, path: &str, face: Face) {
        self.state.lock().faces.insert(path.to_owned(), face);
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.state.lock().hits.get(path).copied().unwrap_or_default()
    }

    /// Claims of an ID token that is good at `now`.
    pub fn claims(&self, now: i64) -> Value {
        json!({
            "iss": self.issuer, "sub": "alice", "aud": "stipend", "iat": now, "exp": now + 600, "auth_time": now - 30,
            "acr": "urn:example:gold", "amr": ["pwd", "otp"], "jti": format!("id-{now}"),
        })
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    let mut chunk = [0_u8; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match socket.read(&mut chunk).await {
            Ok(read) if read > 0 && head.len() < 16_384 => head.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let face = {
        let mut state = state.lock();
        *state.hits.entry(path.clone()).or_default() += 1;
        state.faces.get(&path).cloned().unwrap_or(Face::Raw(404, String::new()))
    };
    let answer = |status: u16, body: &str| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let said = match face {
        Face::Json(document) => answer(200, &document.to_string()),
        Face::Raw(status, body) => answer(status, &body),
        Face::Headed(lines, body) => {
            format!("HTTP/1.1 200 OK\r\n{lines}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }
        Face::Redirect(to) => {
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        Face::Slow(wait, document) => {
            tokio::time::sleep(wait).await;
            answer(200, &document.to_string())
        }
        Face::Endless => {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"keys\":[").await;
            while socket.write_all(&[b' '; 8192]).await.is_ok() {}
            return;
        }
        Face::Silent => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        Face::Closed => return,
    };
    let _ = socket.write_all(said.as_bytes()).await;
    let _ = socket.shutdown().await;
}
