//! Streams of security events: whom this deployment tells, how that goes, and stopping it.
//!
//! A stream is made by the service that it tells, and only that changes what it is told of. An
//! admin looks, stops it, lets it go on, and removes it.

use super::api::{ChangeState, ListQuery, Page, StopStream, Stream, StreamDelivery};
use super::caller::Caller;
use super::check;
use super::limits::MAX_REASON_BYTES;
use super::page;
use super::problem::Refusal;
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::signals::{self, Delivery, Overseen, StreamState};
use stipend_schema::signals::{SignalStreamRow, deliveries, find_stream, list_streams, waiting};

/// The rows with how each of them goes.
async fn overseen(session: &Session<'_>, rows: Vec<SignalStreamRow>) -> Result<Vec<(Overseen, i64)>, Refusal> {
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let (counts, delivered) =
        session.read(|db| async move { Ok((waiting(&db, &ids).await?, deliveries(&db, &ids).await?)) }).await?;
    let each = rows.into_iter().map(|row| {
        let waiting = counts.iter().find(|(stream, _)| *stream == row.id).map_or(0, |(_, count)| *count);
        let delivery = delivered.iter().find(|delivery| delivery.stream_id == row.id).cloned();
        let updated_at = row.updated_at;
        let stream = signals::Stream::read(row).map_err(|_| Refusal::internal())?;
        Ok((Overseen { stream, waiting, delivery }, updated_at))
    });
    each.collect()
}

fn view((overseen, updated_at): (Overseen, i64)) -> Stream {
    let receiver = overseen.receiver().map(str::to_owned);
    let events = overseen.events().map(str::to_owned).collect();
    let Overseen { stream, waiting, delivery } = overseen;
    let is_push = matches!(stream.spec.delivery, Delivery::Push { .. });
    Stream {
        id: stream.id,
        client_id: stream.client_id,
        owner: stream.owner_id,
        state: stream.state,
        state_reason: stream.state_reason,
        held: stream.spec.held,
        delivery: if is_push { StreamDelivery::Push } else { StreamDelivery::Poll },
        receiver,
        description: stream.spec.description,
        events,
        waiting,
        delivered: delivery.as_ref().map_or(0, |delivery| delivery.delivered),
        failed: delivery.as_ref().map_or(0, |delivery| delivery.failed),
        delivered_at: delivery.as_ref().and_then(|delivery| delivery.delivered_at),
        failed_at: delivery.as_ref().and_then(|delivery| delivery.failed_at),
        failure: delivery.and_then(|delivery| delivery.failure),
        created_at: stream.created_at,
        updated_at,
    }
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Stream>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadStream);
    let rows = session.read(|db| async move { list_streams(&db, &owners, &wanted).await }).await?;
    let streams = overseen(session, rows).await?;
    page::cut(streams, limit, |(overseen, _)| overseen.stream.id.clone(), |stream| Ok(view(stream)))
}

async fn load(
    session: &Session<'_>,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<(signals::Stream, SignalStreamRow), Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { find_stream(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok((signals::Stream::read(row.clone()).map_err(|_| Refusal::internal())?, row))
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Stream, Refusal> {
    let (_, row) = load(session, session.caller(), id, Action::ReadStream).await?;
    overseen(session, vec![row]).await?.pop().map(view).ok_or_else(Refusal::internal)
}

/// Pauses a stream, which keeps what comes, or disables it, which drops it.
pub(super) async fn stop(
    session: &Session<'_>,
    id: &str,
    to: StreamState,
    why: &StopStream,
) -> Result<Stream, Refusal> {
    check::reason(&why.reason)?;
    set(session, id, to, &why.reason).await
}

/// Lets a stream go on, whoever has stopped it.
pub(super) async fn enable(session: &Session<'_>, id: &str, why: &ChangeState) -> Result<Stream, Refusal> {
    let reason = why.reason.as_deref().unwrap_or_default();
    check::text("/reason", reason, 0, MAX_REASON_BYTES)?;
    set(session, id, StreamState::Enabled, reason).await
}

async fn set(session: &Session<'_>, id: &str, to: StreamState, why: &str) -> Result<Stream, Refusal> {
    let pushes = session
        .change(id, async |caller| {
            let (have, _) = load(session, caller, id, Action::ManageStream).await?;
            let dep = vec![deps::stream_of(&have.client_id)];
            let pushes = matches!(have.spec.delivery, Delivery::Push { .. });
            if have.state == to && have.spec.held.is_some() == (to != StreamState::Enabled) {
                return Ok(Change::none(&have.owner_id, dep, pushes));
            }
            let ordered = signals::order(session.app, &have, to, why, &session.origin.request_id);
            let (stream, writes) = ordered.map_err(|_| Refusal::internal())?;
            let change = Change { writes, changes: dep.clone(), ..Change::none(&stream.owner_id, dep, pushes) };
            Ok(change.with("effect", to.as_str()).with("client", stream.client_id).with("why", why))
        })
        .await?;
    let (stream, now) = (id.to_owned(), session.now());
    session.read(|db| async move { signals::follow(&db, &stream, to, pushes, now).await }).await?;
    find(session, id).await
}

/// Removes a stream with all that waits. Its service can make another one, as long as it has
/// access.
pub(super) async fn delete(session: &Session<'_>, id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let (have, _) = load(session, caller, id, Action::ManageStream).await?;
            let dep = vec![deps::stream_of(&have.client_id)];
            let change = Change {
                writes: vec![signals::removal(&have)],
                changes: dep.clone(),
                ..Change::none(&have.owner_id, dep, ())
            };
            Ok(change.with("effect", "removed").with("client", have.client_id))
        })
        .await?;
    let stream = id.to_owned();
    session.read(|db| async move { signals::forget(&db, &stream).await }).await
}
