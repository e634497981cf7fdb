//! One owner with a service behind one resource, and programs that register.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use stipend::clock::Clock;
use stipend::testing::{TestClient, TestServer};
use stipend_keys::{Algorithm, Signer, SigningKey, TokenKind, random_id};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
pub const REGISTER: &str = "/oauth2/register";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An answer, whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The status and the OAuth error.
    pub fn error(&self) -> (u16, &str) {
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        (self.status, self.body["error"].as_str().unwrap_or_default())
    }

    pub fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }

    /// The client, of an answer with a secret.
    pub fn client(&self) -> TestClient {
        TestClient { id: self.text("client_id"), secret: self.text("client_secret") }
    }
}

pub struct World {
    pub server: TestServer,
    pub service: TestClient,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::on(TestServer::start(backend).await).await
    }

    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "write"], &[&service.id]).await;
        Self { server, service }
    }

    /// A registration token whose body is changed by `changes`, its template by `template`.
    pub async fn token(&self, changes: Value, template: Value) -> (String, String) {
        let access = json!([{"resource": ORDERS, "scopes": ["read", "write"], "default_scopes": ["read"]}]);
        let template = with(json!({"access": access}), template);
        let body = with(json!({"owner": "acme", "name": "ci", "max_uses": 10, "template": template}), changes);
        let made = self.server.create("/registration-tokens", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["registration_token"]["id"]), text(&made["initial_access_token"]))
    }

    pub async fn send(&self, method: Method, url: &str, bearer: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = self.server.http.request(method, url);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap();
        Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    pub async fn register(&self, bearer: &str, metadata: Value) -> Reply {
        self.send(Method::POST, &self.server.url(REGISTER), Some(bearer), Some(&metadata)).await
    }

    /// Registers a client of the usual kind, by a token of its own.
    pub async fn registered(&self, metadata: Value) -> Reply {
        let methods = json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]);
        let (_, token) = self.token(json!({}), json!({"auth_methods": methods})).await;
        let reply = self.register(&token, metadata).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply
    }

    /// A request to a client's own registration.
    pub async fn manage(&self, method: Method, of: &Reply, body: Option<&Value>) -> Reply {
        let bearer = of.text("registration_access_token");
        self.send(method, &of.text("registration_client_uri"), Some(&bearer), body).await
    }

    /// An update of a client.
    pub async fn update(&self, of: &Reply, metadata: Value) -> Reply {
        let metadata = with(json!({"client_id": of.text("client_id")}), metadata);
        self.manage(Method::PUT, of, Some(&metadata)).await
    }

    /// A client credentials request for a scope.
    pub async fn get_token(&self, client: &TestClient, scope: &str) -> (StatusCode, Value) {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        self.server.form("/oauth2/token", client, &form).await
    }

    pub async fn active(&self, token: &str) -> bool {
        self.server.introspect(&self.service, token).await["active"] == json!(true)
    }

    pub async fn agent(&self, id: &str) -> Value {
        self.server.admin(Method::GET, &format!("/agents/{id}"), None).await.1
    }

    pub async fn patch_agent(&self, id: &str, patch: Value) {
        let (status, body) = self.server.admin(Method::PATCH, &format!("/agents/{id}"), Some(&patch)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// How often a registration token was used.
    pub async fn uses(&self, id: &str) -> i64 {
        let (_, token) = self.server.admin(Method::GET, &format!("/registration-tokens/{id}"), None).await;
        token["uses"].as_i64().unwrap()
    }

    /// Audit records, newest first.
    pub async fn records(&self, query: &str) -> Vec<Value> {
        let (_, page) = self.server.admin(Method::GET, &format!("/audit?limit=200&{query}"), None).await;
        page["items"].as_array().unwrap().clone()
    }

    /// A token request by a key.
    pub async fn sign_in(&self, client_id: &str, signer: &Signer) -> (StatusCode, Value) {
        let now = self.server.clock.now();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": self.server.issuer, "exp": now + 60, "jti": random_id("j_"),
        });
        let assertion = signer.sign(TokenKind::ClientAssertion, claims.to_string().as_bytes()).unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion", &assertion),
            ("client_assertion_type", ASSERTION),
        ];
        let answer = self.server.http.post(self.server.url("/oauth2/token")).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}

/// A fresh key pair: what signs, and the set to register.
pub fn key() -> (Signer, Value) {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    (key.signer().unwrap(), json!({"keys": [jwk]}))
}

/// The members `changes` names laid over `base`.
pub fn with(base: Value, changes: Value) -> Value {
    let (Value::Object(mut base), Value::Object(changes)) = (base, changes) else { panic!("objects") };
    base.extend(changes.into_iter().collect::<Map<_, _>>());
    Value::Object(base)
}
