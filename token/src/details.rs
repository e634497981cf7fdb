//! `authorization_details` (RFC 9396) of several types in one list: parted by type, and each
//! part then read by what knows the type.

use crate::budget::{BUDGET_TYPE, MAX_DETAILS_BYTES};
use crate::constraint::CREDENTIAL_RELEASE_TYPE;
use crate::json::{Limits, parse_value};
use serde_json::Value;

/// Every type there is.
pub const DETAILS_TYPES: [&str; 2] = [BUDGET_TYPE, CREDENTIAL_RELEASE_TYPE];

/// Most objects of all types.
pub const MAX_DETAILS: usize = 16;
/// A list of objects, in which constraints are lists of sets of lists of objects of lists.
const MAX_DETAILS_DEPTH: usize = 8;

/// The objects of each type, in the order in which they came. A type that was not named has
/// none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DetailsByType {
    /// For [`crate::budget::parse_budgets`].
    pub budgets: Vec<Value>,
    /// For [`crate::constraint::CredentialRelease::parse_all`].
    pub credential_releases: Vec<Value>,
}

/// Why a list is refused before its objects are looked into.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SplitError {
    #[error("authorization_details is not a JSON list of 1 to 16 objects")]
    Malformed,
    #[error("authorization_details has a type that is not supported")]
    UnknownType,
}

/// Reads the parameter and parts it by type.
///
/// # Errors
/// [`SplitError`].
pub fn parse_and_split(text: &str) -> Result<DetailsByType, SplitError> {
    let limits = Limits { max_bytes: MAX_DETAILS_BYTES, max_depth: MAX_DETAILS_DEPTH };
    let value = parse_value(text.as_bytes(), limits).map_err(|_| SplitError::Malformed)?;
    split_by_type(&value)
}

/// Parts a list that was read by [`crate::json`].
///
/// # Errors
/// [`SplitError`].
pub fn split_by_type(value: &Value) -> Result<DetailsByType, SplitError> {
    let fits = |items: &&Vec<Value>| (1..=MAX_DETAILS).contains(&items.len());
    let items = value.as_array().filter(fits).ok_or(SplitError::Malformed)?;
    let mut parts = DetailsByType::default();
    for item in items {
        let name = item.as_object().and_then(|map| map.get("type")).and_then(Value::as_str);
        let part = match name.ok_or(SplitError::Malformed)? {
            BUDGET_TYPE => &mut parts.budgets,
            CREDENTIAL_RELEASE_TYPE => &mut parts.credential_releases,
            _ => return Err(SplitError::UnknownType),
        };
        part.push(item.clone());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::parse_budgets;
    use crate::constraint::CredentialRelease;

    const BUDGET: &str = r#"{"type":"budget","unit":"USD","decimals":6,"amount":5}"#;
    const RELEASE: &str = r#"{"type":"credential_release","identifier":"a","actions":["proxy"],
        "constraints":[{"paths":[{"exact":"/a"}],"time_of_day":[{"zone":"UTC","from":"09:00","to":"17:00","days":["mon"]}]},
        {"mode":"observe","recipients":[{"selector":"/to","domains":["example.com"]}]}]}"#;

    #[test]
    fn each_type_is_read_by_what_knows_it() {
        let parts = parse_and_split(&format!("[{BUDGET},{RELEASE}]")).unwrap();
        assert_eq!(parse_budgets(&parts.budgets).unwrap()[0].amount.parts(), 5);
        assert_eq!(CredentialRelease::parse_all(&parts.credential_releases).unwrap()[0].identifier(), "a");
        let only = parse_and_split(&format!("[{RELEASE}]")).unwrap();
        assert!(only.budgets.is_empty() && only.credential_releases.len() == 1);
    }

    #[test]
    fn what_is_no_list_of_known_types_is_refused() {
        use SplitError::{Malformed, UnknownType};
        for (text, error) in [
            ("", Malformed),
            ("{}", Malformed),
            ("[]", Malformed),
            ("[1]", Malformed),
            ("[{}]", Malformed),
            ("[{\"type\":7}]", Malformed),
            ("[[{\"type\":\"budget\"}]]", Malformed),
            ("[{\"type\":\"budget\",\"type\":\"credential_release\"}]", Malformed),
            ("[{\"type\":\"payment\"}]", UnknownType),
            ("[{\"type\":\"Budget\"}]", UnknownType),
        ] {
            assert_eq!(parse_and_split(text), Err(error), "{text}");
        }
        let list = |count: usize| format!("[{}]", vec!["{\"type\":\"budget\"}"; count].join(","));
        assert!(parse_and_split(&list(16)).is_ok());
        assert_eq!(parse_and_split(&list(17)), Err(Malformed));
        assert_eq!(parse_and_split(&format!("[{BUDGET}{}]", " ".repeat(MAX_DETAILS_BYTES))), Err(Malformed));
        let deep = format!("[{{\"type\":\"budget\",\"x\":{}{}}}]", "[".repeat(7), "]".repeat(7));
        assert_eq!(parse_and_split(&deep), Err(Malformed));
    }

    #[test]
    fn a_list_of_budgets_alone_reads_as_before() {
        for text in [format!("[{BUDGET}]"), format!("[{BUDGET},{BUDGET}]"), "[{\"type\":\"budget\"}]".to_owned()] {
            let parts = parse_and_split(&text).unwrap();
            assert_eq!(parse_budgets(&parts.budgets), crate::budget::parse_details(&text), "{text}");
        }
    }
}
