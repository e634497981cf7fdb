//! A company whose agents have keys of their own.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::{Prover, TestClient, TestServer};
use stipend_keys::Algorithm;
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
pub const KEY: &str = "sk-canary-7f3a9b2c5d8e1f40";

pub struct World {
    pub server: TestServer,
    /// Holds tokens for orders and for the key-release service.
    pub planner: TestClient,
    /// May exchange the planner's tokens by a rule that says nothing of bound ones.
    pub refunds: TestClient,
    /// The relying service behind orders.
    pub service: TestClient,
    /// The planner's key.
    pub key: Prover,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    pub fn token(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body["access_token"].as_str().unwrap().to_owned()
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status.as_u16(), self.error()), (status, error), "{}", self.body);
        assert!(self.body.get("access_token").is_none());
    }
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        Self::on(TestServer::start_with(backend, settings).await).await
    }

    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "write"], &[&service.id]).await;
        let keys = server.app.urls.credential_resource.clone();
        let planner = server
            .create_client(
                "acme",
                "planner",
                "agent",
                &[(ORDERS, &["read", "write"]), (&keys, &["credential:release", "credential:use"])],
            )
            .await;
        let refunds = server.create_client("acme", "refunds", "agent", &[(ORDERS, &["read"])]).await;
        server.create_rule(&refunds.id, &planner.id, ORDERS, &["read"]).await;
        Self { server, planner, refunds, service, key: Prover::new(Algorithm::Es256) }
    }

    pub fn token_url(&self) -> String {
        self.server.url("/oauth2/token")
    }

    /// A good proof of the planner's key for the token endpoint.
    pub fn proof(&self) -> String {
        self.proof_of(&self.key)
    }

    pub fn proof_of(&self, key: &Prover) -> String {
        key.proof("POST", &self.token_url(), self.server.now(), None)
    }

    /// A token request with these `DPoP` headers.
    pub async fn ask(&self, client: &TestClient, form: &[(&str, &str)], proofs: &[&str]) -> Answer {
        self.ask_with(client, form, proofs, &[]).await
    }

    pub async fn ask_with(
        &self,
        client: &TestClient,
        form: &[(&str, &str)],
        proofs: &[&str],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.server.http.post(self.token_url()).basic_auth(&client.id, Some(&client.secret));
        for proof in proofs {
            request = request.header("DPoP", *proof);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.form(form)).await
    }

    /// A client credentials request of the planner.
    pub async fn credentials(&self, proofs: &[&str]) -> Answer {
        let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
        self.ask(&self.planner, &form, proofs).await
    }

    /// The planner's token for orders, bound to its key.
    pub async fn bound(&self) -> String {
        self.credentials(&[&self.proof()]).await.token()
    }

    /// An exchange of a subject token at orders.
    pub async fn exchange(&self, client: &TestClient, subject: &str, more: &[(&str, &str)], proofs: &[&str]) -> Answer {
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("resource", ORDERS),
            ("scope", "read"),
        ];
        form.extend_from_slice(more);
        self.ask(client, &form, proofs).await
    }

    /// The newest record of an event with this reason.
    pub async fn record(&self, event: &str, reason: &str) -> Value {
        let (status, page) = self.server.admin(Method::GET, "/audit?limit=100", None).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let found = page["items"].as_array().unwrap().iter().find(|it| it["event"] == event && it["reason"] == reason);
        found.cloned().unwrap_or_else(|| panic!("no {event} {reason} in {page}"))
    }

    /// Sets a client's settings.
    pub async fn settings(&self, client: &TestClient, settings: Value) {
        let path = format!("/agents/{}", client.id);
        let (status, body) = self.server.admin(Method::PATCH, &path, Some(&json!({ "settings": settings }))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
    Answer { status, headers, body }
}

/// The payload of a token, unverified.
pub fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A claims set with one member changed; `null` takes it out.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}
