//! The same law, written to be obvious and slow: a journal that only grows, and every figure
//! is a sum over the whole of it. It shares no code with the ledger.

use crate::world::{Op, Outcome, Place, World};
use std::collections::BTreeSet;
use stipend_token::Timestamp;
use stipend_token::budget::Declined;

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Captured,
    Voided,
    Expired,
}

#[derive(Clone, Debug)]
enum Entry {
    Hold { id: usize, places: Vec<Place>, amount: i64, until: Timestamp },
    Extend { hold: usize, until: Timestamp },
    Capture { id: usize, hold: usize, amount: i64, overs: Vec<i64> },
    End { hold: usize, how: End },
    Refund { capture: usize, amount: i64 },
    Carve { id: usize, places: Vec<Place>, amount: i64 },
    Settle { carve: usize, unspent: i64 },
}

#[derive(Clone, Debug, Default)]
pub struct Reference {
    journal: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub held: i64,
    pub spent: i64,
    pub carved: i64,
    pub overage: i64,
}

impl Reference {
    pub fn figures(&self, place: Place) -> Figures {
        let mut figures = Figures::default();
        for entry in &self.journal {
            match entry {
                Entry::Hold { id, places, .. } if places.contains(&place) => figures.held += self.open_rest(*id),
                Entry::Capture { id, hold, amount, overs } => {
                    let refunded = self.refunded(*id);
                    if let Some(level) = self.hold_places(*hold).iter().position(|other| *other == place) {
                        let over = overs[level];
                        figures.spent += amount - over - (refunded - over).max(0);
                        figures.overage += (over - refunded).max(0);
                    }
                }
                Entry::Carve { id, places, amount } if places.contains(&place) => match self.settled(*id) {
                    Some(unspent) => figures.spent += amount - unspent,
                    None => figures.carved += amount,
                },
                _ => {}
            }
        }
        figures
    }

    /// What is taken of a line in its periods from one to another.
    pub fn taken(&self, line: usize, from: Timestamp, to: Timestamp) -> i64 {
        let mut places = BTreeSet::new();
        for entry in &self.journal {
            if let Entry::Hold { places: found, .. } | Entry::Carve { places: found, .. } = entry {
                places.extend(found.iter().filter(|(of, at)| *of == line && (from..=to).contains(at)));
            }
        }
        let total = |figures: Figures| figures.held + figures.spent + figures.carved + figures.overage;
        places.into_iter().map(|place| total(self.figures(place))).sum()
    }

    fn left(&self, world: &World, place: Place) -> i64 {
        world.lines[place.0].limit - self.taken(place.0, world.counts_from(place), world.counts_to(place))
    }

    fn hold_places(&self, hold: usize) -> &[Place] {
        let found = self.journal.iter().find_map(|entry| match entry {
            Entry::Hold { id, places, .. } if *id == hold => Some(places),
            _ => None,
        });
        found.unwrap()
    }

    fn until(&self, wanted: usize) -> Timestamp {
        let times = self.journal.iter().filter_map(|entry| match entry {
            Entry::Hold { id, until, .. } if *id == wanted => Some(*until),
            Entry::Extend { hold, until } if *hold == wanted => Some(*until),
            _ => None,
        });
        times.max().unwrap()
    }

    fn ends(&self, wanted: usize) -> Vec<End> {
        let ends = self.journal.iter().filter_map(|entry| match entry {
            Entry::End { hold, how } if *hold == wanted => Some(*how),
            _ => None,
        });
        ends.collect()
    }

    fn open_rest(&self, wanted: usize) -> i64 {
        if !self.ends(wanted).is_empty() {
            return 0;
        }
        let parts = self.journal.iter().map(|entry| match entry {
            Entry::Hold { id, amount, .. } if *id == wanted => *amount,
            // A late capture finds nothing held: what is open is counted while it is.
            Entry::Capture { hold, amount, .. } if *hold == wanted => -amount,
            _ => 0,
        });
        parts.sum::<i64>().max(0)
    }

    fn refunded(&self, wanted: usize) -> i64 {
        let parts = self.journal.iter().map(|entry| match entry {
            Entry::Refund { capture, amount } if *capture == wanted => *amount,
            _ => 0,
        });
        parts.sum()
    }

    fn settled(&self, wanted: usize) -> Option<i64> {
        self.journal.iter().find_map(|entry| match entry {
            Entry::Settle { carve, unspent } if *carve == wanted => Some(*unspent),
            _ => None,
        })
    }

    fn count(&self, of: impl Fn(&Entry) -> bool) -> usize {
        self.journal.iter().filter(|entry| of(entry)).count()
    }

