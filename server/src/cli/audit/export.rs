//! Getting the whole audit out of a server, chain by chain.

use super::super::Session;
use super::super::api::read;
use super::super::error::CliError;
use super::archive::{self, Head, Line};
use crate::admin::api::{AuditExport, SigningKey, Writer};
use reqwest::Method;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Requests for one chain's missing end before it counts as missing.
const MAX_WAITS: usize = 3;

/// How much was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub records: u64,
    pub checkpoints: u64,
}

pub(super) async fn to_new_file(session: &Session<'_>, path: &Path) -> Result<(), CliError> {
    let unwritable = |error: std::io::Error| CliError::usage(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(unwritable)?;
    let mut out = BufWriter::new(file);
    let written = write_all(session, &mut out).await?;
    out.flush().map_err(unwritable)?;
    out.get_ref().sync_all().map_err(unwritable)?;
    let Written { records, checkpoints } = written;
    if session.out.json {
        session
            .out
            .value(&json!({ "file": path.display().to_string(), "records": records, "checkpoints": checkpoints }));
    } else {
        session.out.line(format!("{records} records and {checkpoints} signed checkpoints in {}", path.display()));
    }
    Ok(())
}

/// Writes every chain there is now. A chain that starts later is not asked for, so that no
/// chain names the end of another that was read before that end was written.
pub(super) async fn write_all(session: &Session<'_>, out: &mut impl Write) -> Result<Written, CliError> {
    let writers = session.api.list(&["audit", "writers"]).await?;
    let keys = session.api.list(&["signing-keys"]).await?;
    let mut jwks = Vec::with_capacity(keys.len());
    for key in &keys {
        let key: SigningKey = read(key)?;
        // What a stolen key signed proves nothing.
        if key.distrusted_at.is_none() {
            jwks.push(key.public_jwk);
        }
    }
    archive::write(out, &Head::new(session.api.connection.issuer.clone(), jwks))?;
    let mut written = Written::default();
    for writer in &writers {
        let writer: Writer = read(writer)?;
        write_chain(session, out, &writer.writer, &mut written).await?;
    }
    archive::write(out, &Line::End { end: written.records })?;
    Ok(written)
}

async fn write_chain(
    session: &Session<'_>,
    out: &mut impl Write,
    writer: &str,
    written: &mut Written,
) -> Result<(), CliError> {
    let (mut after, mut waits) = (0_i64, 0);
    loop {
        let query = [("writer", writer.to_owned()), ("after", after.to_string())];
        let answer = session.api.call(Method::GET, &["audit", "export"], &query, None).await?;
        let page: AuditExport = read(&answer)?;
        if let Some(pruning) = page.pruning
            && pruning.n > after
        {
            archive::write(out, &Line::Pruned { pruning: pruning.jws })?;
            after = pruning.n;
        }
        for redaction in page.redactions {
            archive::write(out, &Line::Redacted { redaction })?;
        }
        let count = i64::try_from(page.records.len()).unwrap_or(i64::MAX);
        for record in page.records {
            archive::write(out, &Line::Record { record: record.record, hash: record.hash })?;
            written.records = written.records.saturating_add(1);
        }
        let end = page.next.unwrap_or_else(|| after.saturating_add(count));
        let (here, ahead): (Vec<_>, Vec<_>) = page.checkpoints.into_iter().partition(|point| point.n <= end);
        for point in here {
            archive::write(out, &Line::Checkpoint { checkpoint: point.jws })?;
            written.checkpoints = written.checkpoints.saturating_add(1);
        }
        // A checkpoint of a record that came between the two reads: that record is on the
        // next page. If it isn't, the chain has lost its end, and the checkpoint shows it.
        if page.next.is_none() && ahead.is_empty() {
            return Ok(());
        }
        waits = if end > after { 0 } else { waits + 1 };
        if waits >= MAX_WAITS {
            for point in ahead {
                archive::write(out, &Line::Checkpoint { checkpoint: point.jws })?;
            }
            return Ok(());
        }
        after = end;
    }
}
