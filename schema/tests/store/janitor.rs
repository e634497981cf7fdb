use crate::support::*;
use rstest::rstest;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

const WEEK: i64 = 7 * 24 * 3600;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_expired_is_removed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.commit(burning(0, 1)).await;
    node.commit(revoking("rev_1", kinds::JTI, "t_1")).await;
    assert_eq!(sweep(&node.db, NOW + 300).await.unwrap(), Swept::default());
    let swept = sweep(&node.db, NOW + 300 + 61).await.unwrap();
    assert_eq!((swept.burns, swept.revocations, swept.changes), (1, 0, 0));
    let swept = sweep(&node.db, NOW + 3600 + 61).await.unwrap();
    assert_eq!((swept.burns, swept.revocations, swept.changes), (0, 1, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn old_changes_go_and_the_fence_knows(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for index in 0..5 {
        node.commit(changing(kinds::CLIENT, &format!("c{index}"))).await;
    }
    database.execute(&format!("UPDATE changes SET at = {} WHERE seq IN (1, 2, 4)", NOW - 10)).await.unwrap();
    // The fourth is old too, but behind one that is not: the feed is cut only at its beginning.
    let swept = sweep(&node.db, NOW - 5 + WEEK).await.unwrap();
    assert_eq!(swept.changes, 2);
    assert_eq!(feed::load_head(&node.db).await.unwrap().pruned_to, 2);
    assert_eq!(node.submit(issue_for(1, "payments.refunds")).await, Outcome::Stale);
    assert!(committed(&node.submit(issue_for(2, "payments.refunds")).await));
    let swept = sweep(&node.db, NOW + 3600 + WEEK).await.unwrap();
    assert_eq!(swept.changes, 3);
    let head = feed::load_head(&node.db).await.unwrap();
    assert_eq!((head.seq, head.pruned_to), (5, 5));
    assert!(committed(&node.submit(issue_for(5, "payments.refunds")).await));
    assert_eq!(sweep(&node.db, NOW + 3600 + WEEK).await.unwrap().changes, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_bounded_and_nodes_may_run_at_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let series = match backend {
        Backend::Sqlite => {
            "INSERT INTO jti_used WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s \
             WHERE i < 25000) SELECT CAST(printf('%032d', i) AS BLOB), 5 FROM s"
        }
        Backend::Postgres => {
            "INSERT INTO jti_used SELECT decode(lpad(i::text, 64, '0'), 'hex'), 5 \
             FROM generate_series(1, 25000) i"
        }
    };
    database.execute(series).await.unwrap();
    let (first, second) = (database.connect().await, database.connect().await);
    let (first, second) = tokio::join!(sweep(&first, NOW), sweep(&second, NOW));
    let removed = first.unwrap().burns + second.unwrap().burns;
    assert!((10_000..=20_000).contains(&removed), "{removed}");
    let left = database.number("SELECT count(*) AS value FROM jti_used").await.unwrap();
    assert_eq!(left, 25_000 - removed as i64);
}
