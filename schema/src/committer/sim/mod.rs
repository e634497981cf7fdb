//! A deterministic simulation of nodes on one database: the committer, the fence, the burns, the
//! ledger and the audit chain as they are in production, over a store, a network and clocks that
//! fail, delay, stop, crash and restart. Time is simulated, and one seed is one run.
//!
//! A run that fails names its seed: `STIPEND_SEED=7 cargo test -p stipend-schema --lib sim::one`.
//! More of them: `STIPEND_SEEDS=100000 cargo test --release -p stipend-schema --lib sim::what`.

mod chance;
mod check;
mod client;
mod connection;
mod database;
mod node;
mod plan;

use chance::Chance;
use client::{Clients, Memory};
use database::{Broken, Database};
use node::Node;
use parking_lot::Mutex;
use plan::Plan;
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const CLIENTS: usize = 6;
const STEPS: usize = 25;
/// When everybody must know what became of their last request, once nothing fails any more.
const REST_WITHIN: Duration = Duration::from_secs(120);

/// How a run went, without what chance alone decides.
#[derive(Debug, Eq, PartialEq)]
struct Summary {
    faults: Vec<String>,
    records: usize,
    changes: i64,
    spent: i64,
    answered: u64,
    unknown: u64,
    stale: u64,
    injected: u64,
}

fn simulate(seed: u64, broken: Option<Broken>) -> Summary {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(seed, broken))
}

async fn run(seed: u64, broken: Option<Broken>) -> Summary {
    let (chance, began) = (Chance::new(seed), Instant::now());
    let db = Database::new(chance.clone(), broken);
    let nodes: Vec<Node> = (0..2 + seed % 2).map(|_| Node::new(&db, began).unwrap()).collect();
    let clients = Clients {
        db: db.clone(),
        nodes: Arc::new(nodes),
        memory: Arc::new(Mutex::new(Memory::default())),
        chance: chance.clone(),
    };
    let plan = Plan::new(clients.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..CLIENTS {
        let plan = plan.clone();
        tasks.spawn(async move {
            for _ in 0..STEPS {
                plan.step().await;
            }
        });
    }
    let mut injected = 0;
    let quiet = async {
        let mut trouble = std::pin::pin!(trouble(&clients, &mut injected));
        loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => if ended.is_none() { break },
                () = &mut trouble => break,
            }
        }
        while tasks.join_next().await.is_some() {}
    };
    if timeout(REST_WITHIN, quiet).await.is_err() {
        db.state().violate("it did not come to rest".to_owned());
    }
    let faults = check::faults(&clients);
    let (state, memory) = (db.state(), clients.memory.lock());
    let spent = state.tables.uses.values().map(|row| row.spent).sum();
    Summary {
        faults,
        records: state.tables.records.len(),
        changes: state.tables.head,
        spent,
        answered: memory.answered,
        unknown: memory.unknown,
        stale: memory.stale,
        injected,
    }
}

/// What goes wrong, for a while: then all is well again and stays so.
async fn trouble(clients: &Clients, injected: &mut u64) {
    let (db, chance) = (&clients.db, &clients.chance);
    for _ in 0..chance.below(8) {
        sleep(chance.millis(300)).await;
        let Some(node) = chance.pick(&clients.nodes) else { return };
        *injected += 1;
        match chance.below(6) {
            0 | 1 => {
                node.kill();
                sleep(chance.millis(400)).await;
                node.start().unwrap();
            }
            2 => *node.site.paused_until.lock() = Some(Instant::now() + chance.millis(2500)),
            3 => db.terminate(),
            4 => {
                db.state().down = true;
                db.terminate();
                sleep(chance.millis(800)).await;
                db.state().down = false;
            }
            _ => {
                db.state().hung_until = Some(Instant::now() + chance.millis(2500));
                db.state().loses = 3;
            }
        }
    }
    db.state().loses = 1000;
}

fn of_environment(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test is told which runs to make")]
    let text = std::env::var(name).ok()?;
    text.parse().ok()
}

#[test]
fn whatever_fails_the_promises_hold() {
    let seeds = of_environment("STIPEND_SEEDS").unwrap_or(200);
    let (mut unknown, mut stale, mut injected, mut spent) = (0, 0, 0, 0);
    for seed in 0..seeds {
        let summary = simulate(seed, None);
        assert!(summary.faults.is_empty(), "STIPEND_SEED={seed}: {summary:#?}");
        unknown += summary.unknown;
        stale += summary.stale;
        injected += summary.injected;
        spent += summary.spent;
    }
    println!(
        "{seeds} runs: {injected} faults, {unknown} answers unknown at first, {stale} decisions stale, {spent} spent"
    );
    // Or there was nothing to see.
    assert!(unknown > seeds && stale > seeds / 2 && injected > seeds && spent > 0);
}

#[test]
fn one_seed_is_one_run() {
    let seed = of_environment("STIPEND_SEED").unwrap_or(7);
    let (one, again) = (simulate(seed, None), simulate(seed, None));
    println!("{one:#?}");
    assert_eq!(one, again);
    assert!(one.faults.is_empty());
}

#[rstest]
#[case(Broken::NoFence)]
#[case(Broken::SharedFeed)]
#[case(Broken::NoRowLocks)]
#[case(Broken::BurnsTwice)]
#[case(Broken::ForgetsKeys)]
#[case(Broken::AnswersTooSoon)]
#[case(Broken::ForksItsChain)]
fn without_one_guard_it_is_noticed(#[case] broken: Broken) {
    let found = (0..300).find_map(|seed| simulate(seed, Some(broken)).faults.into_iter().next());
    println!("{broken:?}: {found:?}");
    assert!(found.is_some(), "nothing was noticed");
}
