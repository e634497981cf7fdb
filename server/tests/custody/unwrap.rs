use crate::world::{KEY, World, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

async fn wrapped(world: &World, token: &str) -> String {
    let (status, body) = world.release(token, "wrapped").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(!body.to_string().contains(KEY));
    body["reference"].as_str().unwrap().to_owned()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_at_once_one_gets_the_value(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let token = world.token(&world.agent).await;
    let body = json!({"reference": wrapped(&world, &token).await});
    let calls = (0..64).map(|_| world.post("/credentials/unwrap", &token, &body));
    let answers = futures_util::future::join_all(calls).await;
    let won: Vec<_> = answers.iter().filter(|(status, _)| *status == StatusCode::OK).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(won[0].1["value"], json!({"api_key": {"key": KEY}}));
    let lost = answers.iter().filter(|(status, _)| *status == StatusCode::NOT_FOUND).count();
    assert_eq!(lost, 63);
    let alert = world.record("credential.alert").await;
    assert_eq!(alert["detail"]["severity"], "critical", "{alert}");
    let exposed = world.admin(Method::GET, &format!("/credentials/{}", world.credential), json!(null)).await.1;
    assert_eq!(exposed["versions"][0]["exposed_to"][0]["mode"], "wrapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_for_its_agent_for_a_while_and_nothing_else() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let try_with = |token: String, reference: String| {
        let world = &world;
        async move { world.post("/credentials/unwrap", &token, &json!({"reference": reference})).await }
    };
    let reference = wrapped(&world, &token).await;
    let unknown = try_with(token.clone(), "cw_AAAA".into()).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    world.allow(&world.stranger, json!({"modes": ["wrapped"]})).await;
    let theirs = world.token(&world.stranger).await;
    assert_eq!(try_with(theirs, reference.clone()).await, unknown, "another agent");
    let mut altered = reference.clone().into_bytes();
    let last = altered.len() - 3;
    altered[last] = if altered[last] == b'A' { b'B' } else { b'A' };
    assert_eq!(try_with(token.clone(), String::from_utf8(altered).unwrap()).await, unknown, "altered");
    assert_eq!(try_with(token.clone(), "x".repeat(5000)).await, unknown, "over-long");
    world.server.clock.advance(121);
    assert_eq!(try_with(token.clone(), reference).await, unknown, "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_dies_with_its_token_its_grant_its_version_and_its_mode() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    let unwrap = |reference: String| {
        let world = &world;
        async move {
            let token = world.token(&world.agent).await;
            world.post("/credentials/unwrap", &token, &json!({"reference": reference})).await.0
        }
    };
    let token = world.token(&world.agent).await;
    let reference = wrapped(&world, &token).await;
    server.form("/oauth2/revoke", &world.agent, &[("token", &token)]).await;
    assert_eq!(unwrap(reference).await, StatusCode::NOT_FOUND, "the token it was released to");

    let token = world.token(&world.agent).await;
    let (grant, credential) = (format!("/grants/{}", world.grant), format!("/credentials/{}", world.credential));
    for (what, stop, go_on) in [
        (
            "grant",
            (Method::POST, format!("{grant}/disable"), json!({})),
            (Method::POST, format!("{grant}/enable"), json!({})),
        ),
        (
            "mode",
            (Method::PATCH, grant.clone(), json!({"modes": ["proxy"]})),
            (Method::PATCH, grant.clone(), json!({"modes": ["wrapped"]})),
        ),
        (
            "credential",
            (Method::POST, format!("{credential}/disable"), json!({})),
            (Method::POST, format!("{credential}/enable"), json!({})),
        ),
    ] {
        let reference = wrapped(&world, &token).await;
        assert_eq!(world.admin(stop.0, &stop.1, stop.2).await.0, StatusCode::OK, "{what}");
        assert_eq!(unwrap(reference.clone()).await, StatusCode::NOT_FOUND, "{what}");
        assert_eq!(world.admin(go_on.0, &go_on.1, go_on.2).await.0, StatusCode::OK, "{what}");
        assert_eq!(unwrap(reference).await, StatusCode::OK, "{what}: refused, and not used up");
    }
    let rotate =
        |seconds: i64| json!({"value": {"api_key": {"key": "sk-next-0123456789"}}, "retire_after_seconds": seconds});
    let (kept, gone) = (wrapped(&world, &token).await, wrapped(&world, &token).await);
    world.admin(Method::POST, &format!("{credential}/rotate"), rotate(60)).await;
    assert_eq!(unwrap(kept).await, StatusCode::OK, "a retiring version is still good for whoever was given it");
    world.admin(Method::POST, &format!("{credential}/destroy"), json!({})).await;
    assert_eq!(unwrap(gone).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_a_reference_to_the_same_thing() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let release = || async {
        let url = world.server.url(&format!("/credentials/{}/release", world.credential));
        let request = world.server.http.post(url).bearer_auth(&token).header("idempotency-key", "one");
        let answer: serde_json::Value =
            request.json(&json!({"mode": "wrapped"})).send().await.unwrap().json().await.unwrap();
        answer
    };
    let (first, second) = (release().await, release().await);
    assert_eq!(first["lease"], second["lease"]);
    let unwrap = |body: serde_json::Value| {
        let reference = json!({"reference": body["reference"]});
        let (world, token) = (&world, &token);
        async move { world.post("/credentials/unwrap", token, &reference).await }
    };
    assert_eq!(unwrap(second).await.0, StatusCode::OK);
    let (status, body) = unwrap(first).await;
    assert_eq!((status, error(&body)), (StatusCode::NOT_FOUND, "not_found"), "both are the one");
}
