//! `private_key_jwt` with keys that the client publishes (`jwks_uri`, RFC 7591 section 2).

use crate::idp::{Face, Idp, KEYS, Key};
use crate::platforms::{BEARER, Company};
use crate::world::World;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::federation::{COOL_DOWN_SECONDS, FRESH_SECONDS, MAX_STALE_SECONDS};
use stipend::reason::Reason;
use stipend::testing::TestServer;
use stipend_keys::random_id;
use stipend_schema::Backend;

const LOCAL: &[(&str, &str)] = &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];

async fn company(settings: &[(&str, &str)], host: &Idp) -> Company {
    let company = Company::on(TestServer::start_with(Backend::Sqlite, settings).await).await;
    let settings = json!({"jwks_uri": format!("{}{KEYS}", host.issuer)});
    company.agent("acme", "signer", "private_key_jwt", settings).await;
    company
}

fn claims(company: &Company) -> Value {
    let now = company.now();
    json!({
        "iss": "acme.signer", "sub": "acme.signer", "aud": company.server.issuer, "iat": now, "exp": now + 60,
        "jti": random_id("j_"),
    })
}

#[tokio::test]
async fn published_keys_are_followed_with_bounded_fetches() {
    let (one, two) = (Key::new("k1"), Key::ed25519("k2"));
    let host = Idp::start(&[&one]).await;
    let company = company(LOCAL, &host).await;
    let sign = |key: &Key| key.token("client-authentication+jwt", &claims(&company));
    let (_, agent) = company.server.admin(Method::GET, "/agents/acme.signer", None).await;
    assert_eq!(agent["readiness"]["ready"], json!(true), "{agent}");
    company.let_in(BEARER, None, &sign(&one)).await;
    company.let_in(BEARER, Some("acme.signer"), &sign(&one)).await;
    assert_eq!(host.hits(KEYS), 1);
    // A name that is not known costs one fetch in a while, however many are tried.
    company.server.clock.advance(COOL_DOWN_SECONDS + 1);
    let unknown = Reason::AssertionKeyUnknown;
    for kid in 0..5 {
        let stranger = Key::new(&format!("x{kid}"));
        company.refuse(BEARER, None, &sign(&stranger), unknown, "a key of nobody").await;
    }
    assert_eq!(host.hits(KEYS), 2);
    host.publish(&[&one, &two]);
    company.server.clock.advance(COOL_DOWN_SECONDS + 1);
    company.let_in(BEARER, None, &sign(&two)).await;
    // Another key under its name; a key without a name; an algorithm that is not the key's.
    company.refuse(BEARER, None, &sign(&Key::new("k1")), Reason::AssertionSignature, "another key").await;
    let nameless = one.sign(&json!({"alg": "ES256"}), &claims(&company));
    company.refuse(BEARER, None, &nameless, unknown, "no kid").await;
    let confused = one.sign(&json!({"alg": "ES256", "kid": "k2"}), &claims(&company));
    company.refuse(BEARER, None, &confused, unknown, "another algorithm").await;
    // What is taken back is gone, and a host that is down costs nothing for a while.
    host.publish(&[&two]);
    company.server.clock.advance(FRESH_SECONDS + 1);
    company.refuse(BEARER, None, &sign(&one), unknown, "taken back").await;
    host.face(KEYS, Face::Closed);
    company.server.clock.advance(FRESH_SECONDS + 1);
    company.let_in(BEARER, None, &sign(&two)).await;
    company.server.clock.advance(MAX_STALE_SECONDS);
    company.refuse(BEARER, None, &sign(&two), Reason::AssertionIssuerKeys, "too old").await;
}

#[tokio::test]
async fn keys_are_not_fetched_from_inside() {
    let key = Key::new("k1");
    let host = Idp::start(&[&key]).await;
    let company = company(&[], &host).await;
    let signed = key.token("JWT", &claims(&company));
    company.refuse(BEARER, None, &signed, Reason::AssertionIssuerKeys, "a loopback address").await;
    assert_eq!(host.hits(KEYS), 0);
}

#[tokio::test]
async fn a_client_publishes_its_keys_or_registers_them() {
    let server = TestServer::start(Backend::Sqlite).await;
    server.create_owner("acme").await;
    let key = stipend_keys::SigningKey::generate(stipend_keys::Algorithm::Es256).unwrap();
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    let url = "https://signer.example/jwks.json";
    let mut both = World::registration("signer", "private_key_jwt", json!({"jwks_uri": url}));
    both["access"] = json!([]);
    both["jwks"] = json!({"keys": [jwk]});
    let mut secret = both.clone();
    secret["auth_method"] = json!("client_secret_basic");
    secret.as_object_mut().unwrap().remove("jwks");
    let mut cases = vec![both, secret];
    for bad in ["", "signer.example", "file:///etc/passwd", "https://u:p@signer.example/", "https://signer.example/#k"]
    {
        let mut body = World::registration("signer", "private_key_jwt", json!({"jwks_uri": bad}));
        body["access"] = json!([]);
        cases.push(body);
    }
    for body in cases {
        let (status, said) = server.admin(Method::POST, "/agents", Some(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {said}");
    }
}
