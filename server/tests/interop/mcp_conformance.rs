//! The MCP project's own conformance suite. `interop/mcp_conformance.json` says of every scenario
//! it has whether it is run here or why it is not, so that an update with a new one fails.

use crate::programs::{interop, required};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(60);
const METADATA: &str = "authorization-server-metadata-endpoint";

#[tokio::test]
async fn every_scenario_is_run_or_explained() {
    let listed = suite(&["list"]).await;
    let listed: Vec<&str> =
        listed.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(' ').next()).collect();
    let accounts = accounts();
    let mut told: Vec<&str> = accounts["ran"].as_object().unwrap().keys().map(String::as_str).collect();
    for group in accounts["not_ours"].as_array().unwrap() {
        assert!(group["why"].as_str().is_some_and(|why| why.len() > 40), "{group}");
        told.extend(group["scenarios"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()));
    }
    let (listed_set, told_set): (BTreeSet<_>, BTreeSet<_>) = (listed.iter().collect(), told.iter().collect());
    assert_eq!((listed_set.len(), told_set.len()), (listed.len(), told.len()), "each is named once");
    assert!(listed.len() > 50, "the list of the suite was not understood");
    assert_eq!(listed_set, told_set);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_scenario_misses_the_code_flow_and_nothing_else() {
    let server = TestServer::start(Backend::Sqlite).await;
    let directory = tempfile::tempdir().unwrap();
    let results = directory.path().to_str().unwrap();
    suite(&["authorization", "--url", &server.issuer, "--scenario", METADATA, "-o", results]).await;
    let checks = result(directory.path().to_path_buf());
    let check = checks.as_array().unwrap().iter().find(|check| check["id"] == "authorization-server-metadata").unwrap();
    assert_eq!(check["details"]["body"]["issuer"], server.issuer, "{check}");
    let accounts = accounts();
    let misses = accounts["ran"][METADATA]["misses"].as_array().unwrap();
    let misses: Vec<&str> = misses.iter().map(|miss| miss.as_str().unwrap()).collect();
    assert_eq!(check["errorMessage"], misses.join(", "), "{check}");
    server.stop().await;
}

/// The checks of the one scenario that was run.
fn result(directory: PathBuf) -> Value {
    let mut open = vec![directory];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else if path.file_name().is_some_and(|name| name == "checks.json") {
            return serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        }
    }
    panic!("the suite left no checks.json");
}

fn accounts() -> Value {
    serde_json::from_slice(&std::fs::read(interop().join("mcp_conformance.json")).unwrap()).unwrap()
}

/// Runs the suite, by the Node that it wants and that is pinned beside it.
async fn suite(arguments: &[&str]) -> String {
    let programs = PathBuf::from(required("STIPEND_INTEROP_NODE")).join("node_modules");
    let mut command = Command::new(programs.join("node/bin/node"));
    command.arg(programs.join("@modelcontextprotocol/conformance/dist/index.js")).args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await.expect("an end in time").unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.is_empty(), "{}\n{errors}", output.status);
    text.into_owned()
}
