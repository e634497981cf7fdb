//! Typed values from JSON of strangers: where a struct is meant, an object must stand.
//!
//! What serde derives takes an array too, its elements by the order of the fields in our source:
//! `["USD",6,5]` for a budget. Nobody documents that, and moving a field would change what it
//! says.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// Reads `value`, in which arrays are lists and nothing else.
///
/// # Errors
/// What serde says of a value of another shape; it may quote the value.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    T::deserialize(Strict(value))
}

struct Strict(Value);

impl Strict {
    fn of_an_object(self) -> Result<Self, Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => Ok(self),
        }
    }
}

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Strict));
                let list = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(list)
            }
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, member)| (name, Strict(member)));
                let mut members = MapDeserializer::new(members);
                let object = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(object)
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.of_an_object()?.deserialize_any(visitor)
    }

    /// Struct variants of enums come here.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.of_an_object()?.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            // The variant's name and what it holds.
            Value::Object(members) if members.len() == 1 => {
                let members = members.into_iter().map(|(name, member)| (name, Strict(member)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(members)))
            }
            other => other.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessEntry;
    use crate::budget::BudgetCap;
    use crate::rule::{RuleSpec, ScopeEdge};
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        None,
        One(ScopeEdge),
        Some { scope: String },
    }

    fn refused<T: DeserializeOwned>(value: Value) -> bool {
        // Else the test says nothing of arrays.
        assert!(serde_json::from_value::<T>(value.clone()).is_ok(), "{value}");
        from_value::<T>(value).is_err_and(|error| error.to_string().contains("expected an object"))
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(refused::<BudgetCap>(json!(["USD", 6, 5, null])));
        assert!(refused::<ScopeEdge>(json!(["read", null])));
        assert!(refused::<Vec<Option<ScopeEdge>>>(json!([null, ["read", null]])));
        assert!(refused::<Choice>(json!({"one": ["read", null]})));
        assert!(from_value::<Choice>(json!({"some": ["read"]})).is_err());
    }

    #[test]
    fn what_is_written_as_documented_is_read_as_ever() {
        let entry = json!({
            "resource": "https://orders.example", "scopes": ["read", "write"], "default_scopes": ["read"],
            "default_budget": [{"unit": "USD", "decimals": 6, "amount": 5}],
        });
        assert_eq!(from_value::<AccessEntry>(entry.clone()).unwrap(), serde_json::from_value(entry.clone()).unwrap());
        let mut listed = entry;
        listed["default_budget"] = json!([["USD", 6, 5, null]]);
        assert!(from_value::<AccessEntry>(listed).is_err());
        let rule = json!({
            "actor": {"client": "a.b"}, "subject": {"owner": "a"}, "to_audience": "https://orders.example",
            "scopes": [{"scope": "read"}], "mode": "delegation", "max_depth": 2,
        });
        let read = from_value::<RuleSpec>(rule.clone());
        assert_eq!(read.ok(), serde_json::from_value(rule).ok());
        for (value, choice) in [
            (json!("none"), Choice::None),
            (json!({"none": null}), Choice::None),
            (json!({"some": {"scope": "x"}}), Choice::Some { scope: "x".to_owned() }),
        ] {
            assert_eq!(from_value::<Choice>(value).unwrap(), choice);
        }
        let free = json!({"a": [1, -2, 0.5, "x", true, null, {"b": []}]});
        assert_eq!(from_value::<Value>(free.clone()).unwrap(), free);
    }

    #[test]
    fn another_shape_is_refused_as_serde_does() {
        for value in [json!({}), json!({"none": null, "some": {"scope": "x"}}), json!({"other": 1}), json!(1)] {
            assert!(from_value::<Choice>(value).is_err());
        }
        for value in [json!({"scope": 1}), json!({"scope": "x", "more": 1}), json!("x"), json!(null)] {
            let (ours, theirs) = (from_value::<ScopeEdge>(value.clone()), serde_json::from_value::<ScopeEdge>(value));
            assert_eq!(ours.unwrap_err().to_string(), theirs.unwrap_err().to_string());
        }
    }
}
