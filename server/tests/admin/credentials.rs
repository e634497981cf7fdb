//! Secrets: two at once while rotating, each with an end, each shown once.

use crate::world::{ORDERS, World, client_of};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use stipend::testing::TestClient;
use stipend_schema::Backend;

const PATH: &str = "/agents/acme.planner";

async fn planner(world: &World) -> TestClient {
    world.server.create_resource("acme", ORDERS, &["read"], &[]).await;
    world.server.create_client("acme", "planner", "agent", &[(ORDERS, &["read"])]).await
}

async fn works(world: &World, secret: &str) -> bool {
    let client = TestClient { id: "acme.planner".into(), secret: secret.to_owned() };
    let (status, body) = world.server.form("/oauth2/token", &client, &[("grant_type", "client_credentials")]).await;
    match status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}: {body}"),
    }
}

/// A further secret and its id.
async fn add(world: &World, body: serde_json::Value) -> (String, String) {
    let reply = world.post(&format!("{PATH}/secrets"), body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let text = |name: &str| reply.body[name].as_str().unwrap().to_owned();
    (text("client_secret"), text("id"))
}

#[rstest]
#[tokio::test]
async fn old_and_new_work_while_rotating(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let first = planner(&world).await.secret;
    let first_id = world.get(PATH).await["secrets"][0]["id"].as_str().unwrap().to_owned();
    let (second, second_id) = add(&world, json!({})).await;
    assert_ne!(first, second);
    assert!(works(&world, &first).await && works(&world, &second).await);
    let third = world.post(&format!("{PATH}/secrets"), json!({})).await;
    assert_eq!(third.problem(), (409, "too_many_secrets"));
    assert_eq!(world.get(PATH).await["secrets"].as_array().unwrap().len(), 2);
    let deleted = world.delete(&format!("{PATH}/secrets/{first_id}")).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert!(!works(&world, &first).await && works(&world, &second).await, "the old one stops at once");
    assert_eq!(world.delete(&format!("{PATH}/secrets/{first_id}")).await.problem(), (404, "not_found"));
    let (third, _) = add(&world, json!({"expires_in_seconds": 60})).await;
    assert!(works(&world, &third).await);
    world.delete(&format!("{PATH}/secrets/{second_id}")).await;
    assert!(!works(&world, &second).await && works(&world, &third).await);
}

#[rstest]
#[tokio::test]
async fn a_secret_ends_with_its_life_and_makes_room(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let first = planner(&world).await.secret;
    let (second, _) = add(&world, json!({"expires_in_seconds": 100})).await;
    assert!(works(&world, &second).await, "and its proof is remembered");
    world.server.clock.advance(101);
    assert!(!works(&world, &second).await, "but not beyond its end");
    assert!(works(&world, &first).await);
    let (third, _) = add(&world, json!({})).await;
    assert!(works(&world, &third).await);
    assert_eq!(world.get(PATH).await["secrets"].as_array().unwrap().len(), 2, "the expired one is gone");
    let all = world.server.app.urls.admin_resource.clone();
    let lasting = json!({
        "owner": "acme", "name": "lasting", "kind": "admin", "auth_method": "client_secret_basic",
        "access": [{"resource": all, "scopes": ["admin:read"], "default_scopes": ["admin:read"]}],
        "roles": [{"role": "auditor"}], "secret_expires_in_seconds": 365 * 86_400,
    });
    let lasting = client_of(&world.post("/agents", lasting).await.ok());
    world.server.clock.advance(90 * 86_400);
    assert!(!works(&world, &first).await && !works(&world, &third).await, "90 days where nothing is said");
    let token = world.server.token(&lasting, &[]).await;
    let seen = world.send(Some(&token), Method::GET, PATH, None).await.ok();
    assert_eq!(seen["readiness"]["reasons"], json!(["secret_expired"]));
}

#[rstest]
#[tokio::test]
async fn every_credential_has_an_end(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    planner(&world).await;
    for seconds in [0, -1, 365 * 86_400 + 1, i64::MAX] {
        let reply = world.post(&format!("{PATH}/secrets"), json!({"expires_in_seconds": seconds})).await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{seconds}");
        assert_eq!(reply.body["errors"][0]["pointer"], "/expires_in_seconds");
    }
    let reply = world.post(&format!("{PATH}/secrets"), json!({"expires_in_seconds": 365 * 86_400})).await.ok();
    let secrets = world.get(PATH).await["secrets"].as_array().unwrap().clone();
    assert_eq!(secrets.len(), 2);
    for secret in &secrets {
        let life = secret["expires_at"].as_i64().unwrap() - secret["created_at"].as_i64().unwrap();
        assert!([90 * 86_400, 365 * 86_400].contains(&life), "{secret}");
        assert_eq!(secret.as_object().unwrap().len(), 3, "id and times, nothing else");
    }
    assert!(secrets.iter().any(|secret| secret["expires_at"] == reply["expires_at"]));
}

#[rstest]
#[tokio::test]
async fn a_secret_is_shown_once_and_nowhere_else(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let first = planner(&world).await.secret;
    let (second, _) = add(&world, json!({})).await;
    let clone = world.post(&format!("{PATH}/reissue"), json!({"name": "clone"})).await.ok();
    let third = client_of(&clone).secret;
    let mut seen = String::new();
    for path in ["/agents", PATH, "/agents/acme.clone", "/audit?limit=200", "/revocations", "/whoami"] {
        seen.push_str(&world.get(path).await.to_string());
    }
    for writer in world.get("/audit/writers").await["items"].as_array().unwrap() {
        let path = format!("/audit/export?writer={}", writer["writer"].as_str().unwrap());
        seen.push_str(&world.get(&path).await.to_string());
    }
    for secret in [&first, &second, &third] {
        assert!(!seen.contains(secret.as_str()), "shown once");
    }
    assert!(!seen.contains("argon2"), "nor its hash");
    assert!(!seen.contains(stipend::testing::ADMIN_SECRET));
}

#[rstest]
#[tokio::test]
async fn each_kind_of_credential_goes_with_its_method(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    planner(&world).await;
    world.create_keyed("acme", "signer").await;
    let key = json!({"jwk": crate::world::jwk()});
    assert_eq!(world.post(&format!("{PATH}/keys"), key).await.problem(), (409, "invalid_state"));
    assert_eq!(world.post("/agents/acme.signer/secrets", json!({})).await.problem(), (409, "invalid_state"));
}

#[rstest]
#[tokio::test]
async fn a_credential_is_its_own_agents(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let secret = planner(&world).await.secret;
    let secret_id = world.get(PATH).await["secrets"][0]["id"].as_str().unwrap().to_owned();
    let keyed = world.create_keyed("acme", "signer").await;
    let key_id = keyed["agent"]["keys"][0]["id"].as_str().unwrap();
    world.create_keyed("acme", "other").await;
    for path in [format!("/agents/acme.other/secrets/{secret_id}"), format!("/agents/acme.other/keys/{key_id}")] {
        assert_eq!(world.delete(&path).await.problem(), (404, "not_found"), "{path}");
    }
    assert!(works(&world, &secret).await);
    assert_eq!(world.get("/agents/acme.signer").await["keys"].as_array().unwrap().len(), 1);
}
