//! `/budget/…`: what an agent may spend, as relying services spend it.

use crate::world::{LEDGER, ORDERS, World};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;
use tokio::task::JoinSet;

/// A world where acme has `owner` micro-dollars and the planner `planner` of them.
async fn rich(backend: Backend, owner: i64, planner: i64) -> World {
    let world = World::new(backend).await;
    let line = |account: &str, id: &str, amount: i64| {
        let mut line = json!({"unit": "USD", "decimals": 6, "amount": amount});
        line[account] = json!(id);
        line
    };
    world.server.create("/budgets", line("owner", "acme", owner)).await;
    world.server.create("/budgets", line("agent", &world.planner.id, planner)).await;
    world
}

async fn post(world: &World, path: &str, client: &TestClient, form: &[(&str, &str)]) -> (StatusCode, Value) {
    world.server.form(path, client, form).await
}

async fn charge(world: &World, token: &str, amount: &str) -> (StatusCode, Value) {
    post(world, "/budget/charges", &world.service, &[("token", token), ("unit", "USD"), ("amount", amount)]).await
}

async fn hold(world: &World, token: &str, amount: &str) -> String {
    let form = [("token", token), ("unit", "USD"), ("amount", amount)];
    let (status, body) = post(world, "/budget/holds", &world.service, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["hold"].as_str().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn a_budget_is_spent_to_the_last_unit_and_not_beyond(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 5_000_000, 2_000_000).await;
    let token = world.subject().await;
    let (status, body) = charge(&world, &token, "1999999").await;
    assert_eq!((status, &body["spent"], &body["remaining"]), (StatusCode::OK, &json!(1_999_999), &json!(1)));
    let (status, body) = charge(&world, &token, "2").await;
    assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_budget")));
    assert_eq!((&body["required"], &body["remaining"]), (&json!(2), &json!(1)));
    let (status, body) = charge(&world, &token, "1").await;
    assert_eq!((status, &body["remaining"]), (StatusCode::OK, &json!(0)));
    assert_eq!(body["thresholds"][0]["percent"], 100, "{body}");
    assert_eq!(charge(&world, &token, "1").await.0, StatusCode::FORBIDDEN);
}

#[rstest]
#[tokio::test]
async fn holds_are_captured_in_parts_voided_extended_and_refunded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 1000).await;
    let token = world.subject().await;
    let service = &world.service;
    let id = hold(&world, &token, "600").await;
    assert_eq!(charge(&world, &token, "401").await.0, StatusCode::FORBIDDEN, "what is held is not there");
    let path = format!("/budget/holds/{id}/capture");
    let (_, part) = post(&world, &path, service, &[("amount", "100")]).await;
    assert_eq!((&part["spent"], &part["held"]), (&json!(100), &json!(500)));
    let (status, _) = post(&world, &format!("/budget/holds/{id}/extend"), service, &[("expires_in", "120")]).await;
    assert_eq!(status, StatusCode::OK);
    let (_, last) = post(&world, &path, service, &[("amount", "50"), ("final", "true")]).await;
    assert_eq!((&last["held"], &last["remaining"]), (&json!(0), &json!(850)));
    let (status, body) = post(&world, &path, service, &[("amount", "1")]).await;
    assert_eq!((status, &body["error"]), (StatusCode::CONFLICT, &json!("hold_ended")));
    let other = hold(&world, &token, "850").await;
    let (_, freed) = post(&world, &format!("/budget/holds/{other}/void"), service, &[]).await;
    assert_eq!(freed["remaining"], 850);
    let capture = part["capture"].as_str().unwrap();
    let refund = [("capture", capture), ("amount", "100")];
    let (_, back) = post(&world, "/budget/refunds", service, &refund).await;
    assert_eq!((&back["spent"], &back["remaining"]), (&json!(-100), &json!(950)));
    let (status, _) = post(&world, "/budget/refunds", service, &refund).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "nothing of it is left");
}

#[rstest]
#[tokio::test]
async fn a_hold_whose_time_is_over_is_free_again_and_booked_late(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 1000).await;
    let token = world.subject().await;
    let id = hold(&world, &token, "1000").await;
    world.server.clock.advance(61);
    // The job that ends it looks once a second; a capture does not wait for it.
    let (status, late) =
        post(&world, &format!("/budget/holds/{id}/capture"), &world.service, &[("amount", "1200"), ("final", "true")])
            .await;
    assert_eq!((status, &late["spent"], &late["overage"]), (StatusCode::OK, &json!(1000), &json!(200)));
    let (status, body) = charge(&world, &world.subject().await, "1").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
}

