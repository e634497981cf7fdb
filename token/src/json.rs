//! Strict JSON for whatever comes from outside: token headers and payloads,
//! keys, `authorization_details`.
//!
//! Owns the reading of JSON and the typed access to members. It refuses what
//! two parsers could read differently: a member named twice (RFC 7519 section 4,
//! RFC 8725 section 2.4), text that isn't UTF-8, data after the value. Size is
//! checked before the first byte is read, depth while reading. Errors never
//! carry any of the input.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Timestamp;

/// No caller may allow deeper nesting than this: reading recurses.
pub const DEPTH_CEILING: usize = 64;

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
pub const MAX_NUMERIC_DATE: Timestamp = 253_402_300_799;

/// Bounds on one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text in bytes.
    pub max_bytes: usize,
    /// Arrays and objects inside one another; a scalar has depth 0, `{}` has depth 1.
    pub max_depth: usize,
}

/// Why a document or a member was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the JSON text is too long")]
    TooLarge,
    #[error("the JSON text is not UTF-8")]
    NotUtf8,
    #[error("the JSON text is nested too deeply")]
    TooDeep,
    #[error("a JSON object names a member twice")]
    DuplicateMember,
    #[error("a JSON string has the character U+0000")]
    Nul,
    #[error("the JSON text is malformed")]
    Syntax,
    #[error("the JSON value is followed by other data")]
    TrailingData,
    #[error("the JSON value is not an object")]
    NotAnObject,
    #[error("the member {name} must be {expected}")]
    Member {
        /// The member asked for; a literal of ours, never the sender's text.
        name: &'static str,
        expected: &'static str,
    },
}

/// Reads one JSON object whose texts can be looked for and stored: no database of ours takes
/// U+0000 everywhere, and no name, claim or description has it.
///
/// # Errors
/// [`JsonError`], [`JsonError::Nul`] among them.
pub fn parse_storable_object(bytes: &[u8], limits: Limits) -> Result<Map<String, Value>, JsonError> {
    parse_object(bytes, limits).and_then(storable)
}

/// An object without U+0000 in any name or text.
///
/// # Errors
/// [`JsonError::Nul`].
pub fn storable(object: Map<String, Value>) -> Result<Map<String, Value>, JsonError> {
    fn has_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(has_nul),
            Value::Object(members) => in_members(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    fn in_members(members: &Map<String, Value>) -> bool {
        members.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
    }
    if in_members(&object) { Err(JsonError::Nul) } else { Ok(object) }
}

/// Reads one JSON object.
pub fn parse_object(bytes: &[u8], limits: Limits) -> Result<Map<String, Value>, JsonError> {
    match parse_value(bytes, limits)? {
        Value::Object(map) => Ok(map),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Reads one JSON value of any type.
pub fn parse_value(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.max_bytes {
        return Err(JsonError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let reason = Cell::new(None);
    let seed = Strict { depth_left: limits.max_depth.min(DEPTH_CEILING), reason: &reason };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer).map_err(|_| reason.get().unwrap_or(JsonError::Syntax))?;
    deserializer.end().map_err(|_| JsonError::TrailingData)?;
    Ok(value)
}

/// Builds a [`Value`] and checks on the way. Why it stopped is left in `reason`,
/// because a `serde` error can only carry text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    reason: &'a Cell<Option<JsonError>>,
}

impl Strict<'_> {
    fn refuse<E: de::Error>(&self, reason: JsonError) -> E {
        self.reason.set(Some(reason));
        E::custom("refused")
    }

    fn inner<E: de::Error>(&self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..*self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(self.refuse(JsonError::Syntax)),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        // The name is compared after unescaping: "\u0061" and "a" are one name.
        while let Some(name) = access.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// A string, if the member is there. `null` is not "absent": it is refused.
pub fn str_member<'a>(map: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, JsonError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "a string")),
    }
}

/// `true` or `false`, if the member is there.
pub fn bool_member(map: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, JsonError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(wrong(name, "true or false")),
    }
}

/// An object, if the member is there.
pub fn object_member<'a>(
    map: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a Map<String, Value>>, JsonError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::Object(value)) => Ok(Some(value)),
        Some(_) => Err(wrong(name, "an object")),
    }
}

/// An array, if the member is there.
pub fn array_member<'a>(map: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a [Value]>, JsonError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::Array(values)) => Ok(Some(values)),
        Some(_) => Err(wrong(name, "an array")),
    }
}

/// An integer that fits 64 bits, if the member is there. `1.0`, `1e3`, `"1"` and
/// `true` are not integers.
pub fn int_member(map: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, JsonError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(value) => Ok(Some(value)),
            None => Err(wrong(name, "an integer")),
        },
        Some(_) => Err(wrong(name, "an integer")),
    }
}

/// A NumericDate (RFC 7519 section 2) in whole seconds, from 1970 to 9999. The RFC
/// allows fractions; nobody we know sends them, and two readers round differently.
pub fn date_member(map: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, JsonError> {
    match int_member(map, name) {
        Ok(None) => Ok(None),
        Ok(Some(value)) if (0..=MAX_NUMERIC_DATE).contains(&value) => Ok(Some(value)),
        Ok(Some(_)) | Err(_) => Err(wrong(name, "a date in whole seconds")),
    }
}

/// One string or an array of strings (`aud`, RFC 7519 section 4.1.3), if the member
/// is there: at least one entry, at most `max_entries`, none of them empty.
pub fn string_or_array_member<'a>(
    map: &'a Map<String, Value>,
    name: &'static str,
    max_entries: usize,
) -> Result<Option<Vec<&'a str>>, JsonError> {
    const EXPECTED: &str = "a string or a short array of strings";
    let entries = match map.get(name) {
        None => return Ok(None),
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    if entries.is_empty() || entries.len() > max_entries {
        return Err(wrong(name, EXPECTED));
    }
    let texts = entries.iter().map(|entry| match entry {
        Value::String(text) if !text.is_empty() => Ok(text.as_str()),
        _ => Err(wrong(name, EXPECTED)),
    });
    texts.collect::<Result<Vec<_>, _>>().map(Some)
}

/// Turns an absent member into an error.
pub fn required<T>(member: Option<T>, name: &'static str) -> Result<T, JsonError> {
    member.ok_or(wrong(name, "present"))
}

const fn wrong(name: &'static str, expected: &'static str) -> JsonError {
    JsonError::Member { name, expected }
}
