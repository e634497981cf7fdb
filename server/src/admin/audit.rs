//! The audit as it is searched, by owner, and exported whole, so that its chains can be proved
//! elsewhere. Reading only.

use super::api::{
    AuditExport, AuditQuery, Checkpoint, ExportQuery, ExportedRecord, ListQuery, Page, SCOPE_AUDIT, StreamQuery, Writer,
};
use super::caller::{Caller, still};
use super::check;
use super::limits::{MAX_CURSOR_BYTES, MAX_FILTER_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::Session;
use crate::app::App;
use crate::binding::Presentation;
use crate::clock::MICROS_PER_SECOND;
use crate::export::{Cursor, Format, Place, Seat, Wanted, written};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::sync::Arc;
use stipend_schema::audit::WriterHead;
use stipend_schema::queries::{self, AUDIT_PAGE_LIMIT, AuditCursor, AuditFilter, OwnerFilter};
use stipend_schema::sinks::{FeedFilter, pruning_of, redactions_between};
use stipend_schema::{AuditCheckpointRow, AuditRow};

fn filter(query: &AuditQuery, owners: OwnerFilter) -> Result<AuditFilter, Refusal> {
    let text = |name: &str, value: &Option<String>| -> Result<Option<String>, Refusal> {
        value.as_deref().map_or(Ok(()), |value| check::text(name, value, 1, MAX_FILTER_BYTES))?;
        Ok(value.clone())
    };
    let micros = |seconds: Option<i64>| seconds.map(|seconds| seconds.saturating_mul(MICROS_PER_SECOND));
    Ok(AuditFilter {
        owners,
        event: text("event", &query.event)?,
        outcome: text("outcome", &query.outcome)?,
        client_id: text("client_id", &query.client_id)?,
        jti: text("jti", &query.jti)?,
        since: micros(query.since),
        until: micros(query.until),
        oldest_first: query.oldest_first.unwrap_or_default(),
    })
}

pub(super) fn write_cursor(row: &AuditRow) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}.{}", row.at, row.n, row.writer))
}

pub(super) fn parse_cursor(text: &str) -> Result<AuditCursor, Refusal> {
    let parse = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= MAX_CURSOR_BYTES)?;
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
        let mut parts = text.splitn(3, '.');
        let (at, n) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(AuditCursor { at, n, writer: parts.next()?.to_owned() })
    };
    parse().ok_or_else(|| Refusal::field("after", "is not a cursor of this API"))
}

pub(super) async fn search(session: &Session<'_>, query: &AuditQuery) -> Result<Page<Value>, Refusal> {
    let limit = page::limit(query.limit)?;
    let owners = readable(session.caller())?;
    let filter = filter(query, owners)?;
    let cursor = query.after.as_deref().map(parse_cursor).transpose()?;
    let more = limit.saturating_add(1).min(AUDIT_PAGE_LIMIT);
    let rows =
        session.read(|db| async move { queries::audit_records(&db, &filter, cursor.as_ref(), more).await }).await?;
    let format = query.format.unwrap_or_default();
    page::cut(rows, limit, write_cursor, |row| Ok(written(format, &row)))
}

/// What following the audit begins with.
#[derive(Debug)]
pub(super) struct Followed {
    pub seat: Seat,
    pub place: Place,
    pub wanted: Wanted,
}

/// Whose audit a caller may read.
fn readable(caller: &Caller) -> Result<OwnerFilter, Refusal> {
    let owners = caller.owners(Action::ReadAudit);
    if owners == OwnerFilter::Only(Vec::new()) { Err(Refusal::forbidden()) } else { Ok(owners) }
}

pub(super) async fn follow(
    session: &Session<'_>,
    app: &Arc<App>,
    query: &StreamQuery,
    last: Option<String>,
) -> Result<Followed, Refusal> {
    let owners = readable(session.caller())?;
    for (name, value) in
        [("event", &query.event), ("outcome", &query.outcome), ("client_id", &query.client_id), ("jti", &query.jti)]
    {
        value.as_deref().map_or(Ok(()), |value| check::text(name, value, 1, MAX_FILTER_BYTES))?;
    }
    let parse = |text: &str| Cursor::parse(text).ok_or_else(|| Refusal::field("after", "is not a cursor of this API"));
    let cursor = last.as_deref().or(query.after.as_deref()).map(parse).transpose()?;
    let full = || Refusal::new(Code::TooManyStreams, "as many follow the audit as may: end one, or come back later");
    let seat = Seat::take(app, session.caller().id()).ok_or_else(full)?;
    let now = app.clock.micros();
    let place = session.read(|db| async move { Place::open(&db, cursor, now).await }).await?;
    let filter = FeedFilter {
        owners,
        events: query.event.iter().cloned().collect(),
        outcome: query.outcome.clone(),
        client_id: query.client_id.clone(),
        jti: query.jti.clone(),
    };
    Ok(Followed { seat, place, wanted: Wanted { filter, format: query.format.unwrap_or(Format::Native) } })
}

