//! Two owners that may know nothing of each other, and people who administer them.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_keys::{Algorithm, SigningKey};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.acme.example";

/// An answer, whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The status and the problem's code.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], json!(self.status), "{}", self.text);
        (self.status, self.body["code"].as_str().unwrap())
    }

    /// Asserts success and answers the body.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text);
        self.body
    }
}

pub struct World {
    pub server: TestServer,
}

impl World {
    /// Owners `acme` and `globex`, nothing else.
    pub async fn new(backend: Backend) -> Self {
        let server = TestServer::start(backend).await;
        server.create_owner("acme").await;
        server.create_owner("globex").await;
        Self { server }
    }

    /// Any request to the admin API.
    pub async fn send(&self, token: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self.server.http.request(method, self.server.url(&format!("/admin/v1{path}")));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        reply(request).await
    }

    /// A body that is not what `json` would write.
    pub async fn raw(&self, method: Method, path: &str, kind: Option<&str>, body: impl Into<Vec<u8>>) -> Reply {
        let token = self.server.admin_token().await;
        let url = self.server.url(&format!("/admin/v1{path}"));
        let mut request = self.server.http.request(method, url).bearer_auth(token).body(body.into());
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        reply(request).await
    }

    /// As the bootstrap admin.
    pub async fn platform(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let token = self.server.admin_token().await;
        self.send(Some(&token), method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.platform(Method::GET, path, None).await.ok()
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.platform(Method::POST, path, Some(&body)).await
    }

    /// The same with a path that is made on the way.
    pub async fn platform_post(&self, path: String, body: Value) -> Reply {
        self.post(&path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.platform(Method::PATCH, path, Some(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.platform(Method::DELETE, path, None).await
    }

    /// An admin's token with all three scopes.
    pub async fn admin(&self, owner: &str, name: &str, roles: Value) -> String {
        let client = self.admin_client(owner, name, roles, &[]).await;
        self.server.token(&client, &[]).await
    }

    /// An admin, with further access beside the admin API.
    pub async fn admin_client(&self, owner: &str, name: &str, roles: Value, more: &[Value]) -> TestClient {
        let all = ["admin:read", "admin:write", "admin:audit"];
        let mut access = vec![json!({
            "resource": self.server.app.urls.admin_resource, "scopes": all, "default_scopes": all,
        })];
        access.extend_from_slice(more);
        let body = json!({
            "owner": owner, "name": name, "kind": "admin", "auth_method": "client_secret_basic",
            "access": access, "roles": roles,
        });
        client_of(&self.post("/agents", body).await.ok())
    }

    /// The owner-admin of an owner.
    pub async fn boss(&self, owner: &str) -> String {
        self.admin(owner, "boss", json!([{"role": "owner-admin", "owner": owner}])).await
    }

    /// A client that authenticates by key: cheap to make, and never heard of again.
    pub async fn create_keyed(&self, owner: &str, name: &str) -> Value {
        self.post("/agents", keyed(owner, name)).await.ok()
    }

    /// Audit records, newest first.
    pub async fn records(&self, query: &str) -> Vec<Value> {
        let page = self.get(&format!("/audit?limit=200&{query}")).await;
        page["items"].as_array().unwrap().clone()
    }
}

pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Reply { status, headers, text, body }
}

/// The client of a registration's answer.
pub fn client_of(created: &Value) -> TestClient {
    TestClient {
        id: created["agent"]["id"].as_str().unwrap().to_owned(),
        secret: created["client_secret"].as_str().unwrap().to_owned(),
    }
}

/// A registration of a client with a key of its own.
pub fn keyed(owner: &str, name: &str) -> Value {
    json!({"owner": owner, "name": name, "auth_method": "private_key_jwt", "jwks": {"keys": [jwk()]}})
}

/// A fresh public key.
pub fn jwk() -> Value {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    serde_json::from_str(&key.public_jwk().to_public_json()).unwrap()
}

/// The members `changes` names laid over `base`.
pub fn with(mut base: Value, changes: Value) -> Value {
    base.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    base
}

/// The claims of a token, unverified.
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
