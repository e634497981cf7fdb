//! Lines of tokens: narrowed to what there is, under or out of the lines above, all of them or
//! none; and what comes back of the carved ones.

use crate::ledger::{amount, capture, charge, declined, done, hold, line, make, path, settle, spend};
use crate::support::*;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use stipend_schema::ledger::{
    Answer, BudgetLineRow, Granted, NewLine, NewToken, REPORT_GRACE_SECONDS, Refusal, Spend, SpendKey, Step,
};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use stipend_token::budget::{Enforce, Unit};

/// A node whose clock is moved by hand.
async fn timed(database: &TestDatabase) -> (Node, Arc<AtomicI64>) {
    let now = Arc::new(AtomicI64::new(NOW));
    let seen = Arc::clone(&now);
    let clock: Clock = Arc::new(move || seen.load(Ordering::SeqCst) * 1_000_000);
    let db = database.connect().await;
    let committer = Committer::start(db.clone(), CommitterConfig::default(), clock).unwrap();
    (Node { db, committer }, now)
}

fn wanted(id: &str, above: &[&str], parts: i64) -> NewLine {
    NewLine {
        line_id: id.to_owned(),
        owner_id: "payments".to_owned(),
        unit: Unit::new("call", 0).unwrap(),
        amount: amount(parts),
        per_call: None,
        enforce: Enforce::Server,
        above: path(above),
        required: true,
        max_children: None,
        due_at: NOW + 420,
    }
}

fn token(jti: &str, lines: Vec<NewLine>) -> Step {
    let audience = "https://orders.example".to_owned();
    Step::Issue(NewToken { jti: jti.to_owned(), audience, expires_at: NOW + 300, lines })
}

fn granted(line: &str, parts: i64, per_call: Option<i64>) -> Granted {
    Granted { line_id: line.into(), unit: "call/0".into(), amount: amount(parts), per_call: per_call.map(amount) }
}

/// `held/spent/carved/overage` of a line.
async fn books(database: &TestDatabase, line: &str) -> [i64; 4] {
    let mut books = [0; 4];
    for (of, column) in books.iter_mut().zip(["held", "spent", "carved", "overage"]) {
        let sql = format!(
            "SELECT CAST(coalesce(sum({column}), 0) AS BIGINT) AS value FROM budget_uses WHERE line_id = '{line}'"
        );
        *of = database.number(&sql).await.unwrap();
    }
    books
}

