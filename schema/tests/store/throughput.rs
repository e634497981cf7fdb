use crate::support::*;
use rstest::rstest;
use std::time::Instant;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use tokio::task::JoinSet;

/// Printed, not asserted: how many works per second one node commits with many waiting.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_works_are_all_committed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    const TASKS: u32 = 1000;
    const ROUNDS: u32 = 20;
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    assert!(committed(&node.submit(issue(0)).await));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let committer = node.committer.clone();
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let mut work = issue_for(0, "payments.refunds");
                work.record.owner_id = Some("payments".to_owned());
                work.record.jti = Some(format!("t_{task:08}_{round:020}"));
                work.record.detail.insert("scope".to_owned(), "credential:release".into());
                let outcome = committer.submit(work).await;
                assert!(committed(&outcome), "{outcome:?}");
            }
        });
    }
    tasks.join_all().await;
    let seconds = began.elapsed().as_secs_f64();
    let works = f64::from(TASKS * ROUNDS);
    println!("{backend:?}: {:.0} works/s", works / seconds);
    let stored = database.number("SELECT count(*) AS value FROM audit_records WHERE event = 'issue'").await.unwrap();
    assert_eq!(stored, i64::from(TASKS * ROUNDS) + 1);
}
