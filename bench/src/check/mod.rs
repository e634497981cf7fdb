//! The checker: what was answered, held against what the deployment says at the end.
//!
//! It is given evidence and asks nothing itself, so that a test can give it any evidence. It
//! believes definite answers; of what had none it knows only that it may have happened.

mod answers;
mod audit;
mod bounds;
mod ledger;
mod revoked;

use crate::load::history::{History, Token, Used};
use crate::setup::World;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use audit::Record;

/// A promise that was not kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    pub check: Check,
    pub what: String,
}

/// What is asserted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Spent, held and carved are what was answered, to the unit.
    Totals,
    /// What was granted is what remains and what is used, at every level.
    Conservation,
    /// Nothing exceeds a limit.
    Limits,
    /// A line never says what can't be.
    Observations,
    /// One effect for each key, and the same answer.
    Keys,
    /// What must be refused was.
    Forbidden,
    /// What must not be refused was not.
    WrongRefusals,
    /// What was revoked is dead.
    Revocation,
    /// One record for each answer, and none of what did not happen.
    Audit,
    /// What could not be settled, dropped or looked at.
    Completeness,
    /// `stipend audit verify` and `stipend budget verify`.
    Commands,
    /// Back within the time promised, after each fault.
    Recovery,
}

/// All that is known.
#[derive(Debug)]
pub struct Evidence<'a> {
    pub world: &'a World,
    pub history: &'a History,
    /// The fixed lines at the end.
    pub lines: BTreeMap<String, Used>,
    /// Lines of tokens at the end, as many as were looked at.
    pub tokens: Vec<(Arc<Token>, Used)>,
    /// The records since the beginning; `None` where they are not to be compared.
    pub records: Option<Vec<Record>>,
}

/// Everything that is wrong.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut violations = ledger::judge(evidence);
    let timelines = bounds::Timelines::of(evidence);
    violations.extend(bounds::judge(evidence, &timelines));
    violations.extend(answers::judge(evidence.history, &timelines));
    violations.extend(revoked::judge(evidence.history));
    if let Some(records) = &evidence.records {
        violations.extend(audit::judge(evidence, records));
    }
    violations
}

pub(crate) fn violation(check: Check, what: impl Into<String>) -> Violation {
    Violation { check, what: what.into() }
}
