//! Keeping keys: how often they are fetched, and what a failing issuer takes away.

use crate::stand_in::{NOW, Reply, StandIn, jwks_of};
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::{Algorithm, SigningKey};
use stipend_relying::{Options, VerifyError};
use tokio::task::JoinSet;

/// A token that names a key the issuer does not have.
fn forged(issuer: &StandIn) -> String {
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    stranger.sign(stipend_keys::TokenKind::AccessToken, issuer.claims().to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_storm_of_unknown_key_ids_costs_one_fetch_per_cool_down() {
    let issuer = Arc::new(StandIn::start().await);
    let verifier = Arc::new(issuer.discover().await.unwrap());
    let after = NOW + 20;
    for (round, expected) in [(after, 2), (after + 9, 2), (after + 10, 3)] {
        let mut storm = JoinSet::new();
        for _ in 0..50 {
            let (issuer, verifier) = (Arc::clone(&issuer), Arc::clone(&verifier));
            storm.spawn(async move { verifier.verify(&forged(&issuer), round).await });
        }
        for refused in storm.join_all().await {
            assert_eq!(refused.unwrap_err(), VerifyError::UnknownKey);
        }
        assert_eq!(issuer.jwks_asked(), expected);
    }
}

#[tokio::test]
async fn tokens_that_could_never_pass_cost_no_fetch() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    for (name, value) in [("iss", "https://evil.example"), ("aud", "https://other.example")] {
        let mut claims = issuer.claims();
        claims[name] = value.into();
        let token = stranger.sign(stipend_keys::TokenKind::AccessToken, claims.to_string().as_bytes()).unwrap();
        assert!(verifier.verify(&token, NOW + 60).await.is_err());
    }
    assert_eq!(issuer.jwks_asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_without_waiting_for_the_old_document_to_age() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let new = SigningKey::generate(Algorithm::Es256).unwrap();
    issuer.jwks(Reply::Json(jwks_of(&[&issuer.key, &new])));
    let token = new.signer().unwrap();
    let token = token.sign(stipend_keys::TokenKind::AccessToken, issuer.claims().to_string().as_bytes()).unwrap();
    assert_eq!(verifier.verify(&token, NOW + 1).await.unwrap_err(), VerifyError::UnknownKey, "still cooling down");
    assert!(verifier.verify(&token, NOW + 10).await.is_ok());
    assert_eq!(issuer.jwks_asked(), 2);
}

#[tokio::test]
async fn a_key_that_was_taken_away_stops_verifying_when_the_document_ages() {
    let issuer = StandIn::start().await;
    issuer.jwks(Reply::Cached(jwks_of(&[&issuer.key]), "public, max-age=60"));
    let verifier = issuer.discover().await.unwrap();
    issuer.jwks(Reply::Json(jwks_of(&[&SigningKey::generate(Algorithm::Es256).unwrap()])));
    assert!(verifier.verify(&issuer.token(), NOW + 59).await.is_ok());
    assert_eq!(verifier.verify(&issuer.token(), NOW + 60).await.unwrap_err(), VerifyError::UnknownKey);
}

#[tokio::test]
async fn max_age_is_kept_within_bounds() {
    for (cache, fresh, stale) in
        [("max-age=0", 29, 30), ("no-store", 29, 30), ("max-age=999999999", 899, 900), ("max-age=-1", 899, 900)]
    {
        let issuer = StandIn::start().await;
        issuer.jwks(Reply::Cached(jwks_of(&[&issuer.key]), cache));
        let verifier = issuer.discover().await.unwrap();
        let token = issuer.token_with("exp", (NOW + 3600).into());
        for (later, asked) in [(fresh, 1), (stale, 2)] {
            verifier.verify(&token, NOW + later).await.unwrap();
            assert_eq!(issuer.jwks_asked(), asked, "{cache} after {later} s");
        }
    }
}

#[tokio::test]
async fn good_keys_outlive_a_failing_issuer_until_they_are_too_stale() {
    let issuer = StandIn::start().await;
    let options = Options { max_stale_seconds: 2000, ..Options::default() };
    let verifier = issuer.discover_with(options).await.unwrap();
    let token = issuer.token_with("exp", (NOW + 3600).into());
    let stranger = jwks_of(&[]);
    let failures =
        [Reply::Status(500), Reply::Redirect(issuer.url("/x")), Reply::Json(stranger), Reply::Json("{".to_owned())];
    for (n, failure) in (0_i64..).zip(failures) {
        issuer.jwks(failure);
        assert!(verifier.verify(&token, NOW + 1000 + 20 * n).await.is_ok(), "failure {n}");
    }
    assert_eq!(issuer.jwks_asked(), 5);
    assert!(verifier.verify(&token, NOW + 2000).await.is_ok());
    let refused = verifier.verify(&token, NOW + 2001).await.unwrap_err();
    assert_eq!((refused, refused.status()), (VerifyError::KeysUnavailable, 503));
    assert_eq!(refused.www_authenticate(), None, "our trouble is not the caller's");
    issuer.jwks(Reply::Json(jwks_of(&[&issuer.key])));
    assert!(verifier.verify(&token, NOW + 2011).await.is_ok(), "recovers by itself");
}

#[tokio::test]
async fn one_caller_fetches_and_the_others_go_on_with_the_keys_at_hand() {
    let issuer = Arc::new(StandIn::start().await);
    let verifier = Arc::new(issuer.discover().await.unwrap());
    issuer.jwks(Reply::Slow(jwks_of(&[&issuer.key]), Duration::from_millis(300)));
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let (issuer, verifier) = (Arc::clone(&issuer), Arc::clone(&verifier));
        callers.spawn(async move {
            let token = issuer.token_with("exp", (NOW + 3600).into());
            let begun = std::time::Instant::now();
            verifier.verify(&token, NOW + 1000).await.unwrap();
            begun.elapsed() >= Duration::from_millis(250)
        });
    }
    let waited = callers.join_all().await.into_iter().filter(|waited| *waited).count();
    assert_eq!((waited, issuer.jwks_asked()), (1, 2));
}

#[tokio::test]
async fn a_clock_set_back_does_not_stop_fetching() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let before = NOW - 5000;
    issuer.jwks(Reply::Status(500));
    let mut claims = issuer.claims();
    claims["iat"] = before.into();
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    let token = stranger.sign(stipend_keys::TokenKind::AccessToken, claims.to_string().as_bytes()).unwrap();
    assert_eq!(verifier.verify(&token, before).await.unwrap_err(), VerifyError::UnknownKey);
    assert_eq!(issuer.jwks_asked(), 2);
}
