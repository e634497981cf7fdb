//! One address for a server that is killed and started again elsewhere, or for a database: a
//! way on which answers can be lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What does not come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loses {
    Nothing,
    /// Whatever is answered.
    Answers,
    /// What a database answers from a `COMMIT` on.
    CommitAnswers,
}

/// Dropping it cuts the way.
pub struct Front {
    pub address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    loses: watch::Sender<Loses>,
    /// Connections on which something was lost since the last turn.
    lost: Arc<watch::Sender<usize>>,
    _accepting: JoinSet<()>,
}

impl Front {
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, to) = watch::channel(target);
        let (loses, losing) = watch::channel(Loses::Nothing);
        let lost = Arc::new(watch::channel(0).0);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, to, losing, Arc::clone(&lost)));
        Self { address, target, loses, lost, _accepting: accepting }
    }

    /// New connections go there from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    pub fn turn(&self, loses: Loses) {
        self.lost.send_replace(0);
        self.loses.send_replace(loses);
    }

    /// Waits until answers were lost on this many connections.
    pub async fn has_lost(&self, connections: usize) {
        let mut lost = self.lost.subscribe();
        let enough = lost.wait_for(|lost| *lost >= connections);
        let waited = tokio::time::timeout(Duration::from_secs(20), enough).await;
        assert!(waited.is_ok(), "no {connections} answers came to be lost, but {}", *self.lost.borrow());
    }
}

async fn accept(
    listener: TcpListener,
    to: watch::Receiver<SocketAddr>,
    losing: watch::Receiver<Loses>,
    lost: Arc<watch::Sender<usize>>,
) {
    let mut ways = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let target = *to.borrow();
        ways.spawn(carry(near, target, losing.clone(), Arc::clone(&lost)));
        while ways.try_join_next().is_some() {}
    }
}

/// Both ways until one of them ends.
async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    losing: watch::Receiver<Loses>,
    lost: Arc<watch::Sender<usize>>,
) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (mut near_read, mut near_write) = near.split();
    let (mut far_read, mut far_write) = far.split();
    let (commits, committed) = watch::channel(false);
    let out = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = near_read.read(&mut buffer).await {
            let part = &buffer[..count];
            if *losing.borrow() == Loses::CommitAnswers && part.windows(6).any(|word| word == b"COMMIT") {
                commits.send_replace(true);
            }
            if far_write.write_all(part).await.is_err() {
                break;
            }
        }
    };
    let back = async {
        let (mut buffer, mut counted) = (vec![0; 16 * 1024], false);
        while let Ok(count @ 1..) = far_read.read(&mut buffer).await {
            let loses = match *losing.borrow() {
                Loses::Nothing => false,
                Loses::Answers => true,
                Loses::CommitAnswers => *committed.borrow(),
            };
            if loses && !counted {
                counted = true;
                lost.send_modify(|lost| *lost += 1);
            } else if !loses && near_write.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = out => {}
        () = back => {}
    }
}
