//! Registering issuers: what is refused, who may, and that it can be repeated.

use crate::idp::Key;
use crate::world::{World, trust, with};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

fn body() -> Value {
    json!({
        "owner": "acme", "issuer": "https://login.example", "keys": "discovery", "audiences": ["stipend"],
        "uses": ["subject_token"],
    })
}

#[rstest]
#[tokio::test]
async fn an_issuer_lives_through_the_api(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let server = &world.server;
    let (status, made) = server.admin(Method::POST, "/issuers", Some(&body())).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(
        with(made.clone(), json!({"id": null, "created_at": null, "updated_at": null})),
        json!({
            "owner": "acme", "issuer": "https://login.example", "kind": "oidc", "name": "https://login.example",
            "keys": "discovery", "audiences": ["stipend"], "algorithms": ["ES256", "EdDSA", "PS256", "RS256"],
            "uses": ["subject_token"], "mapping": {}, "hosts": [], "state": "active", "created_by": "stipend.admin",
        })
    );
    let (status, again) = server.admin(Method::POST, "/issuers", Some(&body())).await;
    assert_eq!((status, &again), (StatusCode::OK, &made));
    let differs = with(body(), json!({"audiences": ["other"]}));
    let (status, said) = server.admin(Method::POST, "/issuers", Some(&differs)).await;
    assert_eq!((status, &said["code"]), (StatusCode::CONFLICT, &json!("already_exists")));
    let path = format!("/issuers/{}", made["id"].as_str().unwrap());
    let change = json!({"uses": ["subject_token", "id_jag"], "mapping": {"required": {"hd": ["acme.example"]}}});
    let (_, changed) = server.admin(Method::PATCH, &path, Some(&change)).await;
    assert_eq!((&changed["uses"], &changed["mapping"]), (&change["uses"], &change["mapping"]));
    let (_, off) = server.admin(Method::POST, &format!("{path}/disable"), Some(&json!({"reason": "test"}))).await;
    assert_eq!(off["state"], "disabled");
    let (_, revoked) = server.admin(Method::GET, "/revocations", None).await;
    assert_eq!((&revoked["items"][0]["kind"], &revoked["items"][0]["value"]), (&json!("issuer"), &made["id"]));
    let (status, _) = server.admin(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.admin(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    // The name is free again, and the id is another one.
    let (_, anew) = server.admin(Method::POST, "/issuers", Some(&body())).await;
    assert_ne!(anew["id"], made["id"]);
}

#[tokio::test]
async fn what_can_not_be_registered_says_which_member_is_wrong() {
    let world = World::new(Backend::Sqlite).await;
    let private = with(Key::new("p").jwk(), json!({"d": "AAAA"}));
    let many: Vec<String> = (0..33).map(|n| n.to_string()).collect();
    for (pointer, changes) in [
        ("/issuer", json!({"issuer": "login.example"})),
        ("/issuer", json!({"issuer": "https://login.example/?tenant=1"})),
        ("/issuer", json!({"issuer": "https://login.example/#a"})),
        ("/issuer", json!({"issuer": "https://user@login.example"})),
        ("/issuer", json!({"issuer": "file:///etc/passwd"})),
        ("/issuer", json!({"issuer": "https://login.example\n"})),
        ("/issuer", json!({"issuer": world.server.issuer})),
        ("/issuer", json!({"issuer": format!("{}/", world.server.issuer)})),
        (
            "/issuer",
            json!({"kind": "spiffe", "issuer": "spiffe://Prod.example", "keys": {"jwks_uri": "https://a.example"}}),
        ),
        (
            "/issuer",
            json!({"kind": "spiffe", "issuer": "spiffe://prod.example/x", "keys": {"jwks_uri": "https://a.example"}}),
        ),
        ("/keys", json!({"kind": "spiffe", "issuer": "spiffe://prod.example"})),
        ("/keys/jwks_uri", json!({"keys": {"jwks_uri": "keys"}})),
        ("/keys/jwks", json!({"keys": {"jwks": {"keys": []}}})),
        ("/keys/jwks", json!({"keys": {"jwks": {"keys": [private]}}})),
        ("/keys/jwks", json!({"keys": {"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}})),
        ("/audiences", json!({"audiences": []})),
        ("/audiences", json!({"audiences": [""]})),
        ("/audiences", json!({"audiences": ["a", "a"]})),
        ("/audiences", json!({"audiences": many})),
        ("/algorithms", json!({"algorithms": []})),
        ("/uses", json!({"uses": []})),
        ("/uses", json!({"uses": ["subject_token", "subject_token"]})),
        ("/hosts", json!({"hosts": ["https://keys.example"]})),
        ("/hosts", json!({"hosts": ["keys.example:443"]})),
        ("/mapping", json!({"mapping": {"subject": ""}})),
        ("/mapping/required", json!({"mapping": {"required": {"hd": []}}})),
        ("/name", json!({"name": ""})),
    ] {
        let (status, said) = world.server.admin(Method::POST, "/issuers", Some(&with(body(), changes.clone()))).await;
        assert_eq!(
            (status, &said["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!(pointer)),
            "{changes} {said}"
        );
    }
    for changes in [
        json!({"algorithms": ["none"]}),
        json!({"algorithms": ["HS256"]}),
        json!({"uses": ["all"]}),
        json!({"more": 1}),
    ] {
        let (status, said) = world.server.admin(Method::POST, "/issuers", Some(&with(body(), changes.clone()))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{changes} {said}");
    }
}

#[tokio::test]
async fn who_may_log_in_as_an_admin_is_the_platforms_to_say() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    let audience = format!("{}/admin", server.issuer);
    let boss = server
        .create(
            "/agents",
            json!({
                "owner": "acme", "name": "boss", "kind": "admin", "auth_method": "client_secret_basic",
                "roles": [{"role": "owner-admin", "owner": "acme"}],
                "access": [{"resource": audience, "scopes": ["admin:read", "admin:write"], "default_scopes": ["admin:read", "admin:write"]}],
            }),
        )
        .await;
    let client = stipend::testing::TestClient {
        id: boss["agent"]["id"].as_str().unwrap().to_owned(),
        secret: boss["client_secret"].as_str().unwrap().to_owned(),
    };
    let token = server.token(&client, &[]).await;
    let login = with(body(), json!({"uses": ["admin_login"]}));
    let (status, _) = server.admin_as(&token, Method::POST, "/issuers", Some(&login)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, made) = server.admin_as(&token, Method::POST, "/issuers", Some(&body())).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/issuers/{}", made["id"].as_str().unwrap());
    let (status, _) = server.admin_as(&token, Method::PATCH, &path, Some(&json!({"uses": ["admin_login"]}))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    // One that the platform has let in is not theirs to bend.
    let (status, _) = server.admin(Method::PATCH, &path, Some(&json!({"uses": ["admin_login"]}))).await;
    assert_eq!(status, StatusCode::OK);
    let keys = json!({"keys": {"jwks": {"keys": [Key::new("mine").jwk()]}}});
    let (status, _) = server.admin_as(&token, Method::PATCH, &path, Some(&keys)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_are_used_at_once() {
    let world = World::new(Backend::Sqlite).await;
    let old = world.id_token(json!({}));
    assert_eq!(world.fault(&old).await, None);
    let next = Key::new("k1");
    world.patch(json!({"keys": {"jwks": {"keys": [next.jwk()]}}})).await;
    assert!(world.fault(&old).await.is_some());
    assert_eq!(world.fault(&next.token("JWT", &world.idp.claims(world.now()))).await, None);
    let other = Key::new("o");
    trust(&world.server, "https://inline.example", json!({"keys": {"jwks": {"keys": [other.jwk()]}}})).await;
    let claims = with(world.idp.claims(world.now()), json!({"iss": "https://inline.example"}));
    assert_eq!(world.fault(&other.token("JWT", &claims)).await, None);
}
