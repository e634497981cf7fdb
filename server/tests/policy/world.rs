//! Two owners: one with agents, a resource and a key in custody, and one beside it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend::testing::{TestClient, TestServer};
use stipend_keys::TokenKind;
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.acme.example";
pub const VAULT: &str = "https://vault.globex.example";
/// What lets the server take addresses from a header, and call upstreams of a test.
pub const SETTINGS: [(&str, &str); 3] = [
    ("STIPEND_TRUSTED_PROXIES", "127.0.0.1"),
    ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"),
    ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8"),
];

pub struct World {
    pub server: TestServer,
    /// Of acme: may have tokens for orders, the vault and the keys.
    pub planner: TestClient,
    /// Of acme: may exchange the planner's tokens at orders.
    pub helper: TestClient,
    /// Of globex.
    pub rival: TestClient,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::on(TestServer::start_with(backend, &SETTINGS).await).await
    }

    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        server.create_owner("globex").await;
        server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
        server.create_resource("globex", VAULT, &["read"], &[]).await;
        let keys = server.app.urls.credential_resource.clone();
        let keys = (keys.as_str(), ["credential:release", "credential:use"].as_slice());
        let access: [(&str, &[&str]); 3] = [(ORDERS, &["read", "write"]), (VAULT, &["read"]), keys];
        let planner = server.create_client("acme", "planner", "agent", &access).await;
        let helper = server.create_client("acme", "helper", "agent", &[(ORDERS, &["read"])]).await;
        let rival = server.create_client("globex", "rival", "agent", &[(VAULT, &["read"])]).await;
        server.create_rule(&helper.id, &planner.id, ORDERS, &["read"]).await;
        Self { server, planner, helper, rival }
    }

    /// Stores a policy, and answers its id.
    pub async fn forbid(&self, owner: Option<&str>, name: &str, text: &str) -> String {
        let mut body = json!({"name": name, "text": text});
        if let Some(owner) = owner {
            body["owner"] = json!(owner);
        }
        self.server.create("/policies", body).await["id"].as_str().unwrap().to_owned()
    }

    /// `forbid` with this condition, for one action.
    pub async fn forbid_when(&self, name: &str, action: &str, condition: &str) -> String {
        self.forbid(Some("acme"), name, &when(action, condition)).await
    }

    pub async fn remove(&self, policy: &str) {
        let (status, body) = self.server.admin(Method::DELETE, &format!("/policies/{policy}"), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }

    /// A token request for a resource, from an address.
    pub async fn issue_from(&self, client: &TestClient, resource: &str, address: &str) -> (StatusCode, Value) {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        let sent = self.server.http.post(self.server.url("/oauth2/token")).header("x-forwarded-for", address);
        let answer = sent.basic_auth(&client.id, Some(&client.secret)).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn issue(&self, client: &TestClient, resource: &str) -> (StatusCode, Value) {
        self.issue_from(client, resource, "10.1.2.3").await
    }

    pub async fn token(&self, client: &TestClient, resource: &str) -> String {
        let (status, body) = self.issue(client, resource).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn exchange(&self, subject: &str) -> (StatusCode, Value) {
        self.server.exchange(&self.helper, subject, &[("scope", "read")]).await
    }

    /// A token of the planner's for orders that says how a user authenticated.
    pub async fn with_user(&self, user: Value) -> String {
        let token = self.token(&self.planner, ORDERS).await;
        let mut claims = claims(&token);
        for (name, value) in user.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let keyring = self.server.app.ring.keyring();
        let signer = keyring.signing_key(self.server.clock.now()).unwrap();
        signer.sign(TokenKind::AccessToken, &serde_json::to_vec(&claims).unwrap()).unwrap()
    }

    /// The newest record of an event.
    pub async fn record(&self, event: &str) -> Value {
        let (status, page) = self.server.admin(Method::GET, &format!("/audit?limit=1&event={event}"), None).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let record = page["items"][0].clone();
        assert_eq!(record["event"], event, "{page}");
        record
    }

    /// Moves the clock to the next time it is `hour` o'clock, UTC.
    pub fn wait_for_hour(&self, hour: i64) {
        let now = self.server.clock.now();
        self.server.clock.advance((hour * 3600 - now).rem_euclid(86_400));
    }

    /// An administrator of one owner: its token.
    pub async fn boss(&self, owner: &str, role: &str) -> String {
        let all = ["admin:read", "admin:write", "admin:audit"];
        let admin = &self.server.app.urls.admin_resource;
        let body = json!({
            "owner": owner, "name": format!("boss-{role}"), "kind": "admin", "auth_method": "client_secret_basic",
            "access": [{"resource": admin, "scopes": all, "default_scopes": all}],
            "roles": [{"role": role, "owner": owner}],
        });
        let made = self.server.create("/agents", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let client = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
        self.server.token(&client, &[]).await
    }
}

pub fn when(action: &str, condition: &str) -> String {
    format!("forbid (principal, action == Action::\"{action}\", resource) when {{ {condition} }};")
}

pub fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Asserts that a token was refused by a policy, and that the answer names none.
#[track_caller]
pub fn assert_refused((status, body): &(StatusCode, Value)) {
    assert_eq!((*status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{body}");
    assert_eq!(body["error_description"], "a policy does not allow this token");
    assert!(!body.to_string().contains("pol_"), "{body}");
}
