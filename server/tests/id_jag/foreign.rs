//! A company that accepts the grants of an issuer that is not its own.

use crate::idp::{Idp, Key};
use crate::world::parts;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use stipend::clock::Clock;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub const TYP: &str = "oauth-id-jag+jwt";
pub const FILES: &str = "https://files.example/api";
pub const MAIL: &str = "https://mail.example";

/// Lets the server fetch from this machine.
pub const LOCAL: &[(&str, &str)] =
    &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];

pub struct Foreign {
    pub server: TestServer,
    pub idp: Idp,
    pub key: Key,
    /// The issuer's id.
    pub id: String,
    /// May act for the issuer's users: `read` and `write` of files.
    pub desk: TestClient,
    /// Has no rule.
    pub other: TestClient,
    count: AtomicUsize,
}

impl Foreign {
    pub async fn new(backend: Backend) -> Self {
        Self::trusting(backend, json!(["id_jag"])).await
    }

    /// The issuer is trusted for these uses.
    pub async fn trusting(backend: Backend, uses: Value) -> Self {
        let server = TestServer::start_with(backend, LOCAL).await;
        server.create_owner("acme").await;
        let key = Key::new("k1");
        let idp = Idp::start(&[&key]).await;
        let audiences = json!([server.issuer, "acme.desk", "desk-at-idp", "somebody-else"]);
        let issuer = json!({
            "owner": "acme", "issuer": idp.issuer, "keys": "discovery", "audiences": audiences, "uses": uses,
        });
        let id = server.create("/issuers", issuer).await["id"].as_str().unwrap().to_owned();
        server.create_resource("acme", FILES, &["read", "write", "admin"], &[]).await;
        server.create_resource("acme", MAIL, &["read"], &[]).await;
        let desk = server.create_client("acme", "desk", "agent", &[]).await;
        let other = server.create_client("acme", "other", "agent", &[]).await;
        let foreign = Self { server, idp, key, id, desk, other, count: AtomicUsize::new(0) };
        foreign.rule(json!({})).await;
        foreign
    }

    /// One more issuer that is trusted, with a rule for the desk. It publishes no keys yet.
    pub async fn second_issuer(&self) -> Idp {
        let idp = Idp::start(&[]).await;
        let issuer = json!({
            "owner": "acme", "issuer": idp.issuer, "keys": "discovery", "audiences": [], "uses": ["id_jag"],
        });
        let id = self.server.create("/issuers", issuer).await["id"].clone();
        self.rule(json!({"subject": {"issuer": id}})).await;
        idp
    }

    /// A rule for the desk, with changes.
    pub async fn rule(&self, changes: Value) -> String {
        let rule = json!({
            "actor": {"client": self.desk.id}, "subject": {"issuer": self.id}, "to_audience": FILES,
            "scopes": [{"scope": "read"}, {"scope": "write"}], "mode": "delegation",
        });
        self.server.create("/exchange-rules", with(rule, changes)).await["id"].as_str().unwrap().to_owned()
    }

    pub fn now(&self) -> i64 {
        self.server.clock.now()
    }

    /// Claims of a grant that is good now, each time with another `jti`.
    pub fn claims(&self) -> Value {
        let (now, n) = (self.now(), self.count.fetch_add(1, Ordering::Relaxed));
        json!({
            "iss": self.idp.issuer, "sub": "alice", "aud": self.server.issuer, "client_id": self.desk.id,
            "jti": format!("g-{n}"), "iat": now, "exp": now + 300, "resource": FILES, "scope": "read write",
            "auth_time": now - 30, "acr": "urn:example:gold", "amr": ["pwd", "otp"],
        })
    }

    /// A grant with changes; `null` takes a claim away.
    pub fn grant(&self, changes: Value) -> String {
        self.key.token(TYP, &with(self.claims(), changes))
    }

    /// The desk presents it.
    pub async fn present(&self, assertion: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        self.present_as(&self.desk, assertion, form).await
    }

    pub async fn present_as(&self, client: &TestClient, assertion: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut full = vec![("grant_type", GRANT), ("assertion", assertion)];
        full.extend_from_slice(form);
        self.server.form("/oauth2/token", client, &full).await
    }

    /// A token of ours for a good grant.
    pub async fn token(&self) -> String {
        let (status, body) = self.present(&self.grant(json!({})), &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn active(&self, token: &str) -> bool {
        self.server.introspect(&self.desk, token).await["active"] == json!(true)
    }

    /// Why the newest refusal was.
    pub async fn last_reason(&self) -> String {
        let (_, page) = self.server.admin(Method::GET, "/audit?limit=200&outcome=refused", None).await;
        let records = page["items"].as_array().unwrap();
        let newest = records.iter().max_by_key(|record| (record["at"].as_i64(), record["seq"].as_i64()));
        newest.map_or_else(String::new, |record| record["reason"].as_str().unwrap_or_default().to_owned())
    }
}

pub fn claims(body: &Value) -> Value {
    parts(body["access_token"].as_str().unwrap()).1
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
