//! What the journal says of carved lines: how much was taken from each, and what of that the
//! server was told.

use crate::journal::Book;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stipend_token::Timestamp;

/// Each record stands for itself, whatever the order of those that are written together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum CountRecord {
    /// The first take of a line comes with what the token says of it.
    Took {
        line: String,
        n: i64,
        amount: i64,
        exp: Timestamp,
    },
    GaveBack {
        line: String,
        n: i64,
    },
    /// Nothing is taken or given back any more: the final report may go out.
    Closed {
        line: String,
    },
    Reported {
        line: String,
        spent: i64,
        last: bool,
    },
    Forgotten {
        line: String,
    },
    /// A line as it was when the file was written anew.
    Line(Box<Counted>),
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    pub line: String,
    /// Most that may be taken.
    pub amount: i64,
    pub exp: Timestamp,
    /// Everything that was taken and not given back.
    pub spent: i64,
    /// What of that has not been settled, so that it may be given back still. Of this process
    /// only: what an earlier one had taken nobody gives back any more.
    #[serde(skip)]
    pub open: i64,
    /// What the server was last told.
    pub reported: Option<i64>,
    pub closed: bool,
    /// The server has the final figure.
    pub finished: bool,
}

impl Counted {
    pub fn new(line: &str, amount: i64, exp: Timestamp) -> Self {
        Self { line: line.to_owned(), amount, exp, spent: 0, open: 0, reported: None, closed: false, finished: false }
    }

    /// What is spent for certain. It never becomes less, so that reports only grow.
    pub fn settled(&self) -> i64 {
        self.spent.saturating_sub(self.open).max(0)
    }

    pub fn remaining(&self) -> i64 {
        self.amount.saturating_sub(self.spent).max(0)
    }
}

#[derive(Clone, Debug, Default)]
pub struct CountBook {
    pub lines: BTreeMap<String, Counted>,
}

impl CountBook {
    fn change(&mut self, line: &str, change: impl FnOnce(&mut Counted)) {
        if let Some(counted) = self.lines.get_mut(line) {
            change(counted);
        }
    }
}

impl Book for CountBook {
    type Record = CountRecord;

    const KIND: &'static str = "counter";

    fn apply(&mut self, record: &CountRecord) {
        match record {
            CountRecord::Took { line, n, amount, exp } => {
                let new = || Counted::new(line, *amount, *exp);
                let counted = self.lines.entry(line.clone()).or_insert_with(new);
                counted.spent = counted.spent.saturating_add(*n);
            }
            CountRecord::GaveBack { line, n } => self.change(line, |counted| {
                counted.spent = counted.spent.saturating_sub(*n).max(0);
            }),
            CountRecord::Closed { line } => self.change(line, |counted| counted.closed = true),
            CountRecord::Reported { line, spent, last } => self.change(line, |counted| {
                counted.reported = Some(*spent);
                counted.finished |= *last;
            }),
            CountRecord::Forgotten { line } => {
                self.lines.remove(line);
            }
            CountRecord::Line(counted) => {
                self.lines.insert(counted.line.clone(), counted.as_ref().clone());
            }
        }
    }

    fn records(&self) -> Vec<CountRecord> {
        self.lines.values().map(|counted| CountRecord::Line(Box::new(counted.clone()))).collect()
    }
}
