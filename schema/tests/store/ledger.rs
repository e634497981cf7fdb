//! The ledger under contention: what is granted is spent to the unit and not beyond it, a key
//! has one effect, on both databases and from two nodes.

use crate::support::*;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use stipend_schema::ledger::{Answer, BudgetLineRow, NewHold, Receipt, Refusal, Settled, Spend, SpendKey, Step};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use stipend_token::budget::Amount;
use tokio::task::JoinSet;

pub fn amount(parts: i64) -> Amount {
    Amount::new(parts).unwrap()
}

/// A line of the owner `payments`, in calls.
pub fn line(id: &str, parent: Option<&str>, limit: i64) -> BudgetLineRow {
    BudgetLineRow {
        id: id.to_owned(),
        owner_id: "payments".to_owned(),
        account_kind: if parent.is_none() { "owner" } else { "agent" }.to_owned(),
        account_id: id.to_owned(),
        parent_id: parent.map(str::to_owned),
        unit: "call".to_owned(),
        decimals: 0,
        amount: limit,
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
    }
}

pub async fn make(node: &Node, lines: Vec<BudgetLineRow>) {
    node.commit(insert(Row::Owner(owner("payments")))).await;
    let mut work = issue(0);
    work.writes = lines.into_iter().map(|line| Write::Insert(Row::BudgetLine(line))).collect();
    node.commit(work).await;
}

