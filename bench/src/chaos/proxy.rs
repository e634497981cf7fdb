//! A way to the database that can be cut, held up or slowed down for one node alone.

use crate::error::BenchError;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Open,
    /// Connections are closed, and new ones too.
    Cut,
    /// Taken and kept back: connections stand, and nothing arrives.
    Blackhole,
    /// Each piece is late by this.
    Delay(Duration),
}

const BUFFER_BYTES: usize = 64 * 1024;

/// Dropping it closes the way.
#[derive(Debug)]
pub(super) struct Proxy {
    pub port: u16,
    way: watch::Sender<Way>,
    _links: JoinSet<()>,
}

impl Proxy {
    pub async fn before(target: SocketAddr) -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::io("a proxy"))?;
        let port = listener.local_addr().map_err(BenchError::io("a proxy"))?.port();
        let (sender, way) = watch::channel(Way::Open);
        let mut links = JoinSet::new();
        links.spawn(accept(listener, target, way));
        Ok(Self { port, way: sender, _links: links })
    }

    pub fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, way: watch::Receiver<Way>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            near = listener.accept() => if let Ok((near, _)) = near {
                links.spawn(link(near, target, way.clone()));
            },
            Some(_) = links.join_next() => {}
        }
    }
}

async fn link(near: TcpStream, target: SocketAddr, way: watch::Receiver<Way>) {
    let mut cut = way.clone();
    if *way.borrow() == Way::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = forward(near_read, far_write, way.clone()) => {}
        () = forward(far_read, near_write, way) => {}
        _ = cut.wait_for(|way| *way == Way::Cut) => {}
    }
}

async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut way: watch::Receiver<Way>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count) = from.read(&mut buffer).await {
        let piece = buffer.get(..count).unwrap_or_default();
        let Ok(now) = way.wait_for(|way| *way != Way::Blackhole).await.map(|way| *way) else { return };
        if let Way::Delay(late) = now {
            tokio::time::sleep(late).await;
        }
        if piece.is_empty() || to.write_all(piece).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        std::mem::forget({
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let mut links = JoinSet::new();
                while let Ok((mut near, _)) = listener.accept().await {
                    links.spawn(async move {
                        let (mut read, mut write) = near.split();
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    });
                }
            });
            tasks
        });
        address
    }

    async fn says(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(b"x").await?;
        stream.read_u8().await.map(|_| ())
    }

    #[tokio::test]
    async fn a_way_is_open_slow_silent_or_gone() {
        let proxy = Proxy::before(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        says(&mut stream).await.unwrap();
        proxy.turn(Way::Delay(Duration::from_millis(50)));
        let began = Instant::now();
        says(&mut stream).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(100), "each way");
        proxy.turn(Way::Blackhole);
        assert!(tokio::time::timeout(Duration::from_millis(100), says(&mut stream)).await.is_err());
        proxy.turn(Way::Open);
        stream.read_u8().await.unwrap();
        proxy.turn(Way::Cut);
        assert!(says(&mut stream).await.is_err());
        let mut other = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        assert!(says(&mut other).await.is_err());
    }
}
