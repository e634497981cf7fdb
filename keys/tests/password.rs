//! Client secrets at rest and the worker that checks them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use stipend_keys::password::{MAX_SECRET_BYTES, QUEUE_LIMIT, hash};
use stipend_keys::{Secret, SecretWorker, WorkerError};

const WAIT: Duration = Duration::from_secs(60);

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn check(worker: &SecretWorker, text: &str, phc: Option<&str>) -> bool {
    let (sender, receiver) = channel();
    let done = move |answer| sender.send(answer).unwrap();
    worker.try_verify(secret(text), phc.map(str::to_owned), done).unwrap();
    receiver.recv_timeout(WAIT).unwrap()
}

#[test]
fn a_hash_is_an_argon2id_phc_string_that_the_library_reads() {
    let phc = hash(&secret("correct horse")).unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert!(Argon2::default().verify_password(b"correct horse", phc.as_str()).is_ok());
    assert!(Argon2::default().verify_password(b"wrong horse", phc.as_str()).is_err());
    assert_ne!(hash(&secret("correct horse")).unwrap(), phc, "each hash has its own salt");
}

#[test]
fn the_worker_accepts_the_right_secret_and_nothing_else() {
    let worker = SecretWorker::start().unwrap();
    let phc = hash(&secret("right")).unwrap();
    assert!(check(&worker, "right", Some(&phc)));
    for wrong in ["", "Right", "right ", "wrong", &"x".repeat(MAX_SECRET_BYTES + 1)] {
        assert!(!check(&worker, wrong, Some(&phc)), "{wrong}");
    }
    assert!(!check(&worker, "right", None), "an unknown client has no right secret");
    assert!(check(&worker, "right", Some(&phc)), "nothing of an earlier job stays");
}

#[test]
fn the_worker_hashes_too() {
    let worker = SecretWorker::start().unwrap();
    let (sender, receiver) = channel();
    worker.try_hash(secret("new"), move |phc| sender.send(phc).unwrap()).unwrap();
    let phc = receiver.recv_timeout(WAIT).unwrap().unwrap();
    assert!(check(&worker, "new", Some(&phc)));

    let (sender, receiver) = channel();
    let long = secret(&"x".repeat(MAX_SECRET_BYTES + 1));
    worker.try_hash(long, move |phc| sender.send(phc).unwrap()).unwrap();
    assert!(receiver.recv_timeout(WAIT).unwrap().is_err());
}

#[test]
fn hashes_of_other_cost_verify_within_bounds_and_monsters_do_not() {
    let worker = SecretWorker::start().unwrap();
    let of_cost = |memory, passes, lanes| {
        let params = argon2::Params::new(memory, passes, lanes, Some(16)).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let phc: argon2::PasswordHash = argon2.hash_password_with_salt(b"old", b"a salt of old").unwrap();
        phc.to_string()
    };
    for phc in [of_cost(64, 1, 2), of_cost(65_536, 1, 4), of_cost(64, 8, 1)] {
        assert!(check(&worker, "old", Some(&phc)), "{phc}");
        assert!(!check(&worker, "new", Some(&phc)), "{phc}");
    }
    for phc in [of_cost(65_600, 1, 1), of_cost(64, 9, 1), of_cost(64, 1, 5)] {
        assert!(!check(&worker, "old", Some(&phc)), "right, but too costly: {phc}");
    }

    let phc = hash(&secret("right")).unwrap();
    for (from, to) in [
        ("m=19456", "m=4294967295"),
        ("t=2", "t=4294967295"),
        ("p=1", "p=16777215"),
        ("argon2id", "argon2d"),
        ("argon2id", "argon2i"),
        ("argon2id", "scrypt"),
        ("v=19", "v=16"),
        ("v=19$", ""),
    ] {
        let monster = phc.replace(from, to);
        assert_ne!(monster, phc);
        assert!(!check(&worker, "right", Some(&monster)), "{monster}");
    }
    for phc in ["", "$", "$argon2id$", "right", "plain:right", &phc[..phc.rfind('$').unwrap()]] {
        assert!(!check(&worker, "right", Some(phc)), "{phc}");
    }
}

#[test]
fn an_unknown_client_costs_as_much_as_a_wrong_secret() {
    let worker = SecretWorker::start().unwrap();
    let phc = hash(&secret("right")).unwrap();
    check(&worker, "warm up", None);
    let time = |phc: Option<&str>| {
        let start = Instant::now();
        check(&worker, "wrong", phc);
        start.elapsed()
    };
    // The fastest of several rounds: what the machine does meanwhile only adds.
    let [mut unknown, mut wrong, mut unreadable] = [WAIT; 3];
    for _ in 0..8 {
        unknown = unknown.min(time(None));
        wrong = wrong.min(time(Some(&phc)));
        unreadable = unreadable.min(time(Some("garbage")));
    }
    for other in [unknown, unreadable] {
        assert!(other * 2 > wrong && wrong * 2 > other, "{unknown:?} {wrong:?} {unreadable:?}");
    }
}

/// Parks the worker in a callback; it goes on when the returned sender is dropped.
fn park(worker: &SecretWorker) -> (std::sync::mpsc::Sender<()>, Receiver<()>) {
    let (release, released) = channel::<()>();
    let (parked, is_parked) = channel();
    let done = move |_| {
        parked.send(()).unwrap();
        let _ = released.recv();
    };
    worker.try_verify(secret("park"), None, done).unwrap();
    is_parked.recv_timeout(WAIT).unwrap();
    (release, is_parked)
}

#[test]
fn a_full_queue_answers_busy_at_once_and_recovers() {
    let worker = SecretWorker::start().unwrap();
    let (release, _parked) = park(&worker);
    let (sender, receiver) = channel();
    for _ in 0..QUEUE_LIMIT {
        let sender = sender.clone();
        let queued = worker.try_verify(secret("x"), Some(String::new()), move |answer| {
            sender.send(answer).unwrap();
        });
        assert_eq!(queued, Ok(()));
    }
    // The worker is parked: an answer that waited for room would never come.
    assert_eq!(worker.try_verify(secret("x"), None, |_| ()), Err(WorkerError::Busy));
    assert_eq!(worker.try_hash(secret("x"), |_| ()), Err(WorkerError::Busy));
    drop(release);
    for _ in 0..QUEUE_LIMIT {
        assert!(!receiver.recv_timeout(WAIT).unwrap());
    }
    assert!(worker.try_verify(secret("x"), None, |_| ()).is_ok());
}

#[test]
fn a_callback_that_panics_does_not_stop_the_worker() {
    let worker = SecretWorker::start().unwrap();
    worker.try_verify(secret("x"), None, |_| panic!("on purpose")).unwrap();
    let phc = hash(&secret("right")).unwrap();
    assert!(check(&worker, "right", Some(&phc)));
}

#[test]
fn jobs_in_the_queue_are_answered_after_the_worker_is_dropped() {
    let worker = SecretWorker::start().unwrap();
    let (sender, receiver) = channel();
    worker.try_verify(secret("x"), None, move |answer| sender.send(answer).unwrap()).unwrap();
    drop(worker);
    assert!(!receiver.recv_timeout(WAIT).unwrap());
}
