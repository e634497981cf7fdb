//! Clients that register where they publish their keys (`jwks_uri`, RFC 7591 section 2).

use crate::idp::{Face, Idp, KEYS, Key};
use crate::world::{Reply, World, key, with};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::federation::FRESH_SECONDS;
use stipend::testing::TestServer;
use stipend_keys::random_id;
use stipend_schema::Backend;

const LOCAL: &[(&str, &str)] = &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];

async fn world(backend: Backend) -> World {
    World::on(TestServer::start_with(backend, LOCAL).await).await
}

async fn sign_in(world: &World, client: &Reply, key: &Key) -> StatusCode {
    let (now, id) = (world.server.now(), client.text("client_id"));
    let claims = json!({
        "iss": id, "sub": id, "aud": world.server.issuer, "exp": now + 60, "jti": random_id("j_"),
    });
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion", &key.token("JWT", &claims)),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ];
    world.server.http.post(world.server.url("/oauth2/token")).form(&form).send().await.unwrap().status()
}

#[rstest]
#[tokio::test]
async fn a_client_authenticates_by_the_keys_that_it_publishes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = world(backend).await;
    let (one, two) = (Key::new("k1"), Key::new("k2"));
    let host = Idp::start(&[&one]).await;
    let uri = format!("{}{KEYS}", host.issuer);
    let made = world.registered(json!({"jwks_uri": uri})).await;
    assert_eq!((&made.body["jwks_uri"], made.body.get("jwks")), (&json!(uri), None), "{}", made.body);
    assert_eq!(made.body["token_endpoint_auth_method"], "private_key_jwt");
    assert!(made.body.get("client_secret").is_none());
    assert_eq!(host.hits(KEYS), 0, "nothing is fetched for a registration");
    assert_eq!(sign_in(&world, &made, &one).await, StatusCode::OK);
    assert_eq!(sign_in(&world, &made, &two).await, StatusCode::UNAUTHORIZED);
    host.publish(&[&two]);
    world.server.clock.advance(FRESH_SECONDS + 1);
    assert_eq!(sign_in(&world, &made, &two).await, StatusCode::OK);
    assert_eq!(sign_in(&world, &made, &one).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_update_replaces_what_the_client_proves_itself_by() {
    let world = world(Backend::Sqlite).await;
    let (one, two) = (Key::new("k1"), Key::new("k2"));
    let (first, second) = (Idp::start(&[&one]).await, Idp::start(&[&two]).await);
    let uri = |host: &Idp| format!("{}{KEYS}", host.issuer);
    let made = world.registered(json!({"jwks_uri": uri(&first)})).await;
    let id = made.text("client_id");
    // Another place.
    let moved = world.update(&made, json!({"jwks_uri": uri(&second)})).await;
    assert_eq!((moved.status, &moved.body["jwks_uri"]), (200, &json!(uri(&second))), "{}", moved.body);
    assert_eq!(sign_in(&world, &moved, &one).await, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&world, &moved, &two).await, StatusCode::OK);
    // Keys in the place of a place, and back.
    let (signer, jwks) = key();
    let inline = world.update(&moved, json!({"jwks": jwks})).await;
    assert_eq!((inline.status, inline.body.get("jwks_uri")), (200, None), "{}", inline.body);
    assert_eq!(sign_in(&world, &inline, &two).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.sign_in(&id, &signer).await.0, StatusCode::OK);
    assert_eq!(world.agent(&id).await["settings"].get("jwks_uri"), None);
    let back = world.update(&inline, json!({"jwks_uri": uri(&first)})).await;
    assert_eq!((back.status, back.body.get("jwks")), (200, None));
    assert_eq!(world.sign_in(&id, &signer).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&world, &back, &one).await, StatusCode::OK);
    // Left out is as in a new registration: a secret, and no place any more.
    let plain = world.update(&back, json!({})).await;
    assert_eq!((plain.status, plain.body.get("jwks_uri")), (200, None));
    assert_eq!(plain.body["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(sign_in(&world, &plain, &one).await, StatusCode::UNAUTHORIZED);
    for bad in [json!({"jwks_uri": "https://10.0.0.1/x"}), json!({"jwks_uri": uri(&first), "jwks": jwks})] {
        assert_eq!(world.update(&plain, bad).await.error(), (400, "invalid_client_metadata"));
    }
}

#[tokio::test]
async fn what_could_not_be_fetched_or_does_not_belong_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let (id, token) = world.token(json!({}), json!({"auth_methods": ["private_key_jwt", "client_secret_basic"]})).await;
    let good = "https://keys.example/jwks";
    let secret = json!({"token_endpoint_auth_method": "client_secret_basic"});
    let cases: Vec<(Value, &str)> = vec![
        (json!({"jwks_uri": "http://keys.example/jwks"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": "https://127.0.0.1/jwks"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": "https://[::1]/jwks"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": "https://169.254.169.254/latest"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": "https://user@keys.example/jwks"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": "https://keys.example/jwks#f"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": "file:///etc/passwd"}), "metadata_jwks_uri"),
        (json!({"jwks_uri": 7}), "metadata_jwks_uri"),
        (json!({"jwks_uri": ""}), "metadata_jwks_uri"),
        (json!({"jwks_uri": good, "jwks": key().1}), "metadata_keys_twice"),
        (with(secret.clone(), json!({"jwks_uri": good})), "metadata_jwks_uri_unused"),
        (json!({"tls_client_auth_san_dns": "a.example"}), "metadata_subject_unused"),
        (with(secret, json!({"tls_client_auth_subject_dn": "CN=a"})), "metadata_subject_unused"),
        (json!({"jwks_uri": good, "tls_client_auth_san_ip": "192.0.2.1"}), "metadata_subject_unused"),
        // Permitted by nobody: not by the template, and not by a server without certificates.
        (
            json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a"}),
            "metadata_auth_method",
        ),
        (json!({"token_endpoint_auth_method": "self_signed_tls_client_auth"}), "metadata_auth_method"),
    ];
    for (metadata, reason) in cases {
        let reply = world.register(&token, metadata.clone()).await;
        assert_eq!(reply.error(), (400, "invalid_client_metadata"), "{metadata}: {}", reply.body);
        assert_eq!(world.records("event=registration.refused").await[0]["reason"], reason, "{metadata}");
    }
    assert_eq!(world.uses(&id).await, 0);
    let methods = json!({"auth_methods": ["tls_client_auth", "self_signed_tls_client_auth"]});
    let (_, token) = world.token(json!({}), methods).await;
    let reply = world.register(&token, json!({"tls_client_auth_san_dns": "a.example"})).await;
    assert_eq!(reply.error(), (400, "invalid_client_metadata"), "this server sees no certificates");
    assert_eq!(world.register(&token, json!({"jwks_uri": good})).await.status, 400);
}

#[tokio::test]
async fn a_place_whose_host_fails_lets_nobody_in() {
    let world = world(Backend::Sqlite).await;
    let one = Key::new("k1");
    let host = Idp::start(&[&one]).await;
    host.face(KEYS, Face::Redirect(format!("{}/elsewhere", host.issuer)));
    host.face("/elsewhere", Face::Json(json!({"keys": [one.jwk()]})));
    let made = world.registered(json!({"jwks_uri": format!("{}{KEYS}", host.issuer)})).await;
    assert_eq!(sign_in(&world, &made, &one).await, StatusCode::UNAUTHORIZED);
    assert_eq!(host.hits("/elsewhere"), 0);
}
