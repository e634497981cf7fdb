//! A node as users run it: what its log says of a traced request, and that it ends in time though
//! nobody takes what it tells.

use crate::collector::{Collector, Manner};
use std::time::{Duration, Instant};
use stipend::limits::TELEMETRY_FLUSH;
use stipend::testing::Process;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn the_log_names_the_trace_and_sigterm_ends_a_node_whose_collector_hangs() {
    stipend::testing::install_crypto();
    let collector = Collector::start(Manner::Hangs).await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("node.db").display());
    let mut node = Process::serve(
        env!("CARGO_BIN_EXE_stipend"),
        &[
            ("STIPEND_ISSUER", "http://127.0.0.1:0"),
            ("STIPEND_LISTEN", "127.0.0.1:0"),
            ("STIPEND_DATABASE_URL", &database),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.base),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            // Not known here: set for a whole machine, it must not stop the start.
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ],
    );
    let issuer = node.until("serving").await["issuer"].as_str().unwrap().to_owned();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{issuer}/oauth2/token");
    let answer = http.post(&url).header("traceparent", PARENT).form(&[("grant_type", "x")]).send().await.unwrap();
    let id = answer.headers()["stipend-request-id"].to_str().unwrap().to_owned();
    let line = node.until("request").await;
    assert_eq!((&line["trace_id"], &line["request_id"]), (&PARENT[3..35].into(), &id.into()), "{line}");
    collector.until(|| !collector.requests().is_empty()).await;
    let began = Instant::now();
    let pid = rustix::process::Pid::from_raw(node.child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    node.until("stopped").await;
    assert!(node.child.wait().await.unwrap().success());
    assert!(began.elapsed() < TELEMETRY_FLUSH + Duration::from_secs(10), "{:?}", began.elapsed());
}
