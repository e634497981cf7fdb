//! `kill -9` at any moment, several times over: no unit is lost and none is spent twice. The
//! child is this test program run again with an order in its environment; the ledger lives in
//! the parent and so outlives it.

use crate::ledger::{CLIENT, Fault, Ledger, SECRET};
use crate::spending::{amount, quick, usd};
use crate::stand_in::NOW;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use stipend_relying::{
    ClientCredentials, Counter, CounterOptions, Enforce, HoldOptions, Holds, JournalOptions, Outcome, Spender,
    TakeError, TokenLine,
};
use tokio::task::JoinSet;

const ORDER: &str = "STIPEND_RELYING_CHILD";
const ROUNDS: u32 = 8;
/// Tasks at work in a child, and so what one kill can catch in flight.
const TASKS: u32 = 4;
const HELD: i64 = 10;
const LINES: i64 = 3;
const LINE_AMOUNT: i64 = 100_000;
/// So small that children write their journals anew while they run.
const SMALL: JournalOptions = JournalOptions { max_bytes: 1 << 20, compact_bytes: 8 * 1024 };

/// Not a test of its own: what the killed children run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(order) = std::env::var(ORDER) else { return };
    match order.split(' ').collect::<Vec<_>>().as_slice() {
        ["holds", path, endpoint] => hold_and_capture(Path::new(path), endpoint).await,
        ["counter", path] => take_and_give_back(Path::new(path)).await,
        _ => panic!("{order}"),
    }
}

/// One line at a time, so that what was said was said whole.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// Runs a child, kills it after a while, and answers what it said.
async fn run_and_kill(order: &str) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--nocapture"])
        .env(ORDER, order)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wait = 40 + RandomState::new().build_hasher().finish() % 260;
    tokio::time::sleep(Duration::from_millis(wait)).await;
    // SIGKILL: nothing is flushed, closed or said.
    child.kill().unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().split('\n').map(str::to_owned).collect()
}

fn cost(hold: &str) -> i64 {
    hold.trim_start_matches("bh_").parse::<i64>().unwrap() % 9 + 1
}

fn holds_at(path: &Path, endpoint: &url::Url) -> Holds {
    let spender = Spender::new(endpoint, ClientCredentials::new(CLIENT, SECRET), quick()).unwrap();
    Holds::open(path, spender, HoldOptions { journal: SMALL, ..HoldOptions::default() }).unwrap()
}

