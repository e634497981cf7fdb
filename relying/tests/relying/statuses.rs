//! Status lists: what they say is done, and what is none, old or somebody else's is not believed.

use crate::stand_in::{NOW, Reply, StandIn};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::{Algorithm, SigningKey, TokenKind};
use stipend_relying::{Options, StatusCheck, Verifier, VerifyError};
use stipend_token::{Status, StatusList};
use tokio::task::JoinSet;

const LIST: &str = "/status/sl_1";
const IDX: i64 = 5;

fn list_of(status: Status) -> Value {
    let mut list = StatusList::new(2, 16).unwrap();
    list.set(IDX, status).unwrap();
    list.to_json().unwrap()
}

/// The claims of a list that is good at [`NOW`].
fn good(issuer: &StandIn, status: Status) -> Value {
    json!({
        "iss": issuer.issuer, "sub": issuer.url(LIST), "iat": NOW, "exp": NOW + 300, "ttl": 5,
        "status_list": list_of(status),
    })
}

fn publish(issuer: &StandIn, claims: &Value) {
    issuer.reply(LIST, Reply::Json(issuer.sign_claims_as(TokenKind::StatusList, claims)));
}

/// A token with a place in the list.
fn listed(issuer: &StandIn) -> String {
    let reference = json!({ "status_list": { "idx": IDX, "uri": issuer.url(LIST) } });
    let mut claims = issuer.claims();
    claims["exp"] = json!(NOW + 1000);
    claims["status"] = reference;
    issuer.sign(&claims)
}

async fn refusal(verifier: &Verifier, token: &str, now: i64) -> VerifyError {
    verifier.verify(token, now).await.unwrap_err()
}

#[tokio::test]
async fn a_status_is_taken_from_the_list_and_kept_for_its_ttl() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let token = listed(&issuer);
    publish(&issuer, &good(&issuer, Status::Valid));
    for now in [NOW, NOW + 1, NOW + 4] {
        verifier.verify(&token, now).await.unwrap();
    }
    assert_eq!(issuer.asked(LIST), 1);
    publish(&issuer, &good(&issuer, Status::Invalid));
    verifier.verify(&token, NOW + 4).await.unwrap();
    assert_eq!(refusal(&verifier, &token, NOW + 5).await, VerifyError::Revoked);
    assert_eq!(issuer.asked(LIST), 2);
    publish(&issuer, &good(&issuer, Status::Suspended));
    assert_eq!(refusal(&verifier, &token, NOW + 10).await, VerifyError::Suspended);
    publish(&issuer, &good(&issuer, Status::Other(3)));
    assert_eq!(refusal(&verifier, &token, NOW + 15).await, VerifyError::Revoked, "what is not known is not valid");
    publish(&issuer, &good(&issuer, Status::Valid));
    verifier.verify(&token, NOW + 20).await.unwrap();
    assert_eq!(VerifyError::Revoked.status(), 401);
    assert_eq!(VerifyError::StatusUnavailable.status(), 503);
}

/// Section 8.3: the token first. A request to the issuer is for tokens that are some.
#[tokio::test]
async fn a_token_that_does_not_verify_costs_no_fetch() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    publish(&issuer, &good(&issuer, Status::Valid));
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    let mut claims = issuer.claims();
    claims["status"] = json!({ "status_list": { "idx": IDX, "uri": issuer.url(LIST) } });
    let forged = stranger.sign(TokenKind::AccessToken, claims.to_string().as_bytes()).unwrap();
    assert!(verifier.verify(&forged, NOW + 20).await.is_err());
    assert_eq!(refusal(&verifier, &listed(&issuer), NOW + 5000).await, VerifyError::Expired);
    assert_eq!(issuer.asked(LIST), 0);
}

#[tokio::test]
async fn what_is_no_list_of_the_issuer_is_not_relied_on() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let token = listed(&issuer);
    let with = |name: &str, value: Value| {
        let mut claims = good(&issuer, Status::Valid);
        claims[name] = value;
        issuer.sign_claims_as(TokenKind::StatusList, &claims)
    };
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    let fine = good(&issuer, Status::Valid);
    let bomb = StatusList::new(8, 1024 * 1024).unwrap().to_json().unwrap();
    let bad = [
        ("of another key", stranger.sign(TokenKind::StatusList, fine.to_string().as_bytes()).unwrap()),
        ("of another kind", issuer.sign_claims_as(TokenKind::AccessToken, &fine)),
        ("of another kind", issuer.sign_claims_as(TokenKind::Introspection, &fine)),
        ("for another address", with("sub", json!(issuer.url("/status/sl_2")))),
        ("without its address", with("sub", json!(null))),
        ("of another issuer", with("iss", json!("https://evil.example"))),
        ("expired", with("exp", json!(NOW))),
        ("without an end", with("exp", json!(null))),
        ("of the future", with("iat", json!(NOW + 1000))),
        ("without a date", with("iat", json!(null))),
        ("without a list", with("status_list", json!({}))),
        ("of three bits", with("status_list", json!({ "bits": 3, "lst": "eNrbuRgAAhcBXQ" }))),
        ("a bomb", with("status_list", bomb)),
        ("with a ttl that is none", with("ttl", json!("5"))),
        ("no JWT", "x".to_owned()),
        ("too long", "x".repeat(9000)),
        ("JSON", fine.to_string()),
    ];
    for (at, (what, answer)) in (0..).zip(bad) {
        issuer.reply(LIST, Reply::Json(answer));
        assert_eq!(refusal(&verifier, &token, NOW + at).await, VerifyError::StatusUnavailable, "{what}");
    }
    for (at, reply) in (50..).zip([
        Reply::Status(404),
        Reply::Status(304),
        Reply::Redirect(issuer.url("/elsewhere")),
        Reply::Large { bytes: 2 << 20, announced: false },
    ]) {
        issuer.reply(LIST, reply);
        assert_eq!(refusal(&verifier, &token, NOW + at).await, VerifyError::StatusUnavailable);
    }
    publish(&issuer, &good(&issuer, Status::Valid));
    verifier.verify(&token, NOW + 60).await.unwrap();
}

