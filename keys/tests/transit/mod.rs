//! A stand-in for the transit engine of Vault, by its documented API: it encrypts
//! with keys of its own, checks the access token, and misbehaves on demand.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use stipend_keys::secret::random_bytes;

#[derive(Debug, Clone, PartialEq)]
pub enum Mood {
    Well,
    /// Waits before each answer.
    Slow(Duration),
    /// Takes the request and never answers.
    Hangs,
    /// Sends bytes of a good answer one by one, slowly.
    Trickles,
    Status(u16, &'static str),
    Redirects(String),
    /// Sends this instead of HTTP.
    Garbage(Vec<u8>),
    /// 200 with this body.
    Body(Vec<u8>),
    IgnoresAssociatedData,
    NotAead,
}

#[derive(Debug)]
pub struct State {
    pub mood: Mood,
    pub token: String,
    pub namespace: Option<String>,
    pub min_decryption_version: usize,
    /// Versions of each key.
    pub keys: HashMap<String, Vec<[u8; 32]>>,
    /// Paths asked for, and the tokens that came with them.
    pub asked: Vec<(String, String)>,
    pub under_way: usize,
    pub most_under_way: usize,
}

#[derive(Clone)]
pub struct Transit {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

struct Request {
    path: String,
    headers: HashMap<String, String>,
    body: Value,
}

impl Transit {
    /// Listens on a free port, with TLS where there is a configuration for it.
    pub fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            mood: Mood::Well,
            token: "hvs.canary-1".into(),
            namespace: None,
            min_decryption_version: 1,
            keys: ["stipend", "older"].map(|name| (name.to_owned(), vec![random_bytes()])).into(),
            asked: Vec::new(),
            under_way: 0,
            most_under_way: 0,
        };
        let transit = Self { port: listener.local_addr().unwrap().port(), state: Arc::new(Mutex::new(state)) };
        let serving = transit.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, tls) = (serving.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => drop(serving.serve(stream)),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        drop(serving.serve(StreamOwned::new(connection, stream)));
                    }
                });
            }
        });
        transit
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn mood(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// `POST /v1/transit/keys/{name}/rotate`
    pub fn rotate(&self, name: &str) {
        self.state().keys.get_mut(name).unwrap().push(random_bytes());
    }

    /// Answers three times on a connection and then closes it without a word, as a
    /// sidecar or a load balancer does with an idle one.
    fn serve(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        for _ in 0..3 {
            let request = read_request(&mut stream)?;
            let mood = {
                let mut state = self.state();
                let token = request.headers.get("x-vault-token").cloned().unwrap_or_default();
                state.asked.push((request.path.clone(), token));
                state.under_way += 1;
                state.most_under_way = state.most_under_way.max(state.under_way);
                state.mood.clone()
            };
            let done = self.act(&mut stream, &request, mood);
            self.state().under_way -= 1;
            if !done? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the connection is good for another request.
    fn act(&self, stream: &mut impl Write, request: &Request, mood: Mood) -> std::io::Result<bool> {
        let (status, body) = match mood {
            Mood::Hangs => {
                std::thread::sleep(Duration::from_secs(20));
                return Ok(false);
            }
            Mood::Slow(wait) => {
                std::thread::sleep(wait);
                self.answer(request)
            }
            Mood::Garbage(bytes) => return stream.write_all(&bytes).map(|()| false),
            Mood::Body(body) => return respond(stream, 200, "", &body),
            Mood::Status(status, error) => (status, json!({ "errors": [error] })),
            Mood::Redirects(to) => return respond(stream, 307, &format!("location: {to}\r\n"), b""),
            Mood::Trickles => {
                let (_, body) = self.answer(request);
                let body = body.to_string();
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())?;
                for byte in body.bytes() {
                    stream.write_all(&[byte])?;
                    stream.flush()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
                return Ok(false);
            }
            Mood::Well | Mood::IgnoresAssociatedData | Mood::NotAead => self.answer(request),
        };
        respond(stream, status, "", body.to_string().as_bytes())
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        let state = self.state();
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        let refuse = |status: u16, error: &str| (status, json!({ "errors": [error] }));
        if header("x-vault-token") != Some(&state.token) || header("x-vault-namespace") != state.namespace.as_deref() {
            return refuse(403, "permission denied");
        }
        let Some((verb, name)) = request.path.strip_prefix("/v1/transit/").and_then(|path| path.split_once('/')) else {
            return refuse(404, "no handler for route");
        };
        let Some(versions) = state.keys.get(name) else {
            return refuse(400, "encryption key not found");
        };
        if state.mood == Mood::NotAead {
            return refuse(400, "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048");
        }
        let text = |name: &str| request.body[name].as_str().unwrap_or_default();
        let aad = match state.mood {
            Mood::IgnoresAssociatedData => vec![],
            _ => STANDARD.decode(text("associated_data")).unwrap(),
        };
        if verb == "encrypt" {
            let mut bytes = STANDARD.decode(text("plaintext")).unwrap();
            let nonce = random_bytes::<12>();
            let key = cipher(versions.last().unwrap());
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut bytes).unwrap();
            let ciphertext = format!("vault:v{}:{}", versions.len(), STANDARD.encode([&nonce[..], &bytes].concat()));
            return (200, json!({ "data": { "ciphertext": ciphertext, "key_version": versions.len() } }));
        }
        let (version, ciphertext) = text("ciphertext").strip_prefix("vault:v").unwrap().split_once(':').unwrap();
        let version: usize = version.parse().unwrap();
        if version > versions.len() {
            return refuse(400, "invalid ciphertext: version is too new");
        }
        if version < state.min_decryption_version {
            return refuse(400, "ciphertext or signature version is disallowed by policy (too old)");
        }
        let mut bytes = STANDARD.decode(ciphertext).unwrap();
        let nonce = Nonce::try_assume_unique_for_key(&bytes[..12]).unwrap();
        match cipher(&versions[version - 1]).open_in_place(nonce, Aad::from(aad), &mut bytes[12..]) {
            Ok(plaintext) => (200, json!({ "data": { "plaintext": STANDARD.encode(plaintext) } })),
            Err(_) => refuse(400, "cipher: message authentication failed"),
        }
    }
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

fn respond(stream: &mut impl Write, status: u16, headers: &str, body: &[u8]) -> std::io::Result<bool> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush().map(|()| true)
}

fn read_request(stream: &mut impl Read) -> std::io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("POST "), "{first}");
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body)?;
    Ok(Request { path, headers, body: serde_json::from_slice(&body).unwrap() })
}

/// A port on which nobody listens.
pub fn deserted() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
