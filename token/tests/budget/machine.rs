//! Random trees, random histories, and the laws after every step.

use crate::keeper::Keeper;
use crate::laws;
use crate::reference::Reference;
use crate::world::{Line, MAX_LEVELS, Op, Outcome, World};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use stipend_token::Timestamp;
use stipend_token::budget::{Declined, Window};

/// 40 seconds before midnight, UTC.
const START: Timestamp = 1_795_305_560;

/// A wish; which line or hold it means is found when its turn comes.
#[derive(Clone, Debug)]
enum Wish {
    Hold {
        leaf: usize,
        amount: i64,
        ttl: i64,
    },
    Extend {
        hold: usize,
        ttl: i64,
    },
    Capture {
        hold: usize,
        amount: i64,
        last: bool,
    },
    Void {
        hold: usize,
    },
    Expire {
        hold: usize,
    },
    Refund {
        capture: usize,
        amount: i64,
    },
    Carve {
        parent: usize,
        amount: i64,
    },
    /// With what the carved line really has left, or a report of its own.
    Settle {
        carve: usize,
        report: Option<i64>,
    },
    Again {
        key: usize,
    },
    Limit {
        line: usize,
        limit: i64,
    },
    Grow {
        under: usize,
        line: Line,
    },
    Pass {
        seconds: i64,
    },
}

fn line() -> impl Strategy<Value = Line> {
    let window = prop_oneof![Just("none"), Just("day@UTC"), Just("rolling:300")];
    let per_call = prop_oneof![3 => Just(None), 1 => (1_i64..25).prop_map(Some)];
    (0_i64..70, per_call, window).prop_map(|(limit, per_call, window)| Line {
        above: None,
        limit,
        per_call,
        window: Window::parse(window).unwrap(),
    })
}

/// Each line after the first is under one before it, or is an owner's where that is too deep.
fn tree() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec((any::<usize>(), line()), 1..7).prop_map(|grown| {
        let mut world = World { lines: Vec::new(), now: START };
        for (under, line) in grown {
            grow(&mut world, under, line);
        }
        world.lines
    })
}

fn grow(world: &mut World, under: usize, line: Line) {
    let above = under.checked_rem(world.lines.len()).filter(|above| world.path(*above).len() < MAX_LEVELS);
    world.lines.push(Line { above, ..line });
}

fn wish() -> impl Strategy<Value = Wish> {
    let which = any::<usize>;
    let amount = || prop_oneof![1 => Just(0_i64), 12 => 1_i64..30];
    let ttl = || 0_i64..40;
    prop_oneof![
        8 => (which(), amount(), ttl()).prop_map(|(leaf, amount, ttl)| Wish::Hold { leaf, amount, ttl }),
        1 => (which(), ttl()).prop_map(|(hold, ttl)| Wish::Extend { hold, ttl }),
        8 => (which(), amount(), prop::bool::weighted(0.4))
            .prop_map(|(hold, amount, last)| Wish::Capture { hold, amount, last }),
        2 => which().prop_map(|hold| Wish::Void { hold }),
        2 => which().prop_map(|hold| Wish::Expire { hold }),
        4 => (which(), amount()).prop_map(|(capture, amount)| Wish::Refund { capture, amount }),
        2 => (which(), amount()).prop_map(|(parent, amount)| Wish::Carve { parent, amount }),
        2 => (which(), prop::option::of(amount())).prop_map(|(carve, report)| Wish::Settle { carve, report }),
        2 => which().prop_map(|key| Wish::Again { key }),
        2 => (which(), 0_i64..90).prop_map(|(line, limit)| Wish::Limit { line, limit }),
        1 => (which(), line()).prop_map(|(under, line)| Wish::Grow { under, line }),
        3 => prop_oneof![6 => 1_i64..12, 2 => 12_i64..400, 1 => Just(86_400)]
            .prop_map(|seconds| Wish::Pass { seconds }),
    ]
}

struct Machine {
    world: World,
    keeper: Keeper,
    reference: Reference,
    above: laws::Above,
    /// Every step that was asked for; its place here is its key.
    asked: Vec<(Op, Outcome)>,
    /// The line that each carve pays for.
    carved_lines: Vec<usize>,
    seen: BTreeMap<&'static str, usize>,
}

impl Machine {
    fn new(lines: Vec<Line>) -> Self {
        Self {
            world: World { lines, now: START },
            keeper: Keeper::default(),
            reference: Reference::default(),
            above: laws::Above::default(),
            asked: Vec::new(),
            carved_lines: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Again { key } => self.again(key),
            Wish::Limit { line, limit } => self.change_limit(line % self.world.lines.len(), limit),
            Wish::Grow { under, line } => grow(&mut self.world, under, line),
            Wish::Pass { seconds } => self.world.now += seconds,
            _ => {
                if let Some(op) = self.meant(&wish) {
                    self.act(op);
                }
            }
        }
        self.check();
    }

