//! `authorization_details` (RFC 9396 section 2) of the one type that is known here, `budget`.

use super::amount::Amount;
use super::claim::{Enforce, MAX_TOKEN_LINES};
use super::unit::Unit;
use crate::json::{Limits, parse_value};
use serde_json::{Map, Value};

/// The type's name.
pub const BUDGET_TYPE: &str = "budget";
/// Longest text of the parameter.
pub const MAX_DETAILS_BYTES: usize = 8 * 1024;
/// A list of flat objects.
const MAX_DETAILS_DEPTH: usize = 2;
/// Longest name of a task.
pub const MAX_TASK_BYTES: usize = 64;

/// A budget as it is asked for. Asking for more than there is narrows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    pub unit: Unit,
    pub amount: Amount,
    pub per_call: Option<Amount>,
    pub enforce: Enforce,
    /// Which of the agent's tasks pays, instead of the agent's own line.
    pub task: Option<String>,
}

/// Why `authorization_details` are refused: nothing of them is guessed or ignored
/// (RFC 9396 section 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DetailsError {
    #[error("authorization_details is not a JSON list of objects")]
    Malformed,
    #[error("authorization_details has a type that is not supported")]
    UnknownType,
    #[error("a budget has a member that is unknown, missing or of the wrong form")]
    Member,
    #[error("an amount is an integer from 1 to 999999999999999")]
    Amount,
    #[error("unit and decimals name no unit")]
    Unit,
    #[error("a unit is asked for twice, or more than 8 are")]
    Repeated,
}

/// Reads the parameter.
///
/// # Errors
/// [`DetailsError`].
pub fn parse_details(text: &str) -> Result<Vec<Asked>, DetailsError> {
    let limits = Limits { max_bytes: MAX_DETAILS_BYTES, max_depth: MAX_DETAILS_DEPTH };
    let value = parse_value(text.as_bytes(), limits).map_err(|_| DetailsError::Malformed)?;
    let items = value.as_array().filter(|items| !items.is_empty()).ok_or(DetailsError::Malformed)?;
    parse_budgets(items)
}

/// Reads objects of the type, which [`crate::json`] has read and
/// [`crate::details::split_by_type`] has parted from others.
///
/// # Errors
/// [`DetailsError`].
pub fn parse_budgets(items: &[Value]) -> Result<Vec<Asked>, DetailsError> {
    if items.len() > MAX_TOKEN_LINES {
        return Err(DetailsError::Repeated);
    }
    let mut budgets: Vec<Asked> = Vec::with_capacity(items.len());
    for item in items {
        let asked = parse_one(item.as_object().ok_or(DetailsError::Malformed)?)?;
        if budgets.iter().any(|other| other.unit == asked.unit) {
            return Err(DetailsError::Repeated);
        }
        budgets.push(asked);
    }
    Ok(budgets)
}

fn parse_one(map: &Map<String, Value>) -> Result<Asked, DetailsError> {
    let text = |name: &str| match map.get(name) {
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(DetailsError::Member),
        None => Ok(None),
    };
    match text("type") {
        Ok(Some(BUDGET_TYPE)) => {}
        Ok(Some(_)) => return Err(DetailsError::UnknownType),
        Ok(None) | Err(_) => return Err(DetailsError::Malformed),
    }
    let known = ["type", "unit", "decimals", "amount", "per_call", "enforce", "task"];
    if map.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(DetailsError::Member);
    }
    let decimals = map.get("decimals").ok_or(DetailsError::Member)?.as_i64().ok_or(DetailsError::Unit)?;
    let unit = Unit::new(text("unit")?.ok_or(DetailsError::Member)?, decimals).map_err(|_| DetailsError::Unit)?;
    let enforce = match text("enforce")? {
        Some(word) => Enforce::parse(word).ok_or(DetailsError::Member)?,
        None => Enforce::default(),
    };
    let task = text("task")?.map(str::to_owned);
    if task.as_deref().is_some_and(|task| !is_task_name(task)) {
        return Err(DetailsError::Member);
    }
    let amount = positive(map.get("amount").ok_or(DetailsError::Member)?)?;
    Ok(Asked { unit, amount, per_call: map.get("per_call").map(positive).transpose()?, enforce, task })
}

