//! Budgets as they are kept: what a caller orders ([`Spend`]), what it is answered ([`Answer`]),
//! and the books in which a batch of orders is decided.
//!
//! The steps are those of `stipend_token::budget` and nothing else decides. Here they get
//! their levels, under lock, and what they changed is stored in the same transaction as the
//! audit record and the answer, so that a retry finds the answer or finds nothing done.

mod books;
mod carve;
mod issue;
mod levels;
mod rows;
mod spend;
mod verify;
mod words;

pub(crate) use books::{Books, Entries, Stored, remembered};
pub use rows::{BudgetAnswerRow, BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow};
pub(crate) use verify::{CaptureEntry, CarveEntry, HoldEntry, Journal, UseEntry};
pub use verify::{MAX_FAULTS, Proof};

use serde::{Deserialize, Serialize};
use stipend_token::budget::{Amount, Enforce, Unit};

/// Most lines that one hold is charged to.
pub const MAX_PATH: usize = 32;
/// How long after its due time a carved amount waits for the service's last report, in
/// seconds. Then what was not reported unspent counts as spent.
pub const REPORT_GRACE_SECONDS: i64 = 24 * 3600;

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
    /// What the caller needs to answer the same again, and no secret.
    pub keep: Option<String>,
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
    /// Opens the lines of a new token.
    Issue(NewToken),
    /// What a service has spent of a carved line, in all.
    Report {
        line_id: String,
        spent: Amount,
        /// No other report follows: the rest was not spent.
        last: bool,
    },
    /// Ends a carved line that is due.
    Settle {
        line_id: String,
    },
}

/// A token whose budget is decided with its issue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewToken {
    pub jti: String,
    pub audience: String,
    /// Seconds: the token's `exp`.
    pub expires_at: i64,
    pub lines: Vec<NewLine>,
}

/// A line that a token is to get. The ledger narrows it to what there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewLine {
    pub line_id: String,
    /// Who pays.
    pub owner_id: String,
    pub unit: Unit,
    /// At most.
    pub amount: Amount,
    pub per_call: Option<Amount>,
    pub enforce: Enforce,
    /// The lines above, nearest first, up to the one that pays.
    pub above: Vec<String>,
    /// Where there is nothing to grant, the token is refused.
    pub required: bool,
    /// Most lines of tokens under the nearest line above.
    pub max_children: Option<i64>,
    /// Seconds: when a carved amount may come back.
    pub due_at: i64,
}

/// A line as it was granted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Granted {
    pub line_id: String,
    /// Code and decimals: `USD/6`.
    pub unit: String,
    pub amount: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_call: Option<Amount>,
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
        let texts: Vec<&String> = match &self.step {
            Step::Hold(new) => new.texts().collect(),
            Step::Charge { hold, capture_id } => hold.texts().chain([capture_id]).collect(),
            Step::Capture { capture_id, hold_id, .. } => vec![capture_id, hold_id],
            Step::Void { hold_id } | Step::Extend { hold_id, .. } | Step::Expire { hold_id } => vec![hold_id],
            Step::Refund { capture_id, .. } => vec![capture_id],
            Step::Issue(new) => new.texts().collect(),
            Step::Report { line_id, .. } | Step::Settle { line_id } => vec![line_id],
        };
        let kept = self.key.as_ref().and_then(|key| key.keep.as_ref());
        texts.into_iter().chain([&self.client_id]).chain(kept).any(|text| text.contains('\0'))
    }
}

impl NewHold {
    fn texts(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().flatten().chain([&self.hold_id]).chain(&self.jti)
    }
}

impl NewToken {
    /// A token without a budget: there is nothing to decide, and its answer can be kept.
    #[must_use]
    pub fn bare(jti: &str, expires_at: i64) -> Self {
        Self { jti: jti.to_owned(), audience: String::new(), expires_at, lines: Vec::new() }
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let of_lines =
            self.lines.iter().flat_map(|line| [&line.line_id, &line.owner_id].into_iter().chain(&line.above));
        of_lines.chain([&self.jti, &self.audience])
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
    /// Lines of an issued token, in the order asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<Granted>,
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
    #[error("the line {line_id} is counted by the service")]
    Carved { line_id: String },
    #[error("the line {line_id} has as many lines under it as it may")]
    Children { line_id: String },
    #[error("it is less than was reported before")]
    Backwards,
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
            Self::Carved { .. } => "budget_carved",
            Self::Children { .. } => "too_many_children",
            Self::Backwards => "report_backwards",
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
    /// What that request left to be kept.
    pub kept: Option<String>,
}
