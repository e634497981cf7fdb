//! Sinks of the audit. Whoever makes one reads through it, so it takes the right to read that
//! audit beside the right to make it, and both scopes; the filter and the address never change.
//! The secret is made here, shown once and stored sealed.

use super::api::{
    AuditSink, AuditSinkCreated, AuditSinkTried, ChangeState, ListQuery, NewAuditSink, Page, PauseAuditSink,
    SCOPE_AUDIT, ShownSecret,
};
use super::caller::Caller;
use super::check;
use super::limits::{MAX_FILTER_BYTES, MAX_NAME_BYTES, MAX_REASON_BYTES, MAX_URL_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::clock::MICROS_PER_SECOND;
use crate::deps;
use crate::export::{self, Sink, SinkSpec, SinkState};
use crate::limits::{MAX_AUDIT_FILTER_EVENTS, MAX_AUDIT_SINKS, MAX_AUDIT_SINKS_OF_OWNER};
use stipend_keys::{generate_webhook_secret, random_id};
use stipend_schema::sinks::{
    AuditSinkRow, SinkDeliveryRow, all_sink_owners, chain_heads, deliveries_of, find_sink, hasten, list_sinks,
};
use stipend_schema::{Row, Table, Write};
use url::Url;

/// What it takes to see a sink, and to change it: of an owner, or of the deployment.
fn actions(owner: Option<&str>) -> (Action, Action) {
    match owner {
        Some(_) => (Action::ReadAudit, Action::ManageAuditSink),
        None => (Action::ExportAudit, Action::ManageDeploymentAuditSink),
    }
}

fn may_read(caller: &Caller, owner: Option<&str>) -> Result<(), Refusal> {
    caller.check(actions(owner).0, owner)
}

/// A sink reads: what may not read the audit makes none and sets none going.
fn may_change(caller: &Caller, owner: Option<&str>) -> Result<(), Refusal> {
    let (read, manage) = actions(owner);
    caller.check(manage, owner)?;
    caller.check(read, owner)?;
    if caller.scope.contains(SCOPE_AUDIT) {
        Ok(())
    } else {
        Err(Refusal::new(Code::InsufficientScope, "a sink reads the audit: the access token lacks that scope"))
    }
}

async fn views(session: &Session<'_>, rows: Vec<AuditSinkRow>) -> Result<Vec<AuditSink>, Refusal> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let now = session.now();
    let sinks: Result<Vec<Sink>, &'static str> = rows.into_iter().map(Sink::read).collect();
    let sinks = sinks.map_err(|_| Refusal::internal())?;
    session
        .read(|db| async move {
            let ids: Vec<String> = sinks.iter().map(|sink| sink.id.clone()).collect();
            let (deliveries, heads) = (deliveries_of(&db, &ids).await?, chain_heads(&db).await?);
            let mut views = Vec::with_capacity(sinks.len());
            for sink in sinks {
                let delivery = deliveries.iter().find(|delivery| delivery.sink_id == sink.id);
                let lag = export::lag_of(&db, &sink, delivery, &heads, now).await?;
                views.push(view(sink, delivery, lag));
            }
            Ok(views)
        })
        .await
}

fn view(sink: Sink, delivery: Option<&SinkDeliveryRow>, lag: export::Lag) -> AuditSink {
    let number = |of: fn(&SinkDeliveryRow) -> i64| delivery.map_or(0, of);
    AuditSink {
        url: sink.shown_url(),
        id: sink.id,
        owner: sink.owner,
        name: sink.name,
        format: sink.spec.format,
        events: sink.spec.events,
        outcome: sink.spec.outcome,
        since: sink.spec.since / MICROS_PER_SECOND,
        state: sink.state,
        state_reason: sink.state_reason,
        lag_records: lag.records,
        lag_seconds: lag.seconds,
        records: number(|row| row.records),
        batches: number(|row| row.batches),
        failed: number(|row| row.failed),
        attempts: number(|row| row.attempts),
        missed: number(|row| row.missed),
        delivered_at: delivery.and_then(|row| row.delivered_at),
        failed_at: delivery.and_then(|row| row.failed_at),
        failure: delivery.and_then(|row| row.failure.clone()),
        retry_at: delivery.map(|row| row.due_at).filter(|due| *due > 0),
        created_at: sink.created_at,
        updated_at: sink.updated_at,
    }
}

async fn view_of(session: &Session<'_>, row: AuditSinkRow) -> Result<AuditSink, Refusal> {
    views(session, vec![row]).await?.pop().ok_or_else(Refusal::internal)
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<AuditSink>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadAudit);
    let rows = session.read(|db| async move { list_sinks(&db, &owners, &wanted).await }).await?;
    let rows = views(session, rows).await?;
    page::cut(rows, limit, |sink| sink.id.clone(), Ok)
}

