//! What may be registered, and what a server that sees no certificates says.

use crate::authority::{params, self_signed};
use crate::world::World;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

async fn refused(server: &TestServer, body: &Value, pointer: &str) {
    let (status, answer) = server.admin(Method::POST, "/agents", Some(body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
    assert!(answer.to_string().contains(&format!("\"{pointer}\"")), "{pointer} in {answer}");
}

#[tokio::test]
async fn a_subject_is_named_once_and_well_formed() {
    let world = World::tls(Backend::Sqlite).await;
    let long = format!("CN={}", "x".repeat(1100));
    let cases = [
        ("/settings", json!({})),
        ("/settings", json!({"tls_client_auth_san_dns": "a.example", "tls_client_auth_san_uri": "urn:a"})),
        ("/settings/tls_client_auth_subject_dn", json!({"tls_client_auth_subject_dn": ""})),
        ("/settings/tls_client_auth_subject_dn", json!({"tls_client_auth_subject_dn": "agent"})),
        ("/settings/tls_client_auth_subject_dn", json!({"tls_client_auth_subject_dn": "CN=a,,O=b"})),
        ("/settings/tls_client_auth_subject_dn", json!({"tls_client_auth_subject_dn": "XX=a"})),
        ("/settings/tls_client_auth_subject_dn", json!({"tls_client_auth_subject_dn": long})),
        ("/settings/tls_client_auth_san_dns", json!({"tls_client_auth_san_dns": "*.example"})),
        ("/settings/tls_client_auth_san_dns", json!({"tls_client_auth_san_dns": "192.0.2.1"})),
        ("/settings/tls_client_auth_san_uri", json!({"tls_client_auth_san_uri": "agent"})),
        ("/settings/tls_client_auth_san_ip", json!({"tls_client_auth_san_ip": "192.0.2.0/24"})),
        ("/settings/tls_client_auth_san_email", json!({"tls_client_auth_san_email": "agent"})),
    ];
    for (pointer, settings) in cases {
        refused(&world.server, &World::registration("agent", "tls_client_auth", settings), pointer).await;
    }
    // What belongs to another method would look as if it held.
    let settings = json!({"tls_client_auth_san_dns": "a.example"});
    for method in ["client_secret_basic", "private_key_jwt", "self_signed_tls_client_auth"] {
        let body = World::registration("agent", method, settings.clone());
        refused(&world.server, &body, "/settings/tls_client_auth_san_dns").await;
    }
    world.trusted("agent", settings).await;
    let (_, agent) = world.server.admin(Method::GET, "/agents/acme.agent", None).await;
    assert_eq!(agent["readiness"]["ready"], json!(true), "{agent}");
    // A change is held to the same.
    let patch = json!({"settings": {}});
    let (status, _) = world.server.admin(Method::PATCH, "/agents/acme.agent", Some(&patch)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // It has neither secrets nor keys.
    let (status, _) = world.server.admin(Method::POST, "/agents/acme.agent/secrets", Some(&json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let key = json!({"jwk": self_signed(&params("a")).jwk("k")});
    let (status, _) = world.server.admin(Method::POST, "/agents/acme.agent/keys", Some(&key)).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_certificate_is_registered_with_its_own_key() {
    let world = World::tls(Backend::Sqlite).await;
    let (leaf, other) = (self_signed(&params("a")), self_signed(&params("b")));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut jwk = leaf.jwk("k");
        change(&mut jwk);
        let mut body = World::registration("agent", "self_signed_tls_client_auth", json!({}));
        body["jwks"] = json!({"keys": [jwk]});
        body
    };
    let broken: [&dyn Fn(&mut Value); 8] = [
        &|jwk| drop(jwk.as_object_mut().unwrap().remove("x5c")),
        &|jwk| jwk["x5c"] = json!([]),
        &|jwk| jwk["x5c"] = json!(leaf.base64()),
        &|jwk| jwk["x5c"] = json!([leaf.base64(), other.base64()]),
        &|jwk| jwk["x5c"] = json!([other.base64()]),
        &|jwk| jwk["x5c"] = json!(["AAAA"]),
        &|jwk| jwk["x5c"] = json!([format!("{}AAAA", leaf.base64().trim_end_matches('='))]),
        &|jwk| jwk["d"] = json!("AAAA"),
    ];
    for change in broken {
        refused(&world.server, &with(change), "/jwks/keys/0").await;
    }
    let mut twice = with(&|_| {});
    twice["jwks"] = json!({"keys": [leaf.jwk("k"), leaf.jwk("l")]});
    refused(&world.server, &twice, "/jwks/keys/1").await;
    let (status, made) = world.server.admin(Method::POST, "/agents", Some(&with(&|_| {}))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made.get("client_secret"), None);
    assert!(!made.to_string().contains(&leaf.base64()), "a view shows its thumbprint");
    let (status, _) = world.server.admin(Method::POST, "/agents", Some(&with(&|_| {}))).await;
    assert_eq!(status, StatusCode::OK, "the same registration twice is one");
    // A key for signing needs no certificate, and one that comes along is not looked at.
    let mut signer = World::registration("signer", "private_key_jwt", json!({}));
    signer["jwks"] = json!({"keys": [leaf.jwk("k")]});
    let (status, made) = world.server.admin(Method::POST, "/agents", Some(&signer)).await;
    assert_eq!((status, made["agent"]["keys"][0].get("certificate")), (StatusCode::CREATED, None));
}

#[tokio::test]
async fn a_server_that_sees_no_certificates_offers_none_of_it() {
    let server = TestServer::start(Backend::Sqlite).await;
    server.create_owner("acme").await;
    let metadata = server.http.get(server.url("/.well-known/oauth-authorization-server")).send().await.unwrap();
    let metadata = metadata.text().await.unwrap();
    assert!(!metadata.contains("tls_client") && !metadata.contains("mtls"), "{metadata}");
    let mut body = World::registration("agent", "tls_client_auth", json!({"tls_client_auth_san_dns": "a.example"}));
    body["access"] = json!([]);
    refused(&server, &body, "/auth_method").await;
    body["auth_method"] = json!("self_signed_tls_client_auth");
    body["settings"] = json!({});
    refused(&server, &body, "/auth_method").await;
    body["auth_method"] = json!("client_secret_basic");
    body["settings"] = json!({"tls_client_certificate_bound_access_tokens": true});
    refused(&server, &body, "/settings/tls_client_certificate_bound_access_tokens").await;
}
