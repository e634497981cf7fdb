//! What is given and not counted: lines, what is above them, their limits, and the time. The
//! keeper and the reference read it; only the machine changes it.

use stipend_token::Timestamp;
use stipend_token::budget::{Declined, Window};

/// A line and the start of one of its periods: where use is counted.
pub type Place = (usize, Timestamp);

/// Longest path.
pub const MAX_LEVELS: usize = 4;

#[derive(Clone, Debug)]
pub struct Line {
    /// Who pays next; nobody for an owner's line and for a carved one.
    pub above: Option<usize>,
    pub limit: i64,
    pub per_call: Option<i64>,
    pub window: Window,
}

#[derive(Clone, Debug)]
pub struct World {
    pub lines: Vec<Line>,
    pub now: Timestamp,
}

impl World {
    /// From a line up to the one where the path ends.
    pub fn path(&self, leaf: usize) -> Vec<usize> {
        std::iter::successors(Some(leaf), |line| self.lines[*line].above).collect()
    }

    /// The path in the periods of now.
    pub fn places(&self, leaf: usize) -> Vec<Place> {
        self.path(leaf).into_iter().map(|line| (line, self.period_of(line, self.now))).collect()
    }

    /// The earliest part that counts in the window of a place.
    pub fn counts_from(&self, (line, start): Place) -> Timestamp {
        self.lines[line].window.counts_from(start).unwrap()
    }

    /// The last moment of now or before whose window still has this place in it.
    pub fn counts_to(&self, (line, start): Place) -> Timestamp {
        match self.lines[line].window {
            Window::None | Window::Calendar(..) => start,
            Window::Rolling(seconds) => self.now.min(start + seconds),
        }
    }

    fn period_of(&self, line: usize, at: Timestamp) -> Timestamp {
        self.lines[line].window.period(at).unwrap().start
    }
}

/// One step on the ledger, by numbers that the keeper and the reference share.
#[derive(Clone, Debug)]
pub enum Op {
    Hold { leaf: usize, amount: i64, ttl: i64 },
    Extend { hold: usize, ttl: i64 },
    Capture { hold: usize, amount: i64, last: bool },
    Void { hold: usize },
    Expire { hold: usize },
    Refund { capture: usize, amount: i64 },
    Carve { parent: usize, amount: i64 },
    Settle { carve: usize, unspent: i64 },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Held,
    Extended,
    Captured { spent: i64, overage: i64 },
    Voided { freed: i64 },
    Expired(bool),
    Refunded,
    Carved,
    Settled,
    Declined(Declined),
}
