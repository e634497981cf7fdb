//! What makes a foreign token good, and each way in which it is not.

use crate::idp::{Idp, Key};
use crate::world::{World, trust, with};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::federation::{ForeignFault, ForeignKind, MAX_FOREIGN_SECONDS, accepts_audience, token_digest};
use stipend_schema::Backend;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_is_its_issuers_subject_here(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let now = world.now();
    let token = world.verify(&world.id_token(json!({"jti": "one"}))).await.unwrap();
    assert_eq!(token.subject, format!("user:{}:alice", world.id));
    assert_eq!((token.name.as_str(), token.digest), ("alice", token_digest(&world.idp.issuer, "one")));
    assert_eq!((token.issued_at, token.expires_at), (Some(now), now + 600));
    assert_eq!(token.user.idp.as_ref(), Some(&world.id));
    assert_eq!((token.user.acr.as_deref(), token.user.auth_time), (Some("urn:example:gold"), Some(now - 30)));
    assert_eq!(token.user.amr, ["pwd", "otp"]);
    // Without a jti it is the whole that has a name, the same each time.
    let nameless = world.id_token(json!({"jti": null}));
    let digest = world.verify(&nameless).await.unwrap().digest;
    assert_eq!(world.verify(&nameless).await.unwrap().digest, digest);
    assert_ne!(world.verify(&world.id_token(json!({"jti": null, "nonce": "x"}))).await.unwrap().digest, digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_id_token_may_not_be() {
    let world = World::new(Backend::Sqlite).await;
    let now = world.now();
    let long = "x".repeat(256);
    for (what, changes, fault) in [
        ("unknown issuer", json!({"iss": "http://127.0.0.1:1"}), ForeignFault::UnknownIssuer),
        ("issuer with a slash", json!({"iss": format!("{}/", world.idp.issuer)}), ForeignFault::UnknownIssuer),
        ("no issuer", json!({"iss": null}), ForeignFault::Malformed),
        ("issuer of another type", json!({"iss": ["x"]}), ForeignFault::Malformed),
        ("no exp", json!({"exp": null}), ForeignFault::Malformed),
        ("no iat", json!({"iat": null}), ForeignFault::Malformed),
        ("exp as text", json!({"exp": "99999999999"}), ForeignFault::Malformed),
        ("exp as a fraction", json!({"exp": now as f64 + 100.5}), ForeignFault::Malformed),
        ("exp before time", json!({"exp": -1}), ForeignFault::Malformed),
        ("exp past all calendars", json!({"exp": i64::MAX}), ForeignFault::Malformed),
        ("exp beyond 64 bits", json!({"exp": u64::MAX}), ForeignFault::Malformed),
        ("nbf as text", json!({"nbf": "0"}), ForeignFault::Malformed),
        ("expired", json!({"exp": now - 61}), ForeignFault::Times),
        ("of the future", json!({"iat": now + 61}), ForeignFault::Times),
        ("not yet valid", json!({"nbf": now + 61}), ForeignFault::Times),
        ("for ever", json!({"exp": now + MAX_FOREIGN_SECONDS + 1}), ForeignFault::Times),
        ("for ever from long ago", json!({"iat": 0, "exp": now + 60}), ForeignFault::Times),
        ("no sub", json!({"sub": null}), ForeignFault::Subject),
        ("empty sub", json!({"sub": ""}), ForeignFault::Subject),
        ("long sub", json!({"sub": long}), ForeignFault::Subject),
        ("sub with a line end", json!({"sub": "a\nb"}), ForeignFault::Subject),
        ("sub with U+0000", json!({"sub": "a\u{0}b"}), ForeignFault::Malformed),
        ("sub as a number", json!({"sub": 7}), ForeignFault::Subject),
        ("empty jti", json!({"jti": ""}), ForeignFault::Malformed),
        ("jti as a number", json!({"jti": 7}), ForeignFault::Malformed),
        ("acr as a number", json!({"acr": 1}), ForeignFault::Malformed),
        (
            "a logout token",
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
            ForeignFault::Kind,
        ),
    ] {
        assert_eq!(world.fault(&world.id_token(changes)).await, Some(fault), "{what}");
    }
    for good in [json!({}), json!({"exp": now - 59}), json!({"iat": now + 59, "nbf": now + 59}), json!({"jti": null})] {
        assert_eq!(world.fault(&world.id_token(good.clone())).await, None, "{good}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_passes_for_its_own_kind_only() {
    let world = World::new(Backend::Sqlite).await;
    let claims = world.idp.claims(world.now());
    let table = [
        ("JWT", [true, false, true]),
        ("", [true, false, true]),
        ("at+jwt", [false, true, true]),
        ("application/at+jwt", [false, true, true]),
        ("dpop+jwt", [false; 3]),
        ("oauth-id-jag+jwt", [false; 3]),
        ("client-authentication+jwt", [false; 3]),
        ("secevent+jwt", [false; 3]),
        ("logout+jwt", [false; 3]),
        ("token-introspection+jwt", [false; 3]),
        ("txntoken+jwt", [false; 3]),
    ];
    for (typ, passes) in table {
        let token = world.key.token(typ, &claims);
        for (kind, passes) in [ForeignKind::IdToken, ForeignKind::AccessToken, ForeignKind::Jwt].into_iter().zip(passes)
        {
            let fault = world.verify_as(&token, kind).await.err();
            assert_eq!(fault, (!passes).then_some(ForeignFault::Kind), "{typ:?} as {kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_algorithms_are_the_issuers_alone() {
    let world = World::new(Backend::Sqlite).await;
    let claims = world.idp.claims(world.now());
    let mallory = Key::new("k1");
    assert_eq!(world.fault(&mallory.token("JWT", &claims)).await, Some(ForeignFault::Signature));
    let header = |changes| with(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), changes);
    let jwk = mallory.jwk();
    for (what, key, header, fault) in [
        ("its own key in the header", &mallory, header(json!({"jwk": jwk})), ForeignFault::Signature),
        ("its own address", &mallory, header(json!({"jku": "http://127.0.0.1:1/keys"})), ForeignFault::Signature),
        ("its own certificate", &mallory, header(json!({"x5u": "http://127.0.0.1:1"})), ForeignFault::Signature),
        ("no kid", &world.key, header(json!({"kid": null})), ForeignFault::UnknownKey),
        ("another kid", &world.key, header(json!({"kid": "k2"})), ForeignFault::UnknownKey),
        ("a path as kid", &world.key, header(json!({"kid": "../../k1"})), ForeignFault::UnknownKey),
        ("RS256 by an EC key", &world.key, header(json!({"alg": "RS256"})), ForeignFault::Algorithm),
        ("EdDSA by an EC key", &world.key, header(json!({"alg": "EdDSA"})), ForeignFault::Algorithm),
        ("none", &world.key, header(json!({"alg": "none"})), ForeignFault::Malformed),
        ("HS256", &world.key, header(json!({"alg": "HS256"})), ForeignFault::Malformed),
        ("an extension", &world.key, header(json!({"crit": ["exp"]})), ForeignFault::Malformed),
    ] {
        assert_eq!(world.fault(&key.sign(&header, &claims)).await, Some(fault), "{what}");
    }
    let good = world.key.token("JWT", &claims);
    let (front, _) = good.rsplit_once('.').unwrap();
    assert_eq!(world.fault(&format!("{front}.")).await, Some(ForeignFault::Malformed), "unsigned");
    assert_eq!(world.fault(&format!("{front}.{}", B64.encode([0_u8; 64]))).await, Some(ForeignFault::Signature));
    assert_eq!(world.fault(&good).await, None);
    // What the issuer signs with, but is not registered with.
    world.patch(json!({"algorithms": ["EdDSA"]})).await;
    assert_eq!(world.fault(&good).await, Some(ForeignFault::Algorithm));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_issuers_key_signs_nothing_of_anothers() {
    let world = World::new(Backend::Sqlite).await;
    // The same kid, and another key under it.
    let theirs = Key::new("k1");
    let other = Idp::start(&[&theirs]).await;
    let id = trust(&world.server, &other.issuer, json!({})).await;
    let (now, mine) = (world.now(), world.idp.claims(world.now()));
    for _ in 0..2 {
        let foreign = theirs.token("JWT", &mine);
        assert_eq!(world.fault(&foreign).await, Some(ForeignFault::Signature), "B's key under A's name");
        let foreign = world.key.token("JWT", &other.claims(now));
        assert_eq!(world.fault(&foreign).await, Some(ForeignFault::Signature), "A's key under B's name");
        // Both at home: nobody takes the other's place in a cache.
        let alice = world.verify(&world.key.token("JWT", &mine)).await.unwrap();
        let namesake = world.verify(&theirs.token("JWT", &other.claims(now))).await.unwrap();
        assert_eq!(namesake.subject, format!("user:{id}:alice"));
        assert_ne!((alice.subject, alice.digest), (namesake.subject, namesake.digest));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_trusted_while_it_is_on_and_for_its_uses(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.id_token(json!({}));
    assert_eq!(world.fault(&token).await, None);
    world.patch(json!({"uses": ["client_assertion"]})).await;
    assert_eq!(world.fault(&token).await, Some(ForeignFault::Use));
    world.patch(json!({"uses": ["subject_token"]})).await;
    assert_eq!(world.fault(&token).await, None);
    let path = |verb: &str| format!("/issuers/{}/{verb}", world.id);
    world.server.admin(Method::POST, &path("disable"), Some(&json!({"reason": "stolen key"}))).await;
    assert_eq!(world.fault(&token).await, Some(ForeignFault::Inactive));
    world.server.admin(Method::POST, &path("enable"), None).await;
    // What it made before it was switched off is dead for good; what it makes now is not.
    assert!(matches!(world.fault(&token).await, Some(ForeignFault::Revoked(_))));
    world.server.clock.advance(2);
    assert_eq!(world.fault(&world.id_token(json!({}))).await, None);
    world.server.admin(Method::POST, "/owners/acme/disable", None).await;
    assert_eq!(world.fault(&world.id_token(json!({}))).await, Some(ForeignFault::Inactive));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_audience_that_is_missing_or_misshapen_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let good = |kind, aud: Value| {
        let world = &world;
        async move {
            let typ = if kind == ForeignKind::AccessToken { "at+jwt" } else { "JWT" };
            let mut claims = world.idp.claims(world.now());
            claims.as_object_mut().unwrap().insert("aud".into(), aud);
            accepts_audience(&world.verify_as(&world.key.token(typ, &claims), kind).await.unwrap())
        }
    };
    for kind in [ForeignKind::IdToken, ForeignKind::AccessToken, ForeignKind::Jwt] {
        for aud in [
            json!(null),
            json!(""),
            json!([]),
            json!([""]),
            json!([[]]),
            json!({}),
            json!(0),
            json!(true),
            json!({"stipend": true}),
            json!([["stipend"]]),
            json!("Stipend"),
            json!("stipend "),
            json!("other"),
            json!(["other"]),
            json!(["stipend", 7]),
            json!(["stipend", ""]),
            json!("stipend,other"),
            json!(["*"]),
        ] {
            assert!(!good(kind, aud.clone()).await, "{kind:?} {aud}");
        }
        assert!(good(kind, json!("stipend")).await && good(kind, json!(["stipend"])).await, "{kind:?}");
        // What others may use as well may come from them.
        assert_eq!(good(kind, json!(["stipend", "other"])).await, kind == ForeignKind::AccessToken, "{kind:?}");
    }
    let token = world.verify(&world.id_token(json!({"aud": null}))).await.unwrap();
    assert!(!accepts_audience(&token), "none at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_read_as_the_registration_says() {
    let world = World::new(Backend::Sqlite).await;
    let mapping = json!({
        "subject": "oid", "tenant": "/org/id",
        "required": {"email_verified": ["true"], "groups": ["support", "sales"], "hd": ["acme.example"]},
    });
    world.patch(json!({"mapping": mapping})).await;
    let good = json!({
        "oid": "0a1b", "org": {"id": "t:1"}, "email_verified": true, "groups": ["other", "sales"], "hd": "acme.example",
    });
    let token = world.verify(&world.id_token(good.clone())).await.unwrap();
    assert_eq!(token.subject, format!("user:{}:t%3A1:0a1b", world.id));
    assert_eq!(token.name, "t%3A1:0a1b");
    for (changes, fault) in [
        (json!({"oid": null}), ForeignFault::Subject),
        (json!({"org": null}), ForeignFault::Subject),
        (json!({"org": {"id": 1}}), ForeignFault::Subject),
        (json!({"email_verified": null}), ForeignFault::Required),
        (json!({"email_verified": false}), ForeignFault::Required),
        (json!({"groups": []}), ForeignFault::Required),
        (json!({"groups": "salesmen"}), ForeignFault::Required),
        (json!({"groups": {"sales": true}}), ForeignFault::Required),
        (json!({"hd": "acme.example.evil.example"}), ForeignFault::Required),
    ] {
        assert_eq!(world.fault(&world.id_token(with(good.clone(), changes.clone()))).await, Some(fault), "{changes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_domain_vouches_for_its_own_alone() {
    let world = World::new(Backend::Sqlite).await;
    let key = Key::new("svid");
    let bundle = json!({"keys": [with(key.jwk(), json!({"use": "jwt-svid"})), world.key.jwk()]});
    let id = trust(&world.server, "spiffe://prod.example", json!({"kind": "spiffe", "keys": {"jwks": bundle}})).await;
    let now = world.now();
    let svid = |sub: &str| json!({"sub": sub, "aud": "stipend", "iat": now, "exp": now + 300});
    let token = world.verify(&key.token("JWT", &svid("spiffe://prod.example/agents/one"))).await.unwrap();
    assert_eq!(token.subject, format!("user:{id}:spiffe://prod.example/agents/one"));
    for (sub, fault) in [
        ("spiffe://other.example/agents/one", ForeignFault::UnknownIssuer),
        ("spiffe://prod.example", ForeignFault::Malformed),
        ("spiffe://prod.example.evil/x", ForeignFault::UnknownIssuer),
    ] {
        assert_eq!(world.fault(&key.token("JWT", &svid(sub))).await, Some(fault), "{sub}");
    }
    // A key of the bundle that is not for JWT-SVIDs.
    let wrong = world.key.token("JWT", &svid("spiffe://prod.example/agents/one"));
    assert_eq!(world.fault(&wrong).await, Some(ForeignFault::UnknownKey));
    // An OIDC issuer may call its subjects what it likes: they stay its own.
    let posing = world.verify(&world.id_token(json!({"sub": "spiffe://prod.example/agents/one"}))).await.unwrap();
    assert_eq!(posing.subject, format!("user:{}:spiffe://prod.example/agents/one", world.id));
}
