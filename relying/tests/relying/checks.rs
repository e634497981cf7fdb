//! What a token's own words admit.

use crate::stand_in::NOW;
use crate::stand_in::StandIn;
use serde_json::{Value, json};
use stipend_relying::constraint::{Body, CanonicalPath, Counted, Host, Kind, Method, Mode, Need, Reason};
use stipend_relying::{
    AccessToken, Action, Amount, Call, Enforce, Refusal, Request, Unit, Verdict, VerifyError, check_credential,
    check_scope, find_credential, find_line, require_budget,
};

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

async fn limited(details: Value) -> AccessToken {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    verifier.verify(&issuer.token_with("authorization_details", details), NOW).await.unwrap()
}

fn release(actions: &[&str], constraints: &Value) -> Value {
    json!([{"type": "credential_release", "identifier": "mail", "actions": actions, "constraints": constraints}])
}

/// A call to `/v1/send`, with a body or without.
fn send(token: &AccessToken, credential: &str, action: Action, method: &str) -> Result<Verdict, Refusal> {
    let (method, host) = (Method::parse(method).unwrap(), Host::parse("api.mail.example").unwrap());
    let (path, body) = (CanonicalPath::parse("/v1/send").unwrap(), Body::parse_json(br#"{"to":"a@example.com"}"#));
    let request = Request { method: &method, method_overridden: false, host: &host, path: &path, body: &body };
    let call = Call { request: Some(request), source: None, now: NOW, counted: Counted::default() };
    check_credential(token, credential, action, &call)
}

#[tokio::test]
async fn a_token_that_says_nothing_of_credentials_limits_none() {
    let token = limited(Value::Null).await;
    assert_eq!(send(&token, "mail", Action::Release, "POST"), Ok(Verdict::default()));
    assert_eq!(find_credential(&token, "mail"), None);
}

#[tokio::test]
async fn a_ceiling_admits_the_credentials_and_actions_that_it_names() {
    let token = limited(release(&["proxy"], &json!({"methods": ["POST"], "paths": ["/v1"]}))).await;
    assert_eq!(send(&token, "mail", Action::Proxy, "POST"), Ok(Verdict::default()));
    assert_eq!(send(&token, "mail", Action::Release, "POST"), Err(Refusal::Credential), "another action");
    assert_eq!(send(&token, "other", Action::Proxy, "POST"), Err(Refusal::Credential), "another credential");
    let none = limited(json!([])).await;
    let refusal = send(&none, "mail", Action::Proxy, "POST").unwrap_err();
    assert_eq!((refusal.status(), refusal.error()), (403, "insufficient_scope"));
    let challenge = refusal.www_authenticate().unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_scope\"") && !challenge.contains("scope=\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn a_broken_constraint_is_named_without_a_challenge() {
    let token = limited(release(&["proxy"], &json!({"methods": ["POST"], "source": ["10.0.0.0/8"]}))).await;
    let refusal = send(&token, "mail", Action::Proxy, "GET").unwrap_err();
    assert_eq!(refusal, Refusal::Constraint { constraint: Kind::Methods, reason: Reason::NotListed });
    assert_eq!((refusal.status(), refusal.www_authenticate(), refusal.retry_after()), (403, None, None));
    let body = json!({
        "error": "constraint_violated", "error_description": "the token's constraints do not admit this call",
        "constraint": "methods", "reason": "not_listed",
    });
    assert_eq!(refusal.body(), body);
    let unseen = send(&token, "mail", Action::Proxy, "POST").unwrap_err();
    assert_eq!(unseen, Refusal::Constraint { constraint: Kind::Source, reason: Reason::NotSeen });
}

#[tokio::test]
async fn what_is_observed_is_told_and_what_is_counted_is_asked_for() {
    let mut details = release(&["proxy"], &json!([{"uses": 3}, {"mode": "observe", "methods": ["GET"]}]));
    details[0]["counted"] = json!([{"jti": "t_1", "uses": 3}]);
    let token = limited(details.clone()).await;
    let verdict = send(&token, "mail", Action::Proxy, "POST").unwrap();
    let observed: Vec<_> = verdict.observed().map(|broken| (broken.constraint, broken.reason)).collect();
    assert_eq!(observed, [(Kind::Methods, Reason::NotListed)]);
    assert_eq!(verdict.needs, [Need::Uses { limit: 3, mode: Mode::Enforce }]);
    let entries: Vec<_> =
        find_credential(&token, "mail").unwrap().counted().iter().map(|entry| (entry.jti(), entry.uses())).collect();
    assert_eq!(entries, [("t_1", Some(3))]);
    // A limit that nobody counts is in no token of the issuer's.
    details[0].as_object_mut().unwrap().remove("counted");
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let refused = verifier.verify(&issuer.token_with("authorization_details", details), NOW).await.unwrap_err();
    assert_eq!(refused, VerifyError::Claims);
}
