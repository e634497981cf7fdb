//! Keys of clients: registered, removed, at most four, and hostile ones never.

use crate::world::{ORDERS, World, jwk, keyed, with};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend_keys::{Algorithm, SigningKey, TokenKind, random_id};
use stipend_schema::Backend;

const KEYS: &str = "/agents/acme.signer/keys";

fn public(key: &SigningKey) -> Value {
    serde_json::from_str(&key.public_jwk().to_public_json()).unwrap()
}

async fn signs_in(world: &World, key: &SigningKey) -> bool {
    let now = world.server.clock.now();
    let claims = json!({
        "iss": "acme.signer", "sub": "acme.signer", "aud": world.server.issuer, "iat": now, "exp": now + 60, "jti": random_id("j_"),
    });
    let assertion = key
        .signer()
        .unwrap()
        .sign(TokenKind::ClientAssertion, claims.to_string().as_bytes())
        .unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", &assertion),
    ];
    let answer = world
        .server
        .http
        .post(world.server.url("/oauth2/token"))
        .form(&form)
        .send()
        .await
        .unwrap();
    match answer.status().as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}: {}", answer.text().await.unwrap()),
    }
}

async fn signer(world: &World, key: &SigningKey) {
    world
        .server
        .create_resource("acme", ORDERS, &["read"], &[])
        .await;
    let body = with(
        keyed("acme", "signer"),
        json!({
            "jwks": {"keys": [public(key)]},
            "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
        }),
    );
    world.post("/agents", body).await.ok();
}

#[rstest]
#[tokio::test]
async fn keys_are_added_and_removed_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let keys: Vec<SigningKey> = [
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Es256,
    ]
    .map(|alg| SigningKey::generate(alg).unwrap())
    .into();
    signer(&world, &keys[0]).await;
    let mut ids = Vec::new();
    for key in &keys[1..4] {
        assert!(!signs_in(&world, key).await);
        let added = world.post(KEYS, json!({"jwk": public(key)})).await;
        assert_eq!(added.status, 201, "{}", added.text);
        assert_eq!(added.body["kid"], key.kid());
        ids.push(added.body["id"].as_str().unwrap().to_owned());
        assert!(signs_in(&world, key).await);
        let again = world.post(KEYS, json!({"jwk": public(key)})).await;
        assert_eq!(
            (again.status, &again.body),
            (200, &added.body),
            "the same key again is the same"
        );
    }
    let fifth = world.post(KEYS, json!({"jwk": public(&keys[4])})).await;
    assert_eq!(fifth.problem(), (409, "too_many_keys"));
    assert_eq!(
        world.delete(&format!("{KEYS}/{}", ids[0])).await.status,
        204
    );
    assert!(!signs_in(&world, &keys[1]).await && signs_in(&world, &keys[2]).await);
    assert_eq!(
        world.delete(&format!("{KEYS}/{}", ids[0])).await.problem(),
        (404, "not_found")
    );
    assert_eq!(
        world
            .post(
                KEYS,
                json!({"jwk": public(&keys[4]), "expires_in_seconds": 100})
            )
            .await
            .status,
        201
    );
    assert!(signs_in(&world, &keys[4]).await);
    world.server.clock.advance(101);
    assert!(!signs_in(&world, &keys[4]).await, "a key ends as well");
    assert_eq!(
        world
            .post(KEYS, json!({"jwk": public(&keys[1])}))
            .await
            .status,
        201,
        "and makes room"
    );
}

/// An RSA key with this modulus and exponent.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Value {
    json!({"kty": "RSA", "alg": "RS256", "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent)})
}

/// RSA keys that no one may register, and what is wrong with each.
fn hostile_rsa() -> Vec<(&'static str, Value)> {
    let modulus = |bytes: usize| vec![0xc5_u8; bytes];
    let even: Vec<u8> = [vec![0xc5; 255], vec![0xc4]].concat();
    vec![
        ("RSA 1024", rsa(&modulus(128), &[1, 0, 1])),
        ("RSA 16384", rsa(&modulus(2048), &[1, 0, 1])),
        ("even modulus", rsa(&even, &[1, 0, 1])),
        ("even exponent", rsa(&modulus(256), &[1, 0, 0])),
        ("exponent 1", rsa(&modulus(256), &[1])),
        ("exponent 3", rsa(&modulus(256), &[3])),
        ("huge exponent", rsa(&modulus(256), &[1; 32])),
    ]
}

/// All keys that no one may register.
fn hostile() -> Vec<(&'static str, Value)> {
    let good = jwk();
    let mut all: Vec<(&str, Value)> = ["d", "p", "q", "dp", "dq", "qi", "k"]
        .map(|name| (name, with(good.clone(), json!({name: "AAAA"}))))
        .into();
    all.extend([
        ("oth", with(good.clone(), json!({"oth": []}))),
        (
            "symmetric",
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
        ),
        (
            "symmetric without its key",
            json!({"kty": "oct", "alg": "HS256"}),
        ),
        ("unknown kty", with(good.clone(), json!({"kty": "AKP"}))),
        (
            "no kty",
            json!({"crv": "P-256", "x": good["x"], "y": good["y"]}),
        ),
        ("kty that is no text", with(good.clone(), json!({"kty": 1}))),
        ("another curve", with(good.clone(), json!({"crv": "P-384"}))),
        ("secp256k1", with(good.clone(), json!({"crv": "secp256k1"}))),
        ("off the curve", with(good.clone(), json!({"y": good["x"]}))),
        (
            "at infinity",
            with(
                good.clone(),
                json!({"x": URL_SAFE_NO_PAD.encode([0; 32]), "y": URL_SAFE_NO_PAD.encode([0; 32])}),
            ),
        ),
        ("short coordinate", with(good.clone(), json!({"x": "AQ"}))),
        (
            "low order",
            json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([0; 32])}),
        ),
        (
            "X25519",
            json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([9; 32])}),
        ),
        ("for encryption", with(good.clone(), json!({"use": "enc"}))),
        (
            "for encrypting",
            with(good.clone(), json!({"key_ops": ["encrypt"]})),
        ),
        ("none", with(good.clone(), json!({"alg": "none"}))),
        ("HS256", with(good.clone(), json!({"alg": "HS256"}))),
        (
            "another type's alg",
            with(good.clone(), json!({"alg": "RS256"})),
        ),
        ("empty kid", with(good.clone(), json!({"kid": ""}))),
        (
            "long kid",
            with(good.clone(), json!({"kid": "k".repeat(300)})),
        ),
        (
            "kid with a space",
            with(good.clone(), json!({"kid": "a b"})),
        ),
        ("kid with a line", with(good, json!({"kid": "a\nb"}))),
        ("empty", json!({})),
    ]);
    all.extend(hostile_rsa());
    all
}

