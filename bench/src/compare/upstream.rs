//! The provider of the proxied calls: one answer, the same for every request, from a thread of
//! this process. It must cost next to nothing.

use crate::error::BenchError;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const BODY: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1795230000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
/// Largest request: head and body together.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    pub address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    /// # Errors
    /// [`BenchError::Io`].
    pub fn start() -> Result<Self, BenchError> {
        let io = || BenchError::io("the upstream");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(io())?;
        listener.set_nonblocking(true).map_err(io())?;
        let address = listener.local_addr().map_err(io())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io())?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener) => {}
                    _ = stopped => {}
                }
            });
        };
        std::thread::Builder::new().name("upstream".to_owned()).spawn(run).map_err(io())?;
        Ok(Self { address, _stop: stop })
    }
}

async fn accept(listener: TcpListener) {
    let mut set = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { set.spawn(serve(stream)); }
                Err(_) => return,
            },
            Some(_) = set.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream) {
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let _ = stream.set_nodelay(true);
    let mut received = Vec::new();
    while let Some(end) = request_end(&mut stream, &mut received).await {
        received.drain(..end);
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Where the request ends that comes next; `None`: there is none.
async fn request_end(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) {
            let text = std::str::from_utf8(received.get(..head)?).ok()?.to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let end = head + length.map_or(Some(0), |length| length.trim().parse().ok())?;
            if received.len() >= end {
                return Some(end);
            }
        }
        if received.len() > MAX_REQUEST_BYTES || stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}
