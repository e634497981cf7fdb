//! Security events: what they revoke is refused from then on, what is not understood changes
//! nothing, and nobody else's are believed.

use crate::stand_in::{AUDIENCE, NOW, Reply, StandIn, jwks_of};
use serde_json::{Value, json};
use stipend_keys::{Algorithm, SigningKey, TokenKind};
use stipend_relying::{EventError, Received, Verifier, VerifyError};

const RECEIVER: &str = "acme.orders-api";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// The claims of an event about a subject.
fn event(issuer: &StandIn, sub_id: Value) -> Value {
    json!({
        "iss": issuer.issuer, "aud": RECEIVER, "jti": "set_1", "iat": NOW, "txn": "r_1", "sub_id": sub_id,
        "events": {REVOKED: {"event_timestamp": NOW, "initiating_entity": "admin", "reason_admin": {"en": "over"}}},
    })
}

fn of_token(issuer: &StandIn, jti: &str) -> Value {
    event(issuer, json!({"format": "jwt_id", "iss": issuer.issuer, "jti": jti}))
}

fn of_subject(issuer: &StandIn, sub: &str) -> Value {
    event(issuer, json!({"format": "iss_sub", "iss": issuer.issuer, "sub": sub}))
}

async fn tell(issuer: &StandIn, verifier: &Verifier, claims: &Value) -> Result<Received, EventError> {
    verifier.receive(&issuer.sign_claims_as(TokenKind::SecurityEvent, claims), RECEIVER, NOW).await
}

