//! The client of the `/budget` API against a ledger that can be told to fail.

use crate::ledger::{CLIENT, Fault, Ledger, SECRET};
use crate::stand_in::{Reply, StandIn};
use serde_json::json;
use std::time::Duration;
use stipend_relying::{
    Amount, ClientCredentials, Enforce, FetchError, IdempotencyKey, SpendError, SpendOptions, Spender, Unit,
};

pub fn quick() -> SpendOptions {
    SpendOptions {
        try_timeout: Duration::from_millis(300),
        deadline: Duration::from_secs(5),
        pause: Duration::from_millis(5),
        ..SpendOptions::default()
    }
}

pub fn spender_of(ledger: &Ledger) -> Spender {
    Spender::new(&ledger.endpoint, ClientCredentials::new(CLIENT, SECRET), quick()).unwrap()
}

pub fn usd() -> Unit {
    Unit::new("USD", 6).unwrap()
}

pub fn amount(parts: i64) -> Amount {
    Amount::new(parts).unwrap()
}

fn key() -> IdempotencyKey {
    IdempotencyKey::random()
}

#[tokio::test]
async fn every_verb_is_spoken() {
    let ledger = Ledger::start(1000).await;
    let spender = spender_of(&ledger);
    let held = spender.hold(&key(), "token", &usd(), amount(600), 60).await.unwrap();
    let hold = held.hold.unwrap();
    assert_eq!((held.held, held.remaining), (600, 400));
    let part = spender.capture(&key(), &hold, amount(100), false).await.unwrap();
    assert_eq!((part.spent, part.held), (100, 500));
    spender.extend(&key(), &hold, 120).await.unwrap();
    let last = spender.capture(&key(), &hold, amount(50), true).await.unwrap();
    assert_eq!((last.held, last.remaining), (0, 850));
    assert_eq!(spender.void(&key(), &hold).await, Err(SpendError::Ended));
    let other = spender.hold(&key(), "token", &usd(), amount(1), 60).await.unwrap().hold.unwrap();
    spender.void(&key(), &other).await.unwrap();
    let charged = spender.charge(&key(), "token", &usd(), amount(10)).await.unwrap();
    let back = spender.refund(&key(), &charged.capture.unwrap(), amount(10)).await.unwrap();
    assert_eq!((back.spent, back.remaining), (-10, 850));
    let reported = spender.report(&key(), "bl_9", amount(7), true).await.unwrap();
    assert_eq!((reported.spent, reported.overage), (7, 0));
    assert_eq!(spender.report(&key(), "bl_9", amount(8), true).await, Err(SpendError::Ended));
    let line = spender.read("bl_1").await.unwrap();
    assert_eq!((line.spent, line.remaining, line.enforce, line.unit), (150, 850, Enforce::Server, usd()));
    assert_eq!(spender.void(&key(), "bh_none").await, Err(SpendError::NotFound));
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_the_same_key() {
    let faults = [Fault::DropAnswer, Fault::DropRequest, Fault::Busy, Fault::BusyAfter, Fault::Hang, Fault::Half];
    for fault in faults {
        let ledger = Ledger::start(1000).await;
        ledger.fail(&[fault, fault]);
        let receipt = spender_of(&ledger).charge(&key(), "token", &usd(), amount(10)).await.unwrap();
        assert_eq!((receipt.spent, ledger.balance()), (10, (10, 0)), "{fault:?}: once and only once");
        let keys: Vec<_> = ledger.asked().into_iter().map(|(_, key)| key).collect();
        assert!(keys.iter().all(|key| *key == keys[0] && key.starts_with("ik_")), "{fault:?}: {keys:?}");
    }
}

#[tokio::test]
async fn tries_and_time_are_bounded_and_what_is_unknown_is_said() {
    let ledger = Ledger::start(1000).await;
    ledger.fail(&[Fault::BusyAfter; 4]);
    let same = key();
    let spender = spender_of(&ledger);
    let unknown = spender.charge(&same, "token", &usd(), amount(10)).await.unwrap_err();
    assert!(unknown.is_unknown() && ledger.asked().len() == 4, "{unknown}");
    assert_eq!(spender.charge(&same, "token", &usd(), amount(10)).await.unwrap().spent, 10);
    assert_eq!(ledger.balance(), (10, 0), "the caller settled it with the key it had");
    let hasty = SpendOptions { deadline: Duration::from_millis(100), try_timeout: Duration::from_secs(9), ..quick() };
    let spender = Spender::new(&ledger.endpoint, ClientCredentials::new(CLIENT, SECRET), hasty).unwrap();
    ledger.fail(&[Fault::Hang]);
    let started = std::time::Instant::now();
    assert!(spender.charge(&key(), "token", &usd(), amount(1)).await.unwrap_err().is_unknown());
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_definite_no_is_not_repeated() {
    let ledger = Ledger::start(5).await;
    let spender = spender_of(&ledger);
    let refused = spender.charge(&key(), "token", &usd(), amount(6)).await.unwrap_err();
    let SpendError::Insufficient(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!((refusal.line.as_deref(), refusal.required, refusal.remaining), (Some("bl_1"), Some(6), Some(5)));
    let same = key();
    spender.charge(&same, "token", &usd(), amount(1)).await.unwrap();
    assert_eq!(spender.charge(&same, "token", &usd(), amount(2)).await, Err(SpendError::KeyReused));
    ledger.books.lock().unwrap().revoked = true;
    assert_eq!(spender.charge(&key(), "token", &usd(), amount(1)).await, Err(SpendError::TokenNotActive));
    let stranger = Spender::new(&ledger.endpoint, ClientCredentials::new(CLIENT, "wrong"), quick()).unwrap();
    assert_eq!(stranger.charge(&key(), "token", &usd(), amount(1)).await, Err(SpendError::Unauthenticated));
    assert_eq!(ledger.asked().len(), 5);
}

#[tokio::test]
async fn redirects_are_not_followed_and_what_is_no_answer_is_none() {
    let ledger = Ledger::start(5).await;
    for fault in [Fault::Redirect, Fault::Large, Fault::Html] {
        ledger.fail(&[fault]);
        let asked = ledger.asked().len();
        let odd = spender_of(&ledger).charge(&key(), "token", &usd(), amount(1)).await.unwrap_err();
        assert!(odd.is_unknown(), "{fault:?}: {odd}");
        assert_eq!(ledger.asked().len(), asked, "{fault:?}");
    }
}

#[tokio::test]
async fn the_endpoint_is_the_metadatas_or_below_the_issuer() {
    let issuer = StandIn::start().await;
    let found = issuer.discover().await.unwrap();
    assert_eq!(found.budget_endpoint().as_str(), format!("{}/budget", issuer.issuer));
    let named = |endpoint: &str| {
        let mut metadata = issuer.honest_metadata();
        metadata["budget_endpoint"] = json!(endpoint);
        issuer.metadata(Reply::Json(metadata.to_string()));
    };
    named("http://127.0.0.1:9/elsewhere");
    assert_eq!(issuer.discover().await.unwrap().budget_endpoint().as_str(), "http://127.0.0.1:9/elsewhere");
    for bad in ["http://as.example/budget", "budget", ""] {
        named(bad);
        assert!(issuer.discover().await.is_err(), "{bad}: the service's secret would go there");
    }
    let far = "http://as.example/budget".parse().unwrap();
    let refused = Spender::new(&far, ClientCredentials::new(CLIENT, SECRET), quick());
    assert!(matches!(refused, Err(FetchError::Url(_))));
}

#[tokio::test]
async fn the_secret_is_not_in_what_is_printed() {
    let ledger = Ledger::start(5).await;
    assert!(!format!("{:?}", spender_of(&ledger)).contains("sk_of"));
}
