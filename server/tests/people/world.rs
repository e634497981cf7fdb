//! Three teams: the desk's refunds agent acts with the shop's tokens at the bank's ledger, and
//! each such exchange waits for people.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::grant::CIBA;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
pub const LEDGER: &str = "https://ledger.example";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

pub struct World {
    pub server: TestServer,
    /// The shop's: its tokens are the subjects.
    pub planner: TestClient,
    /// The desk's: it asks.
    pub refunds: TestClient,
    /// The desk's as well, with a rule of its own that waits for nobody.
    pub clerk: TestClient,
}

impl World {
    /// The rule waits for these: `actor_owner`, `subject_owner`, `target_owner`.
    pub async fn new(backend: Backend, by: &[&str]) -> Self {
        let server = TestServer::start(backend).await;
        for owner in ["shop", "desk", "bank", "elsewhere"] {
            server.create_owner(owner).await;
        }
        server.create_resource("shop", ORDERS, &["read", "refund"], &[]).await;
        server.create_resource("bank", LEDGER, &["read", "post"], &[]).await;
        let planner = server.create_client("shop", "planner", "agent", &[(ORDERS, &["read", "refund"])]).await;
        let refunds = server.create_client("desk", "refunds", "agent", &[]).await;
        let clerk = server.create_client("desk", "clerk", "agent", &[]).await;
        let world = Self { server, planner, refunds, clerk };
        world.rule("desk.waits", by, &["read", "post"]).await;
        world.server.create_rule("desk.clerk", "shop.planner", ORDERS, &["read"]).await;
        world
    }

    pub async fn rule(&self, id: &str, by: &[&str], scopes: &[&str]) {
        let scopes: Vec<Value> = scopes
            .iter()
            .map(|scope| json!({ "scope": scope, "stands_for": if *scope == "post" { "refund" } else { "read" } }))
            .collect();
        let mut rule = json!({
            "id": id, "actor": { "client": "desk.refunds" }, "subject": { "client": "shop.planner" },
            "to_audience": LEDGER, "scopes": scopes, "mode": "delegation", "max_ttl_seconds": 120,
        });
        if !by.is_empty() {
            rule["approval"] = json!({ "by": by });
        }
        self.server.create("/exchange-rules", rule).await;
    }

    pub async fn subject(&self) -> String {
        self.server.token(&self.planner, &[]).await
    }

    /// Asks for an exchange at the ledger.
    pub async fn ask(&self, subject: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        self.ask_as(&self.refunds, subject, form).await
    }

    pub async fn ask_as(&self, client: &TestClient, subject: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut full = vec![("subject_token", subject), ("subject_token_type", ACCESS)];
        if !form.iter().any(|(name, _)| *name == "resource") {
            full.push(("resource", LEDGER));
        }
        full.extend_from_slice(form);
        self.server.form("/oauth2/bc-authorize", client, &full).await
    }

    /// A request that waits: what its client polls with, and its id for people.
    pub async fn waiting(&self) -> Asked {
        let subject = self.subject().await;
        self.waiting_with(&subject, &[]).await
    }

    pub async fn waiting_with(&self, subject: &str, form: &[(&str, &str)]) -> Asked {
        let before = self.requests().await;
        let (status, body) = self.ask(subject, form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let after = self.requests().await;
        let id = after.into_iter().find(|id| !before.contains(id)).expect("a new request");
        Asked { handle: body["auth_req_id"].as_str().unwrap().to_owned(), id }
    }

    async fn requests(&self) -> Vec<String> {
        let (_, page) = self.server.admin(Method::GET, "/approvals?limit=200", None).await;
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn poll(&self, handle: &str) -> (StatusCode, Value) {
        self.poll_as(&self.refunds, handle).await
    }

    pub async fn poll_as(&self, client: &TestClient, handle: &str) -> (StatusCode, Value) {
        self.server.form("/oauth2/token", client, &[("grant_type", CIBA), ("auth_req_id", handle)]).await
    }

    /// The error of a poll that gets nothing.
    pub async fn polled(&self, handle: &str) -> String {
        let (status, body) = self.poll(handle).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        body["error"].as_str().unwrap().to_owned()
    }

    /// The platform's admin answers.
    pub async fn answer(&self, id: &str, verb: &str, body: &Value) -> (StatusCode, Value) {
        self.server.admin(Method::POST, &format!("/approvals/{id}/{verb}"), Some(body)).await
    }

    pub async fn approve(&self, id: &str) {
        let (status, body) = self.answer(id, "approve", &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    pub async fn shown(&self, id: &str) -> Value {
        let (status, body) = self.server.admin(Method::GET, &format!("/approvals/{id}"), None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// A token of somebody with a role over one owner.
    pub async fn person(&self, owner: &str, name: &str, role: &str) -> String {
        let all = ["admin:read", "admin:write", "admin:audit"];
        let body = json!({
            "owner": owner, "name": name, "kind": "admin", "purpose": "a person",
            "auth_method": "client_secret_basic", "roles": [{ "role": role, "owner": owner }],
            "access": [{ "resource": self.server.app.urls.admin_resource, "scopes": all, "default_scopes": all }],
        });
        let made = self.server.create("/agents", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let client = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
        self.server.token(&client, &[]).await
    }

    /// The newest records of an event.
    pub async fn records(&self, event: &str) -> Vec<Value> {
        let (_, page) = self.server.admin(Method::GET, &format!("/audit?event={event}&limit=200"), None).await;
        page["items"].as_array().unwrap().clone()
    }
}

pub struct Asked {
    pub handle: String,
    pub id: String,
}

pub fn error(body: &Value) -> &str {
    body["error"].as_str().unwrap_or_default()
}

/// The payload of a token, unverified.
pub fn claims(body: &Value) -> Value {
    use base64::Engine;
    let token = body["access_token"].as_str().unwrap();
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
