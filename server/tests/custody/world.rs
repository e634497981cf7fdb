//! One owner with a credential, an agent that may use it, and one that may not.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

pub const KEY: &str = "sk-canary-7f3a9b2c5d8e1f40";
pub const ALL_MODES: [&str; 4] = ["proxy", "wrapped", "jwe", "plaintext"];

pub struct World {
    pub server: TestServer,
    /// Has a grant of the credential in every mode but jwe.
    pub agent: TestClient,
    /// Has none.
    pub stranger: TestClient,
    pub credential: String,
    pub grant: String,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let server = TestServer::start_with(backend, settings).await;
        server.create_owner("acme").await;
        let agent = Self::agent(&server, "acme", "worker").await;
        let stranger = Self::agent(&server, "acme", "stranger").await;
        let credential = server
            .create(
                "/credentials",
                json!({"owner": "acme", "name": "llm", "value": {"api_key": {"key": KEY}}, "modes": ALL_MODES}),
            )
            .await;
        let credential = credential["id"].as_str().unwrap().to_owned();
        let mut world = Self { server, agent, stranger, credential, grant: String::new() };
        let modes = json!(["proxy", "wrapped", "plaintext"]);
        world.grant = world.allow(&world.agent, json!({"modes": modes})).await["id"].as_str().unwrap().to_owned();
        world
    }

    /// An agent that may get tokens for the key-release service.
    pub async fn agent(server: &TestServer, owner: &str, name: &str) -> TestClient {
        let keys = server.app.urls.credential_resource.clone();
        server.create_client(owner, name, "agent", &[(&keys, &["credential:release", "credential:use"])]).await
    }

    pub async fn allow(&self, agent: &TestClient, mut settings: Value) -> Value {
        settings["credential"] = json!(self.credential);
        settings["agent"] = json!(agent.id);
        self.server.create("/grants", settings).await
    }

    pub async fn token(&self, agent: &TestClient) -> String {
        self.server.token(agent, &[]).await
    }

    /// `POST /credentials/{id}/release`.
    pub async fn release(&self, token: &str, mode: &str) -> (StatusCode, Value) {
        self.post(&format!("/credentials/{}/release", self.credential), token, &json!({"mode": mode})).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
        let sent = self.server.http.post(self.server.url(path)).bearer_auth(token).json(body).send().await.unwrap();
        let status = sent.status();
        assert_eq!(sent.headers()["cache-control"], "no-store", "{path}");
        (status, sent.json().await.unwrap())
    }

    pub async fn admin(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = (method != Method::GET).then_some(&body);
        self.server.admin(method, path, body).await
    }

    /// Texts of the audit's newest records, newest first.
    pub async fn records(&self) -> Vec<Value> {
        let (status, page) = self.server.admin(Method::GET, "/audit?limit=100", None).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["items"].as_array().unwrap().clone()
    }

    /// The newest record of an event.
    pub async fn record(&self, event: &str) -> Value {
        let found = self.records().await.into_iter().find(|record| record["event"] == event);
        found.unwrap_or_else(|| panic!("no {event}"))
    }
}

pub fn error(body: &Value) -> &str {
    body["error"].as_str().unwrap_or_default()
}

/// What lets the proxy call upstreams of a test.
pub const LOCAL: [(&str, &str); 2] =
    [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];

/// A microdollar a token read, two a token written.
pub fn prices() -> Value {
    json!({
        "as_of": "2026-01-01", "max_input_tokens": 1000, "max_output_tokens": 100,
        "models": [{"prefix": "", "input": 1_000_000, "cached_input": 1_000_000, "output": 2_000_000}],
    })
}

/// An upstream that answers each request with the same text and keeps what it was sent.
pub struct Upstream {
    pub base: String,
    pub seen: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Upstream {
    /// `answer` is sent as it is, after the head of each request has come.
    pub async fn start(answer: &'static str) -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = std::sync::Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let kept = std::sync::Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut buffer = [0; 4096];
                    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                        match socket.read(&mut buffer).await {
                            Ok(0) | Err(_) => return,
                            Ok(n) => head.extend_from_slice(&buffer[..n]),
                        }
                    }
                    kept.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                    let _ = socket.write_all(answer.as_bytes()).await;
                    if answer.is_empty() {
                        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
                    }
                });
            }
        });
        Self { base, seen }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl World {
    /// A world whose credential calls `base` with `settings`.
    pub async fn calling(backend: Backend, base: &str, settings: Value) -> Self {
        let world = Self::with(backend, &LOCAL).await;
        let mut patch = settings;
        patch["base_url"] = json!(base);
        let (status, body) = world.admin(Method::PATCH, &format!("/credentials/{}", world.credential), patch).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        world
    }

    pub fn proxied(&self, method: Method, token: &str, path: &str) -> reqwest::RequestBuilder {
        let url = self.server.url(&format!("/proxy/{}{path}", self.credential));
        self.server.http.request(method, url).bearer_auth(token)
    }

    /// A chat of the stand-in provider.
    pub fn chat(&self, token: &str, words: &str, stream: bool) -> reqwest::RequestBuilder {
        let body = json!({"model": "stand-in-1", "max_tokens": 5, "stream": stream, "messages": [{"role": "user", "content": words}]});
        self.proxied(Method::POST, token, "/v1/chat/completions").json(&body)
    }

    pub async fn budget(&self, agent: &TestClient, amount: i64) -> String {
        let line = json!({"agent": agent.id, "unit": "USD", "decimals": 6, "amount": amount});
        self.server.create("/budgets", line).await["id"].as_str().unwrap().to_owned()
    }

    /// What a line has held and spent, once nothing is under way.
    pub async fn used(&self, line: &str) -> (i64, i64) {
        for _ in 0..100 {
            let (_, shown) = self.admin(Method::GET, &format!("/budgets/{line}"), Value::Null).await;
            let used = (shown["used"]["held"].as_i64().unwrap(), shown["used"]["spent"].as_i64().unwrap());
            if used.0 == 0 {
                return used;
            }
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
        panic!("something stays held");
    }
}