async fn started() -> (StandIn, Verifier) {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    (issuer, verifier)
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_what_descends_from_it() {
    let (issuer, verifier) = started().await;
    let other = issuer.token_with("jti", json!("t_other"));
    let mut child = issuer.claims();
    (child["jti"], child["lineage"], child["lineage_clients"]) =
        (json!("t_2"), json!(["t_1"]), json!(["acme.planner"]));
    let child = issuer.sign(&child);
    for token in [&issuer.token(), &child, &other] {
        verifier.verify(token, NOW).await.unwrap();
    }
    assert_eq!(tell(&issuer, &verifier, &of_token(&issuer, "t_1")).await, Ok(Received::Revoked));
    for now in [NOW, NOW + 299] {
        assert_eq!(verifier.verify(&issuer.token(), now).await, Err(VerifyError::Revoked));
        assert_eq!(verifier.verify(&child, now).await, Err(VerifyError::Revoked));
        verifier.verify(&other, now).await.unwrap();
    }
    // The same event again changes nothing (RFC 8935 section 2: delivery may be repeated).
    assert_eq!(tell(&issuer, &verifier, &of_token(&issuer, "t_1")).await, Ok(Received::Revoked));
}

#[tokio::test]
async fn an_agent_takes_along_its_tokens_so_far_and_all_that_came_of_them() {
    let (issuer, verifier) = started().await;
    let later = |name: &str, value: Value| {
        let mut claims = issuer.claims();
        (claims[name], claims["iat"]) = (value, json!(NOW + 1));
        issuer.sign(&claims)
    };
    let acted = issuer.token_with("act", json!({"sub": "agent:acme.refunds", "act": {"sub": "agent:acme.mail"}}));
    let mut passed = issuer.claims();
    (passed["sub"], passed["client_id"]) = (json!("user:idp:alice"), json!("acme.desk"));
    (passed["lineage"], passed["lineage_clients"]) = (json!(["t_0"]), json!(["acme.mail"]));
    let passed = issuer.sign(&passed);
    for token in [&acted, &passed] {
        verifier.verify(token, NOW).await.unwrap();
    }
    assert_eq!(tell(&issuer, &verifier, &of_subject(&issuer, "agent:acme.mail")).await, Ok(Received::Revoked));
    for token in [&acted, &passed] {
        assert_eq!(verifier.verify(token, NOW).await, Err(VerifyError::Revoked));
    }
    verifier.verify(&issuer.token(), NOW).await.unwrap();
    assert_eq!(tell(&issuer, &verifier, &of_subject(&issuer, "agent:acme.planner")).await, Ok(Received::Revoked));
    assert_eq!(verifier.verify(&issuer.token(), NOW).await, Err(VerifyError::Revoked));
    // A session that began afterwards is another one.
    verifier.verify(&later("jti", json!("t_9")), NOW + 1).await.unwrap();
    assert_eq!(tell(&issuer, &verifier, &of_subject(&issuer, "user:idp:bob")).await, Ok(Received::Revoked));
    let bob = issuer.token_with("sub", json!("user:idp:bob"));
    assert_eq!(verifier.verify(&bob, NOW).await, Err(VerifyError::Revoked));
}

#[tokio::test]
async fn a_key_and_a_whole_service_too() {
    let (issuer, verifier) = started().await;
    let second = SigningKey::generate(Algorithm::Es256).unwrap();
    issuer.jwks(Reply::Json(jwks_of(&[&issuer.key, &second])));
    let verifier_of_both = issuer.discover().await.unwrap();
    let by_second =
        second.signer().unwrap().sign(TokenKind::AccessToken, issuer.claims().to_string().as_bytes()).unwrap();
    let uri = format!("{}#{}", issuer.url("/keys"), second.kid());
    let about_key = event(&issuer, json!({"format": "uri", "uri": uri}));
    assert_eq!(tell(&issuer, &verifier_of_both, &about_key).await, Ok(Received::Revoked));
    assert_eq!(verifier_of_both.verify(&by_second, NOW).await, Err(VerifyError::Revoked));
    verifier_of_both.verify(&issuer.token(), NOW).await.unwrap();
    let about_us = event(&issuer, json!({"format": "uri", "uri": AUDIENCE}));
    assert_eq!(tell(&issuer, &verifier, &about_us).await, Ok(Received::Revoked));
    assert_eq!(verifier.verify(&issuer.token(), NOW).await, Err(VerifyError::Revoked));
}

/// SSF sections 4.2.3 and 9.3.
#[tokio::test]
async fn what_is_not_known_is_taken_and_changes_nothing() {
    let (issuer, verifier) = started().await;
    let with = |name: &str, value: Value| {
        let mut claims = of_token(&issuer, "t_1");
        claims[name] = value;
        claims
    };
    let harmless = [
        // Subjects that are elsewhere, gone, of a form to come, or none.
        of_token(&issuer, "t_removed_long_ago"),
        of_subject(&issuer, "agent:acme.removed"),
        with("sub_id", json!({"format": "jwt_id", "iss": "https://other.example", "jti": "t_1"})),
        with("sub_id", json!({"format": "iss_sub", "iss": "https://other.example", "sub": "agent:acme.planner"})),
        with("sub_id", json!({"format": "did", "url": "did:example:1"})),
        with("sub_id", json!({"format": "uri", "uri": "https://elsewhere.example"})),
        with("sub_id", json!({"format": "jwt_id", "iss": issuer.issuer})),
        with("sub_id", json!({"format": 7})),
        with("sub_id", json!("t_1")),
        // Events of other kinds, and of kinds to come.
        with("events", json!({"https://schemas.openid.net/secevent/ssf/event-type/verification": {"state": "x"}})),
        with("events", json!({"https://schemas.openid.net/secevent/caep/event-type/credential-change": {"x": 1}})),
        with("events", json!({"https://example.com/to-come": {"anything": [1, {"more": null}]}})),
    ];
    for claims in harmless {
        tell(&issuer, &verifier, &claims).await.unwrap_or_else(|error| panic!("{error}: {claims}"));
        verifier.verify(&issuer.token(), NOW).await.unwrap();
    }
    // Members to come beside those that are known, at every level.
    let mut claims = with("x_to_come", json!({"deep": [null]}));
    claims["sub_id"]["x_to_come"] = json!(1);
    claims["events"][REVOKED]["x_to_come"] = json!([1]);
    claims["events"][REVOKED]["event_timestamp"] = json!("soon");
    assert_eq!(tell(&issuer, &verifier, &claims).await, Ok(Received::Revoked));
    assert_eq!(verifier.verify(&issuer.token(), NOW).await, Err(VerifyError::Revoked));
}

#[tokio::test]
async fn nobody_elses_event_is_believed() {
    let (issuer, verifier) = started().await;
    let good = of_token(&issuer, "t_1");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for (claims, expected) in [
        (with("iss", json!("https://other.example")), EventError::Issuer),
        (with("aud", json!("acme.somebody-else")), EventError::Audience),
        (with("aud", json!(["acme.somebody-else"])), EventError::Audience),
        (with("aud", Value::Null), EventError::Audience),
        (with("sub", json!("agent:acme.planner")), EventError::Malformed),
        (with("exp", json!(NOW + 60)), EventError::Malformed),
        (with("events", json!({})), EventError::Malformed),
        (with("events", json!({REVOKED: {}, "https://example.com/two": {}})), EventError::Malformed),
        (with("events", json!({REVOKED: 7})), EventError::Malformed),
    ] {
        assert_eq!(tell(&issuer, &verifier, &claims).await, Err(expected), "{claims}");
        assert_eq!(expected.status(), 400);
    }
    let text = issuer.sign_claims_as(TokenKind::SecurityEvent, &good);
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let forged = stranger.signer().unwrap().sign(TokenKind::SecurityEvent, good.to_string().as_bytes()).unwrap();
    let mut spoilt = text.clone();
    let last = if spoilt.pop() == Some('A') { 'B' } else { 'A' };
    spoilt.insert(text.len() - 1 - 40, last);
    for (token, expected) in [
        (forged, Some(EventError::Key)),
        (issuer.sign_claims_as(TokenKind::AccessToken, &good), Some(EventError::Malformed)),
        (issuer.sign_claims_as(TokenKind::StatusList, &good), Some(EventError::Malformed)),
        (String::new(), Some(EventError::Malformed)),
        ("a.b.c".to_owned(), Some(EventError::Malformed)),
        (spoilt, None),
    ] {
        let refused = verifier.receive(&token, RECEIVER, NOW).await.unwrap_err();
        assert!(expected.is_none_or(|expected| expected == refused), "{refused:?}: {token}");
    }
    verifier.verify(&issuer.token(), NOW).await.unwrap();
    // And an event is no access token.
    assert_eq!(verifier.verify(&text, NOW).await, Err(VerifyError::WrongKind));
    assert_eq!(verifier.receive(&text, RECEIVER, NOW).await, Ok(Received::Revoked));
}

#[tokio::test]
async fn an_event_of_the_future_takes_no_tokens_that_are_yet_to_come() {
    let (issuer, verifier) = started().await;
    let mut claims = of_subject(&issuer, "agent:acme.planner");
    claims["events"][REVOKED]["event_timestamp"] = json!(NOW + 1_000_000);
    assert_eq!(tell(&issuer, &verifier, &claims).await, Ok(Received::Revoked));
    assert_eq!(verifier.verify(&issuer.token(), NOW).await, Err(VerifyError::Revoked));
    let mut later = issuer.claims();
    (later["iat"], later["exp"]) = (json!(NOW + 61), json!(NOW + 300));
    verifier.verify(&issuer.sign(&later), NOW + 61).await.unwrap();
    // An older event that comes late takes nothing back.
    claims["events"][REVOKED]["event_timestamp"] = json!(NOW - 50);
    assert_eq!(tell(&issuer, &verifier, &claims).await, Ok(Received::Revoked));
    assert_eq!(verifier.verify(&issuer.token(), NOW).await, Err(VerifyError::Revoked));
}