pub fn path(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

pub fn charge(id: &str, lines: &[&str], parts: i64) -> Step {
    let hold = NewHold {
        hold_id: format!("bh_{id}"),
        paths: vec![path(lines)],
        jti: None,
        amount: amount(parts),
        expires_at: i64::MAX,
    };
    Step::Charge { hold, capture_id: format!("bc_{id}") }
}

pub fn hold(id: &str, lines: &[&str], parts: i64, expires_at: i64) -> Step {
    let hold_id = format!("bh_{id}");
    Step::Hold(NewHold { hold_id, paths: vec![path(lines)], jti: None, amount: amount(parts), expires_at })
}

pub fn capture(id: &str, hold: &str, parts: i64, last: bool) -> Step {
    Step::Capture { capture_id: format!("bc_{id}"), hold_id: format!("bh_{hold}"), amount: amount(parts), last }
}

pub fn spend(step: Step) -> Spend {
    Spend { client_id: "payments.orders".to_owned(), step, key: None }
}

pub async fn settle(handle: &CommitterHandle, spend: Spend) -> Settled {
    let mut work = issue(0);
    work.spend = Some(spend);
    match handle.submit(work).await {
        Outcome::Settled { settled, .. } => *settled,
        other => panic!("{other:?}"),
    }
}

pub async fn done(node: &Node, step: Step) -> Receipt {
    match settle(&node.committer, spend(step)).await.answer {
        Answer::Done(receipt) => receipt,
        Answer::Declined(refusal) => panic!("{refusal:?}"),
    }
}

pub async fn declined(node: &Node, step: Step) -> Refusal {
    match settle(&node.committer, spend(step)).await.answer {
        Answer::Declined(refusal) => refusal,
        Answer::Done(receipt) => panic!("{receipt:?}"),
    }
}

/// `held/spent/overage` of a line over all its periods.
pub async fn books(database: &TestDatabase, line: &str) -> (i64, i64, i64) {
    let sum = |column: &str| {
        format!("SELECT CAST(coalesce(sum({column}), 0) AS BIGINT) AS value FROM budget_uses WHERE line_id = '{line}'")
    };
    let number = async |column| database.number(&sum(column)).await.unwrap();
    (number("held").await, number("spent").await, number("overage").await)
}

#[rstest]
#[tokio::test]
async fn a_hold_charges_every_level_and_a_capture_frees_the_rest(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    make(&node, vec![line("bl_root", None, 100), line("bl_leaf", Some("bl_root"), 60)]).await;
    let held = done(&node, hold("a", &["bl_leaf", "bl_root"], 40, i64::MAX)).await;
    assert_eq!((held.held, held.remaining), (40, 20));
    assert_eq!(books(&database, "bl_root").await, (40, 0, 0));
    let refusal = declined(&node, hold("b", &["bl_leaf", "bl_root"], 21, i64::MAX)).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_leaf".into(), required: 21, remaining: 20 });
    let part = done(&node, capture("1", "a", 10, false)).await;
    assert_eq!((part.spent, part.held), (10, 30));
    let last = done(&node, capture("2", "a", 5, true)).await;
    assert_eq!((last.spent, last.held, last.remaining), (5, 0, 45));
    assert_eq!(last.told, Vec::new());
    assert_eq!(declined(&node, capture("3", "a", 1, true)).await, Refusal::Ended);
    assert_eq!((books(&database, "bl_leaf").await, books(&database, "bl_root").await), ((0, 15, 0), (0, 15, 0)));
    let back = done(&node, Step::Refund { capture_id: "bc_1".into(), amount: amount(10) }).await;
    assert_eq!((back.spent, back.remaining), (-10, 55));
    assert_eq!(declined(&node, Step::Refund { capture_id: "bc_1".into(), amount: amount(1) }).await, Refusal::TooMuch);
}

#[rstest]
#[tokio::test]
async fn what_is_not_a_path_or_not_ones_own_does_not_exist(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let closed = BudgetLineRow { state: "closed".into(), ..line("bl_closed", Some("bl_root"), 9) };
    let ended = BudgetLineRow { expires_at: Some(1), ..line("bl_ended", Some("bl_root"), 9) };
    let carved = BudgetLineRow { enforce: "rs".into(), ..line("bl_carved", Some("bl_root"), 9) };
    let root = line("bl_root", None, 100);
    make(&node, vec![root, line("bl_leaf", Some("bl_root"), 60), closed, ended, carved]).await;
    let wrong: [&[&str]; 5] = [&[], &["bl_leaf"], &["bl_root", "bl_leaf"], &["bl_leaf", "bl_leaf"], &["bl_none"]];
    for lines in wrong {
        assert_eq!(declined(&node, hold("x", lines, 1, i64::MAX)).await, Refusal::NotFound, "{lines:?}");
    }
    for line in ["bl_closed", "bl_ended"] {
        let refusal = declined(&node, hold("x", &[line, "bl_root"], 1, i64::MAX)).await;
        assert_eq!(refusal, Refusal::Closed { line_id: line.into() });
    }
    let refusal = declined(&node, hold("x", &["bl_carved", "bl_root"], 1, i64::MAX)).await;
    assert_eq!(refusal, Refusal::Carved { line_id: "bl_carved".into() }, "its service counts it");
    done(&node, hold("a", &["bl_leaf", "bl_root"], 9, i64::MAX)).await;
    let theirs = Spend { client_id: "payments.other".into(), ..spend(capture("1", "a", 1, true)) };
    assert_eq!(settle(&node.committer, theirs).await.answer, Answer::Declined(Refusal::NotFound));
    assert_eq!(books(&database, "bl_leaf").await, (9, 0, 0));
}

#[rstest]
#[tokio::test]
async fn a_key_has_one_effect_and_answers_the_same_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    make(&node, vec![line("bl_root", None, 100)]).await;
    let key = SpendKey { key_hash: [7; 32], digest: [1; 32], expires_at: i64::MAX, keep: None };
    let mut tasks = JoinSet::new();
    for n in 0..64 {
        let committer = node.committer.clone();
        let order = Spend { key: Some(key.clone()), ..spend(charge(&format!("{n}"), &["bl_root"], 10)) };
        tasks.spawn(async move { settle(&committer, order).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|settled| !settled.repeated).count(), 1);
    assert!(answers.iter().all(|settled| settled.answer == answers[0].answer));
    assert_eq!(books(&database, "bl_root").await, (0, 10, 0));
    let other = Spend { key: Some(SpendKey { digest: [2; 32], ..key }), ..spend(charge("z", &["bl_root"], 10)) };
    assert_eq!(settle(&node.committer, other).await.answer, Answer::Declined(Refusal::KeyReused));
    let refused = SpendKey { key_hash: [8; 32], digest: [1; 32], expires_at: NOW + 300, keep: None };
    for repeated in [false, true] {
        let too_much = Spend { key: Some(refused.clone()), ..spend(charge("y", &["bl_root"], 1000)) };
        let settled = settle(&node.committer, too_much).await;
        assert_eq!(settled.repeated, repeated, "refusals are answered again too");
        assert!(matches!(settled.answer, Answer::Declined(Refusal::Insufficient { .. })));
    }
    assert_eq!(sweep(&node.db, NOW + 300).await.unwrap().answers, 0);
    assert_eq!(sweep(&node.db, NOW + 361).await.unwrap().answers, 1, "only the one that has expired");
}

/// Attempts on one root, through leaves that would admit them all, from two nodes.
async fn hammer(backend: Backend, limit: i64, leaves: usize, attempts: usize) {
    let database = TestDatabase::new(backend).await;
    let nodes = match backend {
        Backend::Postgres => vec![node(&database).await, node(&database).await],
        Backend::Sqlite => vec![node(&database).await],
    };
    let names: Vec<String> = (0..leaves).map(|leaf| format!("bl_leaf{leaf}")).collect();
    let mut lines = vec![line("bl_root", None, limit)];
    lines.extend(names.iter().map(|name| line(name, Some("bl_root"), limit)));
    make(&nodes[0], lines).await;
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let committer = nodes[task % nodes.len()].committer.clone();
        let leaf = names[task % leaves].clone();
        tasks.spawn(async move {
            let mut successes = 0_i64;
            for round in 0..attempts / 64 {
                let order = spend(charge(&format!("{task}_{round}"), &[&leaf, "bl_root"], 1));
                successes += i64::from(matches!(settle(&committer, order).await.answer, Answer::Done(_)));
            }
            successes
        });
    }
    let successes: i64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(successes, limit, "{backend:?}: exactly as many as there were");
    assert_eq!(books(&database, "bl_root").await, (0, limit, 0));
    let captured = "SELECT CAST(sum(spent) AS BIGINT) AS value FROM budget_captures";
    assert_eq!(database.number(captured).await.unwrap(), limit);
    prove(&database.connect().await).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_units_are_spent_exactly_by_many_more_attempts(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    hammer(backend, 1000, 10, 6400).await;
}

#[rstest]
#[tokio::test]
async fn late_captures_are_booked_and_overage_is_in_the_way_of_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    make(&node, vec![line("bl_root", None, 20)]).await;
    // Its time was over before it began: the first step that looks at it ends it.
    done(&node, hold("a", &["bl_root"], 10, 1)).await;
    assert_eq!(done(&node, Step::Expire { hold_id: "bh_a".into() }).await.remaining, 20);
    assert_eq!(declined(&node, Step::Expire { hold_id: "bh_a".into() }).await, Refusal::Ended);
    assert_eq!(declined(&node, Step::Void { hold_id: "bh_a".into() }).await, Refusal::Ended);
    let late = done(&node, capture("1", "a", 25, true)).await;
    assert_eq!((late.spent, late.overage, late.remaining), (20, 5, 0));
    assert_eq!(late.told, [("bl_root".to_owned(), 50), ("bl_root".to_owned(), 80), ("bl_root".to_owned(), 100)]);
    assert_eq!(
        declined(&node, hold("b", &["bl_root"], 1, i64::MAX)).await,
        Refusal::Insufficient { line_id: "bl_root".into(), required: 1, remaining: 0 }
    );
    done(&node, Step::Refund { capture_id: "bc_1".into(), amount: amount(15) }).await;
    assert_eq!(books(&database, "bl_root").await, (0, 10, 0), "the overage is taken back first");
    done(&node, hold("c", &["bl_root"], 10, i64::MAX)).await;
}

