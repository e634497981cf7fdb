//! Budgets handed on by exchange: under the subject token's line, never beside it.

use crate::budget_tokens::{charge, details, get, line, of_account, rich};
use crate::world::{ORDERS, World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;
use tokio::task::JoinSet;

/// An exchange by refunds for `refund`, with a budget.
async fn hand_on(world: &World, subject: &str, amount: i64) -> (StatusCode, Value) {
    let asked = details(amount);
    world.server.exchange(&world.refunds, subject, &[("scope", "refund"), ("authorization_details", &asked)]).await
}

fn token(body: &Value) -> String {
    body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// The same rule, but for what it says of budgets.
async fn rule(world: &World, extra: Value) {
    let mut rule = json!({
        "actor": {"client": world.stranger.id}, "subject": {"client": world.planner.id}, "to_audience": ORDERS,
        "scopes": [{"scope": "read"}], "mode": "delegation",
    });
    rule.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    world.server.create("/exchange-rules", rule).await;
}

#[rstest]
#[tokio::test]
async fn a_child_is_a_cap_under_its_parents_line(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = rich(backend, 1000, 300).await;
    let parent = get(&world, &world.planner, &[("authorization_details", &details(100))]).await;
    let (_, body) = hand_on(&world, &parent, 60).await;
    assert_eq!(body["authorization_details"][0]["amount"], 60, "{body}");
    let child = token(&body);
    assert_eq!(charge(&world, &child, "61").await.0, StatusCode::FORBIDDEN);
    assert_eq!(charge(&world, &child, "50").await.0, StatusCode::OK);
    assert_eq!(charge(&world, &parent, "51").await.1["remaining"], 50, "the child spent from the parent's");
    let (_, body) = hand_on(&world, &parent, 999).await;
    assert_eq!(body["authorization_details"][0]["amount"], 50, "no more than the parent has");
    // Who asks for nothing gets what the subject token has.
    let (_, body) = world.server.exchange(&world.refunds, &parent, &[("scope", "refund")]).await;
    assert_eq!(claims(&token(&body))["budget"][0]["amount"], 50);
    // A unit that the subject token does not have is not there, though the payer has it.
    let usd = json!({"agent": world.planner.id, "unit": "USD", "decimals": 6, "amount": 5});
    world.server.create("/budgets", usd).await;
    let asked = json!([{"type": "budget", "unit": "USD", "decimals": 6, "amount": 1}]).to_string();
    let form = [("scope", "refund"), ("authorization_details", asked.as_str())];
    let (status, body) = world.server.exchange(&world.refunds, &parent, &form).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
}

#[rstest]
#[tokio::test]
async fn both_chains_are_charged_where_the_actor_has_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    world.server.create("/budgets", line("agent", &world.refunds.id, 20)).await;
    let parent = get(&world, &world.planner, &[]).await;
    let child = token(&hand_on(&world, &parent, 60).await.1);
    assert_eq!(charge(&world, &child, "21").await.1["remaining"], 20, "the actor's own cap");
    assert_eq!(charge(&world, &child, "15").await.0, StatusCode::OK);
    for (account, id, spent) in [
        ("agent", world.planner.id.as_str(), 15),
        ("agent", world.refunds.id.as_str(), 15),
        // What both chains share is charged once.
        ("owner", "acme", 15),
    ] {
        assert_eq!(of_account(&world, account, id).await["used"]["spent"], spent, "{account} {id}");
    }
}

#[tokio::test]
async fn a_rule_caps_what_goes_along_and_how_often() {
    let world = rich(Backend::Sqlite, 1000, 300).await;
    let ceiling = json!([{"unit": "call", "decimals": 0, "amount": 30, "per_call": 4}]);
    rule(&world, json!({"budget_ceiling": ceiling, "max_children": 2})).await;
    let parent = get(&world, &world.planner, &[("authorization_details", &details(100))]).await;
    let asked = details(80);
    let form = [("scope", "read"), ("authorization_details", asked.as_str())];
    let (_, body) = world.server.exchange(&world.stranger, &parent, &form).await;
    let granted = &body["authorization_details"][0];
    assert_eq!((&granted["amount"], &granted["per_call"]), (&json!(30), &json!(4)), "{body}");
    assert_eq!(charge(&world, &token(&body), "5").await.1["per_call"], 4);
    world.server.exchange(&world.stranger, &parent, &form).await;
    let (status, body) = world.server.exchange(&world.stranger, &parent, &form).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "two, and no more");
    assert_eq!(body["line"], claims(&parent)["budget"][0]["id"]);
    let other = get(&world, &world.planner, &[("authorization_details", &details(100))]).await;
    assert_eq!(world.server.exchange(&world.stranger, &other, &form).await.0, StatusCode::OK, "of each subject token");
}

