//! What the clients work with, made through the admin API, and its description for the
//! programs.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_keys::{Algorithm, Secret, SigningKey};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example/api";
pub const LEDGER: &str = "https://ledger.example/api";
const OWNER: &str = "acme";

/// A client that signs its assertions.
pub struct KeyClient {
    pub id: String,
    pub kid: String,
    /// Its private key, PKCS#8, ES256.
    pub pem: String,
}

pub struct Company {
    pub server: TestServer,
    /// The subject of exchanges.
    pub planner: TestClient,
    /// May exchange the planner's tokens for `read` and `refund` at orders.
    pub refunds: TestClient,
    /// Authenticates by `client_secret_post`.
    pub post: TestClient,
    /// The relying service that may introspect.
    pub service: TestClient,
    pub signer: KeyClient,
    /// May name the token endpoint as the audience of its assertions.
    pub legacy: KeyClient,
    /// Have 600,000 millionths of a dollar each.
    pub buyer: TestClient,
    pub saver: TestClient,
}

impl Company {
    pub async fn new() -> Self {
        let server = TestServer::start(Backend::Sqlite).await;
        server.create_owner(OWNER).await;
        let service = server.create_client(OWNER, "orders-api", "service", &[]).await;
        server.create_resource(OWNER, ORDERS, &["read", "write", "refund"], &[&service.id]).await;
        server.create_resource(OWNER, LEDGER, &["read"], &[&service.id]).await;
        let planner = server
            .create_client(OWNER, "planner", "agent", &[(ORDERS, &["read", "write", "refund"]), (LEDGER, &["read"])])
            .await;
        let refunds = server.create_client(OWNER, "refunds", "agent", &[(ORDERS, &["read", "refund"])]).await;
        server.create_rule(&refunds.id, &planner.id, ORDERS, &["read", "refund"]).await;
        let post = post_client(&server).await;
        let signer = key_client(&server, "signer", false).await;
        let legacy = key_client(&server, "legacy", true).await;
        let buyer = spending_client(&server, "buyer").await;
        let saver = spending_client(&server, "saver").await;
        Self { server, planner, refunds, post, service, signer, legacy, buyer, saver }
    }

    /// The document that the programs read.
    pub fn parameters(&self) -> Value {
        json!({
            "issuer": self.server.issuer,
            "resource": ORDERS,
            "other_resource": LEDGER,
            "planner": with_secret(&self.planner),
            "refunds": with_secret(&self.refunds),
            "post": with_secret(&self.post),
            "service": with_secret(&self.service),
            "signer": with_key(&self.signer),
            "legacy": with_key(&self.legacy),
            "buyer": with_secret(&self.buyer),
            "saver": with_secret(&self.saver),
        })
    }
}

fn registration(name: &str, method: &str) -> Value {
    json!({
        "owner": OWNER, "name": name, "kind": "agent", "purpose": "interop", "auth_method": method,
        "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
    })
}

async fn post_client(server: &TestServer) -> TestClient {
    secret_client(server, registration("post", "client_secret_post")).await
}

/// Registers a client with a secret.
pub async fn secret_client(server: &TestServer, body: Value) -> TestClient {
    let created = server.create("/agents", body).await;
    TestClient {
        id: created["agent"]["id"].as_str().unwrap().to_owned(),
        secret: created["client_secret"].as_str().unwrap().to_owned(),
    }
}

async fn spending_client(server: &TestServer, name: &str) -> TestClient {
    let client = server.create_client(OWNER, name, "agent", &[(ORDERS, &["read"])]).await;
    let line = json!({"agent": client.id, "unit": "USD", "decimals": 6, "amount": 600_000});
    server.create("/budgets", line).await;
    client
}

async fn key_client(server: &TestServer, name: &str, legacy: bool) -> KeyClient {
    let mut body = registration(name, "private_key_jwt");
    body["legacy_assertion_aud"] = json!(legacy);
    with_new_key(server, body).await
}

/// Registers a client with a key of its own.
pub async fn with_new_key(server: &TestServer, mut body: Value) -> KeyClient {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = SigningKey::from_private_der(Algorithm::Es256, &Secret::new(pkcs8.as_ref().to_vec())).unwrap();
    let public: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    body["jwks"] = json!({"keys": [public]});
    let created = server.create("/agents", body).await;
    KeyClient {
        id: created["agent"]["id"].as_str().unwrap().to_owned(),
        kid: key.kid().to_owned(),
        pem: pem(pkcs8.as_ref()),
    }
}

pub fn with_secret(client: &TestClient) -> Value {
    json!({"id": client.id, "secret": client.secret})
}

pub fn with_key(client: &KeyClient) -> Value {
    json!({"id": client.id, "kid": client.kid, "alg": "ES256", "private_key_pem": client.pem})
}

/// PKCS#8 in PEM, which every library reads.
fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
