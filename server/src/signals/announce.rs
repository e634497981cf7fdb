//! From what a work writes to the events of it, each for the streams that it concerns.
//!
//! Whom it concerns: the services of the audiences that the token is for, or that the client's
//! tokens may be for. A child token for another audience is not looked for: its services see it in
//! the status list, at introspection and at the next hold.

use super::event::{Event, EventKind, Initiator};
use super::stream::{Stream, StreamState};
use crate::app::App;
use crate::audit::ISSUED;
use crate::limits::{MAX_SIGNALS_PER_WORK, SIGNAL_OWNER_CLIENTS};
use crate::records::Unavailable;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use stipend_schema::queries::{AuditFilter, OwnerFilter, Page, audit_records, list_clients};
use stipend_schema::{Dep, Note, Row, Table, Work, Write};
use stipend_token::claims::AccessToken;
use stipend_token::revoked::RevokedKind;
use stipend_token::{Audience, id};

/// A work, as far as events are made from it.
#[derive(Clone, Copy, Debug)]
struct Happened<'a> {
    writes: &'a [Write],
    changes: &'a [Dep],
    /// The token that is revoked, where it is at hand.
    token: Option<&'a AccessToken>,
    /// That a client became suspended with this, and was not before.
    suspends: bool,
    by: Initiator,
}

/// An event, and the audiences whose services are told.
struct Concerning {
    event: Event,
    audiences: BTreeSet<String>,
}

/// The work with the events of what it writes. `token` is the one that is revoked, where it is at
/// hand.
///
/// # Errors
/// [`Unavailable`]: then the work must not be committed.
pub async fn announce(
    app: &App,
    mut work: Work,
    token: Option<&AccessToken>,
    by: Initiator,
) -> Result<Work, Unavailable> {
    let said = |name: &str| work.record.detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let (txn, suspends) = (said("request_id").to_owned(), said("effect") == "suspended");
    let happened = Happened { writes: &work.writes, changes: &work.changes, token, suspends, by };
    let mut told = Vec::new();
    for concerning in events(app, &happened).await? {
        for stream in streams(app, &concerning.audiences).await? {
            if stream.state != StreamState::Disabled && stream.delivers(concerning.event.kind) {
                let row = concerning.event.for_stream(app, &stream, &txn);
                told.push(Write::Note(Note::Signal(row)));
            }
        }
    }
    if told.len() > MAX_SIGNALS_PER_WORK {
        tracing::warn!(events = told.len(), "more security events of one cause than are told");
        told.truncate(MAX_SIGNALS_PER_WORK);
    }
    work.writes.extend(told);
    Ok(work)
}

async fn events(app: &App, happened: &Happened<'_>) -> Result<Vec<Concerning>, Unavailable> {
    let mut events = Vec::new();
    let mut changed: BTreeSet<(String, &'static str, &'static str)> = BTreeSet::new();
    let created: Vec<&str> = happened.writes.iter().filter_map(created_client).collect();
    for write in happened.writes {
        match write {
            Write::Insert(Row::Revocation(row)) => {
                let kind = RevokedKind::parse(&row.kind).ok_or(Unavailable)?;
                events.extend(revoked(app, happened, kind, &row.value).await?);
            }
            Write::Update(Row::Client(row)) if happened.suspends && row.state == "suspended" => {
                events.extend(client_revoked(app, happened, &row.id, "the agent was suspended").await?);
            }
            // What a client begins with is no change.
            Write::Insert(Row::ClientSecret(row)) if !created.contains(&row.client_id.as_str()) => {
                changed.insert((row.client_id.clone(), "client_secret", "create"));
            }
            Write::Insert(Row::ClientKey(row)) if !created.contains(&row.client_id.as_str()) => {
                changed.insert((row.client_id.clone(), "public_key", "create"));
            }
            Write::Delete(Table::ClientSecret, _) => {
                changed.extend(happened.changes.iter().filter_map(client_of).map(|id| (id, "client_secret", "revoke")));
            }
            Write::Delete(Table::ClientKey, _) => {
                changed.extend(happened.changes.iter().filter_map(client_of).map(|id| (id, "public_key", "revoke")));
            }
            _ => {}
        }
    }
    for (client, credential, change) in changed {
        let mut detail = detail(app, happened, "a credential of the client was added or removed");
        detail.insert("credential_type".to_owned(), credential.into());
        detail.insert("change_type".to_owned(), change.into());
        events.extend(of_client(app, &client, EventKind::CredentialChange, detail).await?);
    }
    Ok(events)
}

fn created_client(write: &Write) -> Option<&str> {
    if let Write::Insert(Row::Client(row)) = write { Some(&row.id) } else { None }
}

fn client_of(dep: &Dep) -> Option<String> {
    (dep.kind == RevokedKind::Client.as_str()).then(|| dep.id.clone())
}

/// CAEP section 2. The admin's own words are for the audit: a receiver may be another owner's.
fn detail(app: &App, happened: &Happened<'_>, words: &'static str) -> Map<String, Value> {
    let said = json!({
        "event_timestamp": app.clock.now(), "initiating_entity": happened.by.as_str(), "reason_admin": { "en": words },
    });
    if let Value::Object(said) = said { said } else { Map::new() }
}

