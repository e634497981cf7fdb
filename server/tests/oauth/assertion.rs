//! `private_key_jwt` (RFC 7523): every claim, every header, and single use.

use crate::world::{ORDERS, World, error};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend_keys::{Algorithm, Signer, SigningKey, TokenKind, random_id};
use stipend_schema::Backend;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Signing {
    world: World,
    signer: Signer,
}

impl Signing {
    async fn new(backend: Backend, alg: Algorithm, extra: Value) -> Self {
        let world = World::new(backend).await;
        let key = SigningKey::generate(alg).unwrap();
        let jwk: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
        let mut body = json!({
            "owner": "acme", "name": "signer", "kind": "agent", "purpose": "test", "auth_method": "private_key_jwt",
            "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
            "jwks": {"keys": [jwk]},
        });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        world.server.create("/agents", body).await;
        Self { world, signer: key.signer().unwrap() }
    }

    fn good(&self) -> Value {
        let now = self.world.server.clock.now();
        json!({"iss": "acme.signer", "sub": "acme.signer", "aud": self.world.server.issuer, "iat": now, "exp": now + 60, "jti": random_id("j_")})
    }

    fn sign(&self, claims: &Value) -> String {
        self.signer.sign(TokenKind::ClientAssertion, claims.to_string().as_bytes()).unwrap()
    }

    async fn send(&self, assertion: &str) -> (StatusCode, Value) {
        self.send_with(assertion, &[]).await
    }

    async fn send_with(&self, assertion: &str, more: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion", assertion),
            ("client_assertion_type", TYPE),
        ];
        form.extend_from_slice(more);
        let answer =
            self.world.server.http.post(self.world.server.url("/oauth2/token")).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}

#[rstest]
#[tokio::test]
async fn every_algorithm_works(
    #[values(Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256)] alg: Algorithm,
) {
    let signing = Signing::new(Backend::Sqlite, alg, json!({})).await;
    let (status, body) = signing.send(&signing.sign(&signing.good())).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, _) = signing.send_with(&signing.sign(&signing.good()), &[("client_id", "acme.signer")]).await;
    assert_eq!(status, StatusCode::OK, "client_id may be there");
    let (status, _) = signing.send_with(&signing.sign(&signing.good()), &[("client_id", "acme.planner")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "and names the same client");
}

#[tokio::test]
async fn each_wrong_claim_is_refused() {
    let signing = Signing::new(Backend::Sqlite, Algorithm::Es256, json!({})).await;
    let now = signing.world.server.clock.now();
    let issuer = signing.world.server.issuer.clone();
    let cases = [
        ("iss", json!("acme.planner")),
        ("iss", Value::Null),
        ("iss", json!(1)),
        ("sub", json!("acme.planner")),
        ("sub", Value::Null),
        ("aud", Value::Null),
        ("aud", json!("https://other.example")),
        ("aud", json!(format!("{issuer}/"))),
        ("aud", json!(format!("{issuer}/oauth2/token"))),
        ("aud", json!([issuer, "https://other.example"])),
        ("aud", json!([])),
        ("aud", json!([[issuer]])),
        ("exp", Value::Null),
        ("exp", json!(now - 61)),
        ("exp", json!(now + 600)),
        ("exp", json!("soon")),
        ("exp", json!(now as f64 + 0.5)),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(now + 90)),
        ("nbf", json!("x")),
        ("iat", json!(now + 90)),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("x".repeat(300))),
        ("jti", json!(1)),
    ];
    for (name, value) in cases {
        let mut claims = signing.good();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
        let (status, body) = signing.send(&signing.sign(&claims)).await;
        assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"), "{name}={value}");
    }
    let mut near = signing.good();
    near["nbf"] = json!(now + 8);
    near["aud"] = json!([issuer]);
    assert_eq!(
        signing.send(&signing.sign(&near)).await.0,
        StatusCode::OK,
        "8 s of skew and a one-element audience are fine"
    );
}

#[tokio::test]
async fn wrong_keys_types_and_forms_are_refused() {
    let signing = Signing::new(Backend::Sqlite, Algorithm::Es256, json!({})).await;
    let other = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    let claims = signing.good().to_string();
    let forged = other.sign(TokenKind::ClientAssertion, claims.as_bytes()).unwrap();
    let good = signing.sign(&signing.good());
    let mut cases = vec![
        forged,
        String::new() + "x",
        good.clone() + ".",
        good.replace('.', ".."),
        format!("{good}A"),
        good.to_uppercase(),
    ];
    for kind in [TokenKind::AccessToken, TokenKind::DpopProof, TokenKind::IdJag, TokenKind::TxnToken] {
        cases.push(signing.signer.sign(kind, signing.good().to_string().as_bytes()).unwrap());
    }
    for assertion in cases {
        let (status, body) = signing.send(&assertion).await;
        assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"), "{assertion}");
    }
    let (status, _) = signing.send(&good).await;
    assert_eq!(status, StatusCode::OK, "no failure burned the good one");
}

#[tokio::test]
async fn the_legacy_audience_is_a_switch() {
    let signing = Signing::new(Backend::Sqlite, Algorithm::Es256, json!({"legacy_assertion_aud": true})).await;
    let mut claims = signing.good();
    claims["aud"] = json!(signing.world.server.url("/oauth2/token"));
    assert_eq!(signing.send(&signing.sign(&claims)).await.0, StatusCode::OK);
}

#[rstest]
#[tokio::test]
async fn an_assertion_is_used_once_by_many_at_the_same_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let signing = Signing::new(backend, Algorithm::Es256, json!({})).await;
    let assertion = signing.sign(&signing.good());
    let answers = futures_util::future::join_all((0..32).map(|_| signing.send(&assertion))).await;
    let won = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!(won, 1);
    assert!(answers.iter().all(|(status, body)| *status == StatusCode::OK || error(body) == "invalid_client"));
}

#[tokio::test]
async fn an_assertion_is_burned_whatever_becomes_of_the_request() {
    let signing = Signing::new(Backend::Sqlite, Algorithm::Es256, json!({})).await;
    let assertion = signing.sign(&signing.good());
    let (status, body) = signing.send_with(&assertion, &[("scope", "nothing")]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_scope"));
    let (status, body) = signing.send(&assertion).await;
    assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"));
}

#[tokio::test]
async fn the_type_and_the_assertion_go_together() {
    let signing = Signing::new(Backend::Sqlite, Algorithm::Es256, json!({})).await;
    let good = signing.sign(&signing.good());
    let post = |form: Vec<(&'static str, String)>| {
        let server = &signing.world.server;
        async move {
            let answer = server.http.post(server.url("/oauth2/token")).form(&form).send().await.unwrap();
            (answer.status().as_u16(), error(&answer.json().await.unwrap()).to_owned())
        }
    };
    let grant = ("grant_type", "client_credentials".to_owned());
    assert_eq!(
        post(vec![grant.clone(), ("client_assertion", good.clone())]).await,
        (400, "invalid_request".to_owned())
    );
    assert_eq!(
        post(vec![grant.clone(), ("client_assertion_type", TYPE.to_owned())]).await,
        (400, "invalid_request".to_owned())
    );
    assert_eq!(
        post(vec![grant, ("client_assertion", good), ("client_assertion_type", "urn:x".to_owned())]).await,
        (401, "invalid_client".to_owned())
    );
}
