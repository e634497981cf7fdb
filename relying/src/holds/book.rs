//! What the journal says of holds: which were asked for, which answer came, what was meant
//! to become of them.

use crate::journal::Book;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stipend_token::Timestamp;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum HoldRecord {
    Asked {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        unit: String,
        decimals: u8,
        amount: i64,
        seconds: i64,
        at: Timestamp,
    },
    /// The answer, and what earlier captures took.
    Held {
        key: String,
        hold: String,
        captured: i64,
    },
    /// A capture, or a void where there is no amount, is on its way.
    Settling {
        key: String,
        by: String,
        amount: Option<i64>,
        last: bool,
        at: Timestamp,
    },
    /// A capture that was not the last has been answered.
    Captured {
        key: String,
        by: String,
    },
    Ended {
        key: String,
    },
}

/// A hold that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ask {
    pub token: Option<String>,
    pub unit: String,
    pub decimals: u8,
    pub amount: i64,
    pub seconds: i64,
    pub at: Timestamp,
    pub hold: Option<String>,
    pub captured: i64,
    pub settling: Option<Settling>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settling {
    pub by: String,
    pub amount: Option<i64>,
    pub last: bool,
    pub at: Timestamp,
}

impl Ask {
    pub fn record(&self, key: &str) -> HoldRecord {
        HoldRecord::Asked {
            key: key.to_owned(),
            token: self.token.clone(),
            unit: self.unit.clone(),
            decimals: self.decimals,
            amount: self.amount,
            seconds: self.seconds,
            at: self.at,
        }
    }
}

impl Settling {
    pub fn record(&self, key: &str) -> HoldRecord {
        let Self { by, amount, last, at } = self.clone();
        HoldRecord::Settling { key: key.to_owned(), by, amount, last, at }
    }
}

/// The asks that have not ended, by their key.
#[derive(Clone, Debug, Default)]
pub struct HoldBook {
    pub asks: BTreeMap<String, Ask>,
}

impl Book for HoldBook {
    type Record = HoldRecord;

    const KIND: &'static str = "holds";

    fn apply(&mut self, record: &HoldRecord) {
        match record.clone() {
            HoldRecord::Asked { key, token, unit, decimals, amount, seconds, at } => {
                let ask = Ask { token, unit, decimals, amount, seconds, at, hold: None, captured: 0, settling: None };
                self.asks.insert(key, ask);
            }
            HoldRecord::Held { key, hold, captured } => {
                if let Some(ask) = self.asks.get_mut(&key) {
                    ask.hold = Some(hold);
                    ask.captured = captured;
                    // Its work is done: the hold is known, and nothing needs the token again.
                    ask.token = None;
                }
            }
            HoldRecord::Settling { key, by, amount, last, at } => {
                if let Some(ask) = self.asks.get_mut(&key) {
                    ask.settling = Some(Settling { by, amount, last, at });
                }
            }
            HoldRecord::Captured { key, by } => {
                if let Some(ask) = self.asks.get_mut(&key)
                    && let Some(settling) = ask.settling.take_if(|settling| settling.by == by)
                {
                    ask.captured = ask.captured.saturating_add(settling.amount.unwrap_or(0));
                }
            }
            HoldRecord::Ended { key } => {
                self.asks.remove(&key);
            }
        }
    }

    fn records(&self) -> Vec<HoldRecord> {
        let mut records = Vec::new();
        for (key, ask) in &self.asks {
            records.push(ask.record(key));
            if let Some(hold) = &ask.hold {
                records.push(HoldRecord::Held { key: key.clone(), hold: hold.clone(), captured: ask.captured });
            }
            records.extend(ask.settling.as_ref().map(|settling| settling.record(key)));
        }
        records
    }
}