#[tokio::test]
async fn a_place_that_the_list_has_not_and_an_address_elsewhere_refuse_the_token() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    publish(&issuer, &good(&issuer, Status::Valid));
    let at = |idx: i64, uri: String| {
        let mut claims = issuer.claims();
        claims["status"] = json!({ "status_list": { "idx": idx, "uri": uri } });
        issuer.sign(&claims)
    };
    assert_eq!(refusal(&verifier, &at(16, issuer.url(LIST)), NOW).await, VerifyError::NoStatus);
    assert_eq!(refusal(&verifier, &at(i64::MAX / 1024, issuer.url(LIST)), NOW).await, VerifyError::NoStatus);
    let base = issuer.issuer.as_str();
    for elsewhere in [
        "https://evil.example/status/sl_1".to_owned(),
        format!("{base}.evil.example/status/sl_1"),
        format!("{base}@evil.example/status/sl_1"),
        format!("{base}/../status/sl_1"),
        format!("{base}/status/sl_1?x=1"),
        format!("{base}/status/sl_1#x"),
        base.to_owned(),
        "sl_1".to_owned(),
    ] {
        assert_eq!(refusal(&verifier, &at(IDX, elsewhere.clone()), NOW).await, VerifyError::NoStatus, "{elsewhere}");
    }
    assert_eq!(issuer.asked(LIST), 1);
}

#[tokio::test]
async fn while_the_issuer_is_away_a_list_is_good_a_little_longer_and_never_beyond_its_end() {
    let issuer = StandIn::start().await;
    let options = |stale| Options { status_max_stale_seconds: stale, ..Options::default() };
    let token = listed(&issuer);
    for (stale, until) in [(30, NOW + 35), (0, NOW + 5), (1000, NOW + 300)] {
        let verifier = issuer.discover_with(options(stale)).await.unwrap();
        publish(&issuer, &good(&issuer, Status::Valid));
        verifier.verify(&token, NOW).await.unwrap();
        issuer.reply(LIST, Reply::Status(500));
        assert!(verifier.verify(&token, until - 1).await.is_ok(), "{stale}");
        assert_eq!(refusal(&verifier, &token, until).await, VerifyError::StatusUnavailable, "{stale}");
        let mut later = good(&issuer, Status::Valid);
        later["exp"] = json!(NOW + 900);
        publish(&issuer, &later);
        verifier.verify(&token, until + 1).await.unwrap();
    }
}

#[tokio::test]
async fn an_older_list_does_not_take_the_place_of_a_newer_one() {
    let issuer = StandIn::start().await;
    let verifier = issuer.discover().await.unwrap();
    let token = listed(&issuer);
    publish(&issuer, &good(&issuer, Status::Invalid));
    assert_eq!(refusal(&verifier, &token, NOW).await, VerifyError::Revoked);
    let mut old = good(&issuer, Status::Valid);
    old["iat"] = json!(NOW - 1);
    publish(&issuer, &old);
    assert_eq!(refusal(&verifier, &token, NOW + 6).await, VerifyError::Revoked, "it is still the newest");
    assert_eq!(refusal(&verifier, &token, NOW + 100).await, VerifyError::StatusUnavailable);
}

#[tokio::test]
async fn many_at_once_fetch_a_list_once_and_a_failure_is_not_repeated_within_a_second() {
    let issuer = Arc::new(StandIn::start().await);
    let verifier = Arc::new(issuer.discover().await.unwrap());
    let answer = issuer.sign_claims_as(TokenKind::StatusList, &good(&issuer, Status::Valid));
    issuer.reply(LIST, Reply::Slow(answer, Duration::from_millis(100)));
    let mut storm = JoinSet::new();
    for _ in 0..50 {
        let (issuer, verifier) = (Arc::clone(&issuer), Arc::clone(&verifier));
        storm.spawn(async move { verifier.verify(&listed(&issuer), NOW).await });
    }
    assert!(storm.join_all().await.into_iter().all(|verified| verified.is_ok()));
    assert_eq!(issuer.asked(LIST), 1);
    issuer.reply(LIST, Reply::Status(500));
    for _ in 0..10 {
        assert_eq!(refusal(&verifier, &listed(&issuer), NOW + 200).await, VerifyError::StatusUnavailable);
    }
    assert_eq!(issuer.asked(LIST), 2);
}

#[tokio::test]
async fn whether_it_is_looked_up_is_an_option() {
    let issuer = StandIn::start().await;
    publish(&issuer, &good(&issuer, Status::Invalid));
    let with = |status| Options { status, ..Options::default() };
    let off = issuer.discover_with(with(StatusCheck::Off)).await.unwrap();
    off.verify(&listed(&issuer), NOW).await.unwrap();
    assert_eq!(issuer.asked(LIST), 0);
    let named = issuer.discover_with(with(StatusCheck::WhereNamed)).await.unwrap();
    named.verify(&issuer.token(), NOW).await.unwrap();
    assert_eq!(refusal(&named, &listed(&issuer), NOW).await, VerifyError::Revoked);
    let required = issuer.discover_with(with(StatusCheck::Required)).await.unwrap();
    assert_eq!(refusal(&required, &issuer.token(), NOW).await, VerifyError::NoStatus);
}
