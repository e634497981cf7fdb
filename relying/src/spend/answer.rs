//! What the `/budget` API answers, read strictly: a 200 that lacks a figure is no answer.

use crate::refusal::BudgetRefusal;
use serde_json::{Map, Value};
use std::borrow::Cow;
use stipend_token::Timestamp;
use stipend_token::budget::{Enforce, Unit};
use stipend_token::json::{self, Limits};

/// Longest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Nesting of an answer.
const MAX_ANSWER_DEPTH: usize = 4;
/// Most thresholds that are read from one answer.
const MAX_THRESHOLDS: usize = 64;
/// Longest text of the server's that is kept.
const MAX_TEXT_BYTES: usize = 256;

/// A share of a budget that a step crossed, for whoever wants to tell its owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Threshold {
    pub line: String,
    pub percent: u8,
}

/// What a step did. Amounts in the unit's smallest part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    pub hold: Option<String>,
    pub capture: Option<String>,
    /// Spent by this step; negative for a refund.
    pub spent: i64,
    /// Spent beyond what there was.
    pub overage: i64,
    /// Still held by the hold.
    pub held: i64,
    /// Left to spend on the line the token names.
    pub remaining: i64,
    pub expires_at: Option<Timestamp>,
    pub thresholds: Vec<Threshold>,
}

/// What the server has booked of a usage report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reported {
    /// Up to what the line had.
    pub spent: i64,
    pub overage: i64,
    pub remaining: i64,
}

/// A line as the server keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineState {
    pub line: String,
    pub unit: Unit,
    pub amount: i64,
    pub per_call: Option<i64>,
    pub held: i64,
    pub spent: i64,
    pub carved: i64,
    pub overage: i64,
    pub remaining: i64,
    pub enforce: Enforce,
    pub expires_at: Option<Timestamp>,
}

/// An answer's body.
pub(super) struct Body(Map<String, Value>);

impl Body {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let limits = Limits { max_bytes: MAX_ANSWER_BYTES, max_depth: MAX_ANSWER_DEPTH };
        json::parse_object(bytes, limits).ok().map(Self)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).filter(|text| text.len() <= MAX_TEXT_BYTES).map(str::to_owned)
    }

    pub fn error(&self) -> Option<String> {
        self.text("error")
    }

    pub fn receipt(&self) -> Option<Receipt> {
        Some(Receipt {
            hold: self.text("hold"),
            capture: self.text("capture"),
            spent: self.int("spent")?,
            overage: self.int("overage")?,
            held: self.int("held")?,
            remaining: self.int("remaining")?,
            expires_at: self.int("expires_at"),
            thresholds: self.thresholds(),
        })
    }

    /// A receipt that names the hold.
    pub fn held(&self) -> Option<Receipt> {
        self.receipt().filter(|receipt| receipt.hold.is_some())
    }

    fn thresholds(&self) -> Vec<Threshold> {
        let items = self.0.get("thresholds").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let read = |item: &Value| {
            let percent = item.get("percent")?.as_i64().and_then(|percent| u8::try_from(percent).ok())?;
            Some(Threshold { line: item.get("line")?.as_str()?.to_owned(), percent })
        };
        items.iter().take(MAX_THRESHOLDS).filter_map(read).collect()
    }

    pub fn reported(&self) -> Option<Reported> {
        Some(Reported { spent: self.int("spent")?, overage: self.int("overage")?, remaining: self.int("remaining")? })
    }

    pub fn line(&self) -> Option<LineState> {
        Some(LineState {
            line: self.text("line")?,
            unit: Unit::new(&self.text("unit")?, self.int("decimals")?).ok()?,
            amount: self.int("amount")?,
            per_call: self.int("per_call"),
            held: self.int("held")?,
            spent: self.int("spent")?,
            carved: self.int("carved")?,
            overage: self.int("overage")?,
            remaining: self.int("remaining")?,
            enforce: Enforce::parse(&self.text("enforce")?)?,
            expires_at: self.int("expires_at"),
        })
    }

    pub fn insufficient(&self) -> BudgetRefusal {
        BudgetRefusal {
            description: self
                .text("error_description")
                .map_or(Cow::Borrowed("the budget does not admit this"), Cow::Owned),
            line: self.text("line"),
            required: self.int("required"),
            remaining: self.int("remaining"),
            per_call: self.int("per_call"),
        }
    }
}
