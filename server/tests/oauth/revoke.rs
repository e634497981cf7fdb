//! Revocation (RFC 7009), and its closure over everything that descends.

use crate::world::{World, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn revoking_a_parent_revokes_its_children_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let parent = world.subject().await;
    let child = world.delegated(&parent).await;
    let sibling = world.subject().await;
    assert!(world.active(&child).await);
    let (status, _) = world.server.form("/oauth2/revoke", &world.planner, &[("token", &parent)]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!world.active(&parent).await && !world.active(&child).await);
    assert!(world.active(&sibling).await, "another token of the same client lives");
    let (status, body) = world.server.exchange(&world.refunds, &parent, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "a dead parent mints nothing");
    let (status, _) = world.server.exchange(&world.refunds, &child, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "and neither does a dead child");
    assert!(world.active(&world.delegated(&sibling).await).await);
}

#[tokio::test]
async fn only_its_own_client_revokes_a_token() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.subject().await;
    let (status, body) = world.server.form("/oauth2/revoke", &world.refunds, &[("token", &token)]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "unauthorized_client"));
    assert!(world.active(&token).await);
}

#[tokio::test]
async fn what_is_no_token_is_no_error_and_hints_do_not_matter() {
    let world = World::new(Backend::Sqlite).await;
    for token in ["x", "a.b.c", &"y".repeat(9000)] {
        let (status, _) = world.server.form("/oauth2/revoke", &world.planner, &[("token", token)]).await;
        assert_eq!(status, StatusCode::OK, "{token}");
    }
    let token = world.subject().await;
    let form = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
    assert_eq!(world.server.form("/oauth2/revoke", &world.planner, &form).await.0, StatusCode::OK);
    assert!(!world.active(&token).await);
    assert_eq!(world.server.form("/oauth2/revoke", &world.planner, &form).await.0, StatusCode::OK, "twice is no error");
    assert_eq!(world.server.form("/oauth2/revoke", &world.planner, &[]).await.0, StatusCode::BAD_REQUEST);
}

#[rstest]
#[tokio::test]
async fn revoking_an_agent_ends_everything_that_came_through_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let parent = world.subject().await;
    let child = world.delegated(&parent).await;
    let own = world.server.token(&world.refunds, &[]).await;
    let revoke = json!({"reason": "key leaked", "severity": "critical"});
    let (status, body) = world.server.admin(Method::POST, "/agents/acme.planner/revoke", Some(&revoke)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(!world.active(&parent).await && !world.active(&child).await);
    assert!(world.active(&own).await, "the other agent's own token lives");
    let (status, _) = world.server.form("/oauth2/token", &world.planner, &[("grant_type", "client_credentials")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = world.server.admin(Method::POST, "/agents/acme.planner/resume", Some(&json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "revoked is final");
}

#[rstest]
#[tokio::test]
async fn a_mint_in_a_race_with_the_revocation_is_dead(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    for _ in 0..10 {
        let parent = world.subject().await;
        let mints = (0..8).map(|_| world.server.exchange(&world.refunds, &parent, &[]));
        let revoking = [("token", parent.as_str())];
        let revoke = world.server.form("/oauth2/revoke", &world.planner, &revoking);
        let (minted, (status, _)) = futures_util::future::join(futures_util::future::join_all(mints), revoke).await;
        assert_eq!(status, StatusCode::OK);
        for (status, body) in minted {
            if status == StatusCode::OK {
                assert!(!world.active(body["access_token"].as_str().unwrap()).await);
            }
        }
    }
}
