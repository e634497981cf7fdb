//! How PostgreSQL goes about the committer's statements.

use crate::ledger::{capture, done, hold, line, make};
use crate::support::*;
use std::time::Duration;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use tokio::task::JoinSet;

const LINES: usize = 300;
const ROUNDS: usize = 8;

/// Rows put in and scans of the whole table, as the server has counted.
async fn counted(database: &TestDatabase, table: &str, count: &str) -> i64 {
    let sql = format!("SELECT {count} AS value FROM pg_stat_user_tables WHERE relname = '{table}'");
    database.number(&sql).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_finds_its_rows_by_key_however_small_the_tables_are() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let node = node(&database).await;
    make(&node, (0..LINES).map(|at| line(&format!("bl_{at}"), None, 1_000)).collect()).await;
    // Often enough for plans that are made once and kept.
    for round in 0..ROUNDS {
        let mut tasks = JoinSet::new();
        for at in 0..LINES {
            let node = Node { db: node.db.clone(), committer: node.committer.clone() };
            tasks.spawn(async move {
                let (id, leaf) = (format!("{round}_{at}"), format!("bl_{at}"));
                done(&node, hold(&id, &[&leaf], 2, i64::MAX)).await;
                done(&node, capture(&id, &id, 1, true)).await;
            });
        }
        tasks.join_all().await;
    }
    node.committer.shutdown().await;
    // A session tells what it counted when it ends.
    drop(node);
    let held = i64::try_from(LINES * ROUNDS).unwrap();
    let told = async {
        while counted(&database, "budget_captures", "n_tup_ins").await < held {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    for table in ["budget_lines", "budget_uses", "budget_holds", "budget_captures"] {
        assert_eq!(counted(&database, table, "seq_scan").await, 0, "{table}");
    }
}
