use crate::world::{World, claims, error};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn an_active_token_shows_its_claims_to_its_service(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.delegated(&world.subject().await).await;
    let seen = world.server.introspect(&world.service, &token).await;
    assert_eq!((&seen["active"], &seen["token_type"]), (&json!(true), &json!("Bearer")));
    for (name, value) in claims(&token).as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name}");
    }
}

#[tokio::test]
async fn for_everybody_else_the_token_does_not_exist() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.subject().await;
    assert_eq!(world.server.introspect(&world.stranger, &token).await, json!({"active": false}));
    assert_eq!(world.server.introspect(&world.planner, &token).await["active"], true, "its own client may know");
}

#[tokio::test]
async fn what_is_no_living_token_is_inactive_and_nothing_more() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.subject().await;
    let middle = token.len() - 20;
    let other = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let forged = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
    for bad in [forged.as_str(), "x", "a.b.c", &"x".repeat(9000), "....", "\u{0}"] {
        assert_eq!(world.server.introspect(&world.service, bad).await, json!({"active": false}), "{bad}");
    }
    world.server.clock.advance(301);
    assert!(!world.active(&token).await, "expired");
}

#[tokio::test]
async fn callers_are_authenticated_and_hints_are_ignored() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.subject().await;
    let url = world.server.url("/oauth2/introspect");
    let answer = world.server.http.post(&url).form(&[("token", &token)]).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.server.http.get(&url).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    for hint in ["refresh_token", "nonsense"] {
        let (_, body) = world
            .server
            .form("/oauth2/introspect", &world.service, &[("token", &token), ("token_type_hint", hint)])
            .await;
        assert_eq!(body["active"], true, "{hint}");
    }
    let (status, body) = world.server.form("/oauth2/introspect", &world.service, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
}
