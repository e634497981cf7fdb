//! Where the runner takes pushed events (RFC 8935): one address, as long as a row needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::check::{Miss, fail};

/// Longest request that is read.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// How long an event may take to come, once more included.
const PUSHED: Duration = Duration::from_secs(20);
/// Events that wait for the row.
const MAX_WAITING: usize = 64;
const READ_DEADLINE: Duration = Duration::from_secs(5);

pub(super) struct Pushed {
    pub(super) method: String,
    head: String,
    pub(super) body: String,
}

impl Pushed {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

pub(super) struct Place {
    address: String,
    status: Arc<AtomicU16>,
    events: mpsc::Receiver<Pushed>,
    _serving: JoinSet<()>,
}

impl Place {
    pub(super) async fn at(address: &str) -> Result<Self, String> {
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|error| format!("signals.listen {address}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
        let status = Arc::new(AtomicU16::new(202));
        let (sender, events) = mpsc::channel(MAX_WAITING);
        let mut serving = JoinSet::new();
        let answers = Arc::clone(&status);
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(take(stream, Arc::clone(&answers), sender.clone()));
            }
        });
        Ok(Self { address, status, events, _serving: serving })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Answers with this status from now on.
    pub(super) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(super) async fn next(&mut self) -> Result<Pushed, Miss> {
        match tokio::time::timeout(PUSHED, self.events.recv()).await {
            Ok(Some(pushed)) => Ok(pushed),
            Ok(None) | Err(_) => fail(format!("nothing was pushed within {} s", PUSHED.as_secs())),
        }
    }
}

async fn take(mut stream: TcpStream, status: Arc<AtomicU16>, sender: mpsc::Sender<Pushed>) {
    let Ok(Some(pushed)) = tokio::time::timeout(READ_DEADLINE, read(&mut stream)).await else { return };
    // What the row sees is what was answered: first the status, then the event.
    let status = status.load(Ordering::SeqCst);
    let _ = sender.send(pushed).await;
    let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(reply.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Pushed> {
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        seen.extend_from_slice(piece.get(..length)?);
        if seen.len() > MAX_REQUEST_BYTES {
            return None;
        }
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let pushed = Pushed {
            method: head.split(' ').next().unwrap_or_default().to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let wanted = pushed.header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
        if body.len() >= wanted {
            return Some(pushed);
        }
    }
}