#[tokio::test]
async fn a_rule_without_the_unit_lets_none_of_it_through() {
    let world = rich(Backend::Sqlite, 1000, 300).await;
    rule(&world, json!({"budget_ceiling": []})).await;
    let parent = get(&world, &world.planner, &[]).await;
    let (_, body) = world.server.exchange(&world.stranger, &parent, &[("scope", "read")]).await;
    assert_eq!(claims(&token(&body))["budget"], json!([]));
    let asked = details(1);
    let form = [("scope", "read"), ("authorization_details", asked.as_str())];
    let (status, body) = world.server.exchange(&world.stranger, &parent, &form).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
}

/// What a subject token does not have, only a rule that says how much lets through.
#[tokio::test]
async fn a_token_without_a_budget_hands_none_on_but_by_a_rules_ceiling() {
    let world = rich(Backend::Sqlite, 1000, 300).await;
    let plain = "https://plain.example";
    let resource = json!({"owner": "acme", "uri": plain, "name": "plain", "scopes": ["read"], "introspectors": []});
    world.server.create("/resources", resource).await;
    let access = json!([{"resource": plain, "scopes": ["read"], "default_scopes": ["read"]}]);
    let path = format!("/agents/{}", world.planner.id);
    world.server.admin(Method::PATCH, &path, Some(&json!({ "access": access }))).await;
    let bare = get(&world, &world.planner, &[]).await;
    assert!(claims(&bare).get("budget").is_none());
    let over = [("resource", ORDERS), ("scope", "read")];
    let (_, body) = world.server.exchange(&world.refunds, &bare, &over).await;
    assert!(claims(&token(&body)).get("budget").is_none(), "{body}");
    assert_eq!(charge(&world, &token(&body), "1").await.0, StatusCode::FORBIDDEN);
    let asked = details(10);
    let asking = [("resource", ORDERS), ("scope", "read"), ("authorization_details", asked.as_str())];
    let (status, body) = world.server.exchange(&world.refunds, &bare, &asking).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
    rule(&world, json!({"budget_ceiling": [{"unit": "call", "decimals": 0, "amount": 40}]})).await;
    let (_, body) = world.server.exchange(&world.stranger, &bare, &over).await;
    assert_eq!(claims(&token(&body))["budget"][0]["amount"], 40, "the rule's ceiling is its all");
    let (_, body) = world.server.exchange(&world.stranger, &bare, &asking).await;
    assert_eq!(claims(&token(&body))["budget"][0]["amount"], 10);
    charge(&world, &token(&body), "10").await;
    assert_eq!(of_account(&world, "agent", &world.planner.id).await["used"]["spent"], 10, "the planner pays");
}

/// Ten children of one 100-unit grant over three levels, hammered together: exactly 100.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_is_spent_exactly_by_all_its_descendants_together(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    world.server.create_rule(&world.refunds.id, &world.refunds.id, ORDERS, &["read", "refund"]).await;
    let grant = get(&world, &world.planner, &[("authorization_details", &details(100))]).await;
    let mut tokens = vec![grant.clone()];
    let mut level = vec![grant];
    for children in [2, 4, 4] {
        let mut next = Vec::new();
        for n in 0..children {
            // Each may have all of it: caps may over-subscribe.
            next.push(token(&hand_on(&world, &level[n % level.len()], 100).await.1));
        }
        tokens.extend(next.iter().cloned());
        level = next;
    }
    assert_eq!(tokens.len(), 11);
    assert_eq!(claims(&level[0])["lineage"].as_array().unwrap().len(), 3);
    let mut tasks = JoinSet::new();
    for n in 0..220 {
        let request = world
            .server
            .http
            .post(world.server.url("/budget/charges"))
            .basic_auth(&world.service.id, Some(&world.service.secret))
            .header("idempotency-key", n.to_string())
            .form(&[("token", tokens[n % tokens.len()].as_str()), ("unit", "call"), ("amount", "1")]);
        // A busy machine may answer late; the key makes trying again safe.
        tasks.spawn(async move {
            loop {
                let status = request.try_clone().unwrap().send().await.unwrap().status();
                if status != StatusCode::SERVICE_UNAVAILABLE {
                    return status;
                }
            }
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::OK).count(), 100);
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::FORBIDDEN).count(), 120);
    assert_eq!(of_account(&world, "agent", &world.planner.id).await["used"]["spent"], 100);
}

