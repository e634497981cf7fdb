//! What rows say, in the words of the law, and back.

use super::Refusal;
use super::books::Place;
use super::rows::BudgetUseRow;
use stipend_token::budget::{Declined, HoldState, Level, Used};

pub(super) fn used(row: &BudgetUseRow) -> Used {
    Used {
        held: row.held,
        spent: row.spent,
        carved: row.carved,
        overage: row.overage,
        told: u8::try_from(row.told).unwrap_or(u8::MAX),
    }
}

pub(super) fn remaining(path: &[Level]) -> i64 {
    path.iter().map(Level::available).min().unwrap_or(0).max(0)
}

/// A refusal names the line, not its place on the path.
pub(super) fn name(declined: Declined, places: &[Place]) -> Refusal {
    let line = |level: usize| places.get(level).map(|(line, _)| line.clone()).unwrap_or_default();
    match declined {
        Declined::Insufficient { level, required, remaining } => {
            Refusal::Insufficient { line_id: line(level), required, remaining }
        }
        Declined::PerCall { level, required, per_call } => {
            Refusal::PerCall { line_id: line(level), required, per_call }
        }
        Declined::Zero => Refusal::Zero,
        Declined::Ended => Refusal::Ended,
        Declined::TooMuch => Refusal::TooMuch,
    }
}

pub(super) fn word(state: HoldState) -> &'static str {
    match state {
        HoldState::Open => "open",
        HoldState::Captured => "captured",
        HoldState::Voided => "voided",
        HoldState::Expired => "expired",
    }
}

pub(super) fn state(word: &str) -> Option<HoldState> {
    match word {
        "open" => Some(HoldState::Open),
        "captured" => Some(HoldState::Captured),
        "voided" => Some(HoldState::Voided),
        "expired" => Some(HoldState::Expired),
        _ => None,
    }
}