#[tokio::test]
async fn the_root_of_the_authority_pays_and_the_actor_is_capped_as_well() {
    let world = rich(Backend::Sqlite, 1000, 700).await;
    let own = json!({"agent": world.refunds.id, "unit": "USD", "decimals": 6, "amount": 50});
    world.server.create("/budgets", own).await;
    let parent = world.subject().await;
    let child = world.delegated(&parent).await;
    let (status, body) = charge(&world, &child, "51").await;
    assert_eq!((status, &body["remaining"]), (StatusCode::FORBIDDEN, &json!(50)), "the actor's own cap");
    assert_eq!(charge(&world, &child, "50").await.0, StatusCode::OK);
    let (_, body) = charge(&world, &parent, "650").await;
    assert_eq!(body["remaining"], 0, "both charged the planner: {body}");
    let refunds = world.server.token(&world.refunds, &[("scope", "read")]).await;
    assert_eq!(charge(&world, &refunds, "1").await.0, StatusCode::FORBIDDEN, "and its own line is used up");
}

#[rstest]
#[tokio::test]
async fn one_key_has_one_effect_and_the_same_answer(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = rich(backend, 1000, 1000).await;
    let token = world.subject().await;
    let ask = |amount: &'static str| {
        let request = world
            .server
            .http
            .post(world.server.url("/budget/charges"))
            .basic_auth(&world.service.id, Some(&world.service.secret))
            .header("idempotency-key", "order-17")
            .form(&[("token", token.as_str()), ("unit", "USD"), ("amount", amount)]);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.headers()["cache-control"].clone(), answer.json::<Value>().await.unwrap())
        }
    };
    let mut tasks = JoinSet::new();
    (0..64).for_each(|_| drop(tasks.spawn(ask("10"))));
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].2["remaining"], 990);
    let (status, _, body) = ask("11").await;
    assert_eq!((status, &body["error"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
    assert_eq!(charge(&world, &token, "990").await.1["remaining"], 0, "ten were spent once");
}

/// A service that lost the answer learns what was done also when the token has ended since.
#[rstest]
#[tokio::test]
async fn a_retry_is_answered_as_before_though_its_token_has_ended(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(true, false)] revoked: bool,
) {
    let world = rich(backend, 1000, 1000).await;
    let token = world.subject().await;
    let ask = async |path: &str, key: &str, amount: &str| {
        let request = world.server.http.post(world.server.url(path)).header("idempotency-key", key);
        let request = request.basic_auth(&world.service.id, Some(&world.service.secret));
        let answer =
            request.form(&[("token", token.as_str()), ("unit", "USD"), ("amount", amount)]).send().await.unwrap();
        let id = answer.headers()["stipend-request-id"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap(), id)
    };
    let charged = ask("/budget/charges", "k1", "10").await;
    let held = ask("/budget/holds", "k1", "20").await;
    let refused = ask("/budget/charges", "k2", "5000").await;
    assert_eq!((charged.0, held.0, refused.0), (200, 200, 403));
    if revoked {
        world.server.form("/oauth2/revoke", &world.planner, &[("token", &token)]).await;
    } else {
        world.server.clock.advance(301);
    }
    for (path, key, amount, first, outcome) in [
        ("/budget/charges", "k1", "10", &charged, "repeated"),
        ("/budget/holds", "k1", "20", &held, "repeated"),
        ("/budget/charges", "k2", "5000", &refused, "refused"),
    ] {
        let again = ask(path, key, amount).await;
        assert_eq!((again.0, &again.1), (first.0, &first.1), "{path} {key}");
        let (_, audit) = world.server.admin(reqwest::Method::GET, "/audit?limit=200", None).await;
        let named = |record: &&Value| record["detail"]["request_id"] == again.2.as_str();
        let records: Vec<_> = audit["items"].as_array().unwrap().iter().filter(named).collect();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["outcome"], outcome, "{}", records[0]);
    }
    // What was not ordered before is not done with a dead token, whatever the key.
    for (key, amount) in [("k1", "11"), ("k3", "10")] {
        let (status, body, _) = ask("/budget/charges", key, amount).await;
        assert_eq!((status, &body["error"]), (403, &json!("invalid_token")), "{key} {amount}");
    }
    let stranger = world.server.http.post(world.server.url("/budget/charges")).header("idempotency-key", "k1");
    let stranger = stranger.basic_auth(&world.planner.id, Some(&world.planner.secret));
    let form = [("token", token.as_str()), ("unit", "USD"), ("amount", "10")];
    assert_eq!(stranger.form(&form).send().await.unwrap().status(), StatusCode::FORBIDDEN, "another client's key");
    let lines = world.server.admin(reqwest::Method::GET, "/budgets?limit=50", None).await.1;
    let id = lines["items"].as_array().unwrap().iter().find(|line| line["agent"] == world.planner.id.as_str()).unwrap();
    let line =
        world.server.admin(reqwest::Method::GET, &format!("/budgets/{}", id["id"].as_str().unwrap()), None).await.1;
    assert_eq!(line["used"]["spent"], 10, "once");
}

#[tokio::test]
async fn one_call_takes_no_more_than_it_may() {
    let world = World::new(Backend::Sqlite).await;
    let line = json!({"agent": world.planner.id, "unit": "USD", "decimals": 6, "amount": 1000, "per_call": 100});
    world.server.create("/budgets", line).await;
    let token = world.subject().await;
    let (status, body) = charge(&world, &token, "101").await;
    assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_budget")));
    assert_eq!((&body["required"], &body["per_call"], body.get("remaining")), (&json!(101), &json!(100), None));
    assert_eq!(charge(&world, &token, "100").await.1["remaining"], 900);
}

