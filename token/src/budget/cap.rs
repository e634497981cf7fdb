//! A budget as configuration says it: what a client gets by default, and the most that a rule
//! lets through.

use super::amount::Amount;
use super::unit::{Unit, UnitError};
use serde::{Deserialize, Serialize};

/// Most that there may be in one unit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawCap", into = "RawCap")]
pub struct BudgetCap {
    pub unit: Unit,
    pub amount: Amount,
    pub per_call: Option<Amount>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawCap {
    unit: String,
    decimals: i64,
    amount: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_call: Option<Amount>,
}

impl TryFrom<RawCap> for BudgetCap {
    type Error = UnitError;

    fn try_from(raw: RawCap) -> Result<Self, UnitError> {
        Ok(Self { unit: Unit::new(&raw.unit, raw.decimals)?, amount: raw.amount, per_call: raw.per_call })
    }
}

impl From<BudgetCap> for RawCap {
    fn from(cap: BudgetCap) -> Self {
        Self {
            unit: cap.unit.code().to_owned(),
            decimals: i64::from(cap.unit.decimals()),
            amount: cap.amount,
            per_call: cap.per_call,
        }
    }
}

impl BudgetCap {
    /// The tighter of both in each part; nothing where the units differ.
    #[must_use]
    pub fn within(&self, other: &Self) -> Option<Self> {
        (self.unit == other.unit).then(|| Self {
            unit: self.unit.clone(),
            amount: self.amount.min(other.amount),
            per_call: self.per_call.into_iter().chain(other.per_call).min(),
        })
    }

    /// Under every list of caps that there is: a list without the unit lets none of it
    /// through, and no list at all is no cap.
    #[must_use]
    pub fn under<'a>(self, lists: impl IntoIterator<Item = &'a [Self]>) -> Option<Self> {
        lists.into_iter().try_fold(self, |so_far, list| list.iter().find_map(|cap| so_far.within(cap)))
    }
}

/// Whether the units of a list differ, and there are no more than a token can name.
#[must_use]
pub fn units_differ(caps: &[BudgetCap]) -> bool {
    let repeated = |(index, cap): (usize, &BudgetCap)| caps.iter().take(index).any(|other| other.unit == cap.unit);
    caps.len() <= super::claim::MAX_TOKEN_LINES && !caps.iter().enumerate().any(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cap(unit: &str, parts: i64, per_call: Option<i64>) -> BudgetCap {
        let amount = |parts| Amount::new(parts).unwrap();
        BudgetCap { unit: Unit::new(unit, 0).unwrap(), amount: amount(parts), per_call: per_call.map(amount) }
    }

    #[test]
    fn the_tighter_part_of_each_list_remains() {
        let wanted = cap("call", 10, None);
        let lists = [vec![cap("token", 1, None), cap("call", 7, Some(3))], vec![cap("call", 9, Some(2))]];
        assert_eq!(wanted.clone().under(lists.iter().map(Vec::as_slice)), Some(cap("call", 7, Some(2))));
        assert_eq!(wanted.clone().under([&[][..]]), None, "an empty list lets nothing through");
        assert_eq!(wanted.clone().under([]), Some(wanted), "no list caps nothing");
    }

    #[test]
    fn what_is_no_cap_is_refused() {
        let read = |text: &str| serde_json::from_str::<BudgetCap>(text);
        assert!(read(r#"{"unit":"USD","decimals":6,"amount":5,"per_call":1}"#).is_ok());
        for text in [
            r#"{"unit":"USD","decimals":2,"amount":5}"#,
            r#"{"unit":"USD","decimals":6,"amount":-5}"#,
            r#"{"unit":"USD","decimals":6,"amount":5.0}"#,
            r#"{"unit":"USD","decimals":6}"#,
            r#"{"unit":"USD","decimals":6,"amount":5,"enforce":"as"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(units_differ(&[cap("call", 1, None), cap("token", 1, None)]));
        assert!(!units_differ(&[cap("call", 1, None), cap("call", 2, None)]));
    }

    proptest! {
        #[test]
        fn caps_only_narrow_in_any_order(
            parts in 0_i64..50, caps in prop::collection::vec((0_i64..50, prop::option::of(0_i64..50)), 0..4)
        ) {
            let wanted = cap("call", parts, None);
            let lists: Vec<_> = caps.iter().map(|(parts, per_call)| vec![cap("call", *parts, *per_call)]).collect();
            let got = wanted.clone().under(lists.iter().map(Vec::as_slice)).unwrap();
            let turned = wanted.clone().under(lists.iter().rev().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(&got, &turned);
            prop_assert!(got.amount <= wanted.amount);
            prop_assert_eq!(got.clone().under(lists.iter().map(Vec::as_slice)), Some(got), "twice is once");
        }
    }
}
