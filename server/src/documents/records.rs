//! The durable half of a client that is known by a document: made when an assertion was first
//! proved by it, and kept as the document says. Access, scopes, lives and state are the entry's or
//! an admin's; a document writes keys and the name, and nothing else.

use super::entry::DocumentTemplate;
use super::metadata::{Document, DocumentKeys};
use super::{Resolved, client_name};
use crate::admin::{MAX_EXPIRY_SECONDS, key_row};
use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::deps;
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::records::{AuthMethod, Client, ClientSettings};
use crate::registration::{commit, load, read_column, text, word};
use std::sync::Arc;
use stipend_schema::documents::{ClientDocumentRow, DocumentClientRow};
use stipend_schema::queries::{self, ClientBundle};
use stipend_schema::{ClientKeyRow, ClientRow, OwnerRow, Row, Table, Work, Write};

/// The client, as its document says now: made, changed, or as it is.
///
/// # Errors
/// The [`Reason`]: the entry is full, or something was changed meanwhile.
pub async fn settle(app: &App, resolved: &Resolved, origin: &Origin) -> Result<Arc<Client>, Reason> {
    if let Some(client) = resolved.client.as_ref().filter(|client| is_as_read(client, resolved)) {
        return Ok(Arc::clone(client));
    }
    let id = resolved.client_id.as_str();
    let _turn = app.turns.take(id).await.map_err(|_| Reason::Overtaken)?;
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let client = app.records.find_client(id).await?;
        if let Some(client) = client.filter(|client| is_as_read(client, resolved)) {
            return Ok(client);
        }
        let decided = decide(app, resolved, basis, origin).await?;
        commit(app, decided, ()).await?;
    }
    Err(Reason::Overtaken)
}

fn is_as_read(client: &Client, resolved: &Resolved) -> bool {
    let same = |document: &DocumentClientRow| document.digest == resolved.read.document.digest;
    client.document.as_ref().is_some_and(same)
}

async fn decide(app: &App, resolved: &Resolved, basis: i64, origin: &Origin) -> Result<Work, Reason> {
    let (id, entry_id) = (resolved.client_id.clone(), resolved.entry.id.clone());
    let owner_id = resolved.entry.owner_id.clone();
    let found = load(app, |db| async move {
        let entry = queries::find_client_document(&db, &entry_id).await?;
        let owner = queries::find_owner(&db, &owner_id).await?;
        let clients = queries::clients_of_document(&db, &entry_id).await?.len();
        // Last: who took the entry's last place meanwhile may have been this very client.
        let bundle = queries::find_client_bundle(&db, &id).await?;
        Ok((bundle, entry.zip(owner), clients))
    });
    let (bundle, entry, clients) = found.await?;
    let (entry, owner) = entry.ok_or(Reason::DocumentNotAdmitted)?;
    if entry.state != "active" {
        return Err(Reason::DocumentNotAdmitted);
    }
    match bundle {
        Some(ClientBundle { client, keys, document: Some(document), .. }) if document.url == resolved.url.as_str() => {
            changed(app, resolved, basis, (client, keys, document), origin)
        }
        Some(_) => Err(Reason::UnknownClient),
        None if i64::try_from(clients).is_ok_and(|clients| clients < entry.max_clients) => {
            made(app, resolved, basis, (&entry, &owner), origin)
        }
        None => Err(Reason::DocumentClientsFull),
    }
}

/// The work of a first use.
fn made(
    app: &App,
    resolved: &Resolved,
    basis: i64,
    (entry, owner): (&ClientDocumentRow, &OwnerRow),
    origin: &Origin,
) -> Result<Work, Reason> {
    if owner.state != "active" {
        return Err(Reason::ClientNotActive);
    }
    let now = app.clock.now();
    let document = &resolved.read.document;
    let template: DocumentTemplate = read_column(&entry.template)?;
    let client = client_row(resolved, &template, now)?;
    let keys = key_rows(&client.id, document, now);
    let alias = DocumentClientRow {
        client_id: client.id.clone(),
        document_id: entry.id.clone(),
        url: resolved.url.as_str().to_owned(),
        digest: document.digest.clone(),
        read_at: resolved.read.at,
        created_at: now,
        updated_at: now,
    };
    let mut draft = Draft::new("client.document_enrolled", origin);
    draft.client(&client.id, &client.owner_id);
    draft.put("url", alias.url.clone());
    draft.put("client_document", entry.id.clone());
    draft.put("keys", document.describe_keys());
    // Counted exactly: the next first use leans on this change.
    let changes = vec![deps::client_document(&entry.id), deps::client(&client.id)];
    let mut leaning = changes.clone();
    leaning.extend([deps::client_documents(), deps::owner(&client.owner_id)]);
    let mut writes = vec![Write::Insert(Row::Client(client))];
    writes.extend(keys.into_iter().map(|key| Write::Insert(Row::ClientKey(key))));
    writes.push(Write::Insert(Row::DocumentClient(alias)));
    Ok(Work { deps: leaning, writes, changes, ..Work::recording(basis, draft.outcome(DONE)) })
}

