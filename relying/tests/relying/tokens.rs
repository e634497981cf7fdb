//! What is accepted as a token, and what each refusal answers.

use crate::stand_in::{NOW, StandIn};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stipend_keys::TokenKind;
use stipend_relying::{BearerCode, Options, VerifyError, require_scope};

#[tokio::test]
async fn a_good_token_comes_out_with_its_claims() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let token = issuer.token_with("act", json!({ "sub": "agent:acme.refunds" }));
    let token = verifier.verify(&token, NOW + 1).await.unwrap();
    assert_eq!((token.sub.as_str(), token.client_id.as_str()), ("agent:acme.planner", "acme.planner"));
    assert_eq!(token.act.current().unwrap().sub, "agent:acme.refunds");
    assert_eq!(require_scope(&token, "orders:read"), Ok(()));
    let refused = require_scope(&token, "orders:refund").unwrap_err();
    assert_eq!((refused.bearer_code(), refused.status()), (Some(BearerCode::InsufficientScope), 403));
}

#[tokio::test]
async fn each_claim_that_is_off_has_its_own_refusal() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let cases = [
        ("iss", json!("https://evil.example"), VerifyError::WrongIssuer),
        ("iss", json!(format!("{}/", issuer.issuer)), VerifyError::WrongIssuer),
        ("iss", Value::Null, VerifyError::Claims),
        ("aud", json!("https://other.example"), VerifyError::WrongAudience),
        ("aud", json!(["https://other.example", "https://orders.example/v1"]), VerifyError::WrongAudience),
        ("aud", Value::Null, VerifyError::Claims),
        ("aud", json!([]), VerifyError::Claims),
        ("exp", json!(NOW - 31), VerifyError::Expired),
        ("exp", Value::Null, VerifyError::Claims),
        ("exp", json!(i64::MAX), VerifyError::Claims),
        ("exp", json!("1795230300"), VerifyError::Claims),
        ("iat", json!(NOW + 31), VerifyError::NotYetValid),
        ("nbf", json!(NOW + 31), VerifyError::NotYetValid),
        ("nbf", json!("soon"), VerifyError::Claims),
        ("sub", json!(""), VerifyError::Claims),
        ("client_id", Value::Null, VerifyError::Claims),
        ("jti", Value::Null, VerifyError::Claims),
        ("scope", json!(["orders:read"]), VerifyError::Claims),
        ("act", json!("agent:acme.refunds"), VerifyError::Claims),
    ];
    for (name, value, expected) in cases {
        let refused = verifier.verify(&issuer.token_with(name, value.clone()), NOW).await.unwrap_err();
        assert_eq!(refused, expected, "{name}: {value}");
        assert_eq!((refused.bearer_code(), refused.status()), (Some(BearerCode::InvalidToken), 401));
    }
    for (name, value) in [
        ("aud", json!(["https://other.example", "https://orders.example"])),
        ("exp", json!(NOW - 29)),
        ("iat", json!(NOW + 30)),
    ] {
        let token = issuer.token_with(name, value.clone());
        assert!(verifier.verify(&token, NOW).await.is_ok(), "{name}: {value}");
    }
}

#[tokio::test]
async fn leeway_is_never_more_than_a_minute() {
    let issuer = StandIn::start().await;
    let generous = Options { leeway_seconds: 3600, ..Options::default() };
    let verifier = issuer.discover_with(generous).await.unwrap();
    let late = |seconds: i64| issuer.token_with("exp", (NOW - seconds).into());
    assert!(verifier.verify(&late(59), NOW).await.is_ok());
    assert_eq!(verifier.verify(&late(60), NOW).await.unwrap_err(), VerifyError::Expired);
}

#[tokio::test]
async fn a_signature_counts_for_one_text_one_kind_and_one_key() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let parts = |token: &str| -> Vec<String> { token.split('.').map(str::to_owned).collect() };
    let (good, other) = (parts(&issuer.token()), parts(&issuer.token_with("scope", json!("orders:refund"))));
    let swapped = [good[0].as_str(), other[1].as_str(), good[2].as_str()].join(".");
    assert_eq!(verifier.verify(&swapped, NOW).await.unwrap_err(), VerifyError::Signature);
    for kind in [TokenKind::IdToken, TokenKind::ClientAssertion, TokenKind::AuditCheckpoint] {
        assert_eq!(verifier.verify(&issuer.sign_as(kind), NOW).await.unwrap_err(), VerifyError::WrongKind);
    }
    let header = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let kid = issuer.key.kid();
    for (head, expected) in [
        (json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid }), VerifyError::UnknownKey),
        (json!({ "alg": "ES256", "typ": "at+jwt" }), VerifyError::UnknownKey),
        (json!({ "alg": "ES256", "kid": kid }), VerifyError::WrongKind),
    ] {
        let token = [header(head.clone()), good[1].clone(), good[2].clone()].join(".");
        assert_eq!(verifier.verify(&token, NOW).await.unwrap_err(), expected, "{head}");
    }
}

#[tokio::test]
async fn what_is_no_jwt_is_told_apart_and_never_echoed() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#), URL_SAFE_NO_PAD.encode("{}"));
    let five = format!("{}.x.y", issuer.token());
    for bad in
        [String::new(), "secret-looking".to_owned(), none, five, "a".repeat(10_000), format!(" {}", issuer.token())]
    {
        let refused = verifier.verify(&bad, NOW).await.unwrap_err();
        assert!(matches!(refused, VerifyError::Malformed(_)), "{bad}: {refused}");
        let challenge = refused.www_authenticate().unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
        assert!(!challenge.contains("secret-looking") && challenge.matches('"').count() == 4);
    }
}