#[tokio::test]
async fn a_closed_line_stops_all_under_it_and_an_increase_helps_them() {
    let world = rich(Backend::Sqlite, 1000, 100).await;
    let parent = get(&world, &world.planner, &[]).await;
    let child = token(&hand_on(&world, &parent, 100).await.1);
    charge(&world, &child, "100").await;
    let planners = of_account(&world, "agent", &world.planner.id).await["id"].as_str().unwrap().to_owned();
    let more = json!({"amount": 50, "seconds": 100, "reason": "month end"});
    world.server.create(&format!("/budgets/{planners}/increase"), more).await;
    let fresh = get(&world, &world.planner, &[]).await;
    assert_eq!(claims(&fresh)["budget"][0]["amount"], 50);
    assert_eq!(charge(&world, &fresh, "10").await.0, StatusCode::OK);
    world.server.clock.advance(100);
    let (status, body) = charge(&world, &fresh, "1").await;
    assert_eq!((status, &body["line"]), (StatusCode::FORBIDDEN, &json!(planners)), "it is over");
    world.server.create(&format!("/budgets/{planners}/increase"), json!({"amount": 500, "seconds": 3600})).await;
    world.server.create(&format!("/budgets/{planners}/disable"), json!({})).await;
    let (status, body) = charge(&world, &fresh, "1").await;
    assert_eq!((status, &body["line"]), (StatusCode::FORBIDDEN, &json!(planners)), "{body}");
    let (status, body) = hand_on(&world, &fresh, 1).await;
    assert_eq!(
        (status, error(&body), &body["line"]),
        (StatusCode::BAD_REQUEST, "invalid_authorization_details", &json!(planners))
    );
}

/// What a token's line is, the token says: it is seen, and it can be closed, and no more.
#[tokio::test]
async fn a_tokens_line_is_not_changed_but_closed() {
    let world = rich(Backend::Sqlite, 1000, 100).await;
    let token = get(&world, &world.planner, &[]).await;
    let line = claims(&token)["budget"][0]["id"].as_str().unwrap().to_owned();
    let (_, all) = world.server.admin(Method::GET, "/budgets", None).await;
    assert!(all["items"].as_array().unwrap().iter().all(|one| one["id"] != line.as_str()), "the list is of accounts");
    let path = format!("/budgets/{line}");
    let (_, seen) = world.server.admin(Method::GET, &path, None).await;
    assert_eq!((&seen["token"], &seen["audience"]), (&claims(&token)["jti"], &json!(ORDERS)));
    for (verb, path, body) in [
        (Method::PATCH, path.clone(), json!({"amount": 5})),
        (Method::POST, format!("{path}/increase"), json!({"amount": 5, "seconds": 60})),
    ] {
        let (status, answer) = world.server.admin(verb, &path, Some(&body)).await;
        assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("invalid_state")), "{answer}");
    }
    assert_eq!(charge(&world, &token, "1").await.0, StatusCode::OK);
    world.server.create(&format!("{path}/disable"), json!({"reason": "enough"})).await;
    let (status, body) = charge(&world, &token, "1").await;
    assert_eq!((status, body["line"].as_str()), (StatusCode::FORBIDDEN, Some(line.as_str())), "{body}");
    let other = get(&world, &world.planner, &[]).await;
    assert_eq!(charge(&world, &other, "1").await.0, StatusCode::OK, "only that token's");
}

#[tokio::test]
async fn one_key_exchanges_once() {
    let world = rich(Backend::Sqlite, 1000, 100).await;
    let parent = get(&world, &world.planner, &[]).await;
    let asked = details(5);
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", parent.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("scope", "refund"),
        ("authorization_details", asked.as_str()),
    ];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = world.server.http.post(world.server.url("/oauth2/token")).header("idempotency-key", "hand-1");
        let request = request.basic_auth(&world.refunds.id, Some(&world.refunds.secret)).form(&form);
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        answers.push((claims(&token(&body)), body["issued_token_type"].clone(), body["authorization_details"].clone()));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].1.is_string());
    let path = format!("/budgets/{}/children", claims(&parent)["budget"][0]["id"].as_str().unwrap());
    let (_, under) = world.server.admin(Method::GET, &path, None).await;
    assert_eq!(under["items"].as_array().unwrap().len(), 1, "one line: {under}");
}
