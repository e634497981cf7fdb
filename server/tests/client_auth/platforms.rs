//! Platforms that say who their workloads are: a cluster, a CI, a trust domain.

use crate::authority::Authority;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use stipend::clock::Clock;
use stipend::reason::Reason;
use stipend::testing::TestServer;
use stipend_keys::{Algorithm, Signer, SigningKey, TokenKind, Unverified};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
pub const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub const SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
pub const CLUSTER: &str = "https://oidc.eks.example/id/7F";
pub const CI: &str = "https://token.actions.example";
pub const DOMAIN: &str = "spiffe://prod.acme.example";

/// Signs for an issuer.
pub struct Platform {
    pub issuer: String,
    key: SigningKey,
    signer: Signer,
}

impl Platform {
    pub fn new(issuer: &str) -> Self {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let signer = key.signer().unwrap();
        Self { issuer: issuer.to_owned(), key, signer }
    }

    pub fn jwk(&self) -> Value {
        serde_json::from_str(&self.key.public_jwk().to_public_json()).unwrap()
    }

    /// Signs claims, as the platforms write their headers.
    pub fn sign(&self, claims: &Value) -> String {
        self.signer.sign(TokenKind::IdToken, claims.to_string().as_bytes()).unwrap()
    }

    pub fn sign_as(&self, kind: TokenKind, claims: &Value) -> String {
        self.signer.sign(kind, claims.to_string().as_bytes()).unwrap()
    }
}

/// A bundle as a trust domain publishes it.
pub fn bundle(platform: &Platform, authorities: &[&Authority]) -> Value {
    let mut svid = platform.jwk();
    svid["use"] = json!("jwt-svid");
    let roots = authorities.iter().map(|authority| {
        let der = authority.certificate.der();
        let parsed = stipend::certificate::ParsedCertificate::parse(der).unwrap();
        let mut jwk: Value = serde_json::from_str(&parsed.public_jwk().unwrap().to_public_json()).unwrap();
        let members = jwk.as_object_mut().unwrap();
        members.insert("use".into(), json!("x509-svid"));
        members.insert("x5c".into(), json!([STANDARD.encode(der)]));
        members.remove("kid");
        members.remove("alg");
        jwk
    });
    let keys: Vec<Value> = std::iter::once(svid).chain(roots).collect();
    json!({"keys": keys, "spiffe_sequence": 1, "spiffe_refresh_hint": 300})
}

pub struct Company {
    pub server: TestServer,
    pub cluster: Platform,
    pub ci: Platform,
    pub domain: Platform,
    serial: AtomicU64,
}

impl Company {
    pub async fn new(backend: Backend) -> Self {
        Self::on(TestServer::start(backend).await).await
    }

    /// `acme` and `globex`; a cluster of acme's, a CI and a trust domain of the deployment's.
    pub async fn on(server: TestServer) -> Self {
        let company = Self {
            cluster: Platform::new(CLUSTER),
            ci: Platform::new(CI),
            domain: Platform::new(DOMAIN),
            serial: AtomicU64::new(0),
            server,
        };
        for owner in ["acme", "globex"] {
            company.server.create_owner(owner).await;
        }
        company.server.create_resource("acme", ORDERS, &["read"], &[]).await;
        let keys = |platform: &Platform| json!({"jwks": {"keys": [platform.jwk()]}});
        company.trust("acme", CLUSTER, "oidc", keys(&company.cluster), json!({})).await;
        let mapping = json!({"required": {"repository_owner": ["acme-corp"]}});
        company.trust("stipend", CI, "oidc", keys(&company.ci), json!({"mapping": mapping})).await;
        let keys = json!({"jwks": bundle(&company.domain, &[])});
        company.trust("stipend", DOMAIN, "spiffe", keys, json!({})).await;
        company
    }