async fn hold_and_capture(path: &Path, endpoint: &str) {
    let holds = holds_at(path, &endpoint.parse().unwrap());
    tell(&holds).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let holds = holds.clone();
        tasks.spawn(async move {
            loop {
                let held = holds.hold("token", &usd(), amount(HELD), 60, NOW).await.unwrap();
                let cost = cost(held.hold());
                say(&format!("done {} {cost}", held.hold()));
                held.capture(amount(cost), NOW).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}

/// Recovers and says which holds were captured in full for want of a cost.
async fn tell(holds: &Holds) -> usize {
    let settled = holds.recover(NOW).await;
    for one in &settled {
        if matches!(one.outcome, Outcome::Left(_) | Outcome::Refused(_)) {
            say(&format!("bad {one:?}"));
        }
    }
    settled.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_bills_each_hold_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holds");
    let ledger = Ledger::start(100_000_000).await;
    let order = format!("holds {} {}", path.display(), ledger.endpoint);
    let mut done = HashMap::new();
    for _ in 0..ROUNDS {
        // Fewer than the tries of one order, also where a child was killed before it asked.
        ledger.books.lock().unwrap().faults = [Fault::DropAnswer, Fault::BusyAfter, Fault::DropRequest].into();
        for line in run_and_kill(&order).await {
            assert!(!line.starts_with("bad"), "{line}");
            if let ["done", hold, cost] = line.split(' ').collect::<Vec<_>>().as_slice() {
                done.insert((*hold).to_owned(), cost.parse::<i64>().unwrap());
            }
        }
    }
    ledger.books.lock().unwrap().faults.clear();
    let holds = holds_at(&path, &ledger.endpoint);
    tell(&holds).await;
    assert_eq!(holds.unfinished(), 0);
    let books = ledger.books.lock().unwrap();
    assert_eq!(books.held(), 0, "nothing stays held");
    assert!(done.len() > 8, "only {} holds in {ROUNDS} rounds", done.len());
    let mut in_full = 0_u32;
    for (hold, captures) in &books.taken {
        let [captured] = captures[..] else { panic!("{hold} was captured {captures:?}") };
        assert!(captured == cost(hold) || captured == HELD, "{hold}: {captured}");
        in_full += u32::from(captured == HELD && cost(hold) != HELD);
    }
    assert!(in_full <= ROUNDS * TASKS, "{in_full} costs were lost, more than were in flight");
    for (hold, cost) in &done {
        let captured = books.taken.get(hold).map(|captures| captures[0]);
        assert!(captured >= Some(*cost), "{hold}: work for {cost} was done and {captured:?} billed");
    }
    assert_eq!(books.spent, books.taken.values().flatten().sum::<i64>());
    assert!(books.holds() >= done.len());
}

fn carved(at: i64) -> TokenLine {
    let id = format!("bl_{at}");
    TokenLine { id, unit: usd(), amount: amount(LINE_AMOUNT), per_call: None, enforce: Enforce::Service }
}

fn counter_at(path: &Path) -> Counter {
    Counter::open(path, CounterOptions { journal: SMALL, ..CounterOptions::default() }).unwrap()
}

/// Every fourth take is given back.
async fn take_and_give_back(path: &Path) {
    let counter = Arc::new(counter_at(path));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let counter = Arc::clone(&counter);
        tasks.spawn(async move {
            for turn in i64::from(task).. {
                let line = carved(turn % LINES);
                let taken = match counter.take(&line, NOW + 300, amount(1), NOW).await {
                    Ok(taken) => taken,
                    Err(TakeError::Insufficient(_)) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                say(&format!("yes {}", line.id));
                if turn % 4 == 0 {
                    say(&format!("giving {}", line.id));
                    counter.settle(taken, amount(0)).await.unwrap();
                    say(&format!("gave {}", line.id));
                }
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_is_killed_grants_no_unit_twice_and_loses_only_what_was_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("counter");
    let order = format!("counter {}", path.display());
    let mut said: HashMap<(String, String), i64> = HashMap::new();
    let lines: HashSet<String> = (0..LINES).map(|at| carved(at).id).collect();
    for _ in 0..ROUNDS {
        for text in run_and_kill(&order).await {
            if let Some((word, line)) = text.split_once(' ')
                && lines.contains(line)
            {
                *said.entry((word.to_owned(), line.to_owned())).or_default() += 1;
            }
        }
    }
    let counter = counter_at(&path);
    let count = |word: &str, line: &str| said.get(&(word.to_owned(), line.to_owned())).copied().unwrap_or(0);
    let in_flight = i64::from(ROUNDS * TASKS);
    assert!((0..LINES).map(|at| count("yes", &carved(at).id)).sum::<i64>() > i64::from(ROUNDS), "{said:?}");
    for at in 0..LINES {
        let line = carved(at);
        let (yes, giving, gave) = (count("yes", &line.id), count("giving", &line.id), count("gave", &line.id));
        let spent = counter.spent(&line.id).unwrap_or(0);
        assert!(yes - giving <= spent, "{}: {spent} counted of {yes} granted, {giving} given back", line.id);
        assert!(spent <= yes - gave + in_flight, "{}: {spent} counted of {yes} granted, {gave} given back", line.id);
        assert!(spent <= LINE_AMOUNT, "{}: {spent}", line.id);
        let rest = LINE_AMOUNT - spent;
        assert!(counter.take(&line, NOW + 300, amount(rest + 1), NOW).await.is_err(), "{}: not one more", line.id);
        assert!(counter.take(&line, NOW + 300, amount(rest), NOW).await.is_ok(), "{}: to the last unit", line.id);
    }
}