async fn revoked(
    app: &App,
    happened: &Happened<'_>,
    kind: RevokedKind,
    value: &str,
) -> Result<Vec<Concerning>, Unavailable> {
    let session =
        |sub_id: Value, words| Event { kind: EventKind::SessionRevoked, sub_id, detail: detail(app, happened, words) };
    match kind {
        RevokedKind::Token => {
            let audiences = match happened.token {
                Some(token) => token.aud.iter().map(|aud| aud.as_str().to_owned()).collect(),
                None => audiences_on_record(app, value).await?,
            };
            // SSF section 3.5.1.
            let sub_id = json!({ "format": "jwt_id", "iss": app.urls.issuer, "jti": value });
            Ok(vec![Concerning { event: session(sub_id, "the token was revoked"), audiences }])
        }
        RevokedKind::Client => client_revoked(app, happened, value, "the client was revoked").await,
        RevokedKind::Subject => match value.strip_prefix("agent:").or_else(|| value.strip_prefix("client:")) {
            Some(client) => client_revoked(app, happened, client, "the subject was revoked").await,
            // Nobody knows for which audiences tokens of a foreign subject were issued.
            None => Ok(Vec::new()),
        },
        RevokedKind::Resource => {
            let sub_id = json!({ "format": "uri", "uri": value });
            let audiences = BTreeSet::from([value.to_owned()]);
            Ok(vec![Concerning { event: session(sub_id, "all tokens for the resource were revoked"), audiences }])
        }
        RevokedKind::Owner => {
            let mut events = Vec::new();
            for client in clients_of(app, value).await? {
                events.extend(client_revoked(app, happened, &client, "the owner was disabled or revoked").await?);
            }
            Ok(events)
        }
        // The JWKS says the first to everybody; of the second nobody knows for which audiences.
        RevokedKind::Key | RevokedKind::Issuer => Ok(Vec::new()),
    }
}

async fn client_revoked(
    app: &App,
    happened: &Happened<'_>,
    client: &str,
    words: &'static str,
) -> Result<Vec<Concerning>, Unavailable> {
    of_client(app, client, EventKind::SessionRevoked, detail(app, happened, words)).await
}

/// An event about a client, for whoever its tokens may be for.
async fn of_client(
    app: &App,
    client: &str,
    kind: EventKind,
    detail: Map<String, Value>,
) -> Result<Vec<Concerning>, Unavailable> {
    let Some(client) = app.records.find_client(client).await? else { return Ok(Vec::new()) };
    let mut audiences: BTreeSet<String> =
        client.access.iter().map(|entry| entry.resource.as_str().to_owned()).collect();
    let rules = app.records.rules_of(&client.owner_id).await?;
    let theirs = rules.iter().filter(|rule| rule.spec.actor.admits(&client.id, &client.owner_id));
    audiences.extend(theirs.map(|rule| rule.spec.to_audience.as_str().to_owned()));
    // SSF section 3.2: issuer and subject, as its tokens have them.
    let sub_id = json!({ "format": "iss_sub", "iss": app.urls.issuer, "sub": client.subject });
    Ok(vec![Concerning { event: Event { kind, sub_id, detail }, audiences }])
}

/// The streams of the services of these audiences, each once.
async fn streams(app: &App, audiences: &BTreeSet<String>) -> Result<Vec<Arc<Stream>>, Unavailable> {
    let mut services = BTreeSet::new();
    for audience in audiences {
        if let Some(resource) = app.records.find_resource(audience).await? {
            services.extend(resource.introspectors.iter().cloned());
        }
    }
    let mut streams = Vec::new();
    for service in services {
        streams.extend(app.records.find_stream(&service).await?);
    }
    Ok(streams)
}

/// For which audiences a token was issued, if it is on record.
async fn audiences_on_record(app: &App, jti: &str) -> Result<BTreeSet<String>, Unavailable> {
    let db = app.store.db().clone();
    let filter = AuditFilter {
        owners: OwnerFilter::All,
        event: Some("token.issued".to_owned()),
        outcome: Some(ISSUED.to_owned()),
        client_id: None,
        jti: Some(jti.to_owned()),
        since: None,
        until: None,
    };
    let read = app.store.run(async move { audit_records(&db, &filter, None, 1).await }).await;
    let rows = read.ok().and_then(Result::ok).ok_or(Unavailable)?;
    let record = rows.first().and_then(|row| serde_json::from_str::<Value>(&row.record).ok());
    let audiences = record.as_ref().and_then(|record| record.pointer("/detail/token/aud")?.as_array());
    let audiences = audiences.into_iter().flatten().filter_map(Value::as_str);
    Ok(audiences.filter_map(|text| Audience::parse(text).ok()).map(|aud| aud.as_str().to_owned()).collect())
}

async fn clients_of(app: &App, owner: &str) -> Result<Vec<String>, Unavailable> {
    let (db, owners) = (app.store.db().clone(), OwnerFilter::Only(vec![owner.to_owned()]));
    let page = Page { after: None, limit: SIGNAL_OWNER_CLIENTS };
    let read = app.store.run(async move { list_clients(&db, &owners, &page).await }).await;
    let rows = read.ok().and_then(Result::ok).ok_or(Unavailable)?;
    Ok(rows.into_iter().map(|row| row.id).filter(|client| id::is_identifier(client)).collect())
}
