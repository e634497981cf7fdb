//! Every verb of the client, and holds across a crash of the service, on the real ledger.

use crate::company::{Company, amount, usd};
use stipend_relying::{
    BudgetRefusal, HoldError, HoldOptions, Holds, IdempotencyKey, OnUnfinished, Outcome, SpendError,
};

fn key() -> IdempotencyKey {
    IdempotencyKey::random()
}

#[tokio::test]
async fn the_client_and_the_server_agree_on_every_verb() {
    let company = Company::new(1000).await;
    let spender = company.spender().await;
    let token = company.token().await;
    let before = company.now();
    let within = |at: Option<i64>, seconds: i64| (before + seconds..=company.now() + seconds).contains(&at.unwrap());
    let held = spender.hold(&key(), &token, &usd(), amount(600), 60).await.unwrap();
    let hold = held.hold.clone().unwrap();
    assert_eq!((held.held, held.remaining), (600, 400));
    assert!(within(held.expires_at, 60), "{held:?}");
    let same = key();
    let part = spender.capture(&same, &hold, amount(100), false).await.unwrap();
    assert_eq!(spender.capture(&same, &hold, amount(100), false).await.unwrap(), part, "one key, one effect");
    assert_eq!(spender.capture(&same, &hold, amount(99), false).await, Err(SpendError::KeyReused));
    assert!(within(spender.extend(&key(), &hold, 90).await.unwrap().expires_at, 90));
    let last = spender.capture(&key(), &hold, amount(50), true).await.unwrap();
    assert_eq!((last.spent, last.held, last.remaining), (50, 0, 850));
    assert_eq!(spender.void(&key(), &hold).await, Err(SpendError::Ended));
    assert_eq!(spender.void(&key(), "bh_none").await, Err(SpendError::NotFound));
    let charged = spender.charge(&key(), &token, &usd(), amount(850)).await.unwrap();
    assert_eq!((charged.remaining, charged.thresholds.is_empty()), (0, false));
    let refused = spender.charge(&key(), &token, &usd(), amount(1)).await.unwrap_err();
    let SpendError::Insufficient(BudgetRefusal { line: Some(_), required, remaining, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((required, remaining), (Some(1), Some(0)));
    let back = spender.refund(&key(), &charged.capture.unwrap(), amount(850)).await.unwrap();
    assert_eq!((back.spent, back.remaining), (-850, 850));
    let state = company.read(&company.verified(&token).await).await;
    assert_eq!((state.spent, state.amount, state.unit), (150, 1000, usd()));
    assert_eq!(spender.charge(&key(), "junk", &usd(), amount(1)).await, Err(SpendError::TokenNotActive));
}

#[tokio::test]
async fn a_crash_leaves_no_hold_open_on_the_real_ledger() {
    for (on_unfinished, spent) in [(OnUnfinished::CaptureAll, 320), (OnUnfinished::Void, 20)] {
        let company = Company::new(1000).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holds");
        let options = HoldOptions { on_unfinished, ..HoldOptions::default() };
        let open = async || Holds::open(&path, company.spender().await, options).unwrap();
        let token = company.token().await;
        let holds = open().await;
        drop(holds.hold(&token, &usd(), amount(300), 60, company.now()).await.unwrap());
        let held = holds.hold(&token, &usd(), amount(100), 60, company.now()).await.unwrap();
        held.capture(amount(20), company.now()).await.unwrap();
        let refused = holds.hold(&token, &usd(), amount(5000), 60, company.now()).await.unwrap_err();
        assert!(matches!(refused, HoldError::Spend(SpendError::Insufficient(_))), "{refused}");
        drop(holds);
        if on_unfinished == OnUnfinished::CaptureAll {
            // The hold is over by then; what was done is booked all the same.
            company.server.clock.advance(90);
        }
        let settled = open().await.recover(company.now()).await;
        assert_eq!(settled.len(), 1);
        match (&settled[0].outcome, on_unfinished) {
            (Outcome::CapturedUnfinished { amount: 300, .. }, OnUnfinished::CaptureAll) => {}
            (Outcome::Voided, OnUnfinished::Void) => {}
            (other, _) => panic!("{other:?}"),
        }
        let state = company.read(&company.verified(&token).await).await;
        assert_eq!((state.spent, state.held), (spent, 0));
    }
}