async fn load(session: &Session<'_>, id: &str) -> Result<AuditSinkRow, Refusal> {
    let id = id.to_owned();
    session.read(|db| async move { find_sink(&db, &id).await }).await?.ok_or_else(Refusal::not_found)
}

/// The deployment's sinks are not there for whoever has to do with owners only.
async fn load_seen(session: &Session<'_>, caller: &Caller, id: &str) -> Result<AuditSinkRow, Refusal> {
    let row = load(session, id).await?;
    if row.owner_id.is_none() && !caller.may(Action::ExportAudit, None) {
        return Err(Refusal::not_found());
    }
    may_read(caller, row.owner_id.as_deref())?;
    Ok(row)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<AuditSink, Refusal> {
    let row = load_seen(session, session.caller(), id).await?;
    view_of(session, row).await
}

pub(super) async fn create(session: &Session<'_>, new: &NewAuditSink) -> Result<AuditSinkCreated, Refusal> {
    let owner = new.owner.as_deref();
    let (row, secret) = session
        .change("audit sinks", async |caller| {
            may_change(caller, owner)?;
            let mut deps = vec![deps::audit_sinks()];
            if let Some(owner) = owner {
                super::owners::load(session, owner).await?;
                deps.push(deps::owner(owner));
            }
            check_room(session, owner).await?;
            let id = random_id("asn_");
            let secret = generate_webhook_secret();
            let sealed = session.app.safe.seal_note(&export::aad(&id), secret.expose().as_bytes());
            let row = AuditSinkRow {
                owner_id: new.owner.clone(),
                name: new.name.clone(),
                state: SinkState::Active.as_str().to_owned(),
                state_reason: None,
                spec: check::column(&spec(session, new)?)?,
                sealed_secret: sealed.map_err(|_| Refusal::unavailable())?,
                created_at: session.now(),
                updated_at: session.now(),
                id: id.clone(),
            };
            let change = Change {
                writes: vec![Write::Insert(Row::AuditSink(row.clone()))],
                changes: vec![deps::audit_sinks(), deps::audit_sink(&id)],
                ..of_owner(caller, owner, deps, (row, secret))
            };
            Ok(change.with("effect", "created").with("target", id).with("name", new.name.clone()))
        })
        .await?;
    Ok(AuditSinkCreated { audit_sink: view_of(session, row).await?, secret: ShownSecret::new(&secret) })
}

/// What is done to the deployment's sinks concerns the owner of whoever does it.
fn of_owner<T>(caller: &Caller, owner: Option<&str>, deps: Vec<stipend_schema::Dep>, answer: T) -> Change<T> {
    Change::none(owner.unwrap_or(caller.owner()), deps, answer)
}

async fn check_room(session: &Session<'_>, owner: Option<&str>) -> Result<(), Refusal> {
    let owners = session.read(|db| async move { all_sink_owners(&db).await }).await?;
    let theirs = owners.iter().filter(|other| other.as_deref() == owner).count();
    if theirs >= MAX_AUDIT_SINKS_OF_OWNER || owners.len() >= MAX_AUDIT_SINKS {
        return Err(Refusal::new(Code::TooManySinks, "there are as many sinks as there may be: remove one"));
    }
    Ok(())
}

fn spec(session: &Session<'_>, new: &NewAuditSink) -> Result<SinkSpec, Refusal> {
    check::text("/name", &new.name, 1, MAX_NAME_BYTES)?;
    check::text("/url", &new.url, 1, MAX_URL_BYTES)?;
    let endpoint_url = Url::parse(&new.url).map_err(|_| Refusal::field("/url", "is not a URL"))?;
    session.app.upstreams.check(&endpoint_url).map_err(|_| {
        Refusal::field("/url", "must be an https URL of a public address, or of one that the server's settings allow")
    })?;
    if new.events.len() > MAX_AUDIT_FILTER_EVENTS {
        return Err(Refusal::field("/events", format!("has at most {MAX_AUDIT_FILTER_EVENTS} events")));
    }
    for (place, event) in new.events.iter().enumerate() {
        check::text(&format!("/events/{place}"), event, 1, MAX_FILTER_BYTES)?;
    }
    if let Some(outcome) = &new.outcome {
        check::text("/outcome", outcome, 1, MAX_FILTER_BYTES)?;
    }
    let since = match new.since {
        Some(since) if !(0..=session.now()).contains(&since) => {
            return Err(Refusal::field("/since", "is a time that has been, in seconds"));
        }
        Some(since) => since.saturating_mul(MICROS_PER_SECOND),
        None => session.app.clock.micros(),
    };
    let (events, outcome) = (new.events.clone(), new.outcome.clone());
    Ok(SinkSpec { endpoint_url, format: new.format, events, outcome, since })
}

pub(super) async fn pause(session: &Session<'_>, id: &str, why: &PauseAuditSink) -> Result<AuditSink, Refusal> {
    check::reason(&why.reason)?;
    set(session, id, SinkState::Paused, &why.reason).await
}

/// Has a sink go on where it stopped, at once.
pub(super) async fn resume(session: &Session<'_>, id: &str, why: &ChangeState) -> Result<AuditSink, Refusal> {
    let reason = why.reason.as_deref().unwrap_or_default();
    check::text("/reason", reason, 0, MAX_REASON_BYTES)?;
    set(session, id, SinkState::Active, reason).await?;
    let sink = id.to_owned();
    session.read(|db| async move { hasten(&db, &sink).await }).await?;
    find(session, id).await
}

async fn set(session: &Session<'_>, id: &str, to: SinkState, why: &str) -> Result<AuditSink, Refusal> {
    let row = session
        .change(id, async |caller| {
            let have = load_seen(session, caller, id).await?;
            may_change(caller, have.owner_id.as_deref())?;
            let dep = vec![deps::audit_sink(id)];
            let owner = have.owner_id.clone();
            if have.state == to.as_str() {
                return Ok(of_owner(caller, owner.as_deref(), dep, have));
            }
            let reason = (to == SinkState::Paused).then_some(why);
            let row = export::row(have, to, reason, session.now());
            let change = Change {
                writes: vec![Write::Update(Row::AuditSink(row.clone()))],
                changes: dep.clone(),
                ..of_owner(caller, owner.as_deref(), dep, row)
            };
            Ok(change.with("effect", to.as_str()).with("why", why))
        })
        .await?;
    view_of(session, row).await
}

/// Removes a sink, with its secret and where it stood.
pub(super) async fn delete(session: &Session<'_>, id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let have = load_seen(session, caller, id).await?;
            may_change(caller, have.owner_id.as_deref())?;
            let dep = vec![deps::audit_sink(id)];
            let change = Change {
                writes: vec![Write::Delete(Table::AuditSink, id.to_owned())],
                changes: vec![deps::audit_sink(id), deps::audit_sinks()],
                ..of_owner(caller, have.owner_id.as_deref(), dep, ())
            };
            Ok(change.with("effect", "removed").with("name", have.name))
        })
        .await
}

/// Sends a message without records once, and says what came of it.
pub(super) async fn test(session: &Session<'_>, id: &str) -> Result<AuditSinkTried, Refusal> {
    let row = session
        .change(id, async |caller| {
            let have = load_seen(session, caller, id).await?;
            may_change(caller, have.owner_id.as_deref())?;
            let owner = have.owner_id.clone();
            Ok(of_owner(caller, owner.as_deref(), vec![deps::audit_sink(id)], have))
        })
        .await?;
    let sink = Sink::read(row).map_err(|_| Refusal::internal())?;
    Ok(match export::try_once(session.app, &sink).await {
        Ok(()) => AuditSinkTried { arrived: true, failure: None },
        Err(why) => AuditSinkTried { arrived: false, failure: Some(why.to_owned()) },
    })
}
