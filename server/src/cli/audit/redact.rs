//! `stipend audit redact`.

use super::super::Session;
use super::super::error::CliError;
use super::Redact;
use crate::admin::api::{NewRedaction, Redacted, RedactedRecord};

pub(super) async fn run(session: &Session<'_>, args: Redact) -> Result<(), CliError> {
    let new = NewRedaction { records: args.record, fields: args.field, values: args.value, reason: args.reason };
    let answer = session.api.post(&["audit", "redactions"], &new).await?;
    session.show(&answer, |done: Redacted| {
        let names: Vec<String> = done.redacted.iter().map(|one| format!("{}/{}", one.writer, one.n)).collect();
        if names.is_empty() {
            session.out.line("There is nothing of it in these records.");
        } else {
            session.out.line(format!("Redacted for good: {}", names.join(" ")));
            session.out.note("copies elsewhere (exports, sinks, backups, logs) are as they were");
        }
    })
}

/// `WRITER/N`, as `metadata.uid` of OCSF names a record.
pub(super) fn record(text: &str) -> Result<RedactedRecord, String> {
    let named = text.rsplit_once('/').and_then(|(writer, n)| Some((writer.to_owned(), n.parse::<i64>().ok()?)));
    let (writer, n) = named.filter(|(writer, n)| !writer.is_empty() && *n > 0).ok_or("expected WRITER/NUMBER")?;
    Ok(RedactedRecord { writer, n })
}
