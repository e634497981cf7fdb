//! Holds across crashes. A crash is played by letting a process's handles go and opening its
//! journal anew; `killed.rs` does it with SIGKILL.

use crate::ledger::{CLIENT, Fault, Ledger, SECRET};
use crate::spending::{amount, quick, spender_of, usd};
use crate::stand_in::NOW;
use std::path::PathBuf;
use std::time::Duration;
use stipend_relying::{
    ClientCredentials, HoldError, HoldOptions, Holds, JournalError, JournalOptions, OnUnfinished, Outcome, Refusal,
    Settled, SpendError, SpendOptions, Spender,
};
use tempfile::TempDir;

struct Service {
    ledger: Ledger,
    directory: TempDir,
}

impl Service {
    async fn new(limit: i64) -> Self {
        Self { ledger: Ledger::start(limit).await, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("holds")
    }

    fn open(&self) -> Holds {
        self.open_with(HoldOptions::default())
    }

    fn open_with(&self, options: HoldOptions) -> Holds {
        Holds::open(&self.path(), spender_of(&self.ledger), options).unwrap()
    }

    /// One that gives up at the first try.
    fn impatient(&self) -> Holds {
        let options = SpendOptions { tries: 1, ..quick() };
        let spender = Spender::new(&self.ledger.endpoint, ClientCredentials::new(CLIENT, SECRET), options).unwrap();
        Holds::open(&self.path(), spender, HoldOptions::default()).unwrap()
    }

    async fn recover(&self, options: HoldOptions, now: i64) -> Vec<Outcome> {
        outcomes(self.open_with(options).recover(now).await)
    }
}

fn outcomes(settled: Vec<Settled>) -> Vec<Outcome> {
    settled.into_iter().map(|settled| settled.outcome).collect()
}

#[tokio::test]
async fn holds_end_once_and_leave_nothing_behind() {
    let service = Service::new(1000).await;
    let holds = service.open();
    let mut held = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
    assert_eq!((held.receipt().remaining, held.amount()), (700, amount(300)));
    assert_eq!(held.capture_part(amount(100), NOW).await.unwrap().held, 200);
    assert_eq!(held.extend(90).await.unwrap().spent, 0);
    assert_eq!(held.capture(amount(50), NOW).await.unwrap().remaining, 850);
    let held = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
    held.void(NOW).await.unwrap();
    let free = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
    free.capture(amount(0), NOW).await.unwrap();
    assert_eq!(service.ledger.balance(), (150, 0));
    assert_eq!(holds.unfinished(), 0);
    drop(holds);
    assert_eq!(service.recover(HoldOptions::default(), NOW).await, []);
}

#[tokio::test]
async fn a_crash_before_the_answer_voids_the_hold() {
    for fault in [Fault::DropAnswer, Fault::DropRequest] {
        let service = Service::new(1000).await;
        let holds = service.impatient();
        service.ledger.fail(&[fault]);
        let unknown = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap_err();
        assert!(matches!(&unknown, HoldError::Spend(error) if error.is_unknown()), "{unknown}");
        assert_eq!(Refusal::from(unknown), Refusal::Unavailable);
        drop(holds);
        assert_eq!(service.recover(HoldOptions::default(), NOW).await, [Outcome::Voided], "{fault:?}");
        assert_eq!(service.ledger.balance(), (0, 0), "{fault:?}");
        assert_eq!(service.ledger.books.lock().unwrap().holds(), 1, "{fault:?}: the same key, the same hold");
        assert_eq!(service.recover(HoldOptions::default(), NOW).await, []);
    }
}

#[tokio::test]
async fn a_crash_during_the_work_captures_all_or_voids_as_was_chosen() {
    let void = HoldOptions { on_unfinished: OnUnfinished::Void, ..HoldOptions::default() };
    for (options, spent) in [(HoldOptions::default(), 300), (void, 0)] {
        let service = Service::new(1000).await;
        let holds = service.open();
        drop(holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap());
        drop(holds);
        match service.recover(options, NOW + 7200).await.as_slice() {
            [Outcome::CapturedUnfinished { amount: 300, capture: Some(_) }] if spent == 300 => {}
            [Outcome::Voided] if spent == 0 => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(service.ledger.balance(), (spent, 0));
    }
}

#[tokio::test]
async fn what_was_captured_in_part_is_not_captured_again() {
    for fault in [None, Some(Fault::DropAnswer), Some(Fault::DropRequest)] {
        let service = Service::new(1000).await;
        let holds = service.impatient();
        let mut held = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
        service.ledger.fail(&fault.into_iter().collect::<Vec<_>>());
        assert_eq!(held.capture_part(amount(100), NOW).await.is_ok(), fault.is_none());
        drop(held);
        drop(holds);
        let outcomes = service.recover(HoldOptions::default(), NOW).await;
        assert!(matches!(outcomes[..], [Outcome::CapturedUnfinished { amount: 200, .. }]), "{fault:?}: {outcomes:?}");
        assert_eq!(service.ledger.balance(), (300, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn a_part_whose_key_is_forgotten_is_not_sent_again() {
    let service = Service::new(1000).await;
    let holds = service.impatient();
    let mut held = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
    service.ledger.fail(&[Fault::DropAnswer]);
    held.capture_part(amount(100), NOW).await.unwrap_err();
    drop((held, holds));
    service.ledger.books.lock().unwrap().forget_keys();
    service.recover(HoldOptions::default(), NOW + 86_400).await;
    assert_eq!(service.ledger.balance(), (300, 0));
}

#[tokio::test]
async fn a_capture_that_was_meant_is_made_once() {
    for fault in [Fault::DropAnswer, Fault::DropRequest] {
        let service = Service::new(1000).await;
        let holds = service.impatient();
        let held = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
        service.ledger.fail(&[fault]);
        held.capture(amount(120), NOW).await.unwrap_err();
        assert_eq!(holds.unfinished(), 1);
        drop(holds);
        assert_eq!(service.recover(HoldOptions::default(), NOW).await, [Outcome::Captured(120)], "{fault:?}");
        assert_eq!(service.ledger.balance(), (120, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn recovery_needs_no_restart_and_may_be_repeated() {
    let service = Service::new(1000).await;
    let holds = service.impatient();
    let held = holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap();
    let in_hand = holds.hold("token", &usd(), amount(10), 60, NOW).await.unwrap();
    service.ledger.fail(&[Fault::Busy, Fault::BusyAfter]);
    held.capture(amount(120), NOW).await.unwrap_err();
    let left = outcomes(holds.recover(NOW).await);
    assert!(matches!(left[..], [Outcome::Left(SpendError::Unknown { .. })]), "{left:?}");
    assert_eq!(outcomes(holds.recover(NOW).await), [Outcome::Captured(120)]);
    assert_eq!(service.ledger.balance(), (120, 10), "what somebody has in hand is left alone");
    in_hand.void(NOW).await.unwrap();
}

#[tokio::test]
async fn recovery_gives_up_on_a_server_that_is_away_and_not_for_one_bad_hold() {
    let service = Service::new(1000).await;
    let holds = service.impatient();
    for _ in 0..5 {
        drop(holds.hold("token", &usd(), amount(10), 60, NOW).await.unwrap());
    }
    let asked = service.ledger.asked().len();
    service.ledger.fail(&[Fault::Busy; 3]);
    assert_eq!(holds.recover(NOW).await.len(), 3, "the other two are not tried");
    assert_eq!(service.ledger.asked().len(), asked);
    service.ledger.fail(&[Fault::Busy]);
    assert_eq!(holds.recover(NOW).await.len(), 5);
    assert_eq!((service.ledger.balance(), holds.unfinished()), ((40, 10), 1));
}

#[tokio::test]
async fn futures_that_are_dropped_lose_no_hold() {
    let service = Service::new(1000).await;
    let holds = service.open();
    service.ledger.fail(&[Fault::Hang]);
    let soon = Duration::from_millis(100);
    tokio::time::timeout(soon, holds.hold("token", &usd(), amount(300), 60, NOW)).await.unwrap_err();
    let held = holds.hold("token", &usd(), amount(100), 60, NOW).await.unwrap();
    service.ledger.fail(&[Fault::Hang]);
    tokio::time::timeout(soon, held.capture(amount(40), NOW)).await.unwrap_err();
    assert_eq!(service.ledger.balance(), (40, 300));
    let mut outcomes = outcomes(holds.recover(NOW).await);
    outcomes.sort_by_key(|outcome| *outcome == Outcome::Voided);
    assert_eq!(outcomes, [Outcome::Captured(40), Outcome::Voided]);
    assert_eq!(service.ledger.balance(), (40, 0));
}

#[tokio::test]
async fn without_its_token_an_unanswered_ask_lapses() {
    let service = Service::new(1000).await;
    let options = HoldOptions { keep_tokens: false, ..HoldOptions::default() };
    let holds = service.open_with(options);
    service.ledger.fail(&[Fault::DropAnswer; 4]);
    holds.hold("a-secret-token", &usd(), amount(300), 60, NOW).await.unwrap_err();
    drop(holds);
    let said = std::fs::read_to_string(service.path()).unwrap();
    assert!(said.contains("asked") && !said.contains("a-secret-token"));
    assert_eq!(service.recover(options, NOW).await, [Outcome::Lapsed]);
}

#[tokio::test]
async fn an_ask_that_is_over_or_whose_token_died_lapses() {
    let service = Service::new(1000).await;
    let ask = async || {
        let holds = service.impatient();
        service.ledger.fail(&[Fault::DropRequest]);
        holds.hold("token", &usd(), amount(300), 60, NOW).await.unwrap_err();
    };
    ask().await;
    let asked = service.ledger.asked().len();
    assert_eq!(service.recover(HoldOptions::default(), NOW + 300).await, [Outcome::Lapsed]);
    assert_eq!(service.ledger.asked().len(), asked, "nobody is asked");
    ask().await;
    service.ledger.books.lock().unwrap().revoked = true;
    assert_eq!(service.recover(HoldOptions::default(), NOW).await, [Outcome::Lapsed]);
    assert_eq!(service.recover(HoldOptions::default(), NOW).await, []);
}

#[tokio::test]
async fn a_definite_no_is_final_and_its_refusal_is_the_servers() {
    let service = Service::new(5).await;
    let holds = service.open();
    let refused = holds.hold("token", &usd(), amount(6), 60, NOW).await.unwrap_err();
    let body = Refusal::from(refused).body();
    assert_eq!((&body["error"], &body["remaining"]), (&"insufficient_budget".into(), &5.into()));
    drop(holds);
    assert_eq!(service.recover(HoldOptions::default(), NOW).await, []);
}

#[tokio::test]
async fn tokens_leave_the_file_when_it_is_opened_again() {
    let service = Service::new(1000).await;
    let holds = service.open();
    drop(holds.hold("a-secret-token", &usd(), amount(300), 60, NOW).await.unwrap());
    drop(holds);
    assert!(std::fs::read_to_string(service.path()).unwrap().contains("a-secret-token"));
    drop(service.open());
    assert!(!std::fs::read_to_string(service.path()).unwrap().contains("a-secret-token"));
    let outcomes = service.recover(HoldOptions::default(), NOW).await;
    assert!(matches!(outcomes[..], [Outcome::CapturedUnfinished { amount: 300, .. }]), "{outcomes:?}");
}

#[tokio::test]
async fn open_holds_and_the_journal_are_bounded() {
    let service = Service::new(1000).await;
    let holds = service.open_with(HoldOptions { max_open: 2, ..HoldOptions::default() });
    let first = holds.hold("token", &usd(), amount(1), 60, NOW).await.unwrap();
    let _second = holds.hold("token", &usd(), amount(1), 60, NOW).await.unwrap();
    let refused = holds.hold("token", &usd(), amount(1), 60, NOW).await.unwrap_err();
    assert_eq!(refused, HoldError::TooMany);
    first.void(NOW).await.unwrap();
    holds.hold("token", &usd(), amount(1), 60, NOW).await.unwrap().void(NOW).await.unwrap();
    let small = Service::new(1000).await;
    let journal = JournalOptions { max_bytes: 0, ..JournalOptions::default() };
    let full = small.open_with(HoldOptions { journal, ..HoldOptions::default() });
    let refused = full.hold("token", &usd(), amount(1), 60, NOW).await.unwrap_err();
    assert_eq!(refused, HoldError::Journal(JournalError::Full));
    assert!(small.ledger.asked().is_empty(), "nothing is asked for that is not on record");
}
