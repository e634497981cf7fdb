//! A short run of the whole measurement, with real processes: every scenario runs on every
//! database, every answer is checked, and every figure is there. No time is asserted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

use clap::ValueEnum;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use stipend_bench::BenchError;
use stipend_bench::compare::{self, Comparison, Database, Options, Row, Scenario, Side};

const ROUNDS: usize = 2;
const REQUESTS: usize = 12;
const CONNECTIONS: [usize; 2] = [1, 3];

/// The server's program: where the whole workspace is tested it lies beside ours; else it is
/// built. It is no dependency, because this crate reaches the server over HTTP only.
fn server() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_stipend-bench")).with_file_name("stipend");
    if !beside.exists() {
        let mut build = std::process::Command::new(env!("CARGO"));
        let built = build.args(["build", "--locked", "-p", "stipend", "--bin", "stipend"]).status();
        assert!(built.is_ok_and(|status| status.success()) && beside.exists(), "{} is missing", beside.display());
    }
    beside
}

fn options(binary: PathBuf) -> Options {
    Options {
        binary,
        own: PathBuf::from(env!("CARGO_BIN_EXE_stipend-bench")),
        databases: vec![Database::Sqlite, Database::Postgres],
        postgres_url: None,
        scenarios: Scenario::value_variants().to_vec(),
        connections: CONNECTIONS.to_vec(),
        rounds: ROUNDS,
        requests: REQUESTS,
        workers: 2,
        peers: None,
    }
}

async fn run(options: &Options) -> Comparison {
    compare::run(options, &|line| println!("{line}")).await.unwrap()
}

fn rows_of(comparison: &Comparison, scenario: Scenario, connections: usize, side: Side) -> Vec<&Row> {
    let is = |row: &&Row| (row.scenario, row.connections, row.side) == (scenario, connections, side);
    comparison.rows.iter().filter(is).collect()
}

fn check_row(row: &Row) {
    let steps = if row.scenario == Scenario::HoldCapture { 2 } else { 1 };
    // One connection gets an eighth.
    let requests = if row.connections == 1 { REQUESTS.div_ceil(8) } else { REQUESTS };
    assert_eq!((row.rounds, row.answers), (ROUNDS, u64::try_from(ROUNDS * requests * steps).unwrap()), "{row:?}");
    let figures = row.median;
    assert!(figures.rate > 0.0 && figures.p50 >= 1.0 && figures.p99 >= figures.p50, "{row:?}");
    let is_floor = row.side == Side::Floor;
    let is_upstream = is_floor && row.scenario == Scenario::Proxied;
    assert_eq!((figures.cpu.is_some(), row.rss_kib > 0), (!is_upstream, !is_upstream), "{row:?}");
    assert_eq!(row.of_floor.is_some(), !is_floor, "{row:?}");
    if let (Some(ratio), Some(low), Some(high)) = (row.of_floor, row.of_floor_lowest, row.of_floor_highest) {
        assert!(0.0 < low && low <= ratio && ratio <= high, "{row:?}");
    }
    assert_eq!(figures.database_cpu.is_some(), row.database == Some(Database::Postgres), "{row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_runs_and_the_report_has_every_figure() {
    let options = options(server());
    let comparison = run(&options).await;
    assert!(comparison.passed(), "{comparison}");
    for scenario in Scenario::value_variants() {
        for connections in CONNECTIONS {
            assert_eq!(rows_of(&comparison, *scenario, connections, Side::Floor).len(), 2, "{comparison}");
            let own = rows_of(&comparison, *scenario, connections, Side::Stipend);
            let databases: Vec<_> = own.iter().map(|row| row.database).collect();
            assert_eq!(databases, [Some(Database::Sqlite), Some(Database::Postgres)], "{comparison}");
        }
    }
    assert_eq!(comparison.rows.len(), Scenario::value_variants().len() * CONNECTIONS.len() * 4);
    comparison.rows.iter().for_each(check_row);
    assert!(comparison.started.iter().all(|started| started.rss_kib > 0 && started.rss_end_kib > 0));
    let text = comparison.to_string();
    for peer in ["oidc-provider", "Authlib"] {
        assert!(text.contains(&format!("{peer} is missing: ")), "{text}");
    }
    let json: serde_json::Value = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), comparison.rows.len());
    assert!(json["rows"][1]["median"]["p99"].is_f64() && json["rows"][1]["of_floor"].is_f64(), "{json:#}");
}

/// The server with a setting that makes it hold up whoever asks too often.
fn holding_up(dir: &Path, server: &Path) -> PathBuf {
    let path = dir.join("held-up");
    let text = format!("#!/bin/sh\nSTIPEND_CLIENT_RATE=6/3600/6 exec '{}' \"$@\"\n", server.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_is_told_and_has_no_figure() {
    let dir = tempfile::tempdir().unwrap();
    let few = Options {
        databases: vec![Database::Sqlite],
        scenarios: vec![Scenario::Introspection, Scenario::Secret],
        connections: vec![2],
        ..options(holding_up(dir.path(), &server()))
    };
    let comparison = run(&few).await;
    assert!(!comparison.passed(), "{comparison}");
    let [wrong] = comparison.wrong.as_slice() else { panic!("{comparison}") };
    assert!(wrong.starts_with("SQLite, 2 connections, client_credentials, secret: stipend: not 200: 429 "), "{wrong}");
    assert!(comparison.to_string().contains(&format!("WRONG {wrong}")), "{comparison}");
    assert_eq!(rows_of(&comparison, Scenario::Introspection, 2, Side::Stipend).len(), 1, "others are measured");
    assert_eq!(rows_of(&comparison, Scenario::Secret, 2, Side::Stipend).len(), 0, "no figure of what is wrong");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_starts() {
    let nowhere = || options(PathBuf::from("/nowhere/stipend"));
    let senseless = [
        Options { rounds: 0, ..nowhere() },
        Options { requests: 0, ..nowhere() },
        Options { connections: vec![0], ..nowhere() },
        Options { connections: vec![1025], ..nowhere() },
        Options { databases: Vec::new(), ..nowhere() },
        Options { scenarios: Vec::new(), ..nowhere() },
    ];
    for options in senseless {
        let refused = compare::run(&options, &|_| {}).await;
        assert!(matches!(refused, Err(BenchError::Usage(_))), "{options:?}");
    }
}
