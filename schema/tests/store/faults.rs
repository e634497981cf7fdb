use crate::support::*;
use rstest::rstest;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use tokio::task::JoinSet;

/// A trigger that refuses audit records of one event.
async fn poison(database: &TestDatabase, backend: Backend) {
    let sql = match backend {
        Backend::Sqlite => {
            "CREATE TRIGGER poison BEFORE INSERT ON audit_records WHEN NEW.event = 'poison' \
             BEGIN SELECT RAISE(ABORT, 'injected'); END"
        }
        Backend::Postgres => {
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.event = 'poison' THEN RAISE EXCEPTION 'injected'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER poison BEFORE INSERT ON audit_records \
             FOR EACH ROW EXECUTE FUNCTION poison()"
        }
    };
    database.execute(sql).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_poisoned_work_does_not_fail_the_others(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    poison(&database, backend).await;
    let node = node(&database).await;
    let mut tasks = JoinSet::new();
    for index in 0..60 {
        let committer = node.committer.clone();
        tasks.spawn(async move {
            let mut work = burning(0, index);
            if index == 30 {
                work.record.event = "poison";
            }
            (index, committer.submit(work).await)
        });
    }
    for (index, outcome) in tasks.join_all().await {
        if index == 30 {
            assert_eq!(outcome, Outcome::Unavailable);
        } else {
            assert!(committed(&outcome), "{index}: {outcome:?}");
        }
    }
    let summary = prove(&node.db).await.unwrap();
    assert_eq!((summary.records, summary.heads.len()), (60, 1));
    let burned = database.number("SELECT count(*) AS value FROM jti_used").await.unwrap();
    assert_eq!(burned, 59);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_cut_under_load_lose_no_acknowledged_record_and_heal_by_themselves() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let node = Arc::new(node(&database).await);
    let until = Instant::now() + Duration::from_secs(3);
    let mut tasks = JoinSet::new();
    for task in 0..16_u32 {
        let node = node.clone();
        tasks.spawn(async move {
            let (mut acknowledged, mut unavailable) = (Vec::new(), 0_u32);
            for round in 0.. {
                if Instant::now() > until {
                    break;
                }
                let mut work = issue(0);
                let jti = format!("t_{task}_{round}");
                work.record.jti = Some(jti.clone());
                match node.submit(work).await {
                    Outcome::Committed { .. } => acknowledged.push(jti),
                    Outcome::Unavailable => unavailable += 1,
                    other => panic!("{other:?}"),
                }
            }
            (acknowledged, unavailable)
        });
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        database.cut_connections().await.unwrap();
    }
    let mut acknowledged = Vec::new();
    let mut unavailable = 0;
    for (jtis, failures) in tasks.join_all().await {
        acknowledged.extend(jtis);
        unavailable += failures;
    }
    // It works again, without anybody's help, within a moment.
    let healed = Instant::now();
    while !committed(&node.submit(issue(0)).await) {
        assert!(healed.elapsed() < Duration::from_secs(2));
    }
    let stored: HashSet<String> = database
        .texts("SELECT jti AS value FROM audit_records WHERE jti IS NOT NULL")
        .await
        .unwrap()
        .into_iter()
        .collect();
    let lost: Vec<_> = acknowledged.iter().filter(|jti| !stored.contains(*jti)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(acknowledged.len() > 100);
    // What was stored without being acknowledged is at most what was answered unavailable.
    assert!(stored.len() <= acknowledged.len() + unavailable as usize);
    let summary = prove(&node.db).await.unwrap();
    println!("acknowledged {}, unavailable {unavailable}, writers {}", acknowledged.len(), summary.heads.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_answers_unavailable_in_time_and_then_heals() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let node = node(&database).await;
    assert!(committed(&node.submit(issue(0)).await));
    // Another node, paused in the middle of publishing. The server ends it after a while.
    let paused = database.url().to_owned();
    let holder = tokio::spawn(async move {
        let (client, connection) = tokio_postgres::connect(&paused, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute(
                "SET idle_in_transaction_session_timeout = 3000; BEGIN; \
                 SELECT pg_advisory_xact_lock(8319390343119135814)",
            )
            .await
            .unwrap();
        client
    });
    let client = holder.await.unwrap();
    let began = Instant::now();
    let outcome = node.submit(issue(0)).await;
    assert_eq!(outcome, Outcome::Unavailable);
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    while !committed(&node.submit(issue(0)).await) {
        assert!(began.elapsed() < Duration::from_secs(8));
    }
    drop(client);
    prove(&node.db).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_commits_what_was_submitted_and_takes_no_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let mut tasks = JoinSet::new();
    for _ in 0..300 {
        let committer = node.committer.clone();
        tasks.spawn(async move { committer.submit(issue(0)).await });
    }
    tokio::task::yield_now().await;
    node.committer.shutdown().await;
    assert_eq!(node.submit(issue(0)).await, Outcome::Unavailable);
    let answered = tasks.join_all().await;
    let stored = database.number("SELECT count(*) AS value FROM audit_records WHERE event = 'issue'").await.unwrap();
    let acknowledged = answered.iter().filter(|outcome| committed(outcome)).count();
    assert_eq!(acknowledged as i64, stored);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_work_is_committed_though_its_submitter_is_gone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for index in 0..20 {
        let submitted = node.submit(burning(0, index));
        let _ = tokio::time::timeout(Duration::ZERO, submitted).await;
    }
    node.committer.shutdown().await;
    let burned = database.number("SELECT count(*) AS value FROM jti_used").await.unwrap();
    assert_eq!(burned, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_answered_at_once() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let node = node(&database).await;
    // A foreign writer keeps the database busy, so that the queue can fill.
    let other = database.url().to_owned();
    let busy = std::thread::spawn(move || {
        let path = other.trim_start_matches("sqlite://").to_owned();
        let mut conn = <diesel::SqliteConnection as diesel::Connection>::establish(&path).unwrap();
        use diesel::connection::SimpleConnection;
        conn.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").unwrap();
        std::thread::sleep(Duration::from_millis(700));
        conn.batch_execute("ROLLBACK").unwrap();
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut waiting = JoinSet::new();
    for _ in 0..9_000 {
        let committer = node.committer.clone();
        waiting.spawn(async move {
            let began = Instant::now();
            (committer.submit(issue(0)).await, began.elapsed())
        });
    }
    let outcomes = waiting.join_all().await;
    let at_once = Duration::from_millis(100);
    let refused = outcomes.iter().filter(|(outcome, took)| *outcome == Outcome::Unavailable && *took < at_once);
    // 8192 wait, and at most one batch of 512 is on its way.
    assert!(refused.count() >= 9_000 - 8_192 - 512);
    assert!(outcomes.iter().any(|(outcome, _)| committed(outcome)));
    busy.join().unwrap();
}