    /// Registers an issuer and answers its id.
    pub async fn trust(&self, owner: &str, issuer: &str, kind: &str, keys: Value, more: Value) -> String {
        let mut body =
            json!({"owner": owner, "issuer": issuer, "kind": kind, "keys": keys, "uses": ["client_assertion"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.server.create("/issuers", body).await["id"].as_str().unwrap().to_owned()
    }

    pub async fn agent(&self, owner: &str, name: &str, method: &str, settings: Value) {
        let access = json!([{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}]);
        let body = json!({
            "owner": owner, "name": name, "auth_method": method, "settings": settings, "purpose": "test",
            "access": access,
        });
        self.server.create("/agents", body).await;
    }

    pub fn now(&self) -> i64 {
        self.server.clock.now()
    }

    fn serial(&self) -> String {
        format!("id-{}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// A projected service account token, as a cluster makes it.
    pub fn service_account(&self, name: &str) -> Value {
        let now = self.now();
        json!({
            "iss": CLUSTER, "sub": format!("system:serviceaccount:billing:{name}"), "aud": [self.server.issuer],
            "exp": now + 3600, "iat": now, "nbf": now, "jti": self.serial(),
            "kubernetes.io": {
                "namespace": "billing", "node": {"name": "node-1", "uid": "n1"},
                "pod": {"name": "refunds-1", "uid": "p1"}, "serviceaccount": {"name": name, "uid": "u1"},
            },
        })
    }

    /// A job's token, as a CI makes it.
    pub fn job(&self) -> Value {
        let now = self.now();
        json!({
            "iss": CI, "sub": "repo:acme-corp/refunds:ref:refs/heads/main", "aud": self.server.issuer,
            "exp": now + 300, "iat": now, "nbf": now - 300, "jti": self.serial(),
            "repository": "acme-corp/refunds", "repository_owner": "acme-corp", "ref": "refs/heads/main",
            "environment": "production", "job_workflow_ref": "acme-corp/ci/.github/workflows/deploy.yml@refs/heads/main",
        })
    }

    /// A JWT-SVID: no `iss`, no `jti`.
    pub fn svid(&self, path: &str) -> Value {
        let now = self.now();
        json!({"sub": format!("{DOMAIN}{path}"), "aud": [self.server.issuer], "exp": now + 300, "iat": now})
    }

    pub async fn send(&self, kind: &str, id: Option<&str>, assertion: &str) -> (StatusCode, Value) {
        self.send_to(&self.server.issuer, kind, id, assertion).await
    }

    pub async fn send_to(&self, node: &str, kind: &str, id: Option<&str>, assertion: &str) -> (StatusCode, Value) {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        form.extend(id.map(|id| ("client_id", id)));
        let answer = self.server.http.post(format!("{node}/oauth2/token")).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn let_in(&self, kind: &str, id: Option<&str>, assertion: &str) {
        let (status, body) = self.send(kind, id, assertion).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// Refused, and for this reason: one wrong thing must not be caught by another check.
    pub async fn refuse(&self, kind: &str, id: Option<&str>, assertion: &str, reason: Reason, why: &str) {
        let (status, body) = self.send(kind, id, assertion).await;
        let expected = json!({"error": "invalid_client", "error_description": reason.description()});
        assert_eq!((status, body), (StatusCode::UNAUTHORIZED, expected), "{why}");
    }
}

/// With members replaced; `null` takes one away.
pub fn with(base: &Value, changes: Value) -> Value {
    let mut changed = base.clone();
    let members = changed.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    changed
}

/// The same token with another header and no good signature.
pub fn with_header(token: &str, header: &Value) -> String {
    let rest = token.split_once('.').unwrap().1;
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// The same claims under the other of the two signatures that ECDSA has for them.
pub fn malleated(token: &str) -> String {
    // n of P-256.
    let order: [u8; 32] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6,
        0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(bytes[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        bytes[32 + at] = u8::try_from(difference + 256 * borrow).unwrap();
    }
    let other = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
    assert!(Unverified::parse(&other).is_ok() && other != token);
    other
}
