//! Streams as administrators see and stop them.

use crate::push::{ALLOWED, Receiver};
use crate::streams::{SESSION_REVOKED, allow, call, make, now};
use crate::world::World;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_keys::TokenKind;
use stipend_schema::Backend;

const UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

async fn shown(world: &World, id: &str) -> Value {
    let (status, body) = world.server.admin(Method::GET, &format!("/streams/{id}"), None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

async fn order(world: &World, id: &str, verb: &str) -> (StatusCode, Value) {
    let why = json!({"reason": "canary-of-the-admin"});
    world.server.admin(Method::POST, &format!("/streams/{id}/{verb}"), Some(&why)).await
}

async fn set(world: &World, id: &str, status: &str) -> (StatusCode, Value) {
    let body = json!({"stream_id": id, "status": status});
    call(world, &world.service, Method::POST, "/ssf/status", Some(body)).await
}

#[rstest]
#[tokio::test]
async fn an_admin_sees_who_is_told_and_how_that_goes(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    allow(&world, &world.service).await;
    let id = make(&world, &world.service, json!({"events_requested": [SESSION_REVOKED]})).await;
    world.revoke(&world.token().await).await;
    let first = shown(&world, &id).await;
    for (member, value) in [
        ("client_id", json!(world.service.id)),
        ("owner", json!("acme")),
        ("state", json!("enabled")),
        ("delivery", json!("poll")),
        ("events", json!([SESSION_REVOKED])),
        ("waiting", json!(1)),
        ("delivered", json!(0)),
        ("failed", json!(0)),
    ] {
        assert_eq!(first[member], value, "{member}: {first}");
    }
    let told = now(&world, &world.service, &id).await;
    let ack = json!({"ack": [told[0]["jti"], told[0]["jti"]], "maxEvents": 0});
    call(&world, &world.service, Method::POST, &format!("/ssf/poll/{id}"), Some(ack.clone())).await;
    call(&world, &world.service, Method::POST, &format!("/ssf/poll/{id}"), Some(ack)).await;
    let after = shown(&world, &id).await;
    assert_eq!((&after["waiting"], &after["delivered"]), (&json!(0), &json!(1)), "{after}");
    assert_eq!(after["delivered_at"], world.server.now());
    let (_, listed) = world.server.admin(Method::GET, "/streams", None).await;
    assert_eq!(listed["items"], json!([after]));
}

/// What the receiver's address and `Authorization` are is for nobody to read.
#[rstest]
#[tokio::test]
async fn failures_are_counted_and_nothing_secret_is_shown(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::on(TestServer::start_with(backend, &ALLOWED).await).await;
    allow(&world, &world.service).await;
    let receiver = Receiver::start().await;
    *receiver.status.lock() = 401;
    let delivery = json!({"delivery": {
        "method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url, "authorization_header": "Bearer canary-of-the-receiver",
    }});
    let id = make(&world, &world.service, delivery).await;
    world.revoke(&world.token().await).await;
    let began = Instant::now();
    while shown(&world, &id).await["failed"] == 0 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let failed = shown(&world, &id).await;
    assert_eq!((&failed["delivery"], &failed["receiver"]), (&json!("push"), &json!("127.0.0.1")));
    assert!(failed["failure"].as_str().unwrap().contains("Authorization"), "{failed}");
    assert!(!failed.to_string().contains("canary") && !failed.to_string().contains("/events"), "{failed}");
    *receiver.status.lock() = 202;
    let began = Instant::now();
    while shown(&world, &id).await["delivered"] == 0 {
        assert!(began.elapsed() < Duration::from_secs(10));
        world.server.clock.advance(2);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shown(&world, &id).await["waiting"], 0);
}

#[rstest]
#[tokio::test]
async fn what_an_admin_has_stopped_its_receiver_does_not_start(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let service = &world.service;
    allow(&world, service).await;
    let id = make(&world, service, json!({})).await;
    let (status, paused) = order(&world, &id, "pause").await;
    assert_eq!(
        (status, &paused["state"], &paused["held"]),
        (StatusCode::OK, &json!("paused"), &json!("canary-of-the-admin"))
    );
    // The receiver is told that it is told nothing, and not in the admin's words.
    world.revoke(&world.token().await).await;
    let told = now(&world, service, &id).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["events"][UPDATED]["status"], "paused");
    assert!(!json!(told).to_string().contains("canary"));
    for (status, body) in [set(&world, &id, "enabled").await, set(&world, &id, "disabled").await] {
        assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("access_denied")), "{body}");
    }
    let gone = call(&world, service, Method::DELETE, &format!("/ssf/stream?stream_id={id}"), None).await;
    assert_eq!(gone.0, StatusCode::FORBIDDEN, "another in its place would be told again");
    let patch = json!({"stream_id": id, "description": "changed"});
    let (status, _) = call(&world, service, Method::PATCH, "/ssf/stream", Some(patch)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown(&world, &id).await["held"], "canary-of-the-admin", "a change of the receiver's keeps it");
    // What came meanwhile was kept.
    assert_eq!(order(&world, &id, "enable").await.1["state"], "enabled");
    let told = now(&world, service, &id).await;
    assert!(told.iter().any(|said| said["events"].get(SESSION_REVOKED).is_some()), "{told:?}");
    assert_eq!(set(&world, &id, "paused").await.0, StatusCode::OK, "its receiver's again");
    // Off, nothing is kept but what says so; the same order again changes nothing.
    order(&world, &id, "disable").await;
    let again = order(&world, &id, "disable").await;
    assert_eq!(again.1["waiting"], 3, "{}", again.1);
    world.revoke(&world.token().await).await;
    let told = now(&world, service, &id).await;
    assert!(told.iter().all(|said| said["events"].get(UPDATED).is_some()), "{told:?}");
    // Removed, it can be made anew.
    let (status, _) = world.server.admin(Method::DELETE, &format!("/streams/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(world.server.admin(Method::GET, &format!("/streams/{id}"), None).await.0, StatusCode::NOT_FOUND);
    let next = make(&world, service, json!({})).await;
    assert_ne!(next, id);
    assert_eq!(now(&world, service, &next).await, Vec::<Value>::new());
}

/// SSF section 8.1.5: told before it is told nothing more, by push as well.
#[tokio::test]
async fn a_push_receiver_is_told_that_its_stream_was_disabled() {
    let world = World::on(TestServer::start_with(Backend::Sqlite, &ALLOWED).await).await;
    allow(&world, &world.service).await;
    let receiver = Receiver::start().await;
    let delivery = json!({"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url}});
    let id = make(&world, &world.service, delivery).await;
    order(&world, &id, "disable").await;
    let began = Instant::now();
    while receiver.got.lock().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let body = receiver.got.lock()[0].1.clone();
    let said = world.verified(&body, TokenKind::SecurityEvent).await;
    assert_eq!(said["events"][UPDATED]["status"], "disabled");
    world.revoke(&world.token().await).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(receiver.got.lock().len(), 1, "and nothing after it");
}
