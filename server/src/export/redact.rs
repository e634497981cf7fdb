//! Redaction: personal data is taken out of a record, and the chain still holds.
//!
//! The chain goes on from the hash of the record as it was, which stays. What is left of the text
//! is bound to that hash by a signed statement: writer, number, the hash before and the hash after.
//! So a text that does not have its hash is either named by such a statement or was tampered with.
//! A hash of a text of which all but an address is known would tell the address to whoever tries
//! all of them; therefore the request's id, 160 random bits, always goes as well.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_schema::AuditRow;

/// What stands where something was taken out.
pub const REDACTED: &str = "[redacted]";
/// The member of a redacted record that says of which kinds what was taken out is.
const MARK: &str = "redacted";
/// What keeps the original hash from being guessed; taken out of each record that is redacted.
const SALT: &str = "request_id";

/// A kind of personal data in records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedactField {
    /// Addresses that requests came from.
    Source,
    /// Whom tokens are about.
    Subject,
    /// People who acted, answer for agents or approved.
    Person,
    /// What other issuers said of somebody.
    Federated,
    /// What people wrote: reasons and messages.
    Text,
}

impl RedactField {
    /// Members of a record's detail, at any depth, that are of this kind.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["source"],
            Self::Subject => &["sub", "subject", "user"],
            Self::Person => &["person", "approvers", "responsible", "by"],
            Self::Federated => &["federated", "id_jag", "idp", "acr", "amr", "auth_time"],
            Self::Text => &["why", "because", "binding_message", "reason"],
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Subject => "subject",
            Self::Person => "person",
            Self::Federated => "federated",
            Self::Text => "text",
        }
    }
}

/// What is to be taken out: members of these kinds, and these texts wherever they stand in the
/// detail or as the name of who acted.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    pub fields: Vec<RedactField>,
    pub values: Vec<String>,
}

/// The record without it, its hash as it was; none where there is nothing of it.
#[must_use]
pub fn redact(row: &AuditRow, what: &Redaction) -> Option<AuditRow> {
    let Ok(Value::Object(mut record)) = serde_json::from_str(&row.record) else { return None };
    let mut found = false;
    if let Some(detail) = record.get_mut("detail") {
        found |= clear(detail, what);
    }
    let mut client_id = row.client_id.clone();
    let is_person = client_id.as_deref().is_some_and(|id| id.starts_with("user:"));
    let named = client_id.as_ref().is_some_and(|id| what.values.contains(id));
    if named || (is_person && what.fields.contains(&RedactField::Person)) {
        record.insert("client_id".to_owned(), REDACTED.into());
        client_id = Some(REDACTED.to_owned());
        found = true;
    }
    if !found {
        return None;
    }
    if let Some(Value::Object(detail)) = record.get_mut("detail")
        && let Some(salt) = detail.get_mut(SALT)
    {
        *salt = REDACTED.into();
    }
    mark(&mut record, what);
    Some(AuditRow { record: Value::Object(record).to_string(), client_id, ..row.clone() })
}

/// Whether something was found below.
fn clear(value: &mut Value, what: &Redaction) -> bool {
    match value {
        Value::Object(members) => {
            let mut found = false;
            for (name, value) in members {
                let listed = what.fields.iter().any(|field| field.members().contains(&name.as_str()));
                if listed && *value != REDACTED {
                    *value = REDACTED.into();
                    found = true;
                } else {
                    found |= clear(value, what);
                }
            }
            found
        }
        Value::Array(items) => {
            let mut found = false;
            for item in items {
                found |= clear(item, what);
            }
            found
        }
        Value::String(text) if what.values.iter().any(|value| text.contains(value.as_str())) => {
            *value = REDACTED.into();
            true
        }
        _ => false,
    }
}

fn mark(record: &mut Map<String, Value>, what: &Redaction) {
    let before = record.get(MARK).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut kinds: Vec<String> = before.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    kinds.extend(what.fields.iter().map(|field| field.as_str().to_owned()));
    if !what.values.is_empty() {
        kinds.push("values".to_owned());
    }
    kinds.sort_unstable();
    kinds.dedup();
    record.insert(MARK.to_owned(), kinds.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(record: &Value) -> AuditRow {
        AuditRow {
            writer: "w_a".to_owned(),
            n: 1,
            at: 1,
            event: "token.issued".to_owned(),
            outcome: "issued".to_owned(),
            owner_id: None,
            subject_owner_id: None,
            client_id: record["client_id"].as_str().map(str::to_owned),
            jti: None,
            record: record.to_string(),
            hash: vec![7; 32],
        }
    }

    fn record() -> Value {
        json!({
            "v": 1, "writer": "w_a", "n": 1, "prev": "x", "at": 1, "event": "token.issued", "outcome": "issued",
            "client_id": "user:https://idp.example:ann", "jti": "ann",
            "detail": {
                "request_id": "req_1", "source": "192.0.2.7", "target": "acme.a", "count": 2,
                "token": {"sub": "user:https://idp.example:ann", "scope": "read"}, "seen": ["x", "mail of ann@example.com"],
            },
        })
    }

    fn without(fields: &[RedactField], values: &[&str]) -> Option<Value> {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let redacted = redact(&row(&record()), &Redaction { fields: fields.to_vec(), values })?;
        assert_eq!(redacted.hash, vec![7; 32]);
        let said: Value = serde_json::from_str(&redacted.record).unwrap();
        assert_eq!(said["client_id"], json!(redacted.client_id), "the column says what the text says");
        Some(said)
    }

    #[test]
    fn what_is_named_goes_and_the_rest_stays_but_the_salt() {
        let said = without(&[RedactField::Source], &[]).unwrap();
        let mut wanted = record();
        wanted["detail"]["source"] = json!(REDACTED);
        wanted["detail"]["request_id"] = json!(REDACTED);
        wanted["redacted"] = json!(["source"]);
        assert_eq!(said, wanted);
        let said = without(&[RedactField::Subject, RedactField::Person], &[]).unwrap();
        assert_eq!((&said["client_id"], &said["detail"]["token"]["sub"]), (&json!(REDACTED), &json!(REDACTED)));
        assert_eq!(said["detail"]["token"]["scope"], "read");
        let said = without(&[], &["ann@example.com"]).unwrap();
        assert_eq!(said["detail"]["seen"], json!(["x", REDACTED]));
        assert_eq!((&said["jti"], &said["redacted"]), (&json!("ann"), &json!(["values"])));
    }

    #[test]
    fn what_is_not_there_changes_nothing_and_what_is_gone_is_not_found_again() {
        assert_eq!(without(&[RedactField::Federated], &[]), None);
        assert_eq!(without(&[], &["bob"]), None);
        let what = Redaction { fields: vec![RedactField::Source], values: Vec::new() };
        let once = redact(&row(&record()), &what).unwrap();
        assert_eq!(redact(&once, &what), None);
        let twice = redact(&once, &Redaction { fields: vec![RedactField::Subject], values: Vec::new() }).unwrap();
        let said: Value = serde_json::from_str(&twice.record).unwrap();
        assert_eq!(said["redacted"], json!(["source", "subject"]));
    }
}
