//! Signing keys over time: rotation that no verifier notices, distrust that all do.

use crate::world::{World, header};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

async fn kids(world: &World) -> Vec<String> {
    let jwks: Value =
        world.server.http.get(world.server.url("/oauth2/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    for key in keys {
        let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!members.iter().any(|name| ["d", "p", "q", "dp", "dq", "qi", "k"].contains(name)), "{members:?}");
        assert!(members.contains(&"kid") && members.contains(&"alg") && members.contains(&"use"));
    }
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn a_rotation_publishes_ahead_and_retires_late(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let before = world.subject().await;
    let old = header(&before)["kid"].as_str().unwrap().to_owned();
    let (status, body) = world.server.admin(Method::POST, "/signing-keys/rotate", Some(&json!({}))).await;
    assert!(status.is_success(), "{body}");
    assert_eq!(kids(&world).await.len(), 2, "the next key is published");
    assert_eq!(header(&world.subject().await)["kid"], old.as_str(), "but does not sign yet");
    world.server.clock.advance(601);
    let after = world.subject().await;
    assert_ne!(header(&after)["kid"], old.as_str(), "now it signs");
    assert!(kids(&world).await.contains(&old), "and the old one still verifies");
    assert!(world.active(&after).await);
}

#[rstest]
#[tokio::test]
async fn a_distrusted_key_is_gone_at_once_with_all_its_tokens(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.subject().await;
    assert!(world.active(&token).await);
    let kid = header(&token)["kid"].as_str().unwrap().to_owned();
    let path = format!("/signing-keys/{kid}/distrust");
    let (status, body) = world.server.admin(Method::POST, &path, Some(&json!({"reason": "stolen"}))).await;
    assert!(status.is_success(), "{body}");
    assert!(!kids(&world).await.contains(&kid));
    assert!(!world.active(&token).await);
    let (status, _) = world.server.exchange(&world.refunds, &token, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let next = world.subject().await;
    assert_ne!(header(&next)["kid"], kid.as_str());
    assert!(world.active(&next).await, "a successor signs at once");
}

#[tokio::test]
async fn documents_are_cacheable_and_say_when_nothing_changed() {
    let world = World::new(Backend::Sqlite).await;
    for path in ["/oauth2/jwks", "/.well-known/oauth-authorization-server"] {
        let first = world.server.http.get(world.server.url(path)).send().await.unwrap();
        assert!(first.headers()["cache-control"].to_str().unwrap().contains("max-age=300"));
        let etag = first.headers()["etag"].clone();
        let again = world.server.http.get(world.server.url(path)).header("if-none-match", etag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
}

#[tokio::test]
async fn every_signing_algorithm_can_be_chosen() {
    for alg in ["EdDSA", "RS256", "PS256"] {
        let world = World::with(Backend::Sqlite, &[("STIPEND_SIGNING_ALG", alg)]).await;
        let token = world.subject().await;
        assert_eq!(header(&token)["alg"], alg);
        assert!(world.active(&token).await);
    }
}
