use crate::support::*;
use rstest::rstest;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use tokio::task::JoinSet;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_concurrent_burns_on_two_nodes_exactly_one_wins(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let nodes = [node(&database).await, node(&database).await];
    for key in 0..8 {
        let mut tasks = JoinSet::new();
        for task in 0..64 {
            let committer = nodes[task % 2].committer.clone();
            tasks.spawn(async move { committer.submit(burning(0, key)).await });
        }
        let outcomes = tasks.join_all().await;
        let won = outcomes.iter().filter(|outcome| committed(outcome)).count();
        let replayed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Replayed { .. })).count();
        assert_eq!((won, replayed), (1, 63), "{outcomes:?}");
    }
    // Each of them is on record, as what it became.
    let count = |outcome: &str| {
        let sql = format!(
            "SELECT count(*) AS value FROM audit_records \
             WHERE event = 'issue' AND outcome = '{outcome}'"
        );
        let database = &database;
        async move { database.number(&sql).await.unwrap() }
    };
    assert_eq!(count("ok").await, 8);
    assert_eq!(count("refused").await, 8 * 63);
    prove(&nodes[0].db).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_burn_the_same_keys_in_opposite_orders_do_not_deadlock(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let nodes = [node(&database).await, node(&database).await];
    let mut tasks = JoinSet::new();
    for key in 0..200_u8 {
        for (index, node) in nodes.iter().enumerate() {
            let committer = node.committer.clone();
            let key = if index == 0 { key } else { 199 - key };
            tasks.spawn(async move { committer.submit(burning(0, key)).await });
        }
    }
    let outcomes = tasks.join_all().await;
    let won = outcomes.iter().filter(|outcome| committed(outcome)).count();
    assert_eq!(won, 200);
    assert!(!outcomes.contains(&Outcome::Unavailable));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_work_writes_and_publishes_nothing_but_its_refusal(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.commit(burning(0, 1)).await;
    let before = counts(&database).await;
    let mut work = insert(Row::Owner(owner("payments")));
    work.burn = burning(0, 1).burn;
    work.changes = vec![Dep::new(kinds::OWNER, "payments")];
    work.record.on_replay = Some("assertion_replayed");
    let position = position(node.submit(work).await);
    let after = counts(&database).await;
    let grown: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert_eq!(grown.len(), 1, "{grown:?}");
    assert_eq!(node.head().await, 0);
    let page = queries::audit_export(&node.db, &position.writer, position.n - 1, 1).await.unwrap();
    assert_eq!(page[0].outcome, "refused");
    assert!(page[0].record.contains("\"reason\":\"assertion_replayed\""));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_work_burns_nothing(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.commit(changing(kinds::CLIENT, "payments.refunds")).await;
    let mut work = burning(0, 1);
    work.deps = vec![Dep::new(kinds::CLIENT, "payments.refunds")];
    assert_eq!(node.submit(work.clone()).await, Outcome::Stale);
    work.basis = node.head().await;
    assert!(committed(&node.submit(work).await));
}
