//! Two owners: acme with a resource, its service and its agents; umbrella with its own.

use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_keys::{PublicJwkSet, TokenKind, Unverified};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";

pub struct World {
    pub server: TestServer,
    /// Holds tokens for orders; the subject of exchanges.
    pub planner: TestClient,
    /// May exchange the planner's tokens at orders.
    pub refunds: TestClient,
    /// The relying service behind orders.
    pub service: TestClient,
    /// A relying service of another owner.
    pub foreign: TestClient,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::on(TestServer::start(backend).await).await
    }

    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        server.create_owner("umbrella").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        let foreign = server.create_client("umbrella", "api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "refund"], &[&service.id]).await;
        let planner = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read", "refund"])]).await;
        let refunds = server.create_client("acme", "refunds", "agent", &[(ORDERS, &["read"])]).await;
        server.create_rule(&refunds.id, &planner.id, ORDERS, &["read", "refund"]).await;
        Self { server, planner, refunds, service, foreign }
    }

    /// The id of the resource.
    pub async fn resource(&self) -> String {
        let listed = self.server.admin(reqwest::Method::GET, "/resources", None).await.1;
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["uri"] == ORDERS).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Has the resource's tokens in a status list from now on.
    pub async fn list_status(&self) {
        let path = format!("/resources/{}", self.resource().await);
        let (status, body) =
            self.server.admin(reqwest::Method::PATCH, &path, Some(&json!({"status_list": true}))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// The planner's token for orders.
    pub async fn token(&self) -> String {
        self.server.token(&self.planner, &[]).await
    }

    /// A token exchanged by refunds.
    pub async fn child(&self, subject: &str) -> String {
        let (status, body) = self.server.exchange(&self.refunds, subject, &[("scope", "refund")]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Revokes a token as its client.
    pub async fn revoke(&self, token: &str) {
        let (status, body) = self.server.form("/oauth2/revoke", &self.planner, &[("token", token)]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// The claims of a JWT that the published keys verify as one of `kind`.
    pub async fn verified(&self, jwt: &str, kind: TokenKind) -> Map<String, Value> {
        let body = self.server.http.get(self.server.url("/oauth2/jwks")).send().await.unwrap().bytes().await.unwrap();
        let keys = PublicJwkSet::from_published_json(&body).unwrap();
        let unverified = Unverified::parse(jwt).unwrap();
        let kid = unverified.kid().unwrap().to_owned();
        let key = keys.keys().iter().find(|key| key.kid() == kid).expect("a published key");
        key.verifier().unwrap().verify(unverified, kind).unwrap().into_claims()
    }

    /// The newest records of an event, as the platform's admin sees them.
    pub async fn audit(&self, event: &str) -> Vec<Value> {
        let (status, body) =
            self.server.admin(reqwest::Method::GET, &format!("/audit?event={event}&limit=200"), None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["items"].as_array().cloned().unwrap_or_default()
    }
}

/// The payload of a token, unverified.
pub fn claims(token: &str) -> Value {
    let unverified = Unverified::parse(token).unwrap();
    json!(unverified.claims())
}