/// Asking for nothing is a mistake.
fn positive(value: &Value) -> Result<Amount, DetailsError> {
    Amount::parse(value).ok().filter(|amount| *amount != Amount::ZERO).ok_or(DetailsError::Amount)
}

/// Letters, digits, `-`, `_` and `.`, 64 at most.
#[must_use]
pub fn is_task_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_TASK_BYTES && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A budget with one member written otherwise.
    fn with(name: &str, value: &str) -> String {
        let members = [("type", "\"budget\""), ("unit", "\"USD\""), ("decimals", "6"), ("amount", "5")];
        let replaced = members.iter().any(|(other, _)| *other == name);
        let more = (!replaced).then_some((name, value));
        let text = |(other, old): &(&str, &str)| format!("\"{other}\":{}", if *other == name { value } else { old });
        let members: Vec<String> = members.iter().chain(&more).map(text).collect();
        format!("[{{{}}}]", members.join(","))
    }

    #[test]
    fn a_budget_is_read_whole() {
        let asked = parse_details(&with("per_call", "2")).unwrap();
        assert_eq!((asked[0].amount.parts(), asked[0].per_call.map(Amount::parts)), (5, Some(2)));
        assert_eq!((asked[0].enforce, &asked[0].task), (Enforce::Server, &None));
        assert_eq!(parse_details(&with("enforce", "\"rs\"")).unwrap()[0].enforce, Enforce::Service);
        assert_eq!(parse_details(&with("task", "\"nightly-1\"")).unwrap()[0].task.as_deref(), Some("nightly-1"));
    }

    #[test]
    fn only_positive_integers_are_amounts() {
        let hostile = ["-1", "0", "0.5", "5.0", "\"5\"", "1e2", "9007199254740993", "9223372036854775808"];
        for amount in hostile.into_iter().chain(["1000000000000000", "null", "true", "[5]", "-0"]) {
            assert!(parse_details(&with("amount", amount)).is_err(), "{amount}");
            assert!(parse_details(&with("per_call", amount)).is_err(), "per_call {amount}");
        }
        assert_eq!(parse_details(&with("amount", "NaN")), Err(DetailsError::Malformed));
        assert!(parse_details(&with("amount", "999999999999999")).is_ok());
    }

    #[test]
    fn nothing_is_guessed_or_ignored() {
        use DetailsError::{Malformed, Member, Repeated, Unit, UnknownType};
        let cases = [
            ("", Malformed),
            ("{}", Malformed),
            ("[]", Malformed),
            ("[1]", Malformed),
            ("[{}]", Malformed),
            ("[{\"type\":7}]", Malformed),
            ("[[{}]]", Malformed),
            ("[{\"type\":\"payment\"}]", UnknownType),
            ("[{\"type\":\"budget\"}]", Member),
            ("[{\"type\":\"budget\",\"type\":\"budget\"}]", Malformed),
        ];
        for (text, error) in cases {
            assert_eq!(parse_details(text), Err(error), "{text}");
        }
        let members = [
            (with("amount", "5,\"amount\":6"), Malformed),
            (with("currency", "\"USD\""), Member),
            (with("unit", "5"), Member),
            (with("unit", "\"\""), Unit),
            (with("unit", "\"call\""), Unit),
            (with("decimals", "2"), Unit),
            (with("decimals", "6.0"), Unit),
            (with("decimals", "\"6\""), Unit),
            (with("enforce", "\"both\""), Member),
            (with("enforce", "null"), Member),
            (with("task", "\"a/b\""), Member),
            (with("task", "\"\""), Member),
        ];
        for (text, error) in members {
            assert_eq!(parse_details(&text), Err(error), "{text}");
        }
        let one = with("amount", "5");
        let inner = one.trim_matches(['[', ']']);
        assert_eq!(parse_details(&format!("[{inner},{inner}]")), Err(Repeated), "the same unit twice");
        let other = |n: usize| inner.replace("\"USD\",\"decimals\":6", &format!("\"u{n}\",\"decimals\":0"));
        let list = |n: usize| format!("[{}]", (0..n).map(other).collect::<Vec<_>>().join(","));
        assert!(parse_details(&list(8)).is_ok());
        assert_eq!(parse_details(&list(9)), Err(Repeated));
        assert_eq!(parse_details(&format!("[{}", " ".repeat(MAX_DETAILS_BYTES))), Err(Malformed));
    }
}
