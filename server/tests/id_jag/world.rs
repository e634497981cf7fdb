//! A company whose agents may go to another authorization server.

use base64::Engine;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
pub const ORDERS: &str = "https://orders.example";
/// The other server, as it writes itself.
pub const CHAT: &str = "https://chat.example/";
pub const ROOMS: &str = "https://rooms.chat.example/api/";

pub struct World {
    pub server: TestServer,
    /// Holds tokens for orders.
    pub planner: TestClient,
    /// May take the planner's authority to the other server.
    pub messenger: TestClient,
    pub rule: String,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        let server = TestServer::start(backend).await;
        server.create_owner("acme").await;
        server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
        server.create_resource("acme", CHAT, &["chat.read", "chat.write"], &[]).await;
        let planner = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read", "write"])]).await;
        let messenger = server.create_client("acme", "messenger", "agent", &[(ORDERS, &["read"])]).await;
        let rule = json!({
            "actor": {"client": messenger.id}, "subject": {"client": planner.id}, "to_audience": CHAT,
            "scopes": [{"scope": "chat.read", "stands_for": "read"}, {"scope": "chat.write", "stands_for": "write"}],
            "mode": "delegation",
            "id_jag": {"issuer": CHAT, "client_id": "f53f191f", "resources": [ROOMS]},
        });
        let rule = server.create("/exchange-rules", rule).await["id"].as_str().unwrap().to_owned();
        Self { server, planner, messenger, rule }
    }

    pub async fn subject(&self) -> String {
        self.server.token(&self.planner, &[]).await
    }

    /// The messenger asks for a grant with the planner's token.
    pub async fn ask(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let subject = self.subject().await;
        self.ask_with(&subject, form).await
    }

    pub async fn ask_with(&self, subject: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut full = vec![("requested_token_type", ID_JAG)];
        full.extend_from_slice(form);
        self.server.exchange(&self.messenger, subject, &full).await
    }

    /// A grant for all that there may be.
    pub async fn grant(&self) -> String {
        let (status, body) = self.ask(&[("audience", CHAT), ("resource", ROOMS)]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// The newest audit record of this event.
    pub async fn record(&self, event: &str) -> Value {
        let (status, page) = self.server.admin(Method::GET, "/audit?limit=200", None).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let records = page["items"].as_array().unwrap();
        let found = records.iter().filter(|record| record["event"] == event).max_by_key(|record| record["at"].as_i64());
        found.unwrap_or_else(|| panic!("no {event} in {page}")).clone()
    }
}

/// Header and claims of a token, unverified.
pub fn parts(token: &str) -> (Value, Value) {
    let part = |n| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}

pub fn error(body: &Value) -> &str {
    body["error"].as_str().unwrap_or_default()
}
