//! A record's text. The text is what is hashed, so it is made once, here, with a fixed order
//! of members, and never parsed and printed again.

use crate::rows::AuditRow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Write as _;

pub const HASH_BYTES: usize = 32;

/// SHA-256 of a record's text.
pub type Hash = [u8; HASH_BYTES];

/// The hash a chain's first record names as its predecessor.
const NO_PREDECESSOR: Hash = [0; HASH_BYTES];

/// What a record says, before it has its place in a chain.
/// `members` is the text made by [`draft_text`].
#[derive(Debug, Clone, Copy)]
pub struct RecordDraft<'a> {
    pub event: &'a str,
    pub outcome: &'a str,
    pub reason: Option<&'a str>,
    pub members: &'a str,
}

/// Where a writer's chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub writer: String,
    /// Number of the newest record, 0 when there is none.
    pub n: i64,
    pub head: Hash,
    /// The feed's epoch when its newest record was written.
    pub epoch: i64,
}

impl Chain {
    pub fn new(writer: String) -> Self {
        Self { writer, n: 0, head: NO_PREDECESSOR, epoch: 0 }
    }

    /// Appends a record and answers its text. `at` in microseconds.
    pub(crate) fn append(&mut self, at: i64, draft: RecordDraft<'_>) -> String {
        self.n = self.n.saturating_add(1);
        let text = record_text(&self.writer, self.n, &self.head, at, draft);
        self.head = hash(&text);
        text
    }
}

/// The hash of a record's text.
pub fn hash(text: &str) -> Hash {
    let mut out = NO_PREDECESSOR;
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    out.copy_from_slice(digest.as_ref());
    out
}

/// The text of record `n` of `writer`. Absent members are left out.
pub fn record_text(writer: &str, n: i64, prev: &Hash, at: i64, draft: RecordDraft<'_>) -> String {
    let mut text = String::with_capacity(220_usize.saturating_add(draft.members.len()));
    text.push_str("{\"v\":1,\"writer\":");
    push_json(&mut text, writer);
    // Writing to a String can't fail.
    let _ = write!(text, ",\"n\":{n},\"prev\":\"");
    URL_SAFE_NO_PAD.encode_string(prev, &mut text);
    let _ = write!(text, "\",\"at\":{at},\"event\":");
    push_json(&mut text, draft.event);
    text.push_str(",\"outcome\":");
    push_json(&mut text, draft.outcome);
    if let Some(reason) = draft.reason {
        text.push_str(",\"reason\":");
        push_json(&mut text, reason);
    }
    text.push_str(draft.members);
    text.push('}');
    text
}

/// The members of a record that are known when it is drafted: who it is about, and the detail.
pub(crate) fn draft_text(
    columns: [(&str, Option<&str>); 4],
    detail: &serde_json::Map<String, serde_json::Value>,
) -> String {
    let mut text = String::with_capacity(256);
    for (name, value) in columns {
        if let Some(value) = value {
            let _ = write!(text, ",\"{name}\":");
            push_json(&mut text, value);
        }
    }
    if !detail.is_empty() {
        text.push_str(",\"detail\":");
        // A map of values has only string keys: printing it can't fail.
        text.push_str(&serde_json::to_string(detail).unwrap_or_default());
    }
    text
}

fn push_json(text: &mut String, value: &str) {
    let plain = value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

impl AuditRow {
    pub(crate) fn new(chain: &mut Chain, at: i64, draft: RecordDraft<'_>) -> Self {
        let record = chain.append(at, draft);
        Self {
            writer: chain.writer.clone(),
            n: chain.n,
            at,
            event: draft.event.to_owned(),
            outcome: draft.outcome.to_owned(),
            owner_id: None,
            subject_owner_id: None,
            client_id: None,
            jti: None,
            record,
            hash: chain.head.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RecordDraft, draft_text, record_text};
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    proptest! {
        #[test]
        fn every_text_survives_the_record(
            writer in ".*", event in ".*", jti in any::<String>(), detail in any::<String>(),
            n in any::<i64>(), at in any::<i64>(),
        ) {
            let mut map = Map::new();
            map.insert(detail.clone(), Value::from(detail.clone()));
            let members = draft_text(
                [("owner_id", None), ("subject_owner_id", None), ("client_id", None), ("jti", Some(&jti))],
                &map,
            );
            let draft = RecordDraft { event: &event, outcome: "ok", reason: None, members: &members };
            let text = record_text(&writer, n, &[7; 32], at, draft);
            let record: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&record["writer"], &Value::from(writer));
            prop_assert_eq!(&record["event"], &Value::from(event));
            prop_assert_eq!(&record["jti"], &Value::from(jti));
            prop_assert_eq!(&record["detail"][&detail], &Value::from(detail.clone()));
            prop_assert_eq!(&record["n"], &Value::from(n));
            prop_assert_eq!(&record["at"], &Value::from(at));
            prop_assert!(record.get("owner_id").is_none() && record.get("reason").is_none());
        }
    }
}
