//! One level of a path: a line with its limit in effect, and what its present period has used.

use super::amount::{Amount, MAX_AMOUNT};

/// Shares of the limit, in percent, that are told of once in each period.
pub const THRESHOLDS: [u8; 3] = [50, 80, 100];

/// What a line has used in one period. Never negative.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Used {
    /// Held by holds that have not ended.
    pub held: i64,
    pub spent: i64,
    /// Given away to be spent elsewhere, and not come back.
    pub carved: i64,
    /// Spent although there was nothing left: recorded, not in `spent`, and in the way of more.
    pub overage: i64,
    /// The highest of [`THRESHOLDS`] that was told of.
    pub told: u8,
}

impl Used {
    /// All that is not available any more.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.held.saturating_add(self.spent).saturating_add(self.carved).saturating_add(self.overage)
    }
}

/// A line as a step sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Level {
    /// In effect now, with the increases of the moment.
    pub limit: Amount,
    /// Most that one hold may take.
    pub per_call: Option<Amount>,
    /// What earlier parts of a rolling window have used, which still counts.
    pub earlier: i64,
    pub used: Used,
}

/// Why a step was not done. `level` counts from the leaf, which is 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Declined {
    #[error("nothing is not an amount to spend")]
    Zero,
    #[error("there is not enough left")]
    Insufficient { level: usize, required: i64, remaining: i64 },
    #[error("it is more than one call may take")]
    PerCall { level: usize, required: i64, per_call: i64 },
    #[error("the hold has ended")]
    Ended,
    #[error("it is more than was taken")]
    TooMuch,
}

impl Level {
    /// What may still be taken; negative after the limit was lowered below what is used, and
    /// where there is overage.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.limit.parts().saturating_sub(self.used.total()).saturating_sub(self.earlier)
    }

    /// Whether `amount` may be held here by one call.
    pub(super) fn admits(&self, level: usize, amount: i64) -> Result<(), Declined> {
        if let Some(per_call) = self.per_call.filter(|per_call| amount > per_call.parts()) {
            return Err(Declined::PerCall { level, required: amount, per_call: per_call.parts() });
        }
        self.has(level, amount)
    }

    pub(super) fn has(&self, level: usize, amount: i64) -> Result<(), Declined> {
        let available = self.available();
        if amount > available {
            return Err(Declined::Insufficient { level, required: amount, remaining: available.max(0) });
        }
        Ok(())
    }
}

/// The thresholds that use has reached and that were not told of: to be told now, and once.
#[must_use]
pub fn crossed(level: &Level) -> Vec<u8> {
    let limit = level.limit.parts();
    if limit == 0 {
        return Vec::new();
    }
    let spent = level.used.spent.saturating_add(level.earlier).min(MAX_AMOUNT);
    // 100 * 10^15 is well within 64 bits.
    let reached = |percent: u8| spent.saturating_mul(100) >= limit.saturating_mul(i64::from(percent));
    THRESHOLDS.into_iter().filter(|percent| *percent > level.used.told && reached(*percent)).collect()
}
