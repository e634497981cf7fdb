//! A way to PostgreSQL that a test can block or cut.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    Open,
    /// Taken and kept back: the database is there and does not answer.
    Blocked,
    /// Connections are closed, and new ones too.
    Cut,
}

/// A proxy before a database. Dropping it cuts the way.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// Before the PostgreSQL of `url`.
    ///
    /// # Panics
    /// When it can't be started.
    #[expect(clippy::expect_used, reason = "for tests: without a proxy they must fail")]
    pub async fn before(url: &str) -> Self {
        let mut url = url::Url::parse(url).expect("a database's URL");
        let target = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("the port").port();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(port)).expect("a port");
        let (sender, way) = watch::channel(Way::Open);
        tokio::spawn(accept(listener, target, way));
        Self { url: url.into(), way: sender }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(listener: TcpListener, target: String, way: watch::Receiver<Way>) {
    while let Ok((near, _)) = listener.accept().await {
        if *way.borrow() == Way::Cut {
            continue;
        }
        let Ok(far) = TcpStream::connect(&target).await else { continue };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::spawn(forward(near_read, far_write, way.clone()));
        tokio::spawn(forward(far_read, near_write, way.clone()));
    }
}

async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut way: watch::Receiver<Way>,
) {
    let mut cut = way.clone();
    let carry = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer).await {
            let part = buffer.get(..count).unwrap_or_default();
            if part.is_empty() || way.wait_for(|way| *way != Way::Blocked).await.is_err() {
                break;
            }
            if to.write_all(part).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = carry => {}
        _ = cut.wait_for(|way| *way == Way::Cut) => {}
    }
    let _ = to.shutdown().await;
}
