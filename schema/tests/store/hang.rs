//! A database that is there and does not answer: the hardest fault, because nothing reports it.

use crate::support::*;
use std::time::{Duration, Instant};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards to `target` while `open` holds, and keeps everything back while it does not.
async fn proxy(target: String) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, open) = watch::channel(true);
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(&target).await.unwrap();
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::spawn(forward(near_read, far_write, open.clone()));
            tokio::spawn(forward(far_read, near_write, open.clone()));
        }
    });
    (port, sender)
}

async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut open: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 || open.wait_for(|open| *open).await.is_err() {
            break;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hung_database_answers_unavailable_within_two_seconds_and_heals_within_five() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let mut url = url::Url::parse(database.url()).unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let (port, open) = proxy(target).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(port)).unwrap();
    let db = Db::connect(url.as_str(), Limits::default()).await.unwrap();
    let committer = Committer::start(db.clone(), CommitterConfig::default(), clock()).unwrap();
    assert!(committed(&committer.submit(issue(0)).await));

    open.send(false).unwrap();
    let limit = Duration::from_millis(2200);
    for _ in 0..2 {
        let began = Instant::now();
        let mut work = issue(0);
        work.record.jti = Some("t_hung".to_owned());
        let (outcome, read, ping) =
            tokio::join!(committer.submit(work), queries::find_owner(&db, "payments"), db.ping());
        assert_eq!(outcome, Outcome::Unavailable);
        assert!(matches!(read, Err(DbError::Unavailable(_))), "{read:?}");
        assert!(matches!(ping, Err(DbError::Unavailable(_))), "{ping:?}");
        assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    }

    open.send(true).unwrap();
    let healed = Instant::now();
    while !committed(&committer.submit(issue(0)).await) || db.ping().await.is_err() {
        assert!(healed.elapsed() < Duration::from_secs(5));
    }
    prove(&db).await.unwrap();
}
