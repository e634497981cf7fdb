//! What is counted: a code and how many decimals its smallest part has.

use std::fmt;

/// Longest code.
const MAX_CODE_BYTES: usize = 32;
/// Most decimals.
const MAX_DECIMALS: u8 = 9;
/// Money is counted in millionths.
const MONEY_DECIMALS: i64 = 6;

/// `USD` with 6 decimals, `call` and `token` with none, or a unit of one's own. Two units are
/// the same when both parts are; nothing converts one into another.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Unit {
    code: String,
    decimals: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnitError {
    #[error("a unit is a letter and then letters, digits, `_`, `-` or `.`, 32 at most")]
    Code,
    #[error("this unit has other decimals: 6 for money, 0 for call and token, 9 at most for others")]
    Decimals,
}

impl Unit {
    /// # Errors
    /// [`UnitError`].
    pub fn new(code: &str, decimals: i64) -> Result<Self, UnitError> {
        let mut bytes = code.bytes();
        let well_formed = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && code.len() <= MAX_CODE_BYTES;
        if !well_formed {
            return Err(UnitError::Code);
        }
        if Self::known_decimals(code).is_some_and(|known| known != decimals) {
            return Err(UnitError::Decimals);
        }
        let decimals = u8::try_from(decimals).ok().filter(|decimals| *decimals <= MAX_DECIMALS);
        Ok(Self { code: code.to_owned(), decimals: decimals.ok_or(UnitError::Decimals)? })
    }

    /// The decimals of a unit that has them by its code.
    #[must_use]
    pub fn known_decimals(code: &str) -> Option<i64> {
        match code {
            "call" | "token" => Some(0),
            _ if is_money(code) => Some(MONEY_DECIMALS),
            _ => None,
        }
    }

    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    #[must_use]
    pub fn decimals(&self) -> u8 {
        self.decimals
    }
}

/// The form of ISO 4217: three capitals.
fn is_money(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code, self.decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_calls_and_tokens_have_their_decimals() {
        assert!(Unit::new("USD", 6).is_ok() && Unit::new("call", 0).is_ok() && Unit::new("gpu-second", 3).is_ok());
        for (code, decimals) in [("USD", 2), ("EUR", 0), ("call", 1), ("token", 6), ("x", 10), ("x", -1), ("x", 300)] {
            assert_eq!(Unit::new(code, decimals), Err(UnitError::Decimals), "{code} {decimals}");
        }
        for code in ["", "1a", "-", "a b", "é", "USD\0", &"a".repeat(33)] {
            assert_eq!(Unit::new(code, 0), Err(UnitError::Code), "{code:?}");
        }
    }

    #[test]
    fn the_same_code_with_other_decimals_is_another_unit() {
        assert_ne!(Unit::new("point", 0), Unit::new("point", 2));
    }
}
