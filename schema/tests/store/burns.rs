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

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_work_with_two_keys_needs_both_and_uses_up_both(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    assert!(committed(&node.submit(burning_all(0, [(1, "one_replayed"), (2, "two_replayed")])).await));
    // Either of them makes it a replay, which is recorded as what it was; the fresh one is used up.
    for (work, place, reason, used_up) in [
        (burning_all(0, [(1, "one_replayed"), (3, "three_replayed")]), 0, "one_replayed", 3),
        (burning_all(0, [(4, "four_replayed"), (2, "two_replayed")]), 1, "two_replayed", 4),
        (burning_all(0, [(1, "one_replayed"), (2, "two_replayed")]), 0, "one_replayed", 1),
    ] {
        let outcome = node.submit(work).await;
        let Outcome::Replayed { position, burn } = outcome else { panic!("{outcome:?}") };
        assert_eq!(burn, place);
        let page = queries::audit_export(&node.db, &position.writer, position.n - 1, 1).await.unwrap();
        assert_eq!(page[0].outcome, "refused");
        assert!(page[0].record.contains(&format!("\"reason\":\"{reason}\"")), "{}", page[0].record);
        assert!(matches!(node.submit(burning(0, used_up)).await, Outcome::Replayed { burn: 0, .. }));
    }
    prove(&node.db).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn works_with_keys_in_common_and_in_any_order_do_not_deadlock(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let nodes = [node(&database).await, node(&database).await];
    let mut tasks = JoinSet::new();
    for key in 0..100_u8 {
        for (index, node) in nodes.iter().enumerate() {
            let committer = node.committer.clone();
            let (one, other) = if index == 0 { (key, 200 - key) } else { (200 - key, key) };
            let work = burning_all(0, [(one, "replayed"), (other, "replayed")]);
            tasks.spawn(async move { committer.submit(work).await });
        }
    }
    let outcomes = tasks.join_all().await;
    // Nobody has one of a pair while another has the other: per pair one work wins.
    assert_eq!(outcomes.iter().filter(|outcome| committed(outcome)).count(), 100, "{outcomes:?}");
    assert!(!outcomes.contains(&Outcome::Unavailable));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_work_names_few_keys_and_each_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    assert!(Burns::gather([]).is_none());
    let most = [(1, "r"), (2, "r"), (3, "r"), (4, "r")];
    assert_eq!(most.len(), MAX_BURNS);
    let many = [(5, "r"), (6, "r"), (7, "r"), (8, "r"), (9, "r")];
    assert!(matches!(node.submit(burning_all(0, many)).await, Outcome::Invalid(_)));
    assert!(matches!(node.submit(burning_all(0, [(5, "r"), (5, "r")])).await, Outcome::Invalid(_)));
    assert!(committed(&node.submit(burning_all(0, most)).await));
    assert!(committed(&node.submit(burning(0, 5)).await));
}
