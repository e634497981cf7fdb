//! Secrets: Basic, post, and everything that must look alike when it fails.

use crate::world::{World, error};
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

async fn raw(world: &World, authorization: Option<&str>, form: &[(&str, &str)]) -> (StatusCode, Value, Option<String>) {
    let mut request = world.server.http.post(world.server.url("/oauth2/token")).form(form);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let answer = request.send().await.unwrap();
    let challenge = answer.headers().get("www-authenticate").map(|v| v.to_str().unwrap().to_owned());
    (answer.status(), answer.json().await.unwrap(), challenge)
}

fn basic(id: &str, secret: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
}

#[rstest]
#[tokio::test]
async fn failures_look_alike_and_name_the_scheme(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let secret = &world.planner.secret;
    let cases = [
        basic("acme.nobody", secret),
        basic("acme.planner", "wrong"),
        basic("acme.planner", ""),
        basic("", ""),
        basic("acme.refunds", secret),
        "Basic !!!".to_owned(),
        "Bearer x".to_owned(),
        "Basic".to_owned(),
    ];
    for authorization in cases {
        let (status, body, challenge) = raw(&world, Some(&authorization), &[GRANT]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{authorization}");
        assert_eq!(
            body,
            json!({"error": "invalid_client", "error_description": "client authentication failed"}),
            "{authorization}"
        );
        assert!(challenge.unwrap().starts_with("Basic "));
    }
    let (status, body, _) = raw(&world, None, &[GRANT]).await;
    assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"));
}

#[tokio::test]
async fn a_failure_takes_the_same_work_whoever_it_is() {
    let world = World::new(Backend::Sqlite).await;
    world.server.create("/agents/acme.refunds/secrets", json!({})).await;
    let mut runs = Vec::new();
    // Unknown, one secret, two secrets.
    for id in ["acme.nobody", &world.planner.id, &world.refunds.id] {
        let before = world.server.app.secrets.runs();
        raw(&world, Some(&basic(id, "wrong")), &[GRANT]).await;
        runs.push(world.server.app.secrets.runs() - before);
    }
    assert_eq!(runs, [2, 2, 2], "Argon2id runs");
}

#[tokio::test]
async fn exactly_one_method_and_the_registered_one() {
    let world = World::new(Backend::Sqlite).await;
    let good = basic(&world.planner.id, &world.planner.secret);
    let (id, secret) = (world.planner.id.as_str(), world.planner.secret.as_str());
    let (status, body, _) = raw(&world, Some(&good), &[GRANT, ("client_id", id), ("client_secret", secret)]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
    let assertion = [
        GRANT,
        ("client_assertion", "x"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ];
    let (status, body, _) = raw(&world, Some(&good), &assertion).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
    let (status, body, _) = raw(&world, None, &[GRANT, ("client_id", id), ("client_secret", secret)]).await;
    assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"), "registered for basic, not post");
    let (status, body, _) = raw(&world, Some(&good), &[GRANT, ("client_id", "acme.refunds")]).await;
    assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"));
    let (status, _, _) = raw(&world, Some(&good), &[GRANT, ("client_id", id)]).await;
    assert_eq!(status, StatusCode::OK, "the same client named twice is one client");
}

#[tokio::test]
async fn post_clients_use_the_body() {
    let world = World::new(Backend::Sqlite).await;
    let body = json!({
        "owner": "acme", "name": "poster", "kind": "agent", "purpose": "test", "auth_method": "client_secret_post",
        "access": [{"resource": crate::world::ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
    });
    let created = world.server.create("/agents", body).await;
    let secret = created["client_secret"].as_str().unwrap();
    let (status, body, _) = raw(&world, None, &[GRANT, ("client_id", "acme.poster"), ("client_secret", secret)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, _, _) = raw(&world, Some(&basic("acme.poster", secret)), &[GRANT]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[rstest]
#[tokio::test]
async fn two_secrets_are_valid_while_rotating_and_each_expires(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let created = world.server.create("/agents/acme.planner/secrets", json!({"expires_in_seconds": 3600})).await;
    let second =
        TestClient { id: world.planner.id.clone(), secret: created["client_secret"].as_str().unwrap().to_owned() };
    for client in [&world.planner, &second] {
        world.server.token(client, &[]).await;
    }
    world.server.clock.advance(3601);
    let (status, _) = world.server.form("/oauth2/token", &second, &[GRANT]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "an expired secret, although it was proved before");
    world.server.token(&world.planner, &[]).await;
}

#[tokio::test]
async fn a_deleted_secret_stops_at_once_although_it_was_proved() {
    let world = World::new(Backend::Sqlite).await;
    world.server.token(&world.planner, &[]).await;
    let (_, agent) = world.server.admin(reqwest::Method::GET, "/agents/acme.planner", None).await;
    let id = agent["secrets"][0]["id"].as_str().unwrap();
    let (status, _) =
        world.server.admin(reqwest::Method::DELETE, &format!("/agents/acme.planner/secrets/{id}"), None).await;
    assert!(status.is_success());
    let (status, _) = world.server.form("/oauth2/token", &world.planner, &[GRANT]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_proved_secret_still_works() {
    let world = World::new(Backend::Sqlite).await;
    world.server.token(&world.planner, &[]).await;
    let guesser = TestClient { id: world.planner.id.clone(), secret: "wrong".to_owned() };
    let mut held_up = 0;
    for _ in 0..3 {
        let guesses = (0..10).map(|_| world.server.form("/oauth2/token", &guesser, &[GRANT]));
        for (status, body) in futures_util::future::join_all(guesses).await {
            if status == StatusCode::TOO_MANY_REQUESTS {
                held_up += 1;
            } else {
                assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"));
            }
        }
    }
    assert!(held_up > 0, "thirty guesses in a minute must meet the brake");
    world.server.token(&world.planner, &[]).await;
    world.server.clock.advance(60);
    let (status, _) = world.server.form("/oauth2/token", &guesser, &[GRANT]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "the brake lets go");
}

/// A crowd's requests at once.
async fn crowd(world: &World, client: &TestClient, size: usize) -> Vec<StatusCode> {
    let requests = (0..size).map(|_| world.server.form("/oauth2/token", client, &[GRANT]));
    futures_util::future::join_all(requests).await.into_iter().map(|(status, _)| status).collect()
}

#[tokio::test]
async fn a_crowd_of_one_client_on_a_cold_node_shares_the_work() {
    let world = World::new(Backend::Sqlite).await;
    let before = world.server.app.secrets.runs();
    let statuses = crowd(&world, &world.planner, 256).await;
    assert_eq!(statuses, [StatusCode::OK; 256]);
    // One is enough, and a record that is loaded anew meanwhile has proved nothing yet.
    let runs = world.server.app.secrets.runs() - before;
    assert!((1..=8).contains(&runs), "{runs} Argon2id runs");
}

#[tokio::test]
async fn a_crowd_with_a_wrong_secret_is_refused_and_counted_one_by_one() {
    let world = World::new(Backend::Sqlite).await;
    for id in [world.planner.id.clone(), "acme.nobody".to_owned()] {
        let before = world.server.app.secrets.runs();
        let guesser = TestClient { id: id.clone(), secret: "wrong".to_owned() };
        let limit = usize::try_from(stipend::limits::MAX_FAILURES_PER_MINUTE).unwrap();
        let statuses = crowd(&world, &guesser, limit).await;
        assert_eq!(statuses, vec![StatusCode::UNAUTHORIZED; limit], "{id}");
        let runs = world.server.app.secrets.runs() - before;
        assert!((2..=10).contains(&runs), "{id}: {runs} Argon2id runs");
        let guess = TestClient { id: id.clone(), secret: "another".to_owned() };
        // One more is judged every three seconds that the crowd took.
        let mut tries = 0;
        while crowd(&world, &guess, 1).await != [StatusCode::TOO_MANY_REQUESTS] {
            tries += 1;
            assert!(tries < 10, "{id}: each was a failure");
        }
    }
    // Who guessed and who knows ask different questions, in the same crowd as well.
    world.server.clock.advance(60);
    let wrong = TestClient { id: world.planner.id.clone(), secret: "wrong".to_owned() };
    let (right, wrong) = tokio::join!(crowd(&world, &world.planner, 16), crowd(&world, &wrong, 16));
    assert_eq!((right, wrong), (vec![StatusCode::OK; 16], vec![StatusCode::UNAUTHORIZED; 16]));
}
