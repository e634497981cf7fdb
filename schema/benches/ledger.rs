//! Holds and captures a second through one node, beside the floor of one transaction for each
//! request: `cargo bench -p stipend-schema --bench ledger`. Times are printed, never asserted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use stipend_schema::ledger::{Answer, BudgetLineRow, NewHold, Spend, Step};
use stipend_schema::testing::TestDatabase;
use stipend_schema::{
    AuditDraft, Backend, Committer, CommitterConfig, CommitterHandle, Outcome, OwnerRow, Row, Work, Write,
};
use stipend_token::budget::Amount;
use tokio::task::JoinSet;

const TASKS: usize = 1000;
const SPAN: Duration = Duration::from_secs(4);

fn work(spend: Option<Spend>, writes: Vec<Write>) -> Work {
    let record = AuditDraft {
        event: "budget.held",
        outcome: "done",
        reason: None,
        on_replay: None,
        owner_id: Some("payments".to_owned()),
        subject_owner_id: None,
        client_id: Some("payments.orders".to_owned()),
        jti: None,
        detail: serde_json::Map::new(),
    };
    Work { spend, writes, ..Work::recording(0, record) }
}

fn line(id: String, parent_id: Option<String>) -> Write {
    Write::Insert(Row::BudgetLine(BudgetLineRow {
        id: id.clone(),
        owner_id: "payments".to_owned(),
        account_kind: "agent".to_owned(),
        account_id: id,
        parent_id,
        unit: "USD".to_owned(),
        decimals: 6,
        amount: 999_999_999_999_999,
        per_call: None,
        time_window: "none".to_owned(),
        enforce: "as".to_owned(),
        state: "active".to_owned(),
        expires_at: None,
        created_at: 0,
        updated_at: 0,
        increase: 0,
        increase_until: None,
        audience: None,
    }))
}

async fn set_up(database: &TestDatabase, hot_root: bool) -> CommitterHandle {
    let clock = Arc::new(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(now.as_micros()).unwrap()
    });
    let committer = Committer::start(database.connect().await, CommitterConfig::default(), clock).unwrap();
    let owner = OwnerRow {
        id: "payments".to_owned(),
        name: "Payments".to_owned(),
        state: "active".to_owned(),
        created_at: 0,
        updated_at: 0,
    };
    let mut writes = vec![Write::Insert(Row::Owner(owner)), line("bl_root".to_owned(), None)];
    let parent = hot_root.then(|| "bl_root".to_owned());
    writes.extend((0..TASKS).map(|task| line(format!("bl_{task}"), parent.clone())));
    assert!(matches!(committer.submit(work(None, writes)).await, Outcome::Committed { .. }));
    committer
}

async fn order(committer: &CommitterHandle, step: Step) {
    let spend = Spend { client_id: "payments.orders".to_owned(), step, key: None };
    match committer.submit(work(Some(spend), Vec::new())).await {
        Outcome::Settled { settled, .. } if matches!(settled.answer, Answer::Done(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// One agent's life: hold, capture, hold, capture. Answers how many steps were done in time.
async fn spend_on(committer: CommitterHandle, task: usize, hot_root: bool, until: Instant) -> u32 {
    let mut path = vec![format!("bl_{task}")];
    path.extend(hot_root.then(|| "bl_root".to_owned()));
    let mut steps = 0;
    while Instant::now() < until {
        let hold_id = format!("bh_{task}_{steps}");
        let amount = Amount::new(1_000).unwrap();
        let hold =
            NewHold { hold_id: hold_id.clone(), paths: vec![path.clone()], jti: None, amount, expires_at: i64::MAX };
        order(&committer, Step::Hold(hold)).await;
        let capture_id = format!("bc_{task}_{steps}");
        order(&committer, Step::Capture { capture_id, hold_id, amount, last: true }).await;
        steps += 2;
    }
    steps
}

async fn measure(backend: Backend, hot_root: bool, tasks: usize) -> f64 {
    let database = TestDatabase::new(backend).await;
    let committer = set_up(&database, hot_root).await;
    let began = Instant::now();
    let mut set = JoinSet::new();
    for task in 0..tasks {
        set.spawn(spend_on(committer.clone(), task, hot_root, began + SPAN));
    }
    let steps: u32 = set.join_all().await.into_iter().sum();
    f64::from(steps) / began.elapsed().as_secs_f64()
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!("{:<10} {:<24} {:>12} {:>8}", "database", "lines", "steps/s", "x floor");
    for backend in [Backend::Sqlite, Backend::Postgres] {
        // With one caller nothing gathers: each request is a transaction.
        let floor = measure(backend, false, 1).await;
        println!("{:<10} {:<24} {floor:>12.0} {:>8.1}", format!("{backend:?}"), "one caller (the floor)", 1.0);
        for (name, hot_root) in [("1,000 leaves", false), ("1,000 leaves, one root", true)] {
            let rate = measure(backend, hot_root, TASKS).await;
            println!("{:<10} {name:<24} {rate:>12.0} {:>8.1}", format!("{backend:?}"), rate / floor);
        }
    }
}
