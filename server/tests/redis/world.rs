//! Nodes of one deployment, and clients that ask them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";

/// Proxies are believed, so that a test may come from anywhere.
const ANYWHERE: (&str, &str) = ("STIPEND_TRUSTED_PROXIES", "127.0.0.0/8");

pub struct World {
    pub nodes: Vec<TestServer>,
    /// Where each node is.
    pub bases: Vec<String>,
    pub agent: TestClient,
}

/// An answer, and how long it says to wait.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<u32>,
    pub error: String,
}

impl World {
    /// So many nodes of one deployment whose name no other test has, so that tests that share a
    /// Redis don't meet there.
    pub async fn new(backend: Backend, count: usize, settings: &[(&str, &str)]) -> Self {
        let [a, b, c] = stipend_keys::secret::random_bytes::<3>();
        let host = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254));
        let (issuer, listen) = (format!("http://{host}:0"), format!("{host}:0"));
        let mut all = vec![ANYWHERE, ("STIPEND_ISSUER", issuer.as_str()), ("STIPEND_LISTEN", listen.as_str())];
        all.extend_from_slice(settings);
        let first = TestServer::start_with(backend, &all).await;
        let (issuer, url) = (first.issuer.clone(), first.database_url.clone());
        let mut world = Self {
            bases: vec![format!("http://{}", first.address())],
            nodes: vec![first],
            agent: TestClient { id: String::new(), secret: String::new() },
        };
        let mut all = vec![ANYWHERE, ("STIPEND_ISSUER", issuer.as_str())];
        all.extend_from_slice(settings);
        for _ in 1..count {
            let node = TestServer::start_on(&url, &all).await;
            world.bases.push(format!("http://{}", node.address()));
            world.nodes.push(node);
        }
        let first = world.first();
        first.create_owner("acme").await;
        first.create_resource("acme", ORDERS, &["orders:read"], &[]).await;
        world.agent = world.new_agent("planner").await;
        world
    }

    pub fn first(&self) -> &TestServer {
        &self.nodes[0]
    }

    pub async fn new_agent(&self, name: &str) -> TestClient {
        self.first().create_client("acme", name, "agent", &[(ORDERS, &["orders:read"])]).await
    }

    /// A request of a client to a node that costs little: what a token that is none is worth.
    pub async fn ask(&self, node: usize, client: &TestClient, source: &str) -> Answer {
        self.post(node, "/oauth2/introspect", client, &[("token", "none")], source).await
    }

    pub async fn post(
        &self,
        node: usize,
        path: &str,
        client: &TestClient,
        form: &[(&str, &str)],
        source: &str,
    ) -> Answer {
        let request = self.first().http.post(format!("{}{path}", self.bases[node])).header("x-forwarded-for", source);
        let answer = request.basic_auth(&client.id, Some(&client.secret)).form(form).send().await.unwrap();
        let status = answer.status();
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        let body: Value = answer.json().await.unwrap();
        let error = body["error"].as_str().unwrap_or_default().to_owned();
        Answer { status, retry_after, error }
    }

    /// How many of so many requests, spread over all nodes, are served; the others must be told
    /// that they come too often, and nothing else.
    pub async fn admitted(&self, requests: usize) -> usize {
        let asked = (0..requests).map(|n| self.ask(n % self.nodes.len(), &self.agent, "192.0.2.1"));
        let answers = futures_util::future::join_all(asked).await;
        for answer in &answers {
            match answer.status {
                StatusCode::OK => assert_eq!(answer.retry_after, None),
                _ => assert_eq!(
                    (answer.status, answer.error.as_str()),
                    (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
                ),
            }
        }
        answers.iter().filter(|answer| answer.status == StatusCode::OK).count()
    }

    pub async fn ready(&self, node: usize) -> (StatusCode, Value) {
        let answer = self.first().http.get(format!("{}/readyz", self.bases[node])).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits until every node says this of Redis, with 200; how long that took.
    pub async fn until_redis(&self, word: &str) -> Duration {
        let began = Instant::now();
        for node in 0..self.nodes.len() {
            loop {
                let (status, body) = self.ready(node).await;
                assert_eq!(status, StatusCode::OK, "{body}");
                if body["redis"] == word {
                    assert_eq!(body["status"], if word == "ok" { "ok" } else { "degraded" });
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(15), "not {word:?} but {body}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        began.elapsed()
    }

    /// Records of refusals for this reason, and how many requests they stand for.
    pub async fn refused(&self, reason: &str) -> (usize, u64) {
        let path = "/audit?outcome=refused&limit=200";
        let (status, body) = self.first().admin(reqwest::Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let items: Vec<&Value> =
            body["items"].as_array().unwrap().iter().filter(|item| item["reason"] == reason).collect();
        let count = |item: &Value| item["detail"]["count"].as_u64().or(item["count"].as_u64()).unwrap_or(0);
        (items.len(), items.iter().map(|item| count(item)).sum())
    }

    pub async fn patch_rate(&self, rate: Value) -> (StatusCode, Value) {
        let path = format!("/agents/{}", self.agent.id);
        self.first().admin(reqwest::Method::PATCH, &path, Some(&json!({"settings": {"rate": rate}}))).await
    }
}

pub fn wrong(client: &TestClient, n: usize) -> TestClient {
    TestClient { id: client.id.clone(), secret: format!("wrong-{n}") }
}
