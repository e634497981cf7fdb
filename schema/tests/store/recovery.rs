//! A database that was restored from a backup: nobody goes on with it until it is recovered, and
//! then with nothing that was issued before.

use crate::feed::tailer;
use crate::ledger::line;
use crate::support::*;
use rstest::rstest;
use stipend_schema::audit::verify_chain;
use stipend_schema::ledger::BudgetLineRow;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

const LIVES: Lives = Lives { tokens: 3660, foreign: 604_860 };

async fn recovered(node: &Node) -> Recovered {
    recover_at(node, (NOW + 60) * 1_000_000).await
}

async fn recover_at(node: &Node, at: i64) -> Recovered {
    recover(&node.db, "stipend", LIVES, at).await.unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_database_that_went_back_nobody_commits(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for round in 0..5 {
        node.commit(changing(kinds::CLIENT, &format!("c{round}"))).await;
    }
    let (tail, memory) = tailer(&node.db).await;
    assert_eq!(tail.position(), 5);

    let back = "DELETE FROM changes WHERE seq > 3; UPDATE feed_head SET seq = 3; \
                DELETE FROM audit_records WHERE n > 4";
    database.execute(back).await.unwrap();
    assert!(!tail.catch_up().await);
    assert_eq!((tail.position(), memory.0.lock().unwrap().lost), (5, 0), "what it knows it keeps");
    // Whoever never saw more is told by who did.
    let fresh = crate::support::node(&database).await;
    for one in [&node, &fresh] {
        assert_eq!(one.submit(issue(3)).await, Outcome::Unavailable);
    }
    let refused = Tailer::start(fresh.db.clone(), TailerConfig::default(), memory.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("stipend recover"), "{refused}");

    let done = recovered(&fresh).await;
    assert!((done.from, done.to) >= (5, 6), "{done:?}");
    while !tail.catch_up_to(done.to).await {}
    assert_eq!(memory.0.lock().unwrap().lost, 1);
    // What was decided before is decided again, by a chain of its own: the old one has no end.
    assert_eq!(node.submit(issue_for(5, "c1")).await, Outcome::Unavailable);
    assert_eq!(node.submit(issue_for(5, "c1")).await, Outcome::Stale);
    assert!(matches!(node.submit(issue_for(done.to, "c1")).await, Outcome::Committed { .. }));
    for head in queries::audit_writers(&node.db, "").await.unwrap() {
        let rows = queries::audit_export(&node.db, &head.writer, 0, 100).await.unwrap();
        verify_chain(&rows, []).unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn recovering_leaves_nothing_that_could_be_used(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for id in ["stipend", "acme", "other"] {
        node.commit(insert(Row::Owner(owner(id)))).await;
    }
    for kid in ["k1", "k2"] {
        node.commit(insert(Row::SigningKey(signing_key(kid)))).await;
    }
    node.commit(insert(Row::BudgetLine(BudgetLineRow { owner_id: "acme".to_owned(), ..line("acme", None, 9) }))).await;
    node.commit(insert(Row::BudgetLine(BudgetLineRow {
        owner_id: "acme".to_owned(),
        ..line("agent", Some("acme"), 9)
    })))
    .await;

    let done = recovered(&node).await;
    let counts = (done.owners_disabled, done.keys_distrusted, done.budgets_closed, done.approvals_ended);
    assert_eq!(counts, (2, 2, 1, 0));
    for (sql, expected) in [
        ("SELECT count(*) AS value FROM owners WHERE state = 'active'", 1),
        ("SELECT count(*) AS value FROM owners WHERE state = 'active' AND id = 'stipend'", 1),
        ("SELECT count(*) AS value FROM signing_keys WHERE distrusted_at IS NULL", 0),
        ("SELECT count(*) AS value FROM budget_lines WHERE state = 'closed' AND id = 'acme'", 1),
        ("SELECT count(*) AS value FROM budget_lines WHERE state = 'active' AND id = 'agent'", 1),
        ("SELECT count(*) AS value FROM revocations WHERE kind = 'key' AND issued_before IS NULL", 2),
        ("SELECT count(*) AS value FROM revocations WHERE kind = 'owner' AND issued_before = 1795230061", 2),
        ("SELECT count(*) AS value FROM revocations r, feed_head h WHERE r.seq = h.seq", 4),
        ("SELECT count(*) AS value FROM audit_records WHERE event = 'database.recovered'", 1),
        ("SELECT epoch AS value FROM feed_head", 1),
    ] {
        assert_eq!(database.number(sql).await.unwrap(), expected, "{sql}");
    }
    // Once more is no harm.
    let again = recover_at(&node, (NOW + 61) * 1_000_000).await;
    assert_eq!((again.owners_disabled, again.budgets_closed), (0, 0));
}
