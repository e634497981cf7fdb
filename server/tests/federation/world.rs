//! A company that trusts an issuer of its own.

use crate::idp::{Idp, Key};
use reqwest::Method;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend::federation::{ForeignFault, ForeignKind, ForeignToken, IssuerUse};
use stipend::testing::TestServer;
use stipend_keys::Unverified;
use stipend_schema::Backend;

/// Lets the server fetch from this machine.
pub const LOCAL: &[(&str, &str)] =
    &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];

pub struct World {
    pub server: TestServer,
    pub idp: Idp,
    pub key: Key,
    /// The issuer's id.
    pub id: String,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, LOCAL).await
    }

    pub async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let server = TestServer::start_with(backend, settings).await;
        server.create_owner("acme").await;
        let key = Key::new("k1");
        let idp = Idp::start(&[&key]).await;
        let id = trust(&server, &idp.issuer, json!({})).await;
        Self { server, idp, key, id }
    }

    pub fn now(&self) -> i64 {
        self.server.clock.now()
    }

    /// Alice's ID token, with changes.
    pub fn id_token(&self, changes: Value) -> String {
        self.key.token("JWT", &with(self.idp.claims(self.now()), changes))
    }

    pub async fn verify(&self, token: &str) -> Result<ForeignToken, ForeignFault> {
        self.verify_as(token, ForeignKind::IdToken).await
    }

    pub async fn verify_as(&self, token: &str, kind: ForeignKind) -> Result<ForeignToken, ForeignFault> {
        let token = Unverified::parse(token).map_err(|_| ForeignFault::Malformed)?;
        let now = self.now();
        stipend::federation::verify(&self.server.app, token, IssuerUse::SubjectToken, kind, now).await
    }

    /// What came of it.
    pub async fn fault(&self, token: &str) -> Option<ForeignFault> {
        self.verify(token).await.err()
    }

    pub async fn patch(&self, change: Value) {
        let (status, said) = self.server.admin(Method::PATCH, &format!("/issuers/{}", self.id), Some(&change)).await;
        assert!(status.is_success(), "{status}: {said}");
    }
}

/// Registers an issuer of acme's, by discovery unless the changes say otherwise.
pub async fn trust(server: &TestServer, issuer: &str, changes: Value) -> String {
    let body = json!({
        "owner": "acme", "issuer": issuer, "keys": "discovery", "audiences": ["stipend"], "uses": ["subject_token"],
    });
    server.create("/issuers", with(body, changes)).await["id"].as_str().unwrap().to_owned()
}

/// With members replaced; `null` takes one away.
pub fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        let members = base.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}
