//! The `budget` claim: the lines a token may spend from, and how much of each at most.

use super::amount::Amount;
use super::unit::Unit;
use crate::json::JsonError;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// Lines one token may name, each in a unit of its own.
pub const MAX_TOKEN_LINES: usize = 8;
/// Longest id of a line.
const MAX_ID_BYTES: usize = 64;

/// Who counts what is spent from a line.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Enforce {
    /// The authorization server: a cap under the lines above, which are charged as well.
    #[default]
    #[serde(rename = "as")]
    Server,
    /// The one service the token is for: the amount was carved out of the lines above.
    #[serde(rename = "rs")]
    Service,
}

impl Enforce {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "as",
            Self::Service => "rs",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "as" => Some(Self::Server),
            "rs" => Some(Self::Service),
            _ => None,
        }
    }
}

/// One line of a token, as granted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenLine {
    pub id: String,
    pub unit: Unit,
    /// Most that may be spent from it, over the token's life.
    pub amount: Amount,
    /// Most that one call may take.
    pub per_call: Option<Amount>,
    pub enforce: Enforce,
}

impl TokenLine {
    /// Reads the claim: a list of lines, in units that differ. It may be empty: such a token
    /// spends nothing, and nothing that descends from it does.
    ///
    /// # Errors
    /// [`JsonError::Member`]. Members that are not known are for readers that know them.
    pub fn parse_claim(value: &Value) -> Result<Vec<Self>, JsonError> {
        let items = value.as_array().filter(|items| items.len() <= MAX_TOKEN_LINES).ok_or(MALFORMED)?;
        let mut lines: Vec<Self> = Vec::with_capacity(items.len());
        for item in items {
            let line = item.as_object().and_then(Self::parse).ok_or(MALFORMED)?;
            if lines.iter().any(|other| other.unit == line.unit || other.id == line.id) {
                return Err(MALFORMED);
            }
            lines.push(line);
        }
        Ok(lines)
    }

    fn parse(map: &Map<String, Value>) -> Option<Self> {
        let text = |name| map.get(name).and_then(Value::as_str);
        let id = text("id").filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES)?;
        let unit = Unit::new(text("unit")?, map.get("decimals")?.as_i64()?).ok()?;
        Some(Self {
            id: id.to_owned(),
            unit,
            amount: Amount::parse(map.get("amount")?).ok()?,
            per_call: map.get("per_call").map(Amount::parse).transpose().ok()?,
            enforce: Enforce::parse(text("enforce")?)?,
        })
    }
}

const MALFORMED: JsonError = JsonError::Member { name: "budget", expected: "a short list of lines in different units" };

impl Serialize for TokenLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("unit", self.unit.code())?;
        map.serialize_entry("decimals", &self.unit.decimals())?;
        map.serialize_entry("amount", &self.amount)?;
        if let Some(per_call) = &self.per_call {
            map.serialize_entry("per_call", per_call)?;
        }
        map.serialize_entry("enforce", &self.enforce)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line() -> Value {
        json!({"id": "bl_1", "unit": "USD", "decimals": 6, "amount": 2_000_000, "per_call": 500_000, "enforce": "as"})
    }

    #[test]
    fn a_claim_reads_back_as_it_was_written() {
        let claim = json!([line(), {"id": "bl_2", "unit": "call", "decimals": 0, "amount": 7, "enforce": "rs"}]);
        let lines = TokenLine::parse_claim(&claim).unwrap();
        assert_eq!((lines[0].amount.parts(), lines[1].enforce), (2_000_000, Enforce::Service));
        assert_eq!(serde_json::to_value(&lines).unwrap(), claim);
        assert_eq!(TokenLine::parse_claim(&json!([])), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_claim_is_refused() {
        let with = |name: &str, value: Value| {
            let mut line = line();
            line[name] = value;
            json!([line])
        };
        let odd = [
            json!(null),
            json!({}),
            line(),
            json!([1]),
            json!([line(), line()]),
            json!(vec![line(); 9]),
            with("id", json!("")),
            with("id", json!("x".repeat(65))),
            with("unit", json!("U$D")),
            with("decimals", json!(2)),
            with("decimals", json!(6.0)),
            with("amount", json!(-1)),
            with("amount", json!("5")),
            with("amount", json!(1e2)),
            with("amount", json!(1_000_000_000_000_000_i64)),
            with("per_call", json!(null)),
            with("enforce", json!("me")),
        ];
        for claim in odd {
            assert!(TokenLine::parse_claim(&claim).is_err(), "{claim}");
        }
        for name in ["id", "unit", "decimals", "amount", "enforce"] {
            let mut short = line();
            short.as_object_mut().unwrap().remove(name);
            assert!(TokenLine::parse_claim(&json!([short])).is_err(), "{name}");
        }
    }
}
