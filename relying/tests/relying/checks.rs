//! What a token's own words admit.

use crate::stand_in::NOW;
use crate::stand_in::StandIn;
use serde_json::{Value, json};
use stipend_relying::{AccessToken, Amount, Enforce, Unit, check_scope, find_line, require_budget};

async fn token(budget: Value) -> AccessToken {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    verifier.verify(&issuer.token_with("budget", budget), NOW).await.unwrap()
}

fn usd() -> Unit {
    Unit::new("USD", 6).unwrap()
}

fn amount(parts: i64) -> Amount {
    Amount::new(parts).unwrap()
}

fn line() -> Value {
    json!({"id": "bl_1", "unit": "USD", "decimals": 6, "amount": 100, "per_call": 40, "enforce": "rs"})
}

#[tokio::test]
async fn a_line_is_found_by_its_unit_and_says_who_counts() {
    let token =
        token(json!([line(), {"id": "bl_2", "unit": "gpu", "decimals": 3, "amount": 7, "enforce": "as"}])).await;
    assert_eq!(find_line(&token, &usd()).unwrap().enforce, Enforce::Service);
    assert_eq!(find_line(&token, &Unit::new("gpu", 3).unwrap()).unwrap().id, "bl_2");
    assert!(find_line(&token, &Unit::new("gpu", 2).unwrap()).is_none(), "other decimals are another unit");
    assert_eq!(require_budget(&token, &usd(), amount(40)).unwrap().id, "bl_1");
}

#[tokio::test]
async fn one_call_takes_no_more_than_the_token_says() {
    let token = token(json!([line()])).await;
    let refusal = require_budget(&token, &usd(), amount(41)).unwrap_err();
    let said = (refusal.line.as_deref(), refusal.required, refusal.per_call, refusal.remaining);
    assert_eq!(said, (Some("bl_1"), Some(41), Some(40), None));
}

#[tokio::test]
async fn more_than_there_ever_was_needs_no_question() {
    let mut line = line();
    line.as_object_mut().unwrap().remove("per_call");
    let token = token(json!([line])).await;
    let refusal = require_budget(&token, &usd(), amount(101)).unwrap_err();
    assert_eq!((refusal.required, refusal.remaining, refusal.per_call), (Some(101), Some(100), None));
}

#[tokio::test]
async fn a_token_without_a_line_in_the_unit_has_no_budget() {
    for budget in [json!([]), Value::Null] {
        let refusal = require_budget(&token(budget).await, &usd(), amount(1)).unwrap_err();
        assert_eq!((refusal.line, refusal.required), (None, Some(1)));
    }
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let token = token(Value::Null).await;
    assert!(check_scope(&token, "orders:read").is_ok());
    let refusal = check_scope(&token, "orders:refund").unwrap_err();
    assert_eq!((refusal.status(), refusal.error()), (403, "insufficient_scope"));
    assert!(refusal.www_authenticate().unwrap().contains("scope=\"orders:refund\""));
}
