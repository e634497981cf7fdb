//! A database that is there and does not answer: the hardest fault, because nothing reports it.

use crate::support::*;
use std::time::{Duration, Instant};
use stipend_schema::testing::{Proxy, TestDatabase, Way};
use stipend_schema::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hung_database_answers_unavailable_within_two_seconds_and_heals_within_five() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let db = Db::connect(proxy.url(), Limits::default()).await.unwrap();
    let committer = Committer::start(db.clone(), CommitterConfig::default(), clock()).unwrap();
    assert!(committed(&committer.submit(issue(0)).await));

    proxy.turn(Way::Blocked);
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

    proxy.turn(Way::Open);
    let healed = Instant::now();
    while !committed(&committer.submit(issue(0)).await) || db.ping().await.is_err() {
        assert!(healed.elapsed() < Duration::from_secs(5));
    }
    prove(&db).await.unwrap();
}
