//! Checks of single members that their types cannot say.

use super::limits::MAX_REASON_BYTES;
use super::problem::Refusal;
use crate::limits::MAX_TTL_SECONDS;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text that people read: not empty unless allowed, bounded, without control characters.
pub(super) fn text(pointer: &str, value: &str, min: usize, max: usize) -> Result<(), Refusal> {
    if value.len() < min || value.len() > max || value.chars().any(char::is_control) {
        return Err(Refusal::field(pointer, format!("must have {min} to {max} bytes and no control characters")));
    }
    Ok(())
}

pub(super) fn reason(value: &str) -> Result<(), Refusal> {
    text("/reason", value, 1, MAX_REASON_BYTES)
}

pub(super) fn slug(pointer: &str, value: &str) -> Result<(), Refusal> {
    if stipend_token::id::is_slug(value) {
        Ok(())
    } else {
        Err(Refusal::field(pointer, "must match [a-z0-9][a-z0-9-]{0,38}"))
    }
}

pub(super) fn ttl(value: i64) -> Result<(), Refusal> {
    if (1..=MAX_TTL_SECONDS).contains(&value) {
        Ok(())
    } else {
        Err(Refusal::field("/ttl_seconds", format!("must be between 1 and {MAX_TTL_SECONDS}")))
    }
}

/// The end of a credential's life.
pub(super) fn credential_end(pointer: &str, asked: Option<i64>, default: i64, now: i64) -> Result<i64, Refusal> {
    let seconds = asked.unwrap_or(default);
    let max = super::limits::MAX_CREDENTIAL_SECONDS;
    if (1..=max).contains(&seconds) {
        Ok(now.saturating_add(seconds))
    } else {
        Err(Refusal::field(pointer, format!("must be between 1 and {max}")))
    }
}

/// A value as its column holds it.
pub(super) fn column(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| {
        tracing::error!(%error, "a value could not be written as JSON");
        Refusal::internal()
    })
}

/// What a column holds.
pub(super) fn parse_column<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "a stored column can't be read by this version");
        Refusal::internal()
    })
}

/// A word stored as JSON would write it.
pub(super) fn parse_word<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        tracing::error!("a stored word can't be read by this version");
        Refusal::internal()
    })
}

/// The word JSON would write for a unit variant.
pub(super) fn word(value: &impl Serialize) -> Result<String, Refusal> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(Refusal::internal()),
    }
}