/// Whether whoever began to follow with this token still may, of the same owners. Nobody's word
/// is not a no: a database that is away for a moment ends nothing.
pub(super) async fn may_follow(app: &App, shown: &Presentation, owners: &OwnerFilter) -> bool {
    match still(app, shown).await {
        Ok(caller) => caller.scope.contains(SCOPE_AUDIT) && readable(&caller).is_ok_and(|readable| readable == *owners),
        Err(refusal) => refusal.code == Code::Unavailable,
    }
}

pub(super) async fn writers(session: &Session<'_>, query: &ListQuery) -> Result<Page<Writer>, Refusal> {
    session.caller().check(Action::ExportAudit, None)?;
    let (limit, page) = page::wanted(query)?;
    let after = page.after.unwrap_or_default();
    let heads = session.read(|db| async move { queries::audit_writers(&db, &after).await }).await?;
    let view =
        |head: WriterHead| Ok(Writer { hash: URL_SAFE_NO_PAD.encode(head.hash), writer: head.writer, n: head.n });
    page::cut(heads, limit, |head| head.writer.clone(), view)
}

pub(super) async fn export(session: &Session<'_>, query: &ExportQuery) -> Result<AuditExport, Refusal> {
    session.caller().check(Action::ExportAudit, None)?;
    check::text("writer", &query.writer, 1, MAX_CURSOR_BYTES)?;
    let (writer, after) = (query.writer.clone(), query.after.unwrap_or_default());
    let (rows, checkpoints, pruning, redactions) = session
        .read(|db| async move {
            // Before the records: what was pruned after that is a gap that the next page explains.
            let pruning = pruning_of(&db, &writer).await?;
            // Of what is cut off, some may still be there.
            let after = pruning.as_ref().map_or(after, |pruning| pruning.n.max(after));
            let rows = queries::audit_export(&db, &writer, after, AUDIT_PAGE_LIMIT).await?;
            let checkpoints = queries::checkpoints_of(&db, &writer, after).await?;
            let to = rows.last().map_or(after, |row| row.n);
            let redactions = redactions_between(&db, &writer, after, to).await?;
            Ok((rows, checkpoints, pruning, redactions))
        })
        .await?;
    if rows.is_empty() && after == 0 && pruning.is_none() {
        return Err(Refusal::not_found());
    }
    let more = rows.len() >= usize::try_from(AUDIT_PAGE_LIMIT).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| more).map(|row| row.n);
    // Statements about records that are still to come belong to their page.
    let checkpoints = checkpoints.into_iter().filter(|row| next.is_none_or(|next| row.n <= next));
    Ok(AuditExport {
        records: rows.into_iter().map(exported).collect(),
        checkpoints: checkpoints.map(checkpoint).collect(),
        pruning: pruning.map(|row| {
            checkpoint(AuditCheckpointRow { writer: row.writer, n: row.n, hash: row.hash, at: row.at, jws: row.jws })
        }),
        redactions: redactions.into_iter().map(|row| row.jws).collect(),
        next,
    })
}

fn exported(row: AuditRow) -> ExportedRecord {
    ExportedRecord { hash: URL_SAFE_NO_PAD.encode(&row.hash), record: row.record }
}

fn checkpoint(row: AuditCheckpointRow) -> Checkpoint {
    Checkpoint { hash: URL_SAFE_NO_PAD.encode(&row.hash), writer: row.writer, n: row.n, at: row.at, jws: row.jws }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let row = AuditRow {
            writer: "w_a.b".into(),
            n: 7,
            at: 9,
            event: String::new(),
            outcome: String::new(),
            owner_id: None,
            subject_owner_id: None,
            client_id: None,
            jti: None,
            record: String::new(),
            hash: Vec::new(),
        };
        let cursor = parse_cursor(&write_cursor(&row)).unwrap();
        assert_eq!((cursor.at, cursor.n, cursor.writer.as_str()), (9, 7, "w_a.b"));
        for bad in ["", "x", "MS4y", "!!"] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }
}
