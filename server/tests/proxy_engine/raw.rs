//! An upstream of which the test writes each byte, and an engine that may call it.

use bytes::Bytes;
use futures_util::StreamExt;
use std::net::SocketAddr;
use std::time::Duration;
use stipend::proxy::{Forward, Forwarded, Timeouts, UpstreamConfig, UpstreamFault, Upstreams};
use stipend_keys::Secret;
use stipend_token::constraint::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

/// Longer than anything here takes, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Of an upstream that never answers.
pub const SHORT: Duration = Duration::from_millis(150);
pub const KEY: &str = "sk-canary-0123456789";
pub const OK: &str = "HTTP/1.1 200 OK\r\n";

pub fn config() -> UpstreamConfig {
    UpstreamConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http_hosts: vec!["127.0.0.1".into()],
        ..UpstreamConfig::default()
    }
}

pub fn engine() -> Upstreams {
    Upstreams::new(config()).unwrap()
}

pub struct Raw {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Raw {
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/v1/things", self.address)).unwrap()
    }

    /// A call to it with the key in `x-api-key`.
    pub fn call(&self, method: &str) -> Forward {
        let mut call = Forward::new(Method::parse(method).unwrap(), self.url());
        call.inject = vec![(http::HeaderName::from_static("x-api-key"), Secret::new(KEY.to_owned()))];
        call.mask = vec![Secret::new(KEY.to_owned())];
        call
    }

    pub async fn accept(&self) -> Peer {
        Peer(timeout(PATIENCE, self.listener.accept()).await.expect("a connection").unwrap().0)
    }

    /// Whether somebody connects within a moment.
    pub async fn is_called(&self) -> bool {
        timeout(SHORT, self.listener.accept()).await.is_ok()
    }

    /// Forwards a call, answered with these bytes once its head is there. The connection stays
    /// open until the end of the test holds it no longer.
    pub async fn answer(
        &self,
        engine: &Upstreams,
        call: Forward,
        bytes: &[u8],
    ) -> (Result<Forwarded, UpstreamFault>, String, Peer) {
        let (answered, (head, peer)) = tokio::join!(within(engine.forward(call)), async {
            let mut peer = self.accept().await;
            let head = peer.head().await;
            peer.write(bytes).await;
            (head, peer)
        });
        (answered, head, peer)
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

pub struct Peer(pub TcpStream);

impl Peer {
    /// The request's head, lines and all.
    pub async fn head(&mut self) -> String {
        self.until(b"\r\n\r\n").await
    }

    /// Everything up to and with `end`.
    pub async fn until(&mut self, end: &[u8]) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            bytes.push(within(self.0.read_u8()).await.expect("more"));
        }
        String::from_utf8(bytes).unwrap()
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Waits until the other side has closed.
    pub async fn closed(&mut self) -> bool {
        let mut rest = [0; 1024];
        loop {
            match timeout(PATIENCE, self.0.read(&mut rest)).await {
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(_)) => {}
                Err(_) => return false,
            }
        }
    }
}

/// The whole body, or the fault it ended in with what came before.
pub async fn collect(answer: &mut Forwarded) -> (Vec<u8>, Option<UpstreamFault>) {
    let mut bytes = Vec::new();
    while let Some(chunk) = next(answer).await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(fault) => return (bytes, Some(fault)),
        }
    }
    (bytes, None)
}

pub async fn next(answer: &mut Forwarded) -> Option<Result<Bytes, UpstreamFault>> {
    within(answer.body.next()).await
}

/// Bounds that end a test soon, one of them at a time.
pub fn timeouts(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts { head: PATIENCE, idle: PATIENCE, total: PATIENCE };
    change(&mut timeouts);
    timeouts
}

pub fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
