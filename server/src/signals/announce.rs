//! From what a work writes to the events of it, each for the streams that it concerns.
//!
//! Whom it concerns: the services of the audiences that the token is for or that the client's
//! tokens may be for, and of those at which something that descends from them is (`reach.rs`).

use super::budget::of_line;
use super::event::{Event, EventKind, Initiator};
use super::reach::{all_streams, noted, streams};
use super::stream::StreamState;
use crate::app::App;
use crate::audit::ISSUED;
use crate::limits::{MAX_SIGNALS_PER_WORK, SIGNAL_OWNER_CLIENTS};
use crate::records::Unavailable;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
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
    /// That there is less of a budget than before.
    lowers: bool,
    /// How the risk of a client was judged before and is now.
    risk: Option<&'a Value>,
    by: Initiator,
}

/// An event, and the audiences whose services are told.
pub(super) struct Concerning {
    pub event: Event,
    pub audiences: BTreeSet<String>,
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
    let detail = &work.record.detail;
    let said = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let (txn, suspends) = (said("request_id").to_owned(), said("effect") == "suspended");
    let (lowers, risk) = (said("effect") == "lowered", detail.get("risk"));
    let happened = Happened { writes: &work.writes, changes: &work.changes, token, suspends, lowers, risk, by };
    let told = events(app, &happened).await?;
    let mut told = put(app, told, &txn).await?;
    told.extend(of_keys(app, &happened, &txn).await?);
    if told.len() > MAX_SIGNALS_PER_WORK {
        tracing::warn!(events = told.len(), "more security events of one cause than are told");
        told.truncate(MAX_SIGNALS_PER_WORK);
    }
    work.writes.extend(told);
    Ok(work)
}

/// The rows that tell events, one for each stream that they concern.
pub(super) async fn put(app: &App, events: Vec<Concerning>, txn: &str) -> Result<Vec<Write>, Unavailable> {
    let mut told = Vec::new();
    for concerning in events {
        for stream in streams(app, &concerning.audiences).await? {
            if stream.state != StreamState::Disabled && stream.delivers(concerning.event.kind) {
                let row = concerning.event.for_stream(app, &stream, txn);
                told.push(Write::Note(Note::Signal(row)));
            }
        }
    }
    Ok(told)
}

/// A signing key that is trusted no more is everybody's matter: who verifies by a key set that
/// was fetched before takes its tokens until it fetches anew.
async fn of_keys(app: &App, happened: &Happened<'_>, txn: &str) -> Result<Vec<Write>, Unavailable> {
    let mut told = Vec::new();
    for write in happened.writes {
        let Write::Insert(Row::Revocation(row)) = write else { continue };
        if row.kind != RevokedKind::Key.as_str() {
            continue;
        }
        let mut detail = detail(app, happened, "all tokens signed by a key were revoked");
        detail.insert("kid".to_owned(), row.value.clone().into());
        // No subject format is for keys: the place where it was published, and which it was there.
        let sub_id = json!({ "format": "uri", "uri": format!("{}#{}", app.urls.jwks_uri, row.value) });
        let event = Event { kind: EventKind::SessionRevoked, sub_id, detail };
        for stream in all_streams(app).await? {
            if stream.state != StreamState::Disabled && stream.delivers(event.kind) {
                told.push(Write::Note(Note::Signal(event.for_stream(app, &stream, txn))));
            }
        }
    }
    Ok(told)
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
            Write::Update(Row::Client(row)) => {
                if let Some(risk) = happened.risk {
                    events.extend(risk_changed(app, happened, &row.id, risk).await?);
                }
            }
            Write::Update(Row::BudgetLine(row)) if happened.lowers => {
                let detail = detail(app, happened, "the budget was lowered or closed");
                events.extend(of_line(app, row, detail).await?);
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
            let mut audiences = match happened.token {
                Some(token) => token.aud.iter().map(|aud| aud.as_str().to_owned()).collect(),
                None => audiences_on_record(app, value).await?,
            };
            audiences.extend(noted(app, kind, value).await?);
            // SSF section 3.5.1.
            let sub_id = json!({ "format": "jwt_id", "iss": app.urls.issuer, "jti": value });
            Ok(vec![Concerning { event: session(sub_id, "the token was revoked"), audiences }])
        }
        RevokedKind::Client => client_revoked(app, happened, value, "the client was revoked").await,
        RevokedKind::Subject => match value.strip_prefix("agent:").or_else(|| value.strip_prefix("client:")) {
            Some(client) => client_revoked(app, happened, client, "the subject was revoked").await,
            None => {
                let audiences = noted(app, kind, value).await?;
                let sub_id = json!({ "format": "iss_sub", "iss": app.urls.issuer, "sub": value });
                Ok(vec![Concerning { event: session(sub_id, "the subject was revoked"), audiences }])
            }
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
        RevokedKind::Issuer => {
            let audiences = noted(app, kind, value).await?;
            // Its tokens name it by its id here, so the receiver is told that beside its name.
            let issuer = app.records.find_issuer_by_id(value).await?;
            let mut detail = detail(app, happened, "an issuer is trusted no more");
            detail.insert("idp".to_owned(), value.into());
            let uri = issuer.map_or_else(|| value.to_owned(), |issuer| issuer.issuer.clone());
            let sub_id = json!({ "format": "uri", "uri": uri });
            Ok(vec![Concerning { event: Event { kind: EventKind::SessionRevoked, sub_id, detail }, audiences }])
        }
        // Told to everybody, elsewhere.
        RevokedKind::Key => Ok(Vec::new()),
    }
}

