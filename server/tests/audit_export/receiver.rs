//! A receiver of webhooks on loopback that does as it is told, and keeps what it got.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request that it has read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    Answers(u16),
    /// Says elsewhere.
    Redirects,
    /// Never answers.
    Hangs,
    /// Takes its time.
    Slow(Duration),
    /// Answers 200 with a body without end.
    Endless,
    /// Closes the connection without a word.
    Dies,
}

#[derive(Clone, Debug)]
pub struct Got {
    pub headers: HashMap<String, String>,
    pub body: String,
    /// Whether it was answered 2xx.
    pub taken: bool,
}

impl Got {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Its records, each read from the text that was hashed.
    pub fn records(&self) -> Vec<Value> {
        let body = self.json();
        let items = body["data"]["records"].as_array().unwrap().clone();
        items.iter().map(|item| serde_json::from_str(item["record"].as_str().unwrap()).unwrap()).collect()
    }
}

pub struct Receiver {
    pub url: String,
    manner: Arc<Mutex<Manner>>,
    got: Arc<Mutex<Vec<Got>>>,
    at_once: Arc<AtomicUsize>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in?key=canary-in-the-query", listener.local_addr().unwrap());
        let (manner, got) = (Arc::new(Mutex::new(Manner::Answers(200))), Arc::new(Mutex::new(Vec::new())));
        let (busy, at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let receiver = Self { url, manner: Arc::clone(&manner), got: Arc::clone(&got), at_once: Arc::clone(&at_once) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, got) = (Arc::clone(&manner), Arc::clone(&got));
                let (busy, at_once) = (Arc::clone(&busy), Arc::clone(&at_once));
                tokio::spawn(async move {
                    at_once.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    serve(stream, &manner, &got).await;
                    busy.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        receiver
    }

    pub fn is(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    pub fn taken(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.taken).collect()
    }

    /// Most requests that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.at_once.load(Ordering::SeqCst)
    }

    /// All records that it took, each time that it took one.
    pub fn records(&self) -> Vec<Value> {
        self.taken().iter().filter(|got| got.json()["type"] == "stipend.audit.records").flat_map(Got::records).collect()
    }

    /// Waits until something is as wanted.
    pub async fn until(&self, what: &str, is: impl AsyncFn(&Self) -> bool) {
        let began = Instant::now();
        while !is(self).await {
            assert!(began.elapsed() < Duration::from_secs(30), "{what}: {} requests", self.got().len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, manner: &Mutex<Manner>, got: &Mutex<Vec<Got>>) {
    let Some((headers, body)) = read(&mut stream).await else { return };
    let manner = *manner.lock();
    let taken = matches!(manner, Manner::Answers(200..=299) | Manner::Endless | Manner::Slow(_));
    if let Manner::Slow(time) = manner {
        tokio::time::sleep(time).await;
    }
    got.lock().push(Got { headers, body, taken });
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{more}\r\n");
    let answer = match manner {
        Manner::Answers(status) => head(status, "content-length: 0\r\n"),
        Manner::Slow(_) => head(200, "content-length: 0\r\n"),
        Manner::Redirects => head(307, "location: http://127.0.0.1:1/elsewhere\r\ncontent-length: 0\r\n"),
        Manner::Endless => head(200, ""),
        Manner::Dies => return,
        Manner::Hangs => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
    };
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    if manner == Manner::Endless {
        let junk = vec![b'x'; 64 * 1024];
        while stream.write_all(&junk).await.is_ok() {}
    }
}

async fn read(stream: &mut TcpStream) -> Option<(HashMap<String, String>, String)> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let headers: HashMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        if bytes.len() >= end + 4 + length {
            return Some((headers, String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap()));
        }
    }
}

/// Verifies a delivery as its receiver would, by the specification and not by our code.
pub fn verify(secret: &str, got: &Got) {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let said = format!("{}.{}.{}", got.id(), got.headers["webhook-timestamp"], got.body);
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key), said.as_bytes());
    assert_eq!(got.headers["webhook-signature"], format!("v1,{}", STANDARD.encode(tag)));
    assert!(got.headers["webhook-timestamp"].parse::<i64>().unwrap() > 1_700_000_000);
}
