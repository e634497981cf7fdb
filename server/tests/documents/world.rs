//! One owner with a service behind one resource, and a host that publishes documents.

use crate::idp::{Face, Idp, Key};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_keys::random_id;
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
pub const DOCUMENTS: &str = "/client-documents";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The host of the tests is on this machine and speaks plain HTTP.
pub const LOCAL: &[(&str, &str)] =
    &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];

/// An agent that is known by a document.
pub struct Agent {
    pub url: String,
    pub path: String,
    pub key: Key,
}

impl Agent {
    /// Its document, as it should be.
    pub fn document(&self) -> Value {
        json!({
            "client_id": self.url, "client_name": "Tools agent", "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [self.key.jwk()]},
        })
    }
}

pub struct World {
    pub server: TestServer,
    pub service: TestClient,
    pub host: Idp,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::on(TestServer::start_with(backend, LOCAL).await).await
    }

    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "write"], &[&service.id]).await;
        Self { server, service, host: Idp::start(&[]).await }
    }

    /// What is sent to admit a document.
    pub fn entry(&self, url: &str, changes: Value) -> Value {
        let access = json!([{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}]);
        let entry =
            json!({"owner": "acme", "name": "tools", "url": url, "template": {"access": access, "ttl_seconds": 600}});
        with(entry, changes)
    }

    /// Admits a document; answers the entry's id.
    pub async fn admit(&self, url: &str, changes: Value) -> String {
        let made = self.server.create(DOCUMENTS, self.entry(url, changes)).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// An agent whose document is published under this path.
    pub fn agent(&self, path: &str) -> Agent {
        let agent = Agent { url: self.host.issuer.clone() + path, path: path.to_owned(), key: Key::new("k1") };
        self.host.face(path, Face::Json(agent.document()));
        agent
    }

    /// An agent whose document is admitted by itself, and published.
    pub async fn admitted(&self, path: &str) -> (Agent, String) {
        let agent = self.agent(path);
        let entry = self.admit(&agent.url, json!({})).await;
        (agent, entry)
    }

    pub fn assertion(&self, agent: &Agent, changes: Value) -> String {
        let now = self.server.now();
        let claims = json!({
            "iss": agent.url, "sub": agent.url, "aud": self.server.issuer, "exp": now + 60, "jti": random_id("j_"),
        });
        agent.key.token("JWT", &with(claims, changes))
    }

    /// A token request by this assertion, on a node.
    pub async fn ask_at(&self, server: &TestServer, assertion: &str, more: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion),
        ];
        form.extend_from_slice(more);
        let answer = server.http.post(server.url("/oauth2/token")).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn ask(&self, agent: &Agent) -> (StatusCode, Value) {
        self.ask_at(&self.server, &self.assertion(agent, json!({})), &[]).await
    }

    /// A token of an agent that must be let in.
    pub async fn token(&self, agent: &Agent) -> String {
        let (status, body) = self.ask(agent).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Asks and is refused, for this reason.
    pub async fn refused(&self, agent: &Agent, reason: &str) {
        let (status, body) = self.ask(agent).await;
        assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")), "{reason}: {body}");
        assert_eq!(self.last_refusal().await, reason);
    }

    pub async fn last_refusal(&self) -> String {
        let records = self.records("event=token.refused").await;
        records[0]["reason"].as_str().unwrap().to_owned()
    }

    /// Audit records, newest first.
    pub async fn records(&self, query: &str) -> Vec<Value> {
        let (_, page) = self.server.admin(Method::GET, &format!("/audit?limit=200&{query}"), None).await;
        page["items"].as_array().unwrap().clone()
    }

    /// The agents that came of documents.
    pub async fn agents(&self) -> Vec<Value> {
        let (_, page) = self.server.admin(Method::GET, "/agents?limit=200", None).await;
        let all = page["items"].as_array().unwrap();
        all.iter().filter(|agent| agent.get("document").is_some()).cloned().collect()
    }

    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.server.admin(method, path, body.as_ref()).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub async fn active(&self, token: &str) -> bool {
        self.server.introspect(&self.service, token).await["active"] == json!(true)
    }
}

/// The members `changes` names laid over `base`; `null` takes one away.
pub fn with(base: Value, changes: Value) -> Value {
    let (Value::Object(mut base), Value::Object(changes)) = (base, changes) else { panic!("objects") };
    for (name, value) in changes.into_iter().collect::<Map<_, _>>() {
        if value.is_null() {
            base.remove(&name);
        } else {
            base.insert(name, value);
        }
    }
    Value::Object(base)
}

/// The payload of a token, unverified.
pub fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