#[tokio::test]
async fn a_revoked_token_spends_nothing_from_its_next_hold_on_but_what_was_held_is_booked() {
    let world = rich(Backend::Sqlite, 1000, 1000).await;
    let token = world.subject().await;
    let id = hold(&world, &token, "10").await;
    world.server.form("/oauth2/revoke", &world.planner, &[("token", &token)]).await;
    let (status, body) = charge(&world, &token, "1").await;
    assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("invalid_token")));
    let path = format!("/budget/holds/{id}/capture");
    assert_eq!(post(&world, &path, &world.service, &[("amount", "10")]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_the_services_of_its_audience_spend_and_others_learn_nothing() {
    let world = rich(Backend::Sqlite, 1000, 1000).await;
    let token = world.subject().await;
    let id = hold(&world, &token, "10").await;
    for client in [&world.planner, &world.stranger] {
        let form = [("token", token.as_str()), ("unit", "USD"), ("amount", "1")];
        let (status, body) = post(&world, "/budget/charges", client, &form).await;
        assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("invalid_token")), "{}", client.id);
        let capture = format!("/budget/holds/{id}/capture");
        assert_eq!(post(&world, &capture, client, &[("amount", "1")]).await.0, StatusCode::NOT_FOUND);
    }
    let junk = [("token", "x.y.z"), ("unit", "USD"), ("amount", "1")];
    assert_eq!(post(&world, "/budget/charges", &world.service, &junk).await.1["error"], "invalid_token");
    let wrong = TestClient { id: world.service.id.clone(), secret: "wrong".to_owned() };
    assert_eq!(post(&world, "/budget/charges", &wrong, &junk).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(charge(&world, &token, "990").await.1["remaining"], 0, "nothing of that cost anything");
}

#[tokio::test]
async fn without_a_line_in_the_unit_nothing_is_spent() {
    let world = rich(Backend::Sqlite, 1000, 1000).await;
    let token = world.subject().await;
    let form = [("token", token.as_str()), ("unit", "EUR"), ("amount", "1")];
    let (status, body) = post(&world, "/budget/charges", &world.service, &form).await;
    assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_budget")));
    let ledger = world.server.token(&world.planner, &[("resource", LEDGER)]).await;
    assert_eq!(charge(&world, &ledger, "1").await.0, StatusCode::OK, "any service of the audience may");
    assert_ne!(ORDERS, LEDGER);
}

#[tokio::test]
async fn bad_orders_name_what_is_wrong_and_change_nothing() {
    let world = rich(Backend::Sqlite, 1000, 1000).await;
    let token = world.subject().await;
    let with = |unit: &str, amount: &str| format!("token={token}&unit={unit}&amount={amount}");
    let id = hold(&world, &token, "10").await;
    let hostile = ["-1", "0", "0.5", "%225%22", "1e2", "9007199254740993", "9223372036854775808", "NaN", "", "1%20"];
    let mut bodies: Vec<(String, String)> =
        hostile.iter().map(|amount| ("/budget/charges".to_owned(), with("USD", amount))).collect();
    for unit in ["usd", "USD&decimals=2", "USD&decimals=x", "", "x"] {
        bodies.push(("/budget/holds".to_owned(), with(unit, "1")));
    }
    bodies.push(("/budget/charges".to_owned(), format!("{}&amount=2", with("USD", "1"))));
    bodies.push(("/budget/holds".to_owned(), format!("{}&expires_in=3601", with("USD", "1"))));
    bodies.push((format!("/budget/holds/{id}/capture"), "amount=1&final=yes".to_owned()));
    bodies.push(("/budget/refunds".to_owned(), "amount=1".to_owned()));
    for (path, body) in bodies {
        let answer = world
            .server
            .http
            .post(world.server.url(&path))
            .basic_auth(&world.service.id, Some(&world.service.secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.clone())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let said: Value = answer.json().await.unwrap();
        // An unknown unit in good form is one that nobody has.
        assert!(status == StatusCode::BAD_REQUEST || said["error"] == "insufficient_budget", "{path} {body}: {said}");
    }
    assert_eq!(charge(&world, &token, "990").await.1["remaining"], 0);
    let (status, _) = post(&world, "/budget/holds/bh_none/void", &world.service, &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[rstest]
#[tokio::test]
async fn every_order_is_on_record_refused_ones_too(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = rich(backend, 1000, 1000).await;
    let token = world.subject().await;
    charge(&world, &token, "10").await;
    charge(&world, &token, "5000").await;
    let (_, body) = world.server.admin(reqwest::Method::GET, "/audit?event=budget.charged", None).await;
    let records = body["items"].as_array().unwrap();
    let said: Vec<_> =
        records.iter().map(|record| (&record["outcome"], &record["reason"], &record["detail"]["amount"])).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], (&json!("refused"), &json!("insufficient_budget"), &json!(5000)));
    assert_eq!(said[1], (&json!("done"), &Value::Null, &json!(10)));
}
