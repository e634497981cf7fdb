//! Real processes under load, killed and cut off from their database by schedule, with a
//! checker that knows every answer: `stipend-bench chaos`, short enough for every run. A failure
//! prints the seed that repeats it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::path::PathBuf;
use stipend_bench::chaos::{Backend, Options, run};
use stipend_bench::load::Report;
use stipend_bench::load::journal::Fsync;
use stipend_bench::load::plan::Shape;

fn options(backend: Backend, nodes: usize, seconds: u64, (kills, faults): (usize, usize)) -> Options {
    let seed = fastrand::u64(..1 << 32);
    Options {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_stipend")),
        backend,
        nodes,
        // Beside PostgreSQL, as it is deployed; on SQLite without.
        redis: backend == Backend::Postgres,
        kills,
        faults,
        shape: Shape { seed, rate: 40.0, seconds, planners: 6, workers: 4 },
        journal: None,
        fsync: Fsync::Interval,
        keep: None,
    }
}

/// Every promise kept, and something worth the name of load and of chaos.
fn assert_kept(report: &Report, faults: usize) {
    assert!(report.passed(), "{report}");
    assert_eq!(report.faults.len(), faults, "{report}");
    assert!(report.counts.done > 500, "{report}");
    assert!(!report.counts.failures.is_empty(), "no fault was felt: {report}");
    assert!(report.looked.records.is_some_and(|records| records > report.counts.done), "{report}");
    assert!(report.looked.observations > 20, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_sqlite_keeps_every_promise_under_kill_9() {
    let options = options(Backend::Sqlite, 1, 45, (6, 2));
    let report = run(options, &|line| eprintln!("{line}")).await.unwrap();
    assert_kept(&report, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_on_postgres_keep_every_promise_whatever_breaks() {
    // Each kind of fault once.
    let options = options(Backend::Postgres, 2, 85, (4, 11));
    let report = run(options, &|line| eprintln!("{line}")).await.unwrap();
    assert_kept(&report, 15);
}
