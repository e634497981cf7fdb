//! Far more attempts than units, round after round on one database: each unit is spent once.

use crate::ledger::{amount, books, capture, charge, done, hold, line, make, settle, spend};
use crate::support::*;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use stipend_schema::ledger::{Answer, Refusal, Step};
use stipend_schema::testing::{TestDatabase, imbalances, sized};
use stipend_schema::*;
use tokio::task::JoinSet;

const LIMIT: i64 = 1000;
const ATTEMPTS: usize = 20_000;
const TASKS: usize = 256;
/// Each would admit the whole limit: only their root is scarce.
const LEAVES: usize = 4;

/// One task's attempts, until those of all tasks are made: how many succeeded.
async fn attempt(committer: CommitterHandle, round: usize, task: usize, made: Arc<AtomicUsize>) -> i64 {
    let (root, leaf) = (format!("bl_{round}"), format!("bl_{round}_{}", task % LEAVES));
    let empty = Refusal::Insufficient { line_id: root.clone(), required: 1, remaining: 0 };
    let mut successes = 0;
    loop {
        let attempt = made.fetch_add(1, Ordering::Relaxed);
        if attempt >= ATTEMPTS {
            return successes;
        }
        let order = spend(charge(&format!("{round}_{attempt}"), &[&leaf, &root], 1));
        match settle(&committer, order).await.answer {
            Answer::Done(receipt) => {
                assert_eq!((receipt.spent, receipt.overage, receipt.held), (1, 0, 0));
                successes += 1;
            }
            // With nothing left at the root the leaf may have nothing left either.
            Answer::Declined(Refusal::Insufficient { line_id, required: 1, remaining: 0 }) if line_id == leaf => {}
            Answer::Declined(refusal) => assert_eq!(refusal, empty),
        }
    }
}

async fn spend_out(database: &TestDatabase, nodes: &[Node], round: usize) {
    let root = format!("bl_{round}");
    let mut lines = vec![line(&root, None, LIMIT)];
    lines.extend((0..LEAVES).map(|leaf| line(&format!("{root}_{leaf}"), Some(&root), LIMIT)));
    if round == 0 {
        make(&nodes[0], lines).await;
    } else {
        let writes = lines.into_iter().map(|line| Write::Insert(Row::BudgetLine(line))).collect();
        nodes[0].commit(Work { writes, ..issue(0) }).await;
    }
    let made = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(attempt(nodes[task % nodes.len()].committer.clone(), round, task, Arc::clone(&made)));
    }
    let successes: i64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(successes, LIMIT, "round {round}: as many as there were units");
    assert_eq!(books(database, &root).await, (0, LIMIT, 0), "round {round}");
    let mut of_leaves = 0;
    for leaf in 0..LEAVES {
        let (held, spent, overage) = books(database, &format!("{root}_{leaf}")).await;
        assert_eq!((held, overage), (0, 0), "round {round}");
        of_leaves += spent;
    }
    assert_eq!(of_leaves, LIMIT, "round {round}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_thousand_attempts_at_a_thousand_units_a_thousand_succeed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let rounds = sized("STIPEND_ROUNDS", 3);
    let database = TestDatabase::new(backend).await;
    let mut nodes = vec![node(&database).await];
    if backend == Backend::Postgres {
        nodes.push(node(&database).await);
    }
    let began = Instant::now();
    for round in 0..rounds {
        spend_out(&database, &nodes, round).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{backend:?}: {rounds} rounds of {ATTEMPTS} attempts in {seconds:.1} s");
    assert_eq!(imbalances(database.url()).await.unwrap(), Vec::<String>::new());
    let refused = "SELECT count(*) AS value FROM audit_records WHERE outcome = 'refused'";
    let refused = database.number(refused).await.unwrap();
    assert_eq!(usize::try_from(refused).unwrap(), rounds * (ATTEMPTS - 1000), "every refusal is on record");
}

/// What the tests here lean on: a ledger that lost a unit does not pass.
#[rstest]
#[tokio::test]
async fn books_that_differ_from_the_journal_are_found(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    make(&node, vec![line("bl_root", None, 100), line("bl_leaf", Some("bl_root"), 60)]).await;
    let path = ["bl_leaf", "bl_root"];
    for id in ["open", "part", "void", "over"] {
        done(&node, hold(id, &path, 10, NOW + 3600)).await;
    }
    done(&node, capture("part", "part", 4, false)).await;
    done(&node, Step::Void { hold_id: "bh_void".into() }).await;
    done(&node, capture("over", "over", 50, true)).await;
    done(&node, charge("back", &["bl_root"], 3)).await;
    done(&node, Step::Refund { capture_id: "bc_over".into(), amount: amount(12) }).await;
    assert_eq!((books(&database, "bl_leaf").await, books(&database, "bl_root").await), ((16, 42, 0), (16, 45, 0)));
    let found = async || imbalances(database.url()).await.unwrap();
    assert_eq!(found().await, Vec::<String>::new());
    let swaps = [
        ("budget_uses SET held = held", "WHERE line_id = 'bl_leaf'"),
        ("budget_uses SET spent = spent", "WHERE line_id = 'bl_root'"),
        ("budget_uses SET overage = overage", "WHERE line_id = 'bl_leaf'"),
        ("budget_holds SET amount = amount", "WHERE id = 'bh_open'"),
        ("budget_holds SET captured = captured", "WHERE id = 'bh_part'"),
        ("budget_captures SET spent = spent", "WHERE id = 'bc_back'"),
        ("budget_captures SET refunded = refunded", "WHERE id = 'bc_back'"),
    ];
    for (column, row) in swaps {
        database.execute(&format!("UPDATE {column} + 1 {row}")).await.unwrap();
        assert!(!found().await.is_empty(), "{column}");
        database.execute(&format!("UPDATE {column} - 1 {row}")).await.unwrap();
    }
    assert_eq!(found().await, Vec::<String>::new());
    database.execute("DELETE FROM budget_captures WHERE id = 'bc_over'").await.unwrap();
    assert!(!found().await.is_empty(), "a capture that is gone");
}
