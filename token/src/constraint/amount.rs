//! How much one call may be about.

use super::call::Body;
use super::list::{Bound, present};
use super::selector::Selector;
use super::verdict::Reason;
use crate::budget::Amount;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest name of a unit.
const MAX_UNIT_BYTES: usize = 32;

/// A most for the integer at a place of the body, counted as the upstream counts it. With a unit
/// the text at another place must be exactly that unit: 5000 of another currency is another
/// amount.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "RawMaxAmount", into = "RawMaxAmount")]
pub(super) struct MaxAmount {
    selector: Selector,
    unit: Option<(String, Selector)>,
    amount: Amount,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawMaxAmount {
    amount: Amount,
    selector: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    unit_selector: Option<Selector>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unit and unit_selector come together: a unit of 1 to 32 bytes, and where the body says it")]
pub(super) struct MaxAmountError;

impl TryFrom<RawMaxAmount> for MaxAmount {
    type Error = MaxAmountError;

    fn try_from(raw: RawMaxAmount) -> Result<Self, MaxAmountError> {
        let unit = match (raw.unit, raw.unit_selector) {
            (Some(unit), Some(selector)) if !unit.is_empty() && unit.len() <= MAX_UNIT_BYTES => Some((unit, selector)),
            (None, None) => None,
            _ => return Err(MaxAmountError),
        };
        Ok(Self { selector: raw.selector, unit, amount: raw.amount })
    }
}

impl From<MaxAmount> for RawMaxAmount {
    fn from(max: MaxAmount) -> Self {
        let (unit, unit_selector) = max.unit.unzip();
        Self { amount: max.amount, selector: max.selector, unit, unit_selector }
    }
}

impl MaxAmount {
    /// The amount that the body asks for, if it is within.
    pub fn read(&self, body: &Body) -> Result<Amount, Reason> {
        let amount = Amount::parse(self.selector.read(body)?).map_err(|_| Reason::NotAnAmount)?;
        if let Some((unit, selector)) = &self.unit {
            match selector.read(body)? {
                Value::String(text) if text == unit => {}
                Value::String(_) => return Err(Reason::OtherUnit),
                _ => return Err(Reason::WrongType),
            }
        }
        if amount <= self.amount { Ok(amount) } else { Err(Reason::Exceeded) }
    }

    pub fn unit(&self) -> Option<&str> {
        self.unit.as_ref().map(|(unit, _)| unit.as_str())
    }
}

/// Of the same amount the smaller one; amounts at other places, or in other units, are others.
impl Bound for MaxAmount {
    fn merge(&self, other: &Self) -> Option<Self> {
        let same = self.selector == other.selector && self.unit == other.unit;
        same.then(|| Self { amount: self.amount.min(other.amount), ..self.clone() })
    }
}
