//! The checker against a server in memory: a correct one passes, also where its answers are
//! lost, and each thing that is done wrong is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod fake;
mod fault;
mod server;

use fake::Fake;
use fault::Fault;
use server::Server;
use stipend_bench::check::Check;
use stipend_bench::load::journal::Fsync;
use stipend_bench::load::plan::Shape;
use stipend_bench::load::{Load, Options, Report, Tools};
use stipend_bench::{Admin, BenchError};

const SHAPE: Shape = Shape { seed: 11, rate: 160.0, seconds: 4, planners: 3, workers: 2 };

async fn run(fault: Option<Fault>) -> Report {
    let server = Server::start(Fake::new(fault));
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal.jsonl");
    let options = Options {
        // Twice: two ways to the same server.
        nodes: vec![server.url.clone(), server.url.clone()],
        shape: SHAPE,
        journal: journal.clone(),
        fsync: Fsync::Interval,
        audit: true,
        tools: Tools::default(),
    };
    let mut load = Load::set_up(options, Admin::new(fake::ADMIN.to_owned(), "secret".to_owned())).await.unwrap();
    let history = load.drive().await;
    let report = load.conclude(history, Vec::new()).await.unwrap();
    check_journal(&std::fs::read_to_string(&journal).unwrap(), &report);
    report
}

/// Every attempt is there twice: before it was sent, and when it was answered.
fn check_journal(journal: &str, report: &Report) {
    let entries: Vec<serde_json::Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sent = entries.iter().filter(|entry| entry["sent"].is_u64()).count();
    let answered = entries.iter().filter(|entry| entry["answered"].is_u64()).count();
    assert_eq!((sent, answered >= report.counts.attempts), (answered, true));
    assert!(!journal.contains("e30."), "a token in the journal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_passes() {
    let report = run(None).await;
    assert_eq!(report.violations, Vec::new(), "{report}");
    assert!(report.counts.done > 300 && report.counts.refused > 30, "{report}");
    for error in ["insufficient_budget", "invalid_token", "idempotency_key_reused"] {
        assert!(report.counts.errors[error] > 0, "{error} never came: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_whose_answers_are_lost_passes() {
    let report = run(Some(Fault::AnswersAreLost)).await;
    assert_eq!(report.violations, Vec::new(), "{report}");
    assert!(report.counts.failures["500"] > 20, "{report}");
}

async fn is_found(fault: Fault, check: Check) {
    let report = run(Some(fault)).await;
    let found: Vec<_> = report.violations.iter().filter(|violation| violation.check == check).collect();
    assert!(!found.is_empty(), "{fault:?} was not found by {check:?}: {report}");
}

/// One test for each, so that they run beside each other.
macro_rules! faults {
    ($($name:ident: $fault:ident by $check:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                is_found(Fault::$fault, Check::$check).await;
            }
        )*
    };
}

faults! {
    a_lost_charge_is_found: ChargeIsLost by Totals;
    a_retry_that_is_done_twice_is_found: RetryIsDoneTwice by Totals;
    one_unit_over_a_tokens_limit_is_found: OneTooMuch by Forbidden;
    one_unit_over_a_line_is_found: OneTooMuch by Limits;
    a_revoked_token_that_stays_active_is_found: RevokedIsActive by Revocation;
    a_revoked_token_that_spends_is_found: RevokedSpends by Revocation;
    a_child_that_survives_is_found: ChildrenSurvive by Revocation;
    a_good_token_that_is_called_dead_is_found: GoodTokenIsCalledDead by WrongRefusals;
    a_good_token_that_is_refused_is_found: GoodTokenIsRefused by WrongRefusals;
    a_refusal_where_there_was_enough_is_found: EnoughIsRefused by WrongRefusals;
    a_forgotten_record_is_found: RecordIsForgotten by Audit;
    a_record_that_says_otherwise_is_found: RecordSaysOtherwise by Audit;
    an_invented_record_is_found: RecordIsInvented by Audit;
    a_retry_that_is_answered_otherwise_is_found: RetryIsAnsweredOtherwise by Keys;
    a_retry_that_needs_a_live_token_is_found: RetryNeedsALiveToken by Keys;
    a_key_that_is_used_for_two_requests_is_found: KeyIsReused by Forbidden;
    a_grant_of_more_than_was_asked_for_is_found: MoreIsGranted by Forbidden;
    a_carved_amount_that_stays_where_it_was_is_found: CarvedIsNotTaken by Totals;
    a_void_that_frees_nothing_is_found: VoidFreesNothing by Totals;
}

#[tokio::test]
async fn a_run_that_makes_no_sense_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let shapes = [
        Shape { rate: 0.0, ..SHAPE },
        Shape { rate: f64::NAN, ..SHAPE },
        Shape { seconds: 0, ..SHAPE },
        Shape { seconds: 3001, ..SHAPE },
        Shape { planners: 0, ..SHAPE },
        Shape { workers: 65, ..SHAPE },
    ];
    for shape in shapes {
        let options = Options {
            nodes: vec!["http://127.0.0.1:1".to_owned()],
            shape,
            journal: dir.path().join("never"),
            fsync: Fsync::Always,
            audit: true,
            tools: Tools::default(),
        };
        let refused = Load::set_up(options, Admin::new(String::new(), String::new())).await;
        assert!(matches!(refused, Err(BenchError::Usage(_))), "{shape:?}");
    }
    assert!(!dir.path().join("never").exists());
}
