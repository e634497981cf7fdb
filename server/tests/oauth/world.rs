//! One small company for every test: two agents that may work together, one that may not.

use reqwest::StatusCode;
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
pub const LEDGER: &str = "https://ledger.example";

pub struct World {
    pub server: TestServer,
    /// Holds tokens for orders; the subject of exchanges.
    pub planner: TestClient,
    /// May exchange the planner's tokens for `read` and `refund` at orders.
    pub refunds: TestClient,
    /// May nothing with others' tokens.
    pub stranger: TestClient,
    /// The relying service behind orders and ledger.
    pub service: TestClient,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let server = TestServer::start_with(backend, settings).await;
        Self::on(server).await
    }

    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "write", "refund"], &[&service.id]).await;
        server.create_resource("acme", LEDGER, &["read", "post"], &[&service.id]).await;
        let planner = server
            .create_client(
                "acme",
                "planner",
                "agent",
                &[(ORDERS, &["read", "write", "refund"]), (LEDGER, &["read", "post"])],
            )
            .await;
        let refunds = server.create_client("acme", "refunds", "agent", &[(ORDERS, &["read"])]).await;
        let stranger = server.create_client("acme", "stranger", "agent", &[(ORDERS, &["read"])]).await;
        server.create_rule(&refunds.id, &planner.id, ORDERS, &["read", "refund"]).await;
        Self { server, planner, refunds, stranger, service }
    }

    /// The planner's token for orders.
    pub async fn subject(&self) -> String {
        self.server.token(&self.planner, &[]).await
    }

    /// The planner's token exchanged by refunds for `refund`.
    pub async fn delegated(&self, subject: &str) -> String {
        let (status, body) = self.server.exchange(&self.refunds, subject, &[("scope", "refund")]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn active(&self, token: &str) -> bool {
        let body = self.server.introspect(&self.service, token).await;
        if body["active"] == json!(false) {
            assert_eq!(body, json!({"active": false}), "an inactive answer says nothing else");
        }
        body["active"] == json!(true)
    }
}

/// The payload of a token, unverified.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

pub fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub fn error(body: &Value) -> &str {
    body["error"].as_str().unwrap_or_default()
}
