//! The programs in `interop/`: each check of theirs is a line, and their number is known,
//! so that none can drop out unseen.

use crate::company::Company;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const PYTHON_CHECKS: usize = 38;
const NODE_CHECKS: usize = 15;
/// Generous: the checks take a few seconds.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_work() {
    let python = required("STIPEND_INTEROP_PYTHON");
    let mut command = Command::new(python);
    // -B: a checkout that is tested stays clean.
    command.arg("-B").arg(interop().join("python/run.py"));
    with_company(command, PYTHON_CHECKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_clients_work() {
    let directory = PathBuf::from(required("STIPEND_INTEROP_NODE"));
    // Node resolves packages from where a module lies, so the program goes beside them.
    let program = directory.join("run.mjs");
    std::fs::copy(interop().join("node/run.mjs"), &program).unwrap();
    let mut command = Command::new("node");
    command.arg(program);
    with_company(command, NODE_CHECKS).await;
}

/// Runs a program against a company of its own.
async fn with_company(command: Command, checks: usize) {
    let company = Company::new().await;
    run(command, &company.parameters(), checks).await;
    company.server.stop().await;
}

/// Runs a program; every check must say `ok`. All that it said.
pub async fn run(mut command: Command, parameters: &Value, checks: usize) -> String {
    // Nothing between a client and the server on this machine.
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(parameters.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("an end in time").unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let failed: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(failed.is_empty() && output.status.success(), "{}\n{}\n{errors}", output.status, failed.join("\n"));
    assert_eq!(text.lines().count(), checks, "the number of checks has changed:\n{text}");
    format!("{text}{errors}")
}

#[expect(clippy::disallowed_methods, reason = "where the clients are is no setting of the server")]
pub fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run this through scripts/test, which installs the clients (scripts/test -p stipend --test interop)")
    })
}

pub fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop")
}
