//! The end of a registered client, from either side.

use crate::world::World;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_deleted_client_is_gone_with_its_tokens(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let made = world.registered(json!({})).await;
    let client = made.client();
    let token = world.server.token(&client, &[]).await;
    assert!(world.active(&token).await);
    let deleted = world.manage(Method::DELETE, &made, None).await;
    assert_eq!((deleted.status, deleted.header("cache-control")), (204, "no-store"));
    assert!(!world.active(&token).await, "its tokens are dead at once");
    assert_eq!(world.get_token(&client, "read").await.0, StatusCode::UNAUTHORIZED);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(world.manage(method, &made, None).await.error(), (401, "invalid_token"));
    }
    let agent = world.agent(&client.id).await;
    assert_eq!((&agent["state"], &agent["secrets"]), (&json!("retired"), &json!([])));
    assert_eq!(agent["state_reason"], "deleted by its registration");
    assert_eq!(world.records("event=client.registration_deleted").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn what_an_admin_suspends_or_revokes_is_not_managed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let made = world.registered(json!({})).await;
    let id = made.text("client_id");
    let tell = async |verb: &str| {
        world.server.create(&format!("/agents/{id}/{verb}"), json!({"reason": "test"})).await;
    };
    tell("suspend").await;
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(world.manage(method, &made, None).await.error(), (403, "access_denied"));
    }
    assert_eq!(world.update(&made, json!({})).await.error(), (403, "access_denied"));
    assert_eq!(world.agent(&id).await["state"], "suspended");
    tell("resume").await;
    assert_eq!(world.manage(Method::GET, &made, None).await.status, 200);
    let how = json!({"reason": "test", "severity": "low"});
    world.server.create(&format!("/agents/{id}/revoke"), how).await;
    assert_eq!(world.manage(Method::GET, &made, None).await.error(), (401, "invalid_token"));
    assert_eq!(world.update(&made, json!({})).await.error(), (401, "invalid_token"));
    assert_eq!(world.agent(&id).await["state"], "revoked");
}

#[tokio::test]
async fn what_a_revoked_token_registered_is_read_and_deleted_and_not_changed() {
    let world = World::new(Backend::Sqlite).await;
    let (token_id, token) = world.token(json!({}), json!({})).await;
    let made = world.register(&token, json!({})).await;
    let path = format!("/registration-tokens/{token_id}/revoke");
    let revoked = world.server.create(&path, json!({"reason": "leaked"})).await;
    assert_eq!((&revoked["state"], &revoked["uses"]), (&json!("revoked"), &json!(1)));
    assert_eq!(world.server.create(&path, json!({})).await, revoked, "once more is no change");
    assert_eq!(world.update(&made, json!({})).await.error(), (403, "access_denied"));
    assert_eq!(world.get_token(&made.client(), "read").await.0, StatusCode::OK, "the client lives on");
    assert_eq!(world.manage(Method::GET, &made, None).await.status, 200);
    assert_eq!(world.manage(Method::DELETE, &made, None).await.status, 204);
}
