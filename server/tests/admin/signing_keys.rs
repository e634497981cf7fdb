//! The keys that sign, as admins order them.

use crate::world::{ORDERS, World, header};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

async fn published(world: &World) -> Vec<String> {
    let jwks: Value =
        world.server.http.get(world.server.url("/oauth2/jwks")).send().await.unwrap().json().await.unwrap();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

/// Every key with its status, by `kid`.
async fn statuses(world: &World) -> Vec<(String, String)> {
    let list = world.get("/signing-keys").await;
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(|key| (text(key, "kid"), text(key, "status"))).collect()
}

async fn status_of(world: &World, kid: &str) -> String {
    statuses(world).await.into_iter().find(|(known, _)| known == kid).unwrap().1
}

async fn agent_and_service(world: &World) -> (TestClient, TestClient) {
    let service = world.server.create_client("acme", "orders-api", "service", &[]).await;
    world.server.create_resource("acme", ORDERS, &["read"], &[&service.id]).await;
    (world.server.create_client("acme", "agent", "agent", &[(ORDERS, &["read"])]).await, service)
}

#[rstest]
#[tokio::test]
async fn a_rotation_publishes_a_successor_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (agent, service) = agent_and_service(&world).await;
    let old_token = world.server.token(&agent, &[]).await;
    let old = kid(&old_token);
    assert_eq!(statuses(&world).await, [(old.clone(), "active".to_owned())]);
    let answer = world.post("/signing-keys/rotate", json!({})).await.ok();
    assert_eq!(answer, world.get("/signing-keys").await);
    assert_eq!(world.post("/signing-keys/rotate", json!({})).await.ok(), answer, "one on its way is enough");
    assert_eq!(world.records("event=signing_key.rotated&client_id=stipend.admin").await.len(), 1);
    let new = statuses(&world).await.into_iter().find(|(_, status)| status == "published").unwrap().0;
    assert_eq!(published(&world).await.len(), 2);
    assert_eq!(kid(&world.server.token(&agent, &[]).await), old, "not before every cache knows it");
    world.server.clock.advance(601);
    let token = world.server.token(&agent, &[]).await;
    assert_eq!(kid(&token), new);
    assert_eq!(status_of(&world, &new).await, "active");
    assert!(["active", "retired"].contains(&status_of(&world, &old).await.as_str()));
    assert_eq!(world.server.introspect(&service, &token).await["active"], true);
    assert!(published(&world).await.contains(&old), "what it signed is still verified");
}

#[rstest]
#[tokio::test]
async fn a_distrusted_key_is_out_at_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (agent, service) = agent_and_service(&world).await;
    let token = world.server.token(&agent, &[]).await;
    let boss = world.admin("acme", "chief", json!([{"role": "platform-admin"}])).await;
    let old = kid(&token);
    let path = format!("/signing-keys/{old}/distrust");
    let answer = world.send(Some(&boss), Method::POST, &path, Some(&json!({"reason": "stolen"}))).await.ok();
    let shown = answer["items"].as_array().unwrap().iter().find(|key| key["kid"] == old.as_str()).unwrap();
    assert_eq!(shown["status"], "distrusted");
    assert!(shown["distrusted_at"].is_i64());
    assert!(!published(&world).await.contains(&old));
    assert_eq!(world.server.introspect(&service, &token).await, json!({"active": false}));
    let reply = world.send(Some(&boss), Method::GET, "/whoami", None).await;
    assert_eq!(reply.problem(), (401, "invalid_token"), "the admin's own token was signed by it too");
    let next = world.server.token(&agent, &[]).await;
    assert!(published(&world).await.contains(&kid(&next)) && kid(&next) != old);
    assert_eq!(world.server.introspect(&service, &next).await["active"], true);
    let admin = world.server.token(&world.server.admin_client(), &[]).await;
    let again = world.send(Some(&admin), Method::POST, &path, Some(&json!({"reason": "again"}))).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(kid(&world.server.token(&agent, &[]).await), kid(&next), "twice is once");
    let records =
        world.send(Some(&admin), Method::GET, "/audit?event=signing_key.distrusted&outcome=done", None).await.ok();
    assert_eq!(records["items"].as_array().unwrap().len(), 1);
    assert_eq!(records["items"][0]["client_id"], "acme.chief");
    let entries = world.send(Some(&admin), Method::GET, "/revocations", None).await.ok();
    assert_eq!((&entries["items"][0]["kind"], &entries["items"][0]["value"]), (&json!("key"), &json!(old)));
}

#[rstest]
#[tokio::test]
async fn keys_are_shown_without_their_private_half(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.post("/signing-keys/rotate", json!({})).await.ok();
    for key in world.get("/signing-keys").await["items"].as_array().unwrap() {
        let names: Vec<&str> = key["public_jwk"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(names.contains(&"kid") && !names.contains(&"d"), "{names:?}");
        assert!(key["activate_at"].as_i64() >= key["publish_at"].as_i64());
        assert!(!key.to_string().contains("sealed"), "{key}");
    }
}

#[rstest]
#[tokio::test]
async fn an_unknown_key_and_an_empty_reason_are_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let before = statuses(&world).await;
    let unknown = world.post("/signing-keys/nothing/distrust", json!({"reason": "x"})).await;
    assert_eq!(unknown.problem(), (404, "not_found"));
    let kid = &before[0].0;
    let silent = world.post(&format!("/signing-keys/{kid}/distrust"), json!({"reason": ""})).await;
    assert_eq!(silent.body["errors"][0]["pointer"], "/reason");
    assert_eq!(statuses(&world).await, before);
}