async fn count(database: &TestDatabase, table: &str) -> i64 {
    database.number(&format!("SELECT count(*) AS value FROM {table}")).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_tokens_line_is_narrowed_to_what_every_level_has(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (node, _) = timed(&database).await;
    let leaf = BudgetLineRow { per_call: Some(7), ..line("bl_leaf", Some("bl_root"), 60) };
    make(&node, vec![line("bl_root", None, 100), leaf]).await;
    done(&node, hold("a", &["bl_leaf", "bl_root"], 7, i64::MAX)).await;
    let above = ["bl_leaf", "bl_root"];
    let receipt = done(&node, token("t_1", vec![wanted("bl_t1", &above, 1000)])).await;
    assert_eq!(receipt.granted, [granted("bl_t1", 53, Some(7))]);
    let receipt = done(&node, token("t_2", vec![wanted("bl_t2", &["bl_t1", "bl_leaf", "bl_root"], 5)])).await;
    assert_eq!(receipt.granted, [granted("bl_t2", 5, Some(7))]);
    let all = ["bl_t2", "bl_t1", "bl_leaf", "bl_root"];
    done(&node, charge("1", &all, 5)).await;
    for line in ["bl_t2", "bl_t1"] {
        assert_eq!(books(&database, line).await, [0, 5, 0, 0], "{line}");
    }
    assert_eq!(books(&database, "bl_root").await, [7, 5, 0, 0]);
    let refusal = declined(&node, charge("2", &all, 1)).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_t2".into(), required: 1, remaining: 0 });
    let below = declined(&node, token("t_3", vec![wanted("bl_t3", &all, 1)])).await;
    assert_eq!(below, Refusal::Insufficient { line_id: "bl_t2".into(), required: 1, remaining: 0 });
    let default = NewLine { required: false, ..wanted("bl_t4", &all, 9) };
    let receipt = done(&node, token("t_4", vec![default])).await;
    assert_eq!(receipt.granted, [granted("bl_t4", 0, Some(7))], "a cap of nothing says so");
}

#[rstest]
#[tokio::test]
async fn a_token_gets_all_its_lines_or_none(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let (node, _) = timed(&database).await;
    let empty = BudgetLineRow { unit: "token".into(), ..line("bl_empty", None, 0) };
    make(&node, vec![line("bl_root", None, 100), empty]).await;
    let first = NewLine { enforce: Enforce::Service, ..wanted("bl_1", &["bl_root"], 10) };
    let second = NewLine { unit: Unit::new("token", 0).unwrap(), ..wanted("bl_2", &["bl_empty"], 10) };
    let refusal = declined(&node, token("t_1", vec![first.clone(), second.clone()])).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_empty".into(), required: 10, remaining: 0 });
    assert_eq!(books(&database, "bl_root").await, [0; 4], "nothing was carved");
    assert_eq!((count(&database, "budget_lines").await, count(&database, "budget_carves").await), (2, 0));
    let by_default = NewLine { required: false, enforce: Enforce::Service, ..second };
    let receipt = done(&node, token("t_2", vec![first, by_default])).await;
    assert_eq!(receipt.granted, [granted("bl_1", 10, None)], "nothing can't be carved");
    let missing = declined(&node, token("t_3", vec![wanted("bl_3", &["bl_none"], 1)])).await;
    assert_eq!(missing, Refusal::NotFound);
}

#[rstest]
#[tokio::test]
async fn a_carved_line_is_its_services_until_it_is_settled(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (node, now) = timed(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    let carved = |id: &str, parts| NewLine { enforce: Enforce::Service, ..wanted(id, &["bl_root"], parts) };
    done(&node, token("t_1", vec![carved("bl_1", 60)])).await;
    done(&node, token("t_2", vec![carved("bl_2", 30)])).await;
    assert_eq!(books(&database, "bl_root").await, [0, 0, 90, 0]);
    let refusal = declined(&node, charge("1", &["bl_root"], 11)).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_root".into(), required: 11, remaining: 10 });
    let refusal = declined(&node, charge("2", &["bl_1", "bl_root"], 1)).await;
    assert_eq!(refusal, Refusal::Carved { line_id: "bl_1".into() });
    let refusal = declined(&node, token("t_3", vec![wanted("bl_3", &["bl_1", "bl_root"], 1)])).await;
    assert_eq!(refusal, Refusal::Carved { line_id: "bl_1".into() }, "nobody knows what is left of it");

    let report = |line: &str, parts, last| Step::Report { line_id: line.into(), spent: amount(parts), last };
    let first = done(&node, report("bl_1", 25, false)).await;
    assert_eq!((first.spent, first.remaining), (25, 35));
    assert_eq!(declined(&node, report("bl_1", 24, false)).await, Refusal::Backwards);
    let half = done(&node, report("bl_1", 30, true)).await;
    assert_eq!(half.told, [("bl_1".to_owned(), 50)]);
    assert_eq!(declined(&node, report("bl_1", 31, true)).await, Refusal::Ended);
    assert_eq!(declined(&node, report("bl_none", 1, true)).await, Refusal::NotFound);
    let settle_1 = Step::Settle { line_id: "bl_1".into() };
    assert_eq!(declined(&node, settle_1.clone()).await, Refusal::Ended, "its token may still be used");
    assert_eq!(books(&database, "bl_root").await, [0, 0, 90, 0]);

    now.fetch_add(420, Ordering::SeqCst);
    assert_eq!(due(&node, &now).await, ["bl_1"]);
    let settled = done(&node, settle_1.clone()).await;
    assert_eq!((settled.spent, settled.remaining), (30, 40));
    assert_eq!(books(&database, "bl_root").await, [0, 30, 30, 0], "30 of 60 came back, once");
    assert_eq!(declined(&node, settle_1).await, Refusal::Ended);

    // Nobody reported the other: after a day it counts as spent.
    let settle_2 = Step::Settle { line_id: "bl_2".into() };
    assert_eq!(declined(&node, settle_2.clone()).await, Refusal::Ended, "the service may have been down");
    now.fetch_add(REPORT_GRACE_SECONDS, Ordering::SeqCst);
    assert_eq!(due(&node, &now).await, ["bl_2"]);
    done(&node, settle_2).await;
    assert_eq!(books(&database, "bl_root").await, [0, 60, 0, 0]);
    assert_eq!(declined(&node, report("bl_2", 1, true)).await, Refusal::Ended);
    assert!(due(&node, &now).await.is_empty());
}

async fn due(node: &Node, now: &AtomicI64) -> Vec<String> {
    let rows = queries::due_carves(&node.db, now.load(Ordering::SeqCst)).await.unwrap();
    rows.into_iter().map(|row| row.line_id).collect()
}

#[rstest]
#[tokio::test]
async fn a_late_report_settles_at_once_and_too_much_is_overage(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (node, now) = timed(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    let carved = |id: &str| NewLine { enforce: Enforce::Service, ..wanted(id, &["bl_root"], 10) };
    done(&node, token("t_1", vec![carved("bl_1")])).await;
    done(&node, token("t_2", vec![carved("bl_2")])).await;
    let report = |line: &str, parts| Step::Report { line_id: line.into(), spent: amount(parts), last: true };
    let over = done(&node, report("bl_1", 12)).await;
    assert_eq!((over.spent, over.overage, over.remaining), (10, 2, 0));
    assert_eq!(books(&database, "bl_1").await, [0, 10, 0, 2]);
    now.fetch_add(421, Ordering::SeqCst);
    done(&node, report("bl_2", 4)).await;
    assert_eq!(books(&database, "bl_root").await, [0, 4, 10, 0], "the other's job has not run");
    done(&node, Step::Settle { line_id: "bl_1".into() }).await;
    assert_eq!(books(&database, "bl_root").await, [0, 14, 0, 0]);
}

#[rstest]
#[tokio::test]
async fn a_line_has_no_more_children_than_it_may(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let (node, _) = timed(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    done(&node, token("t_1", vec![wanted("bl_1", &["bl_root"], 50)])).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let child = NewLine { max_children: Some(5), ..wanted(&format!("bl_c{n}"), &["bl_1", "bl_root"], 1) };
        let (committer, order) = (node.committer.clone(), spend(token(&format!("t_c{n}"), vec![child])));
        tasks.spawn(async move { settle(&committer, order).await.answer });
    }
    let answers = tasks.join_all().await;
    let refused =
        answers.iter().filter(|answer| **answer == Answer::Declined(Refusal::Children { line_id: "bl_1".into() }));
    assert_eq!(refused.count(), 11, "{answers:?}");
}

#[rstest]
#[tokio::test]
async fn an_issue_is_kept_with_its_key(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let (node, _) = timed(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    let order = |jti: &str, line: &str, keep: &str| {
        let step = token(jti, vec![NewLine { enforce: Enforce::Service, ..wanted(line, &["bl_root"], 10) }]);
        let keep = Some(keep.to_owned());
        let key = SpendKey { key_hash: [7; 32], digest: [1; 32], expires_at: i64::MAX, keep };
        Spend { key: Some(key), ..spend(step) }
    };
    let first = settle(&node.committer, order("t_1", "bl_1", "claims of t_1")).await;
    let again = settle(&node.committer, order("t_2", "bl_2", "claims of t_2")).await;
    assert_eq!((first.repeated, first.kept), (false, None));
    assert_eq!((again.repeated, again.kept.as_deref()), (true, Some("claims of t_1")));
    assert_eq!(first.answer, again.answer);
    assert_eq!(books(&database, "bl_root").await, [0, 0, 10, 0], "carved once");
}

#[rstest]
#[tokio::test]
async fn an_increase_is_there_until_it_is_over(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let (node, now) = timed(&database).await;
    let more = BudgetLineRow { increase: 5, increase_until: Some(NOW + 60), ..line("bl_root", None, 10) };
    make(&node, vec![more]).await;
    done(&node, charge("1", &["bl_root"], 12)).await;
    now.fetch_add(59, Ordering::SeqCst);
    done(&node, charge("2", &["bl_root"], 1)).await;
    now.fetch_add(1, Ordering::SeqCst);
    let refusal = declined(&node, charge("3", &["bl_root"], 1)).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_root".into(), required: 1, remaining: 0 });
    assert_eq!(books(&database, "bl_root").await, [0, 13, 0, 0], "nothing is clawed back");
}

/// A rolling window tells once for each time that use rises to a threshold.
#[rstest]
#[tokio::test]
async fn a_rolling_window_tells_a_threshold_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let (node, now) = timed(&database).await;
    let rolling = BudgetLineRow { time_window: "rolling:3600".into(), ..line("bl_root", None, 100) };
    make(&node, vec![rolling]).await;
    let told = async |id: &str, parts| {
        let told = done(&node, charge(id, &["bl_root"], parts)).await.told;
        told.into_iter().map(|(_, percent)| percent).collect::<Vec<u8>>()
    };
    assert_eq!(told("1", 50).await, [50]);
    now.fetch_add(600, Ordering::SeqCst);
    assert_eq!(told("2", 10).await, [0; 0], "another part of the same window");
    assert_eq!(told("3", 20).await, [80]);
    now.fetch_add(3060, Ordering::SeqCst);
    assert_eq!(told("4", 10).await, [0; 0], "the first 50 are out of the window: 40 are left");
    assert_eq!(told("5", 10).await, [50], "and use rises again");
}

/// At every level all that was spent is told of, on whichever side of its limit.
#[rstest]
#[tokio::test]
async fn what_a_tokens_line_has_no_room_for_is_charged_above_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (node, _) = timed(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    done(&node, token("t_1", vec![wanted("bl_1", &["bl_root"], 10)])).await;
    done(&node, hold("a", &["bl_1", "bl_root"], 10, i64::MAX)).await;
    let over = done(&node, capture("1", "a", 14, true)).await;
    assert_eq!((over.spent, over.overage, over.remaining), (10, 4, 0));
    assert_eq!((books(&database, "bl_1").await, books(&database, "bl_root").await), ([0, 10, 0, 4], [0, 14, 0, 0]));
    let back = done(&node, Step::Refund { capture_id: "bc_1".into(), amount: amount(6) }).await;
    assert_eq!((back.spent, back.overage), (-2, -4));
    assert_eq!((books(&database, "bl_1").await, books(&database, "bl_root").await), ([0, 8, 0, 0], [0, 8, 0, 0]));
}

/// What was never used is swept an hour after its token; what was, is the journal.
#[rstest]
#[tokio::test]
async fn unused_lines_are_swept(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let (node, _) = timed(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    done(&node, token("t_1", vec![wanted("bl_1", &["bl_root"], 10)])).await;
    done(&node, token("t_2", vec![wanted("bl_2", &["bl_root"], 10)])).await;
    let carved = NewLine { enforce: Enforce::Service, ..wanted("bl_3", &["bl_root"], 10) };
    done(&node, token("t_3", vec![carved])).await;
    done(&node, charge("1", &["bl_2", "bl_root"], 1)).await;
    done(&node, token("t_4", vec![wanted("bl_4", &["bl_root"], 10)])).await;
    done(&node, hold("2", &["bl_4", "bl_root"], 1, i64::MAX)).await;
    done(&node, Step::Void { hold_id: "bh_2".to_owned() }).await;
    assert_eq!(sweep(&node.db, NOW + 300 + 3600).await.unwrap().lines, 0, "an hour is not over");
    assert_eq!(sweep(&node.db, NOW + 301 + 3600).await.unwrap().lines, 1);
    assert!(queries::find_budget_line(&node.db, "bl_1").await.unwrap().is_none());
    assert_eq!(count(&database, "budget_lines").await, 4);
}
