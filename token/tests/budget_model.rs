//! Two nodes work on one line, and every interleaving of them is checked: holds, captures,
//! expiry, and crashes between the commit and its answer, after which the client asks again.
//!
//! The store applies a step as the database does: it locks the line, looks for the key, decides
//! by the real functions, and keeps the result with the key. The broken stores below lack one of
//! these, and the checker must find what goes wrong: else the model says nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use stateright::{Checker, Model, Property};
use std::collections::BTreeMap;
use stipend_token::Timestamp;
use stipend_token::budget::{Amount, Hold, Level, Used, capture, expire, hold};

const LIMIT: i64 = 3;
const NODES: usize = 2;
/// Holds that each node gets an answer to.
const ROUNDS: usize = 1;
/// Crashes of each node.
const CRASHES: usize = 1;
/// Every hold ends by itself when the clock gets here.
const EXPIRES_AT: Timestamp = 1;

/// The node that asks, and the number of its question.
type Key = (usize, usize);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Ask {
    Hold { amount: i64 },
    Capture { hold: usize, amount: i64, last: bool },
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Answer {
    Held(usize),
    Captured,
    Declined,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Store {
    used: Used,
    holds: Vec<Hold>,
    answers: BTreeMap<Key, Answer>,
    /// What captures booked in all, spent or as overage.
    captured: i64,
    /// How often something was done under each key. The store itself can't see it.
    effects: BTreeMap<Key, usize>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Phase {
    Idle,
    /// Asked by the client, nothing committed. A broken node has read the line already.
    Asked(Ask, Option<Used>),
    /// Committed, and the client has not heard.
    Committed(Ask, Answer),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Node {
    phase: Phase,
    /// The hold that it has not captured for the last time.
    holding: Option<usize>,
    questions: usize,
    rounds: usize,
    crashes: usize,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct State {
    store: Store,
    nodes: Vec<Node>,
    now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Ask(usize, Ask),
    Read(usize),
    Commit(usize),
    Hear(usize),
    Crash(usize),
    Expire(usize),
    Tick,
}

/// One line, and what its store does right.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// Decides on the line as it is, under its lock.
    guarded: bool,
    /// Looks for the key before it does anything.
    keyed: bool,
}

fn level(used: Used) -> Level {
    Level { limit: Amount::new(LIMIT).unwrap(), per_call: None, earlier: 0, used }
}

impl Store {
    fn answer(&mut self, budget: Budget, key: Key, ask: Ask, snapshot: Option<Used>, now: Timestamp) -> Answer {
        if let Some(answer) = self.answers.get(&key).filter(|_| budget.keyed) {
            return *answer;
        }
        let answer = match ask {
            Ask::Hold { amount } => self.hold(amount, snapshot),
            Ask::Capture { hold, amount, last } => self.capture(hold, amount, last, now),
        };
        if answer != Answer::Declined {
            *self.effects.entry(key).or_default() += 1;
        }
        self.answers.insert(key, answer);
        answer
    }

    /// Decides on a snapshot where there is one, and adds to the line as it is.
    fn hold(&mut self, amount: i64, snapshot: Option<Used>) -> Answer {
        let seen = snapshot.unwrap_or(self.used);
        let mut path = [level(seen)];
        let Ok(held) = hold(&mut path, Amount::new(amount).unwrap(), EXPIRES_AT) else {
            return Answer::Declined;
        };
        self.used.held += path[0].used.held - seen.held;
        self.holds.push(held);
        Answer::Held(self.holds.len() - 1)
    }

    fn capture(&mut self, hold: usize, amount: i64, last: bool, now: Timestamp) -> Answer {
        let mut path = [level(self.used)];
        let booked = capture(&mut path, &mut self.holds[hold], Amount::new(amount).unwrap(), last, now);
        self.used = path[0].used;
        let Ok(booked) = booked else { return Answer::Declined };
        self.captured += booked.amount;
        Answer::Captured
    }

    fn expire(&mut self, hold: usize, now: Timestamp) {
        let mut path = [level(self.used)];
        expire(&mut path, &mut self.holds[hold], now);
        self.used = path[0].used;
    }
}

impl Node {
    /// What its client may want next.
    fn wants(&self) -> Vec<Ask> {
        match self.holding {
            Some(hold) => {
                let captures = [(1, false), (0, true), (2, true)];
                captures.into_iter().map(|(amount, last)| Ask::Capture { hold, amount, last }).collect()
            }
            None if self.rounds < ROUNDS => vec![Ask::Hold { amount: 1 }, Ask::Hold { amount: 2 }],
            None => Vec::new(),
        }
    }

    fn hear(&mut self, ask: Ask, answer: Answer) {
        self.phase = Phase::Idle;
        self.questions += 1;
        match (ask, answer) {
            (Ask::Hold { .. }, Answer::Held(hold)) => self.holding = Some(hold),
            (Ask::Hold { .. }, _) => self.rounds += 1,
            (Ask::Capture { last: true, .. }, _) | (Ask::Capture { .. }, Answer::Declined) => {
                self.holding = None;
                self.rounds += 1;
            }
            (Ask::Capture { .. }, _) => {}
        }
    }
}

impl Model for Budget {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = Node { phase: Phase::Idle, holding: None, questions: 0, rounds: 0, crashes: 0 };
        vec![State { store: Store::default(), nodes: vec![node; NODES], now: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (id, node) in state.nodes.iter().enumerate() {
            match node.phase {
                // Each capture is a question: two for each hold are enough.
                Phase::Idle if node.questions < 3 * ROUNDS => {
                    actions.extend(node.wants().into_iter().map(|ask| Action::Ask(id, ask)));
                }
                Phase::Idle => {}
                Phase::Asked(Ask::Hold { .. }, None) if !self.guarded => actions.push(Action::Read(id)),
                Phase::Asked(..) => actions.push(Action::Commit(id)),
                Phase::Committed(..) => {
                    actions.push(Action::Hear(id));
                    if node.crashes < CRASHES {
                        actions.push(Action::Crash(id));
                    }
                }
            }
        }
        if state.now < EXPIRES_AT {
            actions.push(Action::Tick);
        } else {
            let open = state.store.holds.iter().enumerate().filter(|(_, hold)| hold.rest() > 0);
            actions.extend(open.map(|(hold, _)| Action::Expire(hold)));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Ask(id, ask) => next.nodes[id].phase = Phase::Asked(ask, None),
            Action::Read(id) => {
                let Phase::Asked(ask, None) = state.nodes[id].phase else { return None };
                next.nodes[id].phase = Phase::Asked(ask, Some(state.store.used));
            }
            Action::Commit(id) => {
                let Phase::Asked(ask, snapshot) = state.nodes[id].phase else { return None };
                let key = (id, state.nodes[id].questions);
                let answer = next.store.answer(*self, key, ask, snapshot, state.now);
                next.nodes[id].phase = Phase::Committed(ask, answer);
            }
            Action::Hear(id) => {
                let Phase::Committed(ask, answer) = state.nodes[id].phase else { return None };
                next.nodes[id].hear(ask, answer);
            }
            Action::Crash(id) => {
                let Phase::Committed(ask, _) = state.nodes[id].phase else { return None };
                next.nodes[id].crashes += 1;
                next.nodes[id].phase = Phase::Asked(ask, None);
            }
            Action::Expire(hold) => next.store.expire(hold, state.now),
            Action::Tick => next.now += 1,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no overspend", |_, state: &State| {
                let used = state.store.used;
                used.held + used.spent + used.carved <= LIMIT
            }),
            Property::always("one effect per key", |_, state: &State| {
                state.store.effects.values().all(|effects| *effects == 1)
            }),
            Property::always("held is what open holds have left", |_, state: &State| {
                state.store.used.held == state.store.holds.iter().map(Hold::rest).sum::<i64>()
            }),
            Property::always("all that was captured is booked", |_, state: &State| {
                state.store.used.spent + state.store.used.overage == state.store.captured
            }),
            Property::sometimes("all capacity is spent", |_, state: &State| state.store.used.spent == LIMIT),
            Property::sometimes("an answer is lost and asked for again", |_, state: &State| {
                state.nodes.iter().all(|node| node.crashes > 0 && node.phase == Phase::Idle)
            }),
            Property::sometimes("more is spent than there was", |_, state: &State| state.store.used.overage > 0),
        ]
    }
}

#[test]
fn two_nodes_never_overspend_and_have_one_effect_for_each_key() {
    let checked = Budget { guarded: true, keyed: true }.checker().spawn_bfs().join();
    checked.assert_properties();
    assert!(checked.is_done() && checked.unique_state_count() > 10_000, "{}", checked.unique_state_count());
}

#[test]
fn deciding_on_a_stale_snapshot_overspends() {
    let checked = Budget { guarded: false, keyed: true }.checker().spawn_bfs().join();
    let path = checked.discovery("no overspend").unwrap();
    let used = path.last_state().store.used;
    assert!(used.held + used.spent > LIMIT, "{used:?}");
    checked.assert_no_discovery("one effect per key");
}

#[test]
fn without_the_key_a_retry_has_a_second_effect() {
    let checked = Budget { guarded: true, keyed: false }.checker().spawn_bfs().join();
    let actions = checked.discovery("one effect per key").unwrap().into_actions();
    assert!(actions.iter().any(|action| matches!(action, Action::Crash(_))), "{actions:?}");
    checked.assert_no_discovery("no overspend");
}
