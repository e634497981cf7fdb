//! Providers' own libraries through the proxy, unchanged: what they are told, what it costs,
//! and that the key goes to the provider and nowhere else.

use crate::company::with_secret;
use crate::programs::{interop, required, run};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use stipend::demo::llm::Llm;
use stipend::testing::{TestClient, TestServer};
use stipend_keys::Secret;
use stipend_schema::Backend;
use tokio::process::Command;

const KEY: &str = "sk-canary-7f3a9b2c5d8e1f40";
/// Of four words read at 1 and five written at 2 millionths of a dollar.
const CALL: i64 = 14;
/// What is held for a call.
const HELD: i64 = 40;
/// What the agents have.
const PLENTY: i64 = 100_000;
const LITTLE: i64 = 45;

/// What a program does, in numbers.
struct Expected {
    checks: usize,
    /// Calls of the agent that has plenty.
    metered: i64,
    /// Its calls that cost nothing: lists of models.
    free: i64,
    /// Calls that were refused, by reason: one record for each, so nothing was tried again.
    refusals: &'static [(&'static str, usize)],
}

const PYTHON: Expected = Expected {
    checks: 17,
    metered: 14,
    free: 1,
    refusals: &[("constraint_violated", 2), ("insufficient_budget", 2), ("bearer_invalid", 4)],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_sdks_work_by_their_base_url_alone() {
    let mut command = Command::new(required("STIPEND_INTEROP_PYTHON"));
    command.arg("-B").arg(interop().join("python/provider_sdks.py"));
    prove(command, &PYTHON).await;
}

const NODE: Expected = Expected {
    checks: 8,
    metered: 6,
    free: 0,
    refusals: &[("constraint_violated", 1), ("insufficient_budget", 2), ("bearer_invalid", 2)],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_sdks_work_by_their_base_url_alone() {
    let directory = PathBuf::from(required("STIPEND_INTEROP_NODE"));
    // Node resolves packages from where a module lies, so the program goes beside them.
    let program = directory.join("provider_sdks.mjs");
    std::fs::copy(interop().join("node/provider_sdks.mjs"), &program).unwrap();
    let mut command = Command::new("node");
    command.arg(program);
    prove(command, &NODE).await;
}

async fn prove(command: Command, expected: &Expected) {
    let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
    let shop = Shop::new(&llm).await;
    let said = run(command, &shop.parameters(), expected.checks).await;
    assert!(!said.contains(KEY), "the key is in what the program said");
    let spent = expected.metered * CALL;
    assert_eq!(shop.used(&shop.worker).await, (0, spent));
    assert_eq!(shop.used(&shop.poor).await, (0, CALL));
    assert_eq!(shop.used(&shop.leaver).await, (0, CALL));
    // One of the poor agent's calls left, and one of the agent whose token was revoked.
    let calls = u64::try_from(expected.metered + expected.free + 2).unwrap();
    assert_eq!((llm.calls(), llm.refused()), (calls, 0), "nothing was called again, or without the key");
    for (reason, times) in expected.refusals {
        assert_eq!(shop.refusals(reason).await, *times, "{reason}");
    }
}

struct Shop {
    server: TestServer,
    openai: String,
    anthropic: String,
    worker: Agent,
    poor: Agent,
    leaver: Agent,
}

struct Agent {
    client: TestClient,
    line: String,
}

impl Shop {
    async fn new(llm: &Llm) -> Self {
        let local = [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];
        let server = TestServer::start_with(Backend::Sqlite, &local).await;
        server.create_owner("acme").await;
        let (openai, anthropic) =
            (credential(&server, "openai", llm).await, credential(&server, "anthropic", llm).await);
        let agents = [("worker", PLENTY), ("poor", LITTLE), ("leaver", PLENTY)];
        let mut made = Vec::new();
        for (name, amount) in agents {
            let keys = server.url("/credentials");
            let agent = server.create_client("acme", name, "agent", &[(&keys, &["credential:use"])]).await;
            for credential in [&openai, &anthropic] {
                server.create("/grants", json!({"credential": credential, "agent": agent.id})).await;
            }
            let line = json!({"agent": agent.id, "unit": "USD", "decimals": 6, "amount": amount});
            let line = server.create("/budgets", line).await["id"].as_str().unwrap().to_owned();
            made.push(Agent { client: agent, line });
        }
        let [worker, poor, leaver] = made.try_into().ok().unwrap();
        Self { server, openai, anthropic, worker, poor, leaver }
    }

    fn parameters(&self) -> Value {
        json!({
            "issuer": self.server.issuer,
            "openai": self.openai,
            "anthropic": self.anthropic,
            "worker": with_secret(&self.worker.client),
            "poor": with_secret(&self.poor.client),
            "leaver": with_secret(&self.leaver.client),
        })
    }

    /// What an agent's line has held and spent, once nothing is under way.
    async fn used(&self, agent: &Agent) -> (i64, i64) {
        for _ in 0..100 {
            let (_, line) = self.server.admin(Method::GET, &format!("/budgets/{}", agent.line), None).await;
            let used = (line["used"]["held"].as_i64().unwrap(), line["used"]["spent"].as_i64().unwrap());
            if used.0 == 0 {
                return used;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        panic!("something stays held");
    }

    /// How many calls were refused for a reason, those of strangers counted where they share
    /// a record.
    async fn refusals(&self, reason: &str) -> usize {
        let (status, page) = self.server.admin(Method::GET, "/audit?limit=200&outcome=refused", None).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let items = page["items"].as_array().unwrap();
        let times = items.iter().filter(|record| record["reason"] == reason);
        times.map(|record| record["detail"]["count"].as_u64().map_or(1, |times| usize::try_from(times).unwrap())).sum()
    }
}

/// A credential of a template, metered, whose calls go to the stand-in.
async fn credential(server: &TestServer, template: &str, llm: &Llm) -> String {
    let prices = json!({
        "as_of": "2026-01-01", "max_input_tokens": 1000, "max_output_tokens": 100,
        "models": [{"prefix": "", "input": 1_000_000, "cached_input": 1_000_000, "output": 2_000_000}],
    });
    let new = json!({
        "owner": "acme", "name": template, "template": template, "value": {"api_key": {"key": KEY}},
        "base_url": llm.base_url().unwrap(), "metering": {"prices": prices, "max_cost": HELD},
    });
    server.create("/credentials", new).await["id"].as_str().unwrap().to_owned()
}
