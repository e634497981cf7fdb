use crate::support::*;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_was_decided_on_makes_stale_and_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let basis = node.head().await;
    node.commit(changing(kinds::CLIENT, "payments.refunds")).await;
    assert_eq!(node.submit(issue_for(basis, "payments.refunds")).await, Outcome::Stale);
    assert!(committed(&node.submit(issue_for(basis, "payments.other")).await));
    let mut same_id_other_kind = issue(basis);
    same_id_other_kind.deps = vec![Dep::new(kinds::SUBJECT, "payments.refunds")];
    assert!(committed(&node.submit(same_id_other_kind).await));
    let now = node.head().await;
    assert!(committed(&node.submit(issue_for(now, "payments.refunds")).await));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_a_stale_basis_writes_nothing(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.commit(changing(kinds::OWNER, "payments")).await;
    let before = counts(&database).await;
    let mut work = insert(Row::Owner(owner("payments")));
    work.deps = vec![Dep::new(kinds::OWNER, "payments")];
    assert_eq!(node.submit(work).await, Outcome::Stale);
    assert_eq!(counts(&database).await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_basis_too_old_pruned_or_from_the_future_is_stale(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for round in 0..3 {
        let mut work = changing(kinds::CLIENT, "payments.refunds");
        work.changes = vec![Dep::new(kinds::RESOURCE, format!("res_{round}")); 4000];
        node.commit(work).await;
    }
    let head = node.head().await;
    assert_eq!(head, 12_000);
    assert!(committed(&node.submit(issue_for(head, "payments.other")).await));
    assert!(committed(&node.submit(issue_for(head - 10_000, "payments.other")).await));
    assert_eq!(node.submit(issue_for(head - 10_001, "payments.other")).await, Outcome::Stale);
    assert_eq!(node.submit(issue_for(head + 1, "payments.other")).await, Outcome::Stale);
    // What depends on nothing needs no basis.
    assert!(committed(&node.submit(issue(0)).await));
    database.execute("UPDATE feed_head SET pruned_to = 11990").await.unwrap();
    assert!(committed(&node.submit(issue_for(11_990, "payments.other")).await));
    assert_eq!(node.submit(issue_for(11_989, "payments.other")).await, Outcome::Stale);
}

/// Two writers on one SQLite file starve one another: an answer that did not come is asked for
/// again, and a row that is there already was stored the time before.
async fn revoke(node: &Node, work: Work) {
    for _ in 0..20 {
        match node.submit(work.clone()).await {
            Outcome::Unavailable => {}
            Outcome::Conflict => return,
            outcome => {
                assert!(committed(&outcome), "{outcome:?}");
                return;
            }
        }
    }
    panic!("never stored");
}

/// The race that matters most: one node issues as fast as it can for a client, on what it
/// believes, while another node revokes that client.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_issued_after_a_revocation_commits_on_another_node(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let issuing = Arc::new(node(&database).await);
    let revoking_node = node(&database).await;
    for round in 0..10 {
        let client_id = format!("payments.agent-{round}");
        let basis = issuing.head().await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut issuers = Vec::new();
        for _ in 0..8 {
            let (node, id, stop) = (issuing.clone(), client_id.clone(), stop.clone());
            issuers.push(tokio::spawn(async move {
                let (mut issued, mut stale, mut unknown) = (0_u32, 0_u32, 0_u32);
                while !stop.load(Ordering::Acquire) {
                    // The node never hears of the change: it was paused, or its tailer hangs.
                    match node.submit(issue_for(basis, &id)).await {
                        Outcome::Committed { head, .. } => {
                            issued += 1;
                            assert_eq!(head, basis, "issued past the revocation");
                        }
                        Outcome::Stale => stale += 1,
                        // Starved as well; it may have been stored.
                        Outcome::Unavailable => unknown += 1,
                        other => panic!("{other:?}"),
                    }
                }
                (issued, stale, unknown)
            }));
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let id = format!("rev_{round}");
        let mut work = revoking(&id, kinds::CLIENT, &client_id);
        work.record.client_id = Some(client_id.clone());
        revoke(&revoking_node, work).await;
        // From this answer on every issue must be stale.
        let late = issuing.submit(issue_for(basis, &client_id)).await;
        assert!(matches!(late, Outcome::Stale | Outcome::Unavailable), "{late:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        stop.store(true, Ordering::Release);
        let mut total = (0, 0, 0);
        for issuer in issuers {
            let (issued, stale, unknown) = issuer.await.unwrap();
            total = (total.0 + issued, total.1 + stale, total.2 + unknown);
        }
        assert!(total.0 > 0 && total.1 > 0, "the race did not happen: {total:?}");
        let sql = format!(
            "SELECT count(*) AS value FROM audit_records \
             WHERE event = 'issue' AND client_id = '{client_id}'"
        );
        let recorded = database.number(&sql).await.unwrap();
        assert!((i64::from(total.0)..=i64::from(total.0 + total.2)).contains(&recorded), "{recorded}, {total:?}");
    }
    prove(&issuing.db).await.unwrap();
}
