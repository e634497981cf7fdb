//! A store for the pure steps, as a database would be one: it loads the levels of a path, lets
//! a step change them, and keeps what came of it together with the key it was asked under.

use crate::world::{Op, Outcome, Place, World};
use std::collections::BTreeMap;
use stipend_token::budget::{Amount, Capture, Carve, Declined, Hold, Level, Used, crossed};
use stipend_token::budget::{capture, carve, expire, extend, hold, refund, settle, void};

/// A hold, a capture or a carve, and where it was booked, leaf first.
#[derive(Clone, Debug, PartialEq)]
pub struct Booked<T> {
    pub what: T,
    pub places: Vec<Place>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keeper {
    pub used: BTreeMap<Place, Used>,
    pub holds: Vec<Booked<Hold>>,
    pub captures: Vec<Booked<Capture>>,
    pub carves: Vec<Booked<Carve>>,
    /// How much each carve reported unspent.
    pub returned: Vec<(usize, i64)>,
    /// The thresholds that were told of, in their order.
    pub told: Vec<(Place, u8)>,
    answers: BTreeMap<usize, Outcome>,
}

pub fn amount(parts: i64) -> Amount {
    Amount::new(parts).unwrap()
}

impl Keeper {
    /// Does a step, or answers what it answered under this key before.
    pub fn once(&mut self, world: &World, key: usize, op: &Op) -> Outcome {
        if let Some(answer) = self.answers.get(&key) {
            return answer.clone();
        }
        let answer = self.apply(world, op).unwrap_or_else(Outcome::Declined);
        self.answers.insert(key, answer.clone());
        answer
    }

    pub fn forget_answers(mut self) -> Self {
        self.answers.clear();
        self
    }

    pub fn level(&self, world: &World, place: Place) -> Level {
        let line = &world.lines[place.0];
        // A booking in an old part counts in every window since, so all of them must have room.
        let counted = (place.0, world.counts_from(place))..=(place.0, world.counts_to(place));
        let others = self.used.range(counted).filter(|(other, _)| **other != place);
        Level {
            limit: amount(line.limit),
            per_call: line.per_call.map(amount),
            earlier: others.map(|(_, used)| used.total()).sum(),
            used: self.used.get(&place).copied().unwrap_or_default(),
        }
    }

    fn load(&self, world: &World, places: &[Place]) -> Vec<Level> {
        places.iter().map(|place| self.level(world, *place)).collect()
    }

    /// Also after a step that declined: it must have left the levels as they were.
    fn store(&mut self, places: &[Place], levels: &[Level]) {
        self.used.extend(places.iter().copied().zip(levels.iter().map(|level| level.used)));
    }

    fn apply(&mut self, world: &World, op: &Op) -> Result<Outcome, Declined> {
        match *op {
            Op::Hold { leaf, amount: parts, ttl } => {
                let places = world.places(leaf);
                let mut levels = self.load(world, &places);
                let held = hold(&mut levels, amount(parts), world.now + ttl);
                self.store(&places, &levels);
                self.holds.push(Booked { what: held?, places });
                Ok(Outcome::Held)
            }
            Op::Extend { hold, ttl } => {
                extend(&mut self.holds[hold].what, world.now + ttl, world.now).map(|()| Outcome::Extended)
            }
            Op::Capture { hold, amount: parts, last } => {
                let (what, places) =
                    self.on_hold(world, hold, |levels, hold| capture(levels, hold, amount(parts), last, world.now));
                let what = what?;
                let outcome = Outcome::Captured { spent: what.spent(), overage: what.overage() };
                self.captures.push(Booked { what, places });
                Ok(outcome)
            }
            Op::Void { hold } => {
                let (freed, _) = self.on_hold(world, hold, |levels, hold| void(levels, hold, world.now));
                freed.map(|freed| Outcome::Voided { freed })
            }
            Op::Expire { hold } => {
                let (ended, _) = self.on_hold(world, hold, |levels, hold| expire(levels, hold, world.now));
                Ok(Outcome::Expired(ended))
            }
            Op::Refund { capture, amount: parts } => {
                let mut booked = self.captures[capture].clone();
                let mut levels = self.load(world, &booked.places);
                let done = refund(&mut levels, &mut booked.what, amount(parts));
                self.store(&booked.places, &levels);
                self.captures[capture] = booked;
                done.map(|()| Outcome::Refunded)
            }
            Op::Carve { parent, amount: parts } => {
                let places = world.places(parent);
                let mut levels = self.load(world, &places);
                let carved = carve(&mut levels, amount(parts));
                self.store(&places, &levels);
                self.carves.push(Booked { what: carved?, places });
                Ok(Outcome::Carved)
            }
            Op::Settle { carve, unspent } => {
                let mut booked = self.carves[carve].clone();
                let mut levels = self.load(world, &booked.places);
                let done = settle(&mut levels, &mut booked.what, amount(unspent));
                self.store(&booked.places, &levels);
                self.carves[carve] = booked;
                done?;
                self.returned.push((carve, unspent));
                Ok(Outcome::Settled)
            }
        }
    }

    fn on_hold<T>(
        &mut self,
        world: &World,
        hold: usize,
        step: impl FnOnce(&mut [Level], &mut Hold) -> T,
    ) -> (T, Vec<Place>) {
        let mut booked = self.holds[hold].clone();
        let mut levels = self.load(world, &booked.places);
        let answer = step(&mut levels, &mut booked.what);
        let places = booked.places.clone();
        self.store(&places, &levels);
        self.holds[hold] = booked;
        (answer, places)
    }

    /// Where a step that was done booked.
    pub fn places(&self, op: &Op) -> Vec<Place> {
        match *op {
            Op::Hold { .. } => self.holds.last().unwrap().places.clone(),
            Op::Extend { hold, .. } | Op::Capture { hold, .. } | Op::Void { hold } | Op::Expire { hold } => {
                self.holds[hold].places.clone()
            }
            Op::Refund { capture, .. } => self.captures[capture].places.clone(),
            Op::Carve { .. } => self.carves.last().unwrap().places.clone(),
            Op::Settle { carve, .. } => self.carves[carve].places.clone(),
        }
    }

    /// Tells what a step crossed where it booked.
    pub fn tell(&mut self, world: &World, places: &[Place]) {
        for place in places {
            for percent in crossed(&self.level(world, *place)) {
                self.told.push((*place, percent));
                self.used.entry(*place).or_default().told = percent;
            }
        }
    }
}
