//! Budgets as they are kept: what a caller orders ([`Spend`]), what it is answered ([`Answer`]),
//! and the books in which a batch of orders is decided.
//!
//! The steps are those of `stipend_token::budget` and nothing else decides. Here they get
//! their levels, under lock, and what they changed is stored in the same transaction as the
//! audit record and the answer, so that a retry finds the answer or finds nothing done.

mod books;
mod rows;
mod words;

pub(crate) use books::{Books, Entries, Stored};
pub use rows::{BudgetAnswerRow, BudgetCaptureRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow};

use serde::{Deserialize, Serialize};
use stipend_token::budget::Amount;

/// Most lines that one hold is charged to.
pub const MAX_PATH: usize = 32;

/// One step of the ledger, decided inside the transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spend {
    /// Who spends: holds and captures of other clients don't exist for it.
    pub client_id: String,
    pub step: Step,
    /// What makes a retry the same request.
    pub key: Option<SpendKey>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpendKey {
    /// Of client, operation and key.
    pub key_hash: [u8; 32],
    /// Of the request's content.
    pub digest: [u8; 32],
    /// Seconds; from then on the answer need not be remembered.
    pub expires_at: i64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    Hold(NewHold),
    Capture {
        capture_id: String,
        hold_id: String,
        amount: Amount,
        /// The rest of the hold is free again.
        last: bool,
    },
    Void {
        hold_id: String,
    },
    Extend {
        hold_id: String,
        /// Seconds.
        expires_at: i64,
    },
    /// A hold and its last capture in one.
    Charge {
        hold: NewHold,
        capture_id: String,
    },
    Refund {
        capture_id: String,
        amount: Amount,
    },
    /// Ends a hold whose time is over.
    Expire {
        hold_id: String,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewHold {
    pub hold_id: String,
    /// The lines charged: each chain leaf first, up to the line that pays. A line in two
    /// chains is charged once. Overage is recorded at the first chain's leaf.
    pub paths: Vec<Vec<String>>,
    pub jti: Option<String>,
    pub amount: Amount,
    /// Seconds.
    pub expires_at: i64,
}

impl Spend {
    /// PostgreSQL can't store U+0000 in text.
    pub(crate) fn has_nul(&self) -> bool {
        let new = match &self.step {
            Step::Hold(new) | Step::Charge { hold: new, .. } => Some(new),
            Step::Capture { .. }
            | Step::Void { .. }
            | Step::Extend { .. }
            | Step::Refund { .. }
            | Step::Expire { .. } => None,
        };
        let ids = match &self.step {
            Step::Hold(_) => [None, None],
            Step::Capture { capture_id, hold_id, .. } => [Some(capture_id), Some(hold_id)],
            Step::Charge { capture_id, .. } | Step::Refund { capture_id, .. } => [Some(capture_id), None],
            Step::Void { hold_id } | Step::Extend { hold_id, .. } | Step::Expire { hold_id } => [Some(hold_id), None],
        };
        let of_hold = new.into_iter().flat_map(|new| new.paths.iter().flatten().chain([&new.hold_id]).chain(&new.jti));
        ids.into_iter().flatten().chain(of_hold).chain([&self.client_id]).any(|text| text.contains('\0'))
    }
}

/// What became of a step. It is stored with its key, refusals too.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done(Receipt),
    Declined(Refusal),
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_id: Option<String>,
    /// Spent by this step, or taken back from what was spent where negative.
    #[serde(default)]
    pub spent: i64,
    #[serde(default)]
    pub overage: i64,
    /// What the hold still keeps back.
    #[serde(default)]
    pub held: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// What the tightest level has left.
    pub remaining: i64,
    /// Lines whose use reached a threshold by this step, and the percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<(String, u8)>,
}

/// Why a step was not done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("no such line, hold or capture")]
    NotFound,
    #[error("the line {line_id} is closed")]
    Closed { line_id: String },
    #[error("the line {line_id} has {remaining} left")]
    Insufficient { line_id: String, required: i64, remaining: i64 },
    #[error("the line {line_id} admits {per_call} in one call")]
    PerCall { line_id: String, required: i64, per_call: i64 },
    #[error("the line {line_id} spent more than it had")]
    Frozen { line_id: String },
    #[error("nothing is not an amount to spend")]
    Zero,
    #[error("the hold has ended")]
    Ended,
    #[error("it is more than was taken")]
    TooMuch,
    #[error("the key was used for another request")]
    KeyReused,
}

impl Refusal {
    /// The audit's word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound => "no_such_budget",
            Self::Closed { .. } => "budget_closed",
            Self::Insufficient { .. } => "insufficient_budget",
            Self::PerCall { .. } => "per_call_exceeded",
            Self::Frozen { .. } => "budget_overdrawn",
            Self::Zero => "amount_zero",
            Self::Ended => "hold_ended",
            Self::TooMuch => "amount_too_much",
            Self::KeyReused => "idempotency_key_reused",
        }
    }
}

/// The end of a [`Spend`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settled {
    pub answer: Answer,
    /// The answer is that of an earlier request with the same key; nothing was done now.
    pub repeated: bool,
}