/// The work of a document that says something else than it did.
fn changed(
    app: &App,
    resolved: &Resolved,
    basis: i64,
    (client, keys, alias): (ClientRow, Vec<ClientKeyRow>, DocumentClientRow),
    origin: &Origin,
) -> Result<Work, Reason> {
    // Never back to what was read before what is there.
    if alias.read_at >= resolved.read.at {
        return Err(Reason::Overtaken);
    }
    let now = app.clock.now();
    let document = &resolved.read.document;
    let mut draft = Draft::new("client.document_changed", origin);
    draft.client(&client.id, &client.owner_id);
    draft.put("url", alias.url.clone());
    draft.put("keys", document.describe_keys());
    let mut settings: ClientSettings = read_column(&client.settings)?;
    settings.jwks_uri = published(document);
    let fresh = key_rows(&client.id, document, now);
    let dep = deps::client(&client.id);
    let leaning = vec![dep.clone(), deps::client_document(&resolved.entry.id), deps::owner(&client.owner_id)];
    let client = ClientRow {
        purpose: document.name.clone().unwrap_or_default(),
        settings: text(&settings)?,
        updated_at: now,
        ..client
    };
    let mut writes = vec![Write::Update(Row::Client(client))];
    // A key that stays keeps its row: nobody needs to hear of it.
    let stays = |old: &ClientKeyRow| fresh.iter().any(|new| new.jwk == old.jwk);
    let goes = keys.iter().filter(|old| !stays(old));
    writes.extend(goes.map(|key| Write::Delete(Table::ClientKey, key.id.clone())));
    let comes = fresh.iter().filter(|new| !keys.iter().any(|old| old.jwk == new.jwk));
    writes.extend(comes.map(|key| Write::Insert(Row::ClientKey(key.clone()))));
    let alias =
        DocumentClientRow { digest: document.digest.clone(), read_at: resolved.read.at, updated_at: now, ..alias };
    writes.push(Write::Update(Row::DocumentClient(alias)));
    Ok(Work { deps: leaning, writes, changes: vec![dep], ..Work::recording(basis, draft.outcome(DONE)) })
}

fn client_row(resolved: &Resolved, template: &DocumentTemplate, now: i64) -> Result<ClientRow, Reason> {
    let document = &resolved.read.document;
    let settings = ClientSettings {
        grant_types: Some(template.grant_types.clone()),
        jwks_uri: published(document),
        ..template.settings.clone()
    };
    Ok(ClientRow {
        id: resolved.client_id.clone(),
        owner_id: resolved.entry.owner_id.clone(),
        kind: "agent".to_owned(),
        name: client_name(&resolved.url),
        state: "active".to_owned(),
        state_reason: None,
        auth_method: word(AuthMethod::PrivateKeyJwt)?,
        legacy_assertion_aud: false,
        access: text(&template.access)?,
        scope_ceiling: None,
        max_ttl_seconds: template.ttl_seconds,
        roles: "[]".to_owned(),
        purpose: document.name.clone().unwrap_or_default(),
        environment: template.environment.as_str().to_owned(),
        may_act: None,
        reissue_of: None,
        expires_at: template.client_expires_in_seconds.map(|seconds| now.saturating_add(seconds)),
        created_at: now,
        updated_at: now,
        settings: text(&settings)?,
    })
}

fn published(document: &Document) -> Option<String> {
    match &document.keys {
        DocumentKeys::Published(url) => Some(url.clone()),
        DocumentKeys::Inline(..) => None,
    }
}

/// The keys as they are shown. Whether they still count the document says, and not these rows, so
/// they have no end of their own.
fn key_rows(id: &str, document: &Document, now: i64) -> Vec<ClientKeyRow> {
    let end = now.saturating_add(MAX_EXPIRY_SECONDS);
    match &document.keys {
        DocumentKeys::Inline(_, keys) => keys.iter().map(|key| key_row(id, key, now, end)).collect(),
        DocumentKeys::Published(_) => Vec::new(),
    }
}
