//! An upstream that misbehaves, by path, for tests: each byte it sends is written here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest request head that is read.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long what hangs is kept open.
const HANGS: Duration = Duration::from_secs(120);
/// `hello`, compressed by gzip in a stored block.
const GZIP: [u8; 28] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 5, 0, 0xfa, 0xff, b'h', b'e', b'l', b'l', b'o', 0x86, 0xa6, 0x10, 0x36, 5,
    0, 0, 0,
];

/// The last segment of a path says what happens: `redirect`, `hang`, `hang-body`, `short`,
/// `long`, `echo`, `gzip`, `endless-head`, `garbage`; any other is answered with 404.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    served: JoinHandle<()>,
}

impl Hostile {
    /// # Errors
    /// What the system says where no port can be had.
    #[expect(clippy::disallowed_methods, reason = "owned by what is returned, which ends it")]
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let served = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // Whoever called has gone: that is the point of most of these.
                    let _ = answer(socket).await;
                });
            }
        });
        Ok(Self { address, served })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn answer(mut socket: TcpStream) -> io::Result<()> {
    let head = read_head(&mut socket).await?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match path.rsplit('/').next().unwrap_or_default() {
        "redirect" => {
            let said = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n";
            socket.write_all(said.as_bytes()).await?;
        }
        "hang" => tokio::time::sleep(HANGS).await,
        "hang-body" => {
            socket.write_all(format!("{ok}Content-Length: 100\r\n\r\n{{\"part\":").as_bytes()).await?;
            tokio::time::sleep(HANGS).await;
        }
        "short" => socket.write_all(format!("{ok}Content-Length: 100\r\n\r\n{{\"part\":1}}").as_bytes()).await?,
        "long" => socket.write_all(format!("{ok}Content-Length: 2\r\n\r\n{{}} and more").as_bytes()).await?,
        "echo" => echo(&mut socket, &head).await?,
        "gzip" => {
            let head = format!("{ok}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", GZIP.len());
            socket.write_all(&[head.as_bytes(), &GZIP].concat()).await?;
        }
        "endless-head" => {
            socket.write_all(ok.as_bytes()).await?;
            loop {
                socket.write_all(b"X-More: and more and more and more\r\n").await?;
            }
        }
        "garbage" => socket.write_all(b"220 mail.example ESMTP\r\n\r\n").await?,
        _ => socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?,
    }
    socket.shutdown().await
}

/// Gives back what came: each line of the head as a header and in the body.
async fn echo(socket: &mut TcpStream, head: &str) -> io::Result<()> {
    let mut said = String::from("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n");
    for (number, line) in head.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        said.push_str(&format!("X-Echo-{number}: {line}\r\n"));
    }
    said.push_str(&format!("Content-Length: {}\r\n\r\n{head}", head.len()));
    socket.write_all(said.as_bytes()).await
}

async fn read_head(socket: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if bytes.len() >= MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes.push(socket.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
