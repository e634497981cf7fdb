//! A deployment with two owners, whose audit somebody wants.

use crate::receiver::Receiver;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

/// Loopback, as a development deployment allows it.
pub const ALLOWED: [(&str, &str); 2] =
    [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];

pub struct World {
    pub server: TestServer,
    pub planner: TestClient,
}

/// A sink as it was made.
pub struct Made {
    pub id: String,
    pub secret: String,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let server = TestServer::start_with(backend, &[&ALLOWED[..], settings].concat()).await;
        server.create_owner("acme").await;
        server.create_owner("globex").await;
        server.create_resource("acme", "https://orders.example", &["read"], &[]).await;
        let access: &[(&str, &[&str])] = &[("https://orders.example", &["read"])];
        let planner = server.create_client("acme", "planner", "agent", access).await;
        Self { server, planner }
    }

    /// Something for the audit of acme: the `jti`s that were issued.
    pub async fn happen(&self, times: usize) -> Vec<String> {
        let mut jtis = Vec::new();
        for _ in 0..times {
            let token = self.server.token(&self.planner, &[]).await;
            let claims = stipend_keys::Unverified::parse(&token).unwrap().claims().clone();
            jtis.push(claims["jti"].as_str().unwrap().to_owned());
        }
        jtis
    }

    pub async fn sink(&self, receiver: &Receiver, more: Value) -> Made {
        let mut body = json!({"name": "siem", "url": receiver.url});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.server.create("/audit-sinks", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Made { id: text(&made["audit_sink"]["id"]), secret: text(&made["secret"]) }
    }

    pub async fn show(&self, sink: &Made) -> Value {
        show(&self.server, &sink.id).await
    }

    /// Records of an event, as the platform's admin sees them.
    pub async fn audit(&self, event: &str) -> Vec<Value> {
        let (status, body) = self.server.admin(Method::GET, &format!("/audit?event={event}&limit=200"), None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["items"].as_array().unwrap().clone()
    }

    /// An admin of an owner with these roles and scopes.
    pub async fn admin(&self, owner: &str, name: &str, roles: Value, scopes: &[&str]) -> String {
        let body = json!({
            "owner": owner, "name": name, "kind": "admin", "auth_method": "client_secret_basic", "roles": roles,
            "access": [{"resource": self.server.app.urls.admin_resource, "scopes": scopes, "default_scopes": scopes}],
        });
        let made = self.server.create("/agents", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let client = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
        self.server.token(&client, &[]).await
    }
}

pub async fn show(server: &TestServer, id: &str) -> Value {
    let (status, body) = server.admin(Method::GET, &format!("/audit-sinks/{id}"), None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// Each chain without a gap or a repetition, as the receiver has it.
pub fn assert_whole(records: &[Value]) {
    let mut next = std::collections::HashMap::new();
    for record in records {
        let (writer, n) = (record["writer"].as_str().unwrap().to_owned(), record["n"].as_i64().unwrap());
        let wanted = next.entry(writer.clone()).or_insert(n);
        assert_eq!(*wanted, n, "{writer}");
        *wanted += 1;
    }
}

/// The ids of issued tokens among the records, in order.
pub fn issued(records: &[Value]) -> Vec<String> {
    let issued = records.iter().filter(|record| record["event"] == "token.issued");
    issued.map(|record| record["jti"].as_str().unwrap().to_owned()).collect()
}