/// The subject's chain pays and the actor's own caps: both are charged, what they share once.
#[rstest]
#[tokio::test]
async fn two_chains_are_charged_and_what_they_share_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let lines = vec![line("bl_root", None, 100), line("bl_a", Some("bl_root"), 50), line("bl_b", Some("bl_root"), 30)];
    make(&node, lines).await;
    let both = |id: &str, parts| {
        Step::Hold(NewHold {
            hold_id: format!("bh_{id}"),
            paths: vec![path(&["bl_a", "bl_root"]), path(&["bl_b", "bl_root"])],
            jti: None,
            amount: amount(parts),
            expires_at: i64::MAX,
        })
    };
    done(&node, both("1", 20)).await;
    for name in ["bl_a", "bl_b", "bl_root"] {
        assert_eq!(books(&database, name).await, (20, 0, 0), "{name}");
    }
    let refusal = declined(&node, both("2", 11)).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_b".into(), required: 11, remaining: 10 });
    done(&node, Step::Void { hold_id: "bh_1".into() }).await;
    assert_eq!(books(&database, "bl_root").await, (0, 0, 0));
}

/// A day's use ends with the day; a rolling window forgets part by part, never early.
#[rstest]
#[tokio::test]
async fn windows_count_what_they_say(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let now = Arc::new(AtomicI64::new(NOW));
    let seen = Arc::clone(&now);
    let clock: Clock = Arc::new(move || seen.load(Ordering::SeqCst) * 1_000_000);
    let db = database.connect().await;
    let committer = Committer::start(db.clone(), CommitterConfig::default(), clock).unwrap();
    let node = Node { db, committer };
    let day = BudgetLineRow { time_window: "day@UTC".into(), ..line("bl_day", None, 10) };
    let rolling = BudgetLineRow { time_window: "rolling:3600".into(), ..line("bl_rolling", None, 10) };
    make(&node, vec![day, rolling]).await;
    for name in ["bl_day", "bl_rolling"] {
        done(&node, charge(&format!("{name}1"), &[name], 10)).await;
        declined(&node, charge(&format!("{name}2"), &[name], 1)).await;
    }
    now.fetch_add(3600, Ordering::SeqCst);
    let refusal = declined(&node, charge("r3", &["bl_rolling"], 1)).await;
    assert!(matches!(refusal, Refusal::Insufficient { .. }), "an hour is not over before an hour is over");
    now.fetch_add(60, Ordering::SeqCst);
    done(&node, charge("r4", &["bl_rolling"], 10)).await;
    declined(&node, charge("d3", &["bl_day"], 1)).await;
    // Overdrawn: for the rest of the window, though a part is over in a minute.
    now.fetch_add(7200, Ordering::SeqCst);
    done(&node, hold("r5", &["bl_rolling"], 1, i64::MAX)).await;
    assert_eq!(done(&node, capture("r5", "r5", 11, true)).await.overage, 1);
    now.fetch_add(600, Ordering::SeqCst);
    let refusal = declined(&node, hold("r6", &["bl_rolling"], 1, i64::MAX)).await;
    assert_eq!(refusal, Refusal::Insufficient { line_id: "bl_rolling".into(), required: 1, remaining: 0 });
    now.fetch_add(86_400, Ordering::SeqCst);
    done(&node, charge("d4", &["bl_day"], 10)).await;
}
