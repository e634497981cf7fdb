//! Far more spenders than there is to spend, over HTTP, on one node and on two.

use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;
use stipend_schema::testing::{imbalances, sized};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const MODELS: &str = "https://models.example";
const CONNECTIONS: usize = 256;
/// Attempts for each unit there is.
const ATTEMPTS_PER_UNIT: usize = 20;

/// A company whose agents pay a service for calls, on one node or two.
struct Shop {
    first: TestServer,
    second: Option<TestServer>,
    service: TestClient,
    owners_line: String,
}

/// What one spender needs, wherever it sends it.
#[derive(Clone)]
struct Spender {
    http: reqwest::Client,
    service: TestClient,
    token: String,
}

impl Shop {
    /// With `limit` calls for all of its agents together.
    async fn open(backend: Backend, nodes: usize, limit: usize) -> Self {
        let first = TestServer::start(backend).await;
        let second = match nodes {
            2 => Some(TestServer::start_on(&first.database_url, &[("STIPEND_ISSUER", &first.issuer)]).await),
            _ => None,
        };
        first.create_owner("acme").await;
        let service = first.create_client("acme", "api", "service", &[]).await;
        let resource = json!({
            "owner": "acme", "uri": MODELS, "name": "models", "scopes": ["read"],
            "introspectors": [service.id], "budget_capable": true,
        });
        first.create("/resources", resource).await;
        let line = json!({"owner": "acme", "unit": "call", "decimals": 0, "amount": limit});
        let owners_line = first.create("/budgets", line).await["id"].as_str().unwrap().to_owned();
        Self { first, second, service, owners_line }
    }

    /// A new agent that may spend `limit`: its line, and a spender of a token of its own.
    async fn agent(&self, name: &str, limit: usize) -> (String, Spender) {
        let agent = self.first.create_client("acme", name, "agent", &[(MODELS, &["read"])]).await;
        let line = json!({"agent": agent.id, "unit": "call", "decimals": 0, "amount": limit});
        let line = self.first.create("/budgets", line).await["id"].as_str().unwrap().to_owned();
        let token = self.first.token(&agent, &[]).await;
        (line, Spender { http: self.first.http.clone(), service: self.service.clone(), token })
    }

    fn charges(&self) -> Vec<String> {
        let second = self.second.as_ref().map(|node| format!("http://{}/budget/charges", node.address()));
        [self.first.url("/budget/charges")].into_iter().chain(second).collect()
    }

    async fn used(&self, line: &str) -> Value {
        let (_, body) = self.first.admin(Method::GET, &format!("/budgets/{line}"), None).await;
        json!([body["used"]["held"], body["used"]["spent"], body["used"]["overage"], body["used"]["remaining"]])
    }

    async fn close(self) {
        assert_eq!(imbalances(&self.first.database_url).await.unwrap(), Vec::<String>::new());
        if let Some(second) = &self.second {
            second.stop().await;
        }
        self.first.stop().await;
    }
}

impl Spender {
    /// One charge: the status, what its header says, and the answer.
    async fn charge(&self, url: &str, amount: &str, key: Option<&str>) -> (StatusCode, String, Value) {
        let mut request = self.http.post(url).basic_auth(&self.service.id, Some(&self.service.secret)).form(&[
            ("token", self.token.as_str()),
            ("unit", "call"),
            ("amount", amount),
        ]);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let header = answer.headers().get("agent-budget").map(|value| value.to_str().unwrap().to_owned());
        (status, header.unwrap_or_default(), answer.json().await.unwrap())
    }
}

/// One connection's attempts, until those of all are made: the captures of those that succeeded.
async fn attempt(spender: Spender, url: String, attempts: usize, made: Arc<AtomicUsize>) -> Vec<String> {
    let mut captures = Vec::new();
    while made.fetch_add(1, Ordering::Relaxed) < attempts {
        let (status, header, body) = spender.charge(&url, "1", None).await;
        if status == StatusCode::OK {
            assert_eq!((&body["spent"], &body["held"], &body["overage"]), (&json!(1), &json!(0), &json!(0)), "{body}");
            captures.push(body["capture"].as_str().unwrap().to_owned());
        } else {
            assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_budget")), "{body}");
            assert_eq!((&body["required"], &body["remaining"]), (&json!(1), &json!(0)), "{body}");
            assert_eq!(header, "remaining=0, cost=0");
        }
    }
    captures
}

async fn spend_out(shop: &Shop, round: usize, limit: usize) {
    let (line, spender) = shop.agent(&format!("agent{round}"), limit).await;
    let urls = shop.charges();
    for url in &urls {
        // A node checks a secret that it has not seen yet slowly, and one at a time.
        spender.charge(url, "999999999", None).await;
    }
    let made = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let url = urls[connection % urls.len()].clone();
        tasks.spawn(attempt(spender.clone(), url, limit * ATTEMPTS_PER_UNIT, Arc::clone(&made)));
    }
    let mut captures: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(captures.len(), limit, "round {round}: as many as there were units");
    captures.sort_unstable();
    captures.dedup();
    assert_eq!(captures.len(), limit, "round {round}: each a capture of its own");
    assert_eq!(shop.used(&line).await, json!([0, limit, 0, 0]), "round {round}");
    for url in &urls {
        assert_eq!(spender.charge(url, "1", None).await.2["remaining"], 0, "round {round}");
    }
}

#[rstest]
#[case::one_node(Backend::Sqlite, 1)]
#[case::one_node(Backend::Postgres, 1)]
#[case::two_nodes(Backend::Postgres, 2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_charges_for_each_unit_one_is_answered_with_it(#[case] backend: Backend, #[case] nodes: usize) {
    let (rounds, attempts) = (sized("STIPEND_ROUNDS", 2), sized("STIPEND_ATTEMPTS", 2000));
    let limit = attempts / ATTEMPTS_PER_UNIT;
    let shop = Shop::open(backend, nodes, rounds * limit).await;
    let began = Instant::now();
    for round in 0..rounds {
        spend_out(&shop, round, limit).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{backend:?}, {nodes} nodes: {rounds} rounds of {attempts} attempts in {seconds:.1} s");
    let all = rounds * limit;
    assert_eq!(shop.used(&shop.owners_line).await, json!([0, all, 0, 0]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_on_two_nodes_has_one_effect_and_one_answer() {
    const SAME: usize = 64;
    let shop = Shop::open(Backend::Postgres, 2, 1000).await;
    let (line, spender) = shop.agent("planner", 1000).await;
    let urls = shop.charges();
    for url in &urls {
        assert_eq!(spender.charge(url, "999999999", None).await.0, StatusCode::FORBIDDEN);
    }
    // Three that are done, and two that are refused: refusals are answered again too.
    let cases = [("1", 999), ("10", 989), ("900", 89), ("90", 89), ("1001", 89)];
    for (round, (amount, remaining)) in cases.into_iter().enumerate() {
        let start = Arc::new(Barrier::new(SAME));
        let mut tasks = JoinSet::new();
        for n in 0..SAME {
            let (spender, url, start) = (spender.clone(), urls[n % 2].clone(), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                spender.charge(&url, amount, Some(&format!("order-{round}"))).await
            });
        }
        let answers = tasks.join_all().await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{amount}: {answers:?}");
        assert_eq!(answers[0].2["remaining"], remaining, "{amount}: {}", answers[0].2);
        assert_eq!(shop.used(&line).await, json!([0, 1000 - remaining, 0, remaining]), "{amount}");
    }
    shop.close().await;
}
