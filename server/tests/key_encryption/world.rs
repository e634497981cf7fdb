//! A database that outlives its server: stopped, and started again with other keys.

use crate::transit::Transit;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;
use tempfile::TempDir;

/// Static keys.
pub const A: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub const B: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// What a deployment seals of its own beside signing keys: for fingerprints, references and nonces.
pub const OWN_SECRETS: i64 = 3;

const MODES: [&str; 3] = ["plaintext", "wrapped", "proxy"];

pub type Settings<'a> = [(&'a str, &'a str)];

pub struct World {
    pub database: TestDatabase,
    pub server: TestServer,
    pub agent: TestClient,
    address: String,
}

impl World {
    /// A server with an owner and an agent.
    pub async fn new(backend: Backend, settings: &Settings<'_>) -> Self {
        let database = TestDatabase::new(backend).await;
        let server = TestServer::start_on(database.url(), settings).await;
        server.create_owner("acme").await;
        let keys = server.url("/credentials");
        let scopes = ["credential:release", "credential:use"];
        let agent = server.create_client("acme", "worker", "agent", &[(&keys, &scopes)]).await;
        let address = server.address();
        Self { database, server, agent, address }
    }

    /// Stops the server and starts it again with these settings, where it was.
    pub async fn restart(&mut self, settings: &Settings<'_>) {
        self.server = self.try_restart(settings).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The same, when it must refuse: what it says.
    pub async fn refused(&self, settings: &Settings<'_>) -> String {
        self.try_restart(settings).await.expect_err("the server refuses to start")
    }

    async fn try_restart(&self, settings: &Settings<'_>) -> Result<TestServer, String> {
        self.server.stop().await;
        let place = [("STIPEND_ISSUER", self.server.issuer.as_str()), ("STIPEND_LISTEN", &self.address)];
        let started = TestServer::try_start_on(self.database.url(), &[&place, settings].concat()).await;
        started.map_err(|error| error.to_string())
    }

    /// One more node with the same issuer.
    pub async fn node(&self, settings: &Settings<'_>) -> TestServer {
        let issuer = [("STIPEND_ISSUER", self.server.issuer.as_str())];
        TestServer::start_on(self.database.url(), &[&issuer, settings].concat()).await
    }

    /// Puts a value into custody and lets the agent have it.
    pub async fn keep(&self, name: &str) -> String {
        let value = json!({"api_key": {"key": format!("sk-canary-{name}")}});
        let body = json!({"owner": "acme", "name": name, "value": value, "modes": MODES});
        let id = self.server.create("/credentials", body).await["id"].as_str().unwrap().to_owned();
        let grant = json!({"credential": id, "agent": self.agent.id, "modes": MODES});
        self.server.create("/grants", grant).await;
        id
    }

    /// What the agent is answered.
    pub async fn ask(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let token = self.server.token(&self.agent, &[]).await;
        let call = self.server.http.post(self.server.url(path)).bearer_auth(token);
        let answer = call.json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn release(&self, id: &str) -> (StatusCode, Value) {
        self.ask(&format!("/credentials/{id}/release"), &json!({"mode": "plaintext"})).await
    }

    /// Every value is what was put in.
    pub async fn all_open(&self, names: &[&str]) {
        for name in names {
            let (status, body) = self.release(&format!("acme.{name}")).await;
            assert_eq!(status, StatusCode::OK, "{name}: {body}");
            assert_eq!(body["value"]["api_key"]["key"], format!("sk-canary-{name}"));
        }
    }

    pub async fn status(&self) -> Value {
        let (status, body) = self.server.admin(Method::GET, "/key-encryption", None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// Rewraps until nothing remains: how many data keys were wrapped anew.
    pub async fn rewrap(&self) -> i64 {
        let mut rewrapped = 0;
        for _ in 0..20 {
            let (status, body) = self.server.admin(Method::POST, "/key-encryption/rewrap", Some(&json!({}))).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            rewrapped += body["rewrapped"].as_i64().unwrap();
            if body["remaining"] == 0 {
                return rewrapped;
            }
        }
        panic!("something remains: {}", self.status().await);
    }

    pub async fn jwks(&self) -> Value {
        let answer = self.server.http.get(self.server.url("/oauth2/jwks")).send().await.unwrap();
        answer.json().await.unwrap()
    }
}

/// A stand-in for Vault, and the settings that name it.
pub struct Vault {
    pub transit: Transit,
    _folder: TempDir,
    address: String,
    token_file: String,
}

impl Vault {
    pub fn start() -> Self {
        let transit = Transit::start(None);
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token").to_str().unwrap().to_owned();
        std::fs::write(&token_file, &transit.state().token).unwrap();
        let address = format!("http://127.0.0.1:{}", transit.port);
        Self { transit, _folder: folder, address, token_file }
    }

    /// Configured, with more settings.
    pub fn and<'a>(&'a self, more: &Settings<'a>) -> Vec<(&'a str, &'a str)> {
        let own = [
            ("STIPEND_VAULT_ADDRESS", self.address.as_str()),
            ("STIPEND_VAULT_TOKEN_FILE", &self.token_file),
            ("STIPEND_VAULT_TIMEOUT_SECONDS", "1"),
        ];
        [&own, more].concat()
    }
}

/// Vault seals.
pub const BY_VAULT: (&str, &str) = ("STIPEND_KEK_PROVIDER", "vault");
/// There is no static key.
pub const NO_KEY: (&str, &str) = ("STIPEND_KEK", "");
