//! The service's own count of carved lines.

use crate::ledger::{Fault, Ledger};
use crate::spending::{amount, spender_of, usd};
use crate::stand_in::NOW;
use std::sync::Arc;
use stipend_relying::{
    Counter, CounterOptions, Enforce, JournalError, JournalOptions, Refusal, ReportError, TakeError, TokenLine,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

const EXP: i64 = NOW + 300;

fn line(id: &str, most: i64) -> TokenLine {
    TokenLine { id: id.to_owned(), unit: usd(), amount: amount(most), per_call: None, enforce: Enforce::Service }
}

fn open(directory: &TempDir) -> Counter {
    open_with(directory, CounterOptions::default())
}

fn open_with(directory: &TempDir, options: CounterOptions) -> Counter {
    Counter::open(&directory.path().join("counter"), options).unwrap()
}

#[tokio::test]
async fn a_line_is_spent_to_the_last_unit_and_not_beyond() {
    let directory = tempfile::tempdir().unwrap();
    let counter = open(&directory);
    let line = line("bl_1", 100);
    assert_eq!(counter.take(&line, EXP, amount(60), NOW).await.unwrap().remaining(), 40);
    let refused = counter.take(&line, EXP, amount(41), NOW).await.unwrap_err();
    let body = Refusal::from(refused).body();
    assert_eq!((&body["line"], &body["required"], &body["remaining"]), (&"bl_1".into(), &41.into(), &40.into()));
    let taken = counter.take(&line, EXP, amount(40), NOW).await.unwrap();
    assert_eq!(counter.settle(taken, amount(25)).await.unwrap(), 15);
    assert_eq!(counter.spent("bl_1"), Some(85));
    drop(counter);
    assert_eq!(open(&directory).spent("bl_1"), Some(85), "and so it is after a restart");
}

#[tokio::test]
async fn one_call_takes_no_more_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let counter = open(&directory);
    let line = TokenLine { per_call: Some(amount(10)), ..line("bl_1", 100) };
    let refused = counter.take(&line, EXP, amount(11), NOW).await.unwrap_err();
    assert_eq!(Refusal::from(refused).body()["per_call"], 10);
    assert!(counter.take(&line, EXP, amount(10), NOW).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_exactly_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let counter = Arc::new(open(&directory));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let counter = Arc::clone(&counter);
        tasks.spawn(async move {
            let mut yes = 0;
            for _ in 0..20 {
                if counter.take(&line("bl_1", 1000), EXP, amount(1), NOW).await.is_ok() {
                    yes += 1;
                }
            }
            yes
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<i64>(), 1000, "of 1,280 attempts");
    assert_eq!(counter.spent("bl_1"), Some(1000));
}

#[tokio::test]
async fn a_lines_time_ends_with_its_token() {
    let directory = tempfile::tempdir().unwrap();
    let counter = open(&directory);
    assert!(counter.take(&line("bl_1", 10), EXP, amount(1), EXP + 59).await.is_ok());
    let over = counter.take(&line("bl_1", 10), EXP, amount(1), EXP + 60).await.unwrap_err();
    assert_eq!(over, TakeError::Over);
    assert_eq!(Refusal::from(over).status(), 401);
}

#[tokio::test]
async fn what_was_spent_is_reported_as_a_sum_and_at_the_end_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(0).await;
    let spender = spender_of(&ledger);
    let counter = open(&directory);
    let line = line("bl_1", 100);
    let taken = counter.take(&line, EXP, amount(10), NOW).await.unwrap();
    assert!(counter.report(&spender, NOW).await.is_empty(), "it may be given back still");
    counter.settle(taken, amount(10)).await.unwrap();
    assert_eq!(counter.report(&spender, NOW).await.len(), 1);
    assert_eq!(ledger.books.lock().unwrap().reports["bl_1"], (10, false));
    assert!(counter.report(&spender, NOW).await.is_empty(), "there is nothing new to say");
    let open_work = counter.take(&line, EXP, amount(30), EXP + 59).await.unwrap();
    counter.report(&spender, EXP + 60).await;
    assert_eq!(ledger.books.lock().unwrap().reports["bl_1"], (10, false), "work is open still");
    counter.settle(open_work, amount(5)).await.unwrap();
    let last = counter.report(&spender, EXP + 120).await;
    assert!(last[0].last && last[0].outcome.is_ok());
    assert_eq!(ledger.books.lock().unwrap().reports["bl_1"], (15, true));
    assert_eq!(counter.lines(), 1, "known for as long as a clock might be set back");
    assert_eq!(counter.take(&line, EXP, amount(1), NOW).await.unwrap_err(), TakeError::Over);
    counter.report(&spender, EXP + 60 + 3600).await;
    assert_eq!(counter.lines(), 0);
    drop(counter);
    assert_eq!(open(&directory).lines(), 0);
}

#[tokio::test]
async fn after_the_final_report_nothing_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(0).await;
    let counter = open(&directory);
    let late = counter.take(&line("bl_1", 100), EXP, amount(10), NOW).await.unwrap();
    counter.report(&spender_of(&ledger), EXP + 120).await;
    assert_eq!(counter.settle(late, amount(0)).await, Err(TakeError::Over));
    assert_eq!((counter.spent("bl_1"), ledger.books.lock().unwrap().reports["bl_1"]), (Some(10), (10, true)));
}

