//! A node as users run it: what its log says of a traced request, and that it ends in time though
//! nobody takes what it tells.

use crate::collector::{Collector, Manner};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};
use stipend::limits::TELEMETRY_FLUSH;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn the_log_names_the_trace_and_sigterm_ends_a_node_whose_collector_hangs() {
    stipend::testing::install_crypto();
    let collector = Collector::start(Manner::Hangs).await;
    let folder = tempfile::tempdir().unwrap();
    let mut node = Command::new(env!("CARGO_BIN_EXE_stipend"))
        .arg("serve")
        .env_clear()
        .env("STIPEND_ISSUER", "http://127.0.0.1:0")
        .env("STIPEND_LISTEN", "127.0.0.1:0")
        .env("STIPEND_DATABASE_URL", format!("sqlite://{}", folder.path().join("node.db").display()))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.base)
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        // Not known here: set for a whole machine, it must not stop the start.
        .env("OTEL_LOGS_EXPORTER", "otlp")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(node.stderr.take().unwrap()).lines();
    let mut until = async |message: &str| loop {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended before {message:?}"));
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["message"] == message {
            return line;
        }
    };
    let issuer = until("serving").await["issuer"].as_str().unwrap().to_owned();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{issuer}/oauth2/token");
    let answer = http.post(&url).header("traceparent", PARENT).form(&[("grant_type", "x")]).send().await.unwrap();
    let id = answer.headers()["stipend-request-id"].to_str().unwrap().to_owned();
    let line = until("request").await;
    assert_eq!((&line["trace_id"], &line["request_id"]), (&PARENT[3..35].into(), &id.into()), "{line}");
    collector.until(|| !collector.requests().is_empty()).await;
    let began = Instant::now();
    let pid = rustix::process::Pid::from_raw(node.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("stopped").await;
    assert!(node.wait().await.unwrap().success());
    assert!(began.elapsed() < TELEMETRY_FLUSH + Duration::from_secs(10), "{:?}", began.elapsed());
}
