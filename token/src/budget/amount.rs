//! Amounts: integers in the unit's smallest part. No fraction, no sign, no rounding.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// 15 digits: exact in every JSON reader, also those that keep numbers as doubles.
pub const MAX_AMOUNT: i64 = 999_999_999_999_999;

/// 0 to [`MAX_AMOUNT`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "i64")]
pub struct Amount(i64);

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an amount is an integer from 0 to 999999999999999")]
pub struct AmountError;

impl Amount {
    pub const ZERO: Self = Self(0);

    /// # Errors
    /// [`AmountError`].
    pub fn new(parts: i64) -> Result<Self, AmountError> {
        if (0..=MAX_AMOUNT).contains(&parts) { Ok(Self(parts)) } else { Err(AmountError) }
    }

    /// Reads a JSON number that is written as an integer: not `5.0`, not `1e2`, not `"5"`.
    ///
    /// # Errors
    /// [`AmountError`].
    pub fn parse(value: &Value) -> Result<Self, AmountError> {
        value.as_i64().ok_or(AmountError).and_then(Self::new)
    }

    #[must_use]
    pub fn parts(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = AmountError;

    fn try_from(parts: i64) -> Result<Self, AmountError> {
        Self::new(parts)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse_object};

    fn read(number: &str) -> Result<Amount, AmountError> {
        let limits = Limits { max_bytes: 1024, max_depth: 2 };
        let object = parse_object(format!("{{\"amount\":{number}}}").as_bytes(), limits).map_err(|_| AmountError)?;
        Amount::parse(&object["amount"])
    }

    #[test]
    fn only_integers_of_fifteen_digits_are_amounts() {
        for (text, parts) in [("0", 0), ("1", 1), ("999999999999999", MAX_AMOUNT)] {
            assert_eq!(read(text).unwrap().parts(), parts);
        }
        let hostile = [
            "-1",
            "-0.0",
            "0.5",
            "5.0",
            "1e2",
            "1E2",
            "\"5\"",
            "1000000000000000",
            "9007199254740993",
            "9223372036854775808",
            "18446744073709551616",
            "NaN",
            "Infinity",
            "null",
            "true",
            "[5]",
            "{}",
            "0x5",
            "05",
            "+5",
            "5.",
            "\"\"",
        ];
        for text in hostile {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
