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
        let keys = server.url("/credentials");
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