    fn meant(&self, wish: &Wish) -> Option<Op> {
        let hold = |which: usize| which.checked_rem(self.keeper.holds.len());
        let line = |which: usize| which % self.world.lines.len();
        Some(match *wish {
            Wish::Hold { leaf, amount, ttl } => Op::Hold { leaf: line(leaf), amount, ttl },
            Wish::Extend { hold: which, ttl } => Op::Extend { hold: hold(which)?, ttl },
            Wish::Capture { hold: which, amount, last } => Op::Capture { hold: hold(which)?, amount, last },
            Wish::Void { hold: which } => Op::Void { hold: hold(which)? },
            Wish::Expire { hold: which } => Op::Expire { hold: hold(which)? },
            Wish::Refund { capture, amount } => {
                Op::Refund { capture: capture.checked_rem(self.keeper.captures.len())?, amount }
            }
            Wish::Carve { parent, amount } => Op::Carve { parent: line(parent), amount },
            Wish::Settle { carve, report } => {
                let carve = carve.checked_rem(self.keeper.carves.len())?;
                Op::Settle { carve, unspent: report.unwrap_or_else(|| self.unspent(carve)) }
            }
            Wish::Again { .. } | Wish::Limit { .. } | Wish::Grow { .. } | Wish::Pass { .. } => return None,
        })
    }

    fn unspent(&self, carve: usize) -> i64 {
        let place = self.world.places(self.carved_lines[carve])[0];
        self.keeper.level(&self.world, place).available().max(0)
    }

    fn act(&mut self, op: Op) {
        let before = self.keeper.clone();
        let answer = self.keeper.once(&self.world, self.asked.len(), &op);
        assert_eq!(answer, self.reference.apply(&self.world, &op), "{op:?}");
        if let Outcome::Declined(_) = answer {
            let after = self.keeper.clone().forget_answers();
            assert_eq!(without_empty(after), without_empty(before.clone().forget_answers()), "{op:?} {answer:?}");
        } else {
            let places = self.keeper.places(&op);
            self.keeper.tell(&self.world, &places);
            laws::thresholds_are_told_once(&self.keeper, &self.world, &self.reference, &places);
            laws::overage_keeps_new_holds_out(&self.keeper, &self.world, &places, &answer);
        }
        laws::holds_end_once(&before, &self.keeper);
        laws::carves_return_at_most_once(&before, &self.keeper);
        *self.seen.entry(name(&answer)).or_default() += 1;
        self.asked.push((op.clone(), answer.clone()));
        match (op, answer) {
            (Op::Carve { amount, .. }, Outcome::Carved) => {
                self.carved_lines.push(self.world.lines.len());
                let window = Window::None;
                self.world.lines.push(Line { above: None, limit: amount, per_call: None, window });
            }
            (Op::Settle { carve, .. }, Outcome::Settled) => self.change_limit(self.carved_lines[carve], 0),
            _ => {}
        }
    }

    fn again(&mut self, key: usize) {
        if let Some(key) = key.checked_rem(self.asked.len()) {
            let (op, answer) = self.asked[key].clone();
            let before = self.keeper.clone();
            assert_eq!(self.keeper.once(&self.world, key, &op), answer, "the same key has the same answer");
            assert_eq!(self.keeper, before, "and no second effect");
        }
    }

    fn change_limit(&mut self, line: usize, limit: i64) {
        laws::no_step_exceeds_a_limit(&self.keeper, &self.world, &self.above);
        self.world.lines[line].limit = limit;
        self.above = laws::above(&self.keeper, &self.world);
    }

    fn check(&mut self) {
        laws::no_counter_is_negative(&self.keeper);
        laws::no_step_exceeds_a_limit(&self.keeper, &self.world, &self.above);
        laws::nothing_is_made_or_lost(&self.keeper);
        laws::the_reference_agrees(&self.keeper, &self.reference);
        self.above = laws::above(&self.keeper, &self.world);
    }
}

/// A row that was made and counts nothing is no change.
fn without_empty(mut keeper: Keeper) -> Keeper {
    keeper.used.retain(|_, used| *used != Default::default());
    keeper
}

fn name(answer: &Outcome) -> &'static str {
    match answer {
        Outcome::Held => "held",
        Outcome::Extended => "extended",
        Outcome::Captured { overage: 0, .. } => "captured",
        Outcome::Captured { .. } => "captured with overage",
        Outcome::Voided { .. } => "voided",
        Outcome::Expired(true) => "expired",
        Outcome::Expired(false) => "not due",
        Outcome::Refunded => "refunded",
        Outcome::Carved => "carved",
        Outcome::Settled => "settled",
        Outcome::Declined(Declined::Zero) => "zero",
        Outcome::Declined(Declined::Insufficient { level: 0, .. }) => "insufficient at the leaf",
        Outcome::Declined(Declined::Insufficient { .. }) => "insufficient above",
        Outcome::Declined(Declined::PerCall { level: 0, .. }) => "per call at the leaf",
        Outcome::Declined(Declined::PerCall { .. }) => "per call above",
        Outcome::Declined(Declined::Ended) => "ended",
        Outcome::Declined(Declined::TooMuch) => "too much",
    }
}

fn history() -> impl Strategy<Value = (Vec<Line>, Vec<Wish>)> {
    (tree(), prop::collection::vec(wish(), 1..60))
}

proptest! {
    #![proptest_config(Config { cases: 2048, ..Config::default() })]

    #[test]
    fn every_history_keeps_the_law((lines, wishes) in history()) {
        let mut machine = Machine::new(lines);
        for wish in wishes {
            machine.fulfil(wish);
        }
    }
}

/// The laws say little about what never happens.
#[test]
fn the_histories_meet_every_answer_often() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..150 {
        let (lines, wishes) = history().new_tree(&mut runner).unwrap().current();
        let mut machine = Machine::new(lines);
        for wish in wishes {
            machine.fulfil(wish);
        }
        for (answer, times) in machine.seen {
            *seen.entry(answer).or_default() += times;
        }
    }
    assert_eq!(seen.len(), 17, "{seen:?}");
    assert!(seen.values().all(|times| *times >= 10), "{seen:?}");
}
