//! Services are told when a budget becomes less: lowered, closed, used up.

use crate::streams::{TOKEN_CLAIMS_CHANGE, act, allow, make, now};
use crate::world::{World, claims};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

/// A world where the planner may spend `amount`, and its line.
async fn rich(backend: Backend, amount: i64) -> (World, String, String) {
    let world = World::new(backend).await;
    let line = json!({"agent": world.planner.id, "unit": "USD", "decimals": 6, "amount": amount});
    let line = world.server.create("/budgets", line).await["id"].as_str().unwrap().to_owned();
    allow(&world, &world.service).await;
    let stream = make(&world, &world.service, json!({"events_requested": [TOKEN_CLAIMS_CHANGE]})).await;
    (world, line, stream)
}

async fn charge(world: &World, token: &str, amount: &str) {
    let form = [("token", token), ("unit", "USD"), ("amount", amount)];
    let (status, body) = world.server.form("/budget/charges", &world.service, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// What was said of whom, once somebody has looked for what was used up.
async fn told(world: &World, stream: &str) -> Vec<(Value, Value)> {
    stipend::signals::tell_exhausted(&world.server.app).await.unwrap();
    let all = now(world, &world.service, stream).await;
    let said = |event: &Value| {
        let claims = &event["events"][TOKEN_CLAIMS_CHANGE]["claims"]["authorization_details"];
        (event["sub_id"].clone(), claims[0].clone())
    };
    all.iter().map(said).collect()
}

fn left(amount: i64) -> Value {
    json!({"type": "budget", "unit": "USD", "decimals": 6, "amount": amount})
}

#[rstest]
#[tokio::test]
async fn a_lowered_budget_is_told_with_what_is_left_and_a_raised_one_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (world, line, stream) = rich(backend, 1000).await;
    let path = format!("/budgets/{line}");
    act(&world, Method::PATCH, &path, json!({"amount": 2000})).await;
    act(&world, Method::POST, &format!("{path}/increase"), json!({"amount": 100, "seconds": 60})).await;
    assert!(told(&world, &stream).await.is_empty());
    charge(&world, &world.token().await, "300").await;
    act(&world, Method::PATCH, &path, json!({"amount": 900})).await;
    let planner = json!({"format": "iss_sub", "iss": world.server.issuer, "sub": "agent:acme.planner"});
    // The increase is still on: 900 + 100 - 300.
    assert_eq!(told(&world, &stream).await, [(planner.clone(), left(700))]);
    act(&world, Method::PATCH, &path, json!({"per_call": 50})).await;
    let mut capped = left(700);
    capped["per_call"] = json!(50);
    assert!(told(&world, &stream).await.contains(&(planner.clone(), capped)));
    act(&world, Method::PATCH, &path, json!({"amount": 10, "per_call": null})).await;
    assert!(told(&world, &stream).await.contains(&(planner.clone(), left(0))), "below what was spent nothing is left");
    act(&world, Method::POST, &format!("{path}/disable"), json!({})).await;
    assert_eq!(told(&world, &stream).await.len(), 4);
}

#[rstest]
#[tokio::test]
async fn whoever_takes_the_last_has_it_told_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let (world, _, stream) = rich(backend, 1000).await;
    let details = json!([{"type": "budget", "unit": "USD", "decimals": 6, "amount": 400}]).to_string();
    let token = world.server.token(&world.planner, &[("authorization_details", &details)]).await;
    charge(&world, &token, "399").await;
    assert!(told(&world, &stream).await.is_empty());
    charge(&world, &token, "1").await;
    let jti = &claims(&token)["jti"];
    let of_token = json!({"format": "jwt_id", "iss": world.server.issuer, "jti": jti});
    assert_eq!(told(&world, &stream).await, [(of_token, left(0))]);
    // By a hold that is captured, and of the agent itself.
    let other = world.token().await;
    let form = [("token", other.as_str()), ("unit", "USD"), ("amount", "600")];
    let (_, hold) = world.server.form("/budget/holds", &world.service, &form).await;
    assert_eq!(told(&world, &stream).await.len(), 1, "what is held is not spent");
    let path = format!("/budget/holds/{}/capture", hold["hold"].as_str().unwrap());
    let form = [("amount", "600"), ("final", "true")];
    assert_eq!(world.server.form(&path, &world.service, &form).await.0, StatusCode::OK);
    let planner = json!({"format": "iss_sub", "iss": world.server.issuer, "sub": "agent:acme.planner"});
    let all = told(&world, &stream).await;
    assert!(all.contains(&(planner, left(0))), "{all:?}");
    let count = all.len();
    assert_eq!(told(&world, &stream).await.len(), count, "told once");
    let recorded = world.audit("budget.used_up").await;
    let txns: Vec<&Value> = recorded.iter().map(|record| &record["detail"]["request_id"]).collect();
    let events = now(&world, &world.service, &stream).await;
    assert!(events.iter().all(|event| txns.contains(&&event["txn"])), "{events:?} {txns:?}");
    assert!(!recorded.is_empty() && recorded.iter().all(|record| record["owner_id"] == "acme"), "{recorded:?}");
}

/// What one process did not tell, another does: the cause is written with the charge.
#[rstest]
#[tokio::test]
async fn many_nodes_tell_it_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let (world, _, stream) = rich(backend, 100).await;
    let token = world.token().await;
    charge(&world, &token, "100").await;
    let app = &world.server.app;
    let (one, other) = tokio::join!(stipend::signals::tell_exhausted(app), stipend::signals::tell_exhausted(app));
    one.unwrap();
    other.unwrap();
    let all = told(&world, &stream).await;
    let distinct: std::collections::HashSet<String> = all.iter().map(|said| format!("{said:?}")).collect();
    assert_eq!(all.len(), distinct.len(), "{all:?}");
    assert!(!all.is_empty());
}
