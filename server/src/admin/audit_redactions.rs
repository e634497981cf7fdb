//! Redactions of the audit. Personal data goes, on record, with a reason, and signed; the chain is
//! proved as before. Only the deployment's admins may: an owner that could take things out of its
//! own audit could take out what it did.

use super::api::{NewRedaction, Redacted};
use super::check;
use super::limits::{MAX_CURSOR_BYTES, MAX_FILTER_BYTES};
use super::problem::Refusal;
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::export::{Redaction, redact};
use crate::limits::{MAX_REDACTED_RECORDS, MAX_REDACTED_VALUES, MIN_REDACTED_VALUE_BYTES};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use stipend_keys::{TokenKind, sha256};
use stipend_schema::sinks::{AuditRedactionRow, find_record};
use stipend_schema::{AuditRow, Row, Write};

fn checked(new: &NewRedaction) -> Result<Redaction, Refusal> {
    check::reason(&new.reason)?;
    if new.records.is_empty() || new.records.len() > MAX_REDACTED_RECORDS {
        return Err(Refusal::field("/records", format!("names 1 to {MAX_REDACTED_RECORDS} records")));
    }
    for (place, record) in new.records.iter().enumerate() {
        check::text(&format!("/records/{place}/writer"), &record.writer, 1, MAX_CURSOR_BYTES)?;
        let twice = new.records.iter().take(place).any(|other| other == record);
        if twice {
            return Err(Refusal::field(format!("/records/{place}"), "is named twice"));
        }
    }
    if new.fields.is_empty() && new.values.is_empty() {
        return Err(Refusal::field("/fields", "names at least one kind, or /values one text"));
    }
    if new.values.len() > MAX_REDACTED_VALUES {
        return Err(Refusal::field("/values", format!("has at most {MAX_REDACTED_VALUES} texts")));
    }
    for (place, value) in new.values.iter().enumerate() {
        check::text(&format!("/values/{place}"), value, MIN_REDACTED_VALUE_BYTES, MAX_FILTER_BYTES)?;
    }
    Ok(Redaction { fields: new.fields.clone(), values: new.values.clone() })
}

pub(super) async fn create(session: &Session<'_>, new: &NewRedaction) -> Result<Redacted, Refusal> {
    session.caller().check(Action::RedactAudit, None)?;
    let what = checked(new)?;
    session
        .change("audit redactions", async |caller| {
            caller.check(Action::RedactAudit, None)?;
            let (mut writes, mut deps, mut redacted) = (Vec::new(), Vec::new(), Vec::new());
            for named in &new.records {
                let (writer, n) = (named.writer.clone(), named.n);
                let row = session.read(|db| async move { find_record(&db, &writer, n).await }).await?;
                let row = row.ok_or_else(Refusal::not_found)?;
                // Two at once would each put back what the other took out.
                deps.push(deps::audit_record(&named.writer, named.n));
                if let Some(left) = redact(&row, &what) {
                    writes.push(Write::Insert(statement(session, new, left)?));
                    redacted.push(named.clone());
                }
            }
            if redacted.is_empty() {
                return Ok(Change::none(caller.owner(), deps, Redacted { redacted }));
            }
            let names: Vec<String> = redacted.iter().map(|one| format!("{}/{}", one.writer, one.n)).collect();
            let change = Change {
                writes,
                changes: redacted.iter().map(|one| deps::audit_record(&one.writer, one.n)).collect(),
                ..Change::none(caller.owner(), deps, Redacted { redacted })
            };
            // What was taken out is not said: it would be in the audit again.
            let change = change.with("effect", "redacted").with("records", names).with("why", new.reason.clone());
            Ok(change.with("fields", json!(new.fields)).with("values", new.values.len()))
        })
        .await
}

/// What is left of a record, with the signed statement that binds it to what it was.
fn statement(session: &Session<'_>, new: &NewRedaction, left: AuditRow) -> Result<Row, Refusal> {
    let (now, at) = (session.now(), session.app.clock.micros());
    let redacted_hash = sha256(left.record.as_bytes());
    let statement = json!({
        "iss": session.app.urls.issuer, "writer": left.writer, "n": left.n,
        "hash": URL_SAFE_NO_PAD.encode(&left.hash), "redacted": URL_SAFE_NO_PAD.encode(redacted_hash),
        "fields": new.fields, "at": at, "iat": now,
    });
    let keyring = session.app.ring.keyring();
    let signer = keyring.signing_key(now).ok_or_else(Refusal::unavailable)?;
    let jws = signer.sign(TokenKind::AuditRedaction, statement.to_string().as_bytes()).map_err(|_| {
        tracing::error!("a redaction of the audit could not be signed");
        Refusal::internal()
    })?;
    let (writer, n) = (left.writer.clone(), left.n);
    let row = AuditRedactionRow { writer, n, redacted_hash: redacted_hash.to_vec(), at, jws };
    Ok(Row::AuditRedaction(Box::new(row), Box::new(left)))
}