async fn client_revoked(
    app: &App,
    happened: &Happened<'_>,
    client: &str,
    words: &'static str,
) -> Result<Vec<Concerning>, Unavailable> {
    let mut events = of_client(app, client, EventKind::SessionRevoked, detail(app, happened, words)).await?;
    let noted = noted(app, RevokedKind::Client, client).await?;
    for concerning in &mut events {
        concerning.audiences.extend(noted.iter().cloned());
    }
    Ok(events)
}

/// CAEP section 3.8, where the level is another than before.
async fn risk_changed(
    app: &App,
    happened: &Happened<'_>,
    client: &str,
    risk: &Value,
) -> Result<Vec<Concerning>, Unavailable> {
    let level = |name: &str| risk.get(name).and_then(Value::as_str).map(str::to_uppercase);
    // There is no word for "nobody says so any more".
    let (previous, current) = (level("previous"), level("current").unwrap_or_else(|| "LOW".to_owned()));
    if previous.as_ref() == Some(&current) {
        return Ok(Vec::new());
    }
    let mut detail = detail(app, happened, "the risk of the agent is judged anew");
    // The agent is the user of what it does.
    detail.insert("principal".to_owned(), "USER".into());
    detail.insert("current_level".to_owned(), current.into());
    detail.extend(previous.map(|previous| ("previous_level".to_owned(), previous.into())));
    of_client(app, client, EventKind::RiskLevelChange, detail).await
}

/// An event about a client, for whoever its tokens may be for.
pub(super) async fn of_client(
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

/// For which audiences a token was issued, if it is on record.
async fn audiences_on_record(app: &App, jti: &str) -> Result<BTreeSet<String>, Unavailable> {
    let db = app.store.db().clone();
    let filter = AuditFilter {
        oldest_first: false,
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

pub(super) async fn clients_of(app: &App, owner: &str) -> Result<Vec<String>, Unavailable> {
    let (db, owners) = (app.store.db().clone(), OwnerFilter::Only(vec![owner.to_owned()]));
    let page = Page { after: None, limit: SIGNAL_OWNER_CLIENTS };
    let read = app.store.run(async move { list_clients(&db, &owners, &page).await }).await;
    let rows = read.ok().and_then(Result::ok).ok_or(Unavailable)?;
    Ok(rows.into_iter().map(|row| row.id).filter(|client| id::is_identifier(client)).collect())
}