#[tokio::test]
async fn a_report_that_may_not_have_arrived_is_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(0).await;
    let spender = spender_of(&ledger);
    let counter = open(&directory);
    for id in ["bl_1", "bl_2"] {
        counter.take(&line(id, 100), EXP, amount(10), NOW).await.unwrap();
    }
    ledger.fail(&[Fault::BusyAfter; 4]);
    let stuck = counter.report(&spender, EXP + 120).await;
    assert!(matches!(&stuck[0].outcome, Err(ReportError::Spend(error)) if error.is_unknown()), "{stuck:?}");
    assert!(stuck[1].outcome.is_ok(), "the others do not wait for it: {stuck:?}");
    drop(counter);
    let counter = open(&directory);
    let again = counter.report(&spender, EXP + 120).await;
    assert!(again.len() == 1 && again.iter().all(|report| report.outcome.is_ok()), "{again:?}");
    assert!(counter.report(&spender, EXP + 120).await.is_empty());
    let books = ledger.books.lock().unwrap();
    assert_eq!((books.reports["bl_1"], books.reports["bl_2"]), ((10, true), (10, true)));
}

#[tokio::test]
async fn lines_and_the_journal_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let counter = open_with(&directory, CounterOptions { max_lines: 1, ..CounterOptions::default() });
    counter.take(&line("bl_1", 10), EXP, amount(1), NOW).await.unwrap();
    assert_eq!(counter.take(&line("bl_2", 10), EXP, amount(1), NOW).await, Err(TakeError::TooMany));
    let directory = tempfile::tempdir().unwrap();
    let journal = JournalOptions { max_bytes: 0, ..JournalOptions::default() };
    let counter = open_with(&directory, CounterOptions { journal, ..CounterOptions::default() });
    let full = counter.take(&line("bl_1", 10), EXP, amount(1), NOW).await;
    assert_eq!(full, Err(TakeError::Journal(JournalError::Full)));
    assert_eq!(counter.spent("bl_1"), Some(0));
}

#[tokio::test]
async fn reports_only_grow_across_restarts_and_what_a_crash_left_open_is_spent() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(0).await;
    let spender = spender_of(&ledger);
    let counter = open(&directory);
    let line = line("bl_1", 100);
    let _lost = counter.take(&line, EXP, amount(30), NOW).await.unwrap();
    let other = counter.take(&line, EXP, amount(20), NOW).await.unwrap();
    counter.settle(other, amount(5)).await.unwrap();
    counter.report(&spender, NOW).await;
    assert_eq!(ledger.books.lock().unwrap().reports["bl_1"], (5, false));
    drop(counter);
    let counter = open(&directory);
    let reports = counter.report(&spender, NOW).await;
    assert!(reports.iter().all(|report| report.outcome.is_ok()), "{reports:?}");
    assert_eq!(ledger.books.lock().unwrap().reports["bl_1"], (35, false));
}
