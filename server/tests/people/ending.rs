//! What ends a request before it is fetched: whatever it was decided on.

use crate::world::{LEDGER, World, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend::grant::CIBA;
use stipend_schema::Backend;

async fn act(world: &World, what: &str, subject: &str) {
    let post = async |path: &str| world.server.admin(Method::POST, path, None).await;
    let status = match what {
        "the subject token is revoked" => {
            world.server.form("/oauth2/revoke", &world.planner, &[("token", subject)]).await.0
        }
        "the subject's agent is suspended" => post("/agents/shop.planner/suspend").await.0,
        "the subject's owner is disabled" => post("/owners/shop/disable").await.0,
        "the resource is disabled" => {
            let (_, page) = world.server.admin(Method::GET, "/resources", None).await;
            let of = page["items"].as_array().unwrap().iter().find(|one| one["uri"] == LEDGER).unwrap();
            post(&format!("/resources/{}/disable", of["id"].as_str().unwrap())).await.0
        }
        "the target's owner is disabled" => post("/owners/bank/disable").await.0,
        "the rule is deleted" => world.server.admin(Method::DELETE, "/exchange-rules/desk.waits", None).await.0,
        "the rule is disabled" => post("/exchange-rules/desk.waits/disable").await.0,
        "the rule lets less through" => {
            world.server.admin(Method::DELETE, "/exchange-rules/desk.waits", None).await;
            world.rule("desk.waits", &["subject_owner"], &["read"]).await;
            StatusCode::OK
        }
        "the rule wants another owner's yes as well" => {
            world.server.admin(Method::DELETE, "/exchange-rules/desk.waits", None).await;
            world.rule("desk.waits", &["subject_owner", "target_owner"], &["read", "post"]).await;
            StatusCode::OK
        }
        "another rule takes its place" => {
            world.server.admin(Method::DELETE, "/exchange-rules/desk.waits", None).await;
            world.rule("desk.other", &["subject_owner"], &["read", "post"]).await;
            StatusCode::OK
        }
        other => panic!("{other}"),
    };
    assert!(status.is_success(), "{what}: {status}");
}

#[rstest]
#[tokio::test]
async fn a_yes_is_worth_nothing_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(
        "the subject token is revoked",
        "the subject's agent is suspended",
        "the subject's owner is disabled",
        "the resource is disabled",
        "the target's owner is disabled",
        "the rule is deleted",
        "the rule is disabled",
        "the rule lets less through",
        "the rule wants another owner's yes as well",
        "another rule takes its place"
    )]
    what: &str,
) {
    let world = World::new(backend, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asked = world.waiting_with(&subject, &[]).await;
    world.approve(&asked.id).await;
    act(&world, what, &subject).await;
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_grant"), "{what}: {body}");
    let refused = &world.records("token.refused").await[0];
    assert_eq!(refused["reason"], "approval_ended", "{refused}");
    assert_eq!(world.shown(&asked.id).await["jti"], json!(null));
}

#[tokio::test]
async fn a_client_that_is_switched_off_polls_no_more() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let asked = world.waiting().await;
    world.approve(&asked.id).await;
    world.server.admin(Method::POST, "/owners/desk/disable", None).await;
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"), "{body}");
}

#[rstest]
#[tokio::test]
async fn who_may_not_use_the_grant_neither_asks_nor_polls(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asked = world.waiting_with(&subject, &[]).await;
    world.approve(&asked.id).await;
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    allow(&world, &[exchange]).await;
    let (status, body) = world.ask(&subject, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "unauthorized_client"), "{body}");
    assert_eq!(world.polled(&asked.handle).await, "unauthorized_client");
    // It is asked each time, and the refused poll has used up nothing.
    allow(&world, &[CIBA]).await;
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// What the refunds agent may use from now on.
async fn allow(world: &World, grant_types: &[&str]) {
    let patch = json!({ "settings": { "grant_types": grant_types } });
    let (status, body) = world.server.admin(Method::PATCH, "/agents/desk.refunds", Some(&patch)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn what_can_not_come_to_anything_is_said_while_it_waits() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asked = world.waiting_with(&subject, &[]).await;
    act(&world, "the subject token is revoked", &subject).await;
    assert_eq!(world.polled(&asked.handle).await, "invalid_grant");
}

#[tokio::test]
async fn a_wider_rule_widens_nothing_that_was_approved() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asked = world.waiting_with(&subject, &[("scope", "read")]).await;
    world.approve(&asked.id).await;
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!((status, &body["scope"]), (StatusCode::OK, &json!("read")), "{body}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_issue_in_a_race_with_the_revocation_is_dead_or_not_made(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asked = world.waiting_with(&subject, &[]).await;
    world.approve(&asked.id).await;
    let (polled, ()) = tokio::join!(world.poll(&asked.handle), act(&world, "the subject token is revoked", &subject));
    if polled.0 == StatusCode::OK {
        let token = polled.1["access_token"].as_str().unwrap();
        let standing = world.server.app.tokens.standing(token, 0).await;
        assert!(standing.is_err(), "it names its parent, which is revoked");
    } else {
        assert_eq!(error(&polled.1), "invalid_grant");
    }
}