    pub fn apply(&mut self, world: &World, op: &Op) -> Outcome {
        self.decide(world, op).unwrap_or_else(Outcome::Declined)
    }

    fn decide(&mut self, world: &World, op: &Op) -> Result<Outcome, Declined> {
        match *op {
            Op::Hold { leaf, amount, ttl } => {
                let places = self.admit(world, leaf, amount, true)?;
                let id = self.count(|entry| matches!(entry, Entry::Hold { .. }));
                self.journal.push(Entry::Hold { id, places, amount, until: world.now + ttl });
                Ok(Outcome::Held)
            }
            Op::Carve { parent, amount } => {
                let places = self.admit(world, parent, amount, false)?;
                let id = self.count(|entry| matches!(entry, Entry::Carve { .. }));
                self.journal.push(Entry::Carve { id, places, amount });
                Ok(Outcome::Carved)
            }
            Op::Extend { hold, ttl } => {
                self.must_be_open(world, hold)?;
                self.journal.push(Entry::Extend { hold, until: world.now + ttl });
                Ok(Outcome::Extended)
            }
            Op::Capture { hold, amount, last } => self.capture(world, hold, amount, last),
            Op::Void { hold } => {
                self.must_be_open(world, hold)?;
                let freed = self.open_rest(hold);
                self.journal.push(Entry::End { hold, how: End::Voided });
                Ok(Outcome::Voided { freed })
            }
            Op::Expire { hold } => Ok(Outcome::Expired(self.expire(world, hold))),
            Op::Refund { capture, amount } => self.refund(capture, amount),
            Op::Settle { carve, unspent } => {
                let carved = self.journal.iter().find_map(|entry| match entry {
                    Entry::Carve { id, amount, .. } if *id == carve => Some(*amount),
                    _ => None,
                });
                if self.settled(carve).is_some() {
                    return Err(Declined::Ended);
                }
                if unspent > carved.unwrap() {
                    return Err(Declined::TooMuch);
                }
                self.journal.push(Entry::Settle { carve, unspent });
                Ok(Outcome::Settled)
            }
        }
    }

    fn admit(&self, world: &World, leaf: usize, required: i64, is_call: bool) -> Result<Vec<Place>, Declined> {
        if required == 0 {
            return Err(Declined::Zero);
        }
        let places = world.places(leaf);
        for (level, place) in places.iter().enumerate() {
            if let Some(per_call) = world.lines[place.0].per_call
                && is_call
                && required > per_call
            {
                return Err(Declined::PerCall { level, required, per_call });
            }
            let left = self.left(world, *place);
            if left < required {
                return Err(Declined::Insufficient { level, required, remaining: left.max(0) });
            }
        }
        Ok(places)
    }

    fn must_be_open(&self, world: &World, hold: usize) -> Result<(), Declined> {
        let open = self.ends(hold).is_empty() && world.now < self.until(hold);
        if open { Ok(()) } else { Err(Declined::Ended) }
    }

    fn expire(&mut self, world: &World, hold: usize) -> bool {
        let due = self.ends(hold).is_empty() && world.now >= self.until(hold);
        if due {
            self.journal.push(Entry::End { hold, how: End::Expired });
        }
        due
    }

    fn capture(&mut self, world: &World, hold: usize, amount: i64, last: bool) -> Result<Outcome, Declined> {
        if self.ends(hold).iter().any(|how| *how != End::Expired) {
            return Err(Declined::Ended);
        }
        if amount == 0 && !last {
            return Err(Declined::Zero);
        }
        self.expire(world, hold);
        let places = self.hold_places(hold);
        let within = amount.min(self.open_rest(hold));
        // Unit by unit at each level: as long as it still has one.
        let over = |place: &Place| (within..amount).skip(self.left(world, *place).max(0) as usize).count() as i64;
        let overs: Vec<i64> = places.iter().map(over).collect();
        let overage = overs.iter().copied().max().unwrap();
        let id = self.count(|entry| matches!(entry, Entry::Capture { .. }));
        self.journal.push(Entry::Capture { id, hold, amount, overs });
        if last {
            self.journal.push(Entry::End { hold, how: End::Captured });
        }
        Ok(Outcome::Captured { spent: amount - overage, overage })
    }

    fn refund(&mut self, capture: usize, amount: i64) -> Result<Outcome, Declined> {
        if amount == 0 {
            return Err(Declined::Zero);
        }
        let booked = self.journal.iter().find_map(|entry| match entry {
            Entry::Capture { id, amount, .. } if *id == capture => Some(*amount),
            _ => None,
        });
        if self.refunded(capture) + amount > booked.unwrap() {
            return Err(Declined::TooMuch);
        }
        self.journal.push(Entry::Refund { capture, amount });
        Ok(Outcome::Refunded)
    }
}