#[rstest]
#[tokio::test]
async fn a_hostile_key_is_refused_with_nothing_changed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    signer(&world, &SigningKey::generate(Algorithm::Es256).unwrap()).await;
    let before = world.get("/agents/acme.signer").await;
    for (what, key) in hostile() {
        let added = world.post(KEYS, json!({"jwk": key})).await;
        assert_eq!(added.problem(), (400, "invalid_request"), "{what}");
        assert!(
            added.body["errors"][0]["pointer"]
                .as_str()
                .unwrap()
                .starts_with("/jwk"),
            "{what}"
        );
        let made = with(
            keyed("acme", "other"),
            json!({"jwks": {"keys": [jwk(), key]}}),
        );
        let made = world.post("/agents", made).await;
        assert_eq!(made.problem(), (400, "invalid_request"), "{what}");
        assert!(
            made.body["errors"][0]["pointer"]
                .as_str()
                .unwrap()
                .starts_with("/jwks/keys/1"),
            "{what}"
        );
    }
    assert_eq!(world.get("/agents/acme.signer").await, before);
    assert_eq!(
        world.get("/agents").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2,
        "the admin and the signer"
    );
}

#[rstest]
#[tokio::test]
async fn a_key_that_points_elsewhere_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    signer(&world, &SigningKey::generate(Algorithm::Es256).unwrap()).await;
    for member in ["x5u", "jku"] {
        let key = with(jwk(), json!({member: "https://evil.example/key"}));
        let reply = world.post(KEYS, json!({"jwk": key})).await;
        assert_eq!(
            reply.problem(),
            (400, "invalid_request"),
            "{member}: a key is what stands here"
        );
        assert_eq!(reply.body["errors"][0]["pointer"], format!("/jwk/{member}"));
        let made = with(keyed("acme", "other"), json!({"jwks": {"keys": [key]}}));
        let reply = world.post("/agents", made).await;
        assert_eq!(
            reply.body["errors"][0]["pointer"],
            format!("/jwks/keys/0/{member}")
        );
    }
    assert_eq!(
        world.get("/agents/acme.signer").await["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[rstest]
#[tokio::test]
async fn a_kid_names_one_key(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let first = SigningKey::generate(Algorithm::Es256).unwrap();
    signer(&world, &first).await;
    let same_kid = with(jwk(), json!({"kid": first.kid()}));
    assert_eq!(
        world.post(KEYS, json!({"jwk": same_kid})).await.problem(),
        (409, "already_exists")
    );
    let same_key = with(public(&first), json!({"kid": "another-name"}));
    assert_eq!(
        world.post(KEYS, json!({"jwk": same_key})).await.problem(),
        (409, "already_exists")
    );
    let (one, other) = (
        with(jwk(), json!({"kid": "k"})),
        with(jwk(), json!({"kid": "k"})),
    );
    for keys in [
        json!([one, other]),
        json!([one, one]),
        json!([one, with(one.clone(), json!({"kid": "l"}))]),
    ] {
        let reply = world
            .post(
                "/agents",
                with(keyed("acme", "other"), json!({"jwks": {"keys": keys}})),
            )
            .await;
        assert_eq!(reply.problem(), (400, "invalid_request"));
        assert_eq!(reply.body["errors"][0]["pointer"], "/jwks/keys/1");
    }
    let five: Vec<Value> = (0..5).map(|_| jwk()).collect();
    for keys in [json!([]), json!(five)] {
        let reply = world
            .post(
                "/agents",
                with(keyed("acme", "other"), json!({"jwks": {"keys": keys}})),
            )
            .await;
        assert_eq!(reply.body["errors"][0]["pointer"], "/jwks/keys");
    }
    assert_eq!(
        world.get("/agents/acme.signer").await["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[rstest]
#[tokio::test]
async fn a_key_is_shown_by_name_only(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    signer(&world, &key).await;
    let shown = world.get("/agents/acme.signer").await["keys"][0].clone();
    let mut names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "created_at", "expires_at", "id", "kid"]);
    assert_eq!(
        (&shown["kid"], &shown["alg"]),
        (&json!(key.kid()), &json!("ES256"))
    );
}
