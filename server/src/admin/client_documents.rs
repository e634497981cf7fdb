//! Client documents. To admit a document is to let whoever writes it be an agent within the
//! template, so it takes the right to create agents, and the access is checked as at an agent's
//! own registration. A URL is admitted by one owner: of two that admit the same, neither could
//! say whose client it is. What is suspended or revoked takes its clients along, in one work.

use super::agents::check_access;
use super::api::{ChangeState, ClientDocument, ListQuery, NewClientDocument, Page};
use super::caller::Caller;
use super::check;
use super::limits::{MAX_NAME_BYTES, MAX_REASON_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::registration_tokens::{check_template, within};
use super::revocations::{Entry, entry};
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::documents::{Covers, DocumentUrl, EntryState, overlap};
use crate::limits::{MAX_ALL_CLIENT_DOCUMENTS, MAX_CLIENT_DOCUMENTS, MAX_DOCUMENT_CLIENTS};
use stipend_keys::random_id;
use stipend_schema::documents::ClientDocumentRow;
use stipend_schema::queries::ClientBundle;
use stipend_schema::{ClientRow, Dep, Row, Write, queries};
use stipend_token::revoked::RevokedKind;

/// What a client says of itself that was stopped with its entry, and is resumed with it.
const STOPPED: &str = "its client document is suspended";
const ENDED: &str = "its client document is revoked";

fn view((row, clients): (ClientDocumentRow, usize)) -> Result<ClientDocument, Refusal> {
    Ok(ClientDocument {
        covers: check::parse_word(&row.covers)?,
        template: check::parse_column(&row.template)?,
        state: check::parse_word(&row.state)?,
        id: row.id,
        owner: row.owner_id,
        name: row.name,
        url: row.url,
        clients: i64::try_from(clients).map_err(|_| Refusal::internal())?,
        max_clients: row.max_clients,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<ClientDocument>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadAgent);
    let read = session.read(|db| async move {
        let rows = queries::list_client_documents(&db, &owners, &wanted).await?;
        let mut counted = Vec::with_capacity(rows.len());
        for row in rows {
            let clients = queries::clients_of_document(&db, &row.id).await?.len();
            counted.push((row, clients));
        }
        Ok(counted)
    });
    page::cut(read.await?, limit, |(row, _)| row.id.clone(), view)
}

/// One that the caller may see, with the ids of its clients.
async fn load(
    session: &Session<'_>,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<(ClientDocumentRow, Vec<String>), Refusal> {
    let id = id.to_owned();
    let read = session.read(|db| async move {
        let row = queries::find_client_document(&db, &id).await?;
        let clients = queries::clients_of_document(&db, &id).await?;
        Ok(row.map(|row| (row, clients)))
    });
    let (row, clients) = read.await?.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok((row, clients))
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<ClientDocument, Refusal> {
    let (row, clients) = load(session, session.caller(), id, Action::ReadAgent).await?;
    view((row, clients.len()))
}

pub(super) async fn create(session: &Session<'_>, new: &NewClientDocument) -> Result<ClientDocument, Refusal> {
    session
        .change(&new.owner, async |caller| {
            caller.check(Action::CreateAgent, Some(&new.owner))?;
            super::owners::load(session, &new.owner).await?;
            let row = row(session, new, caller.id())?;
            let template = &new.template;
            let read = check_access(session, caller, &template.access, &[], template.environment).await;
            let mut deps = read.map_err(|refusal| refusal.under("/template"))?;
            let have = session.read(|db| async move { queries::client_documents(&db).await }).await?;
            refuse_taken(&row, &have)?;
            let changes = vec![deps::client_documents(), deps::client_document(&row.id)];
            deps.extend(changes.iter().cloned().chain([deps::owner(&new.owner)]));
            let (id, answer) = (row.id.clone(), view((row.clone(), 0))?);
            let writes = vec![Write::Insert(Row::ClientDocument(row.clone()))];
            Ok(Change { writes, changes, ..Change::none(&new.owner, deps, answer) }
                .with("effect", "created")
                .with("url", row.url)
                .with("covers", row.covers)
                .with("target", id))
        })
        .await
}

fn row(session: &Session<'_>, new: &NewClientDocument, by: &str) -> Result<ClientDocumentRow, Refusal> {
    check::text("/name", &new.name, 1, MAX_NAME_BYTES)?;
    let covers = new.covers.unwrap_or(Covers::One);
    let parsed = match covers {
        Covers::One => DocumentUrl::parse(&new.url),
        Covers::Prefix => DocumentUrl::parse_prefix(&new.url),
    };
    let url = parsed.map_err(|fault| match covers {
        Covers::One => Refusal::field("/url", fault.to_string()),
        Covers::Prefix => Refusal::field("/url", format!("{fault}, and end with a slash")),
    })?;
    if session.app.fetcher.check(url.url()).is_err() {
        return Err(Refusal::field("/url", "is not fetched by this server: it must be https, at no private address"));
    }
    check_template(&new.template.as_registration()).map_err(|refusal| refusal.under("/template"))?;
    let now = session.now();
    Ok(ClientDocumentRow {
        id: random_id("cdo_"),
        owner_id: new.owner.clone(),
        name: new.name.clone(),
        url: url.as_str().to_owned(),
        covers: check::word(&covers)?,
        template: check::column(&new.template)?,
        max_clients: within("/max_clients", new.max_clients.unwrap_or(1), MAX_DOCUMENT_CLIENTS)?,
        state: EntryState::Active.as_str().to_owned(),
        created_by: by.to_owned(),
        created_at: now,
        updated_at: now,
    })
}

/// A URL is of one owner, whose own entries may lie in one another: the most exact decides.
/// Whoever tries another's learns that it is taken, and no more.
fn refuse_taken(new: &ClientDocumentRow, have: &[ClientDocumentRow]) -> Result<(), Refusal> {
    let reach = |row: &ClientDocumentRow| row.covers == "prefix";
    for old in have {
        let same = old.url == new.url;
        let meets = overlap((&old.url, reach(old)), (&new.url, reach(new)));
        if same || (meets && old.owner_id != new.owner_id) {
            return Err(Refusal::new(Code::AlreadyExists, "documents at this URL are admitted already"));
        }
    }
    let own = have.iter().filter(|old| old.owner_id == new.owner_id).count();
    if own >= MAX_CLIENT_DOCUMENTS || have.len() >= MAX_ALL_CLIENT_DOCUMENTS {
        return Err(Refusal::new(Code::TooManyClientDocuments, "as many documents are admitted as may be"));
    }
    Ok(())
}

/// What is done to an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    Suspend,
    Resume,
    Revoke,
}

impl Verb {
    fn to(self) -> EntryState {
        match self {
            Self::Suspend => EntryState::Suspended,
            Self::Resume => EntryState::Active,
            Self::Revoke => EntryState::Revoked,
        }
    }
}

pub(super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    verb: Verb,
    why: &ChangeState,
) -> Result<ClientDocument, Refusal> {
    session
        .change(id, async |caller| {
            let reason = why.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            let (row, clients) = load(session, caller, id, Action::CreateAgent).await?;
            let mut deps = vec![deps::client_documents(), deps::client_document(id)];
            let (owner, from) = (row.owner_id.clone(), check::parse_word::<EntryState>(&row.state)?);
            if from == verb.to() {
                return Ok(Change::none(&owner, deps, view((row, clients.len()))?));
            }
            if from == EntryState::Revoked {
                return Err(Refusal::new(Code::InvalidState, "the client document is revoked, which is final"));
            }
            let row = ClientDocumentRow { state: verb.to().as_str().to_owned(), updated_at: session.now(), ..row };
            let mut writes = vec![Write::Update(Row::ClientDocument(row.clone()))];
            // All of them, so that whatever is being decided about one is decided again.
            deps.extend(clients.iter().map(|client| deps::client(client)));
            let mut moved = 0_i64;
            for client in &clients {
                let followed = follow(session, client, verb, caller.id()).await?;
                moved += i64::from(!followed.is_empty());
                writes.extend(followed);
            }
            let changes: Vec<Dep> = deps.clone();
            let answer = view((row, clients.len()))?;
            Ok(Change { writes, changes, ..Change::none(&owner, deps, answer) }
                .with("effect", verb.to().as_str())
                .with("clients", moved)
                .with("why", reason))
        })
        .await
}

/// What becomes of one client. One that was stopped for a reason of its own stays so, and one
/// that nobody answers for is not brought back.
async fn follow(session: &Session<'_>, client: &str, verb: Verb, by: &str) -> Result<Vec<Write>, Refusal> {
    let id = client.to_owned();
    let bundle = session.read(|db| async move { queries::find_client_bundle(&db, &id).await }).await?;
    let Some(ClientBundle { client: row, responsibility, .. }) = bundle else { return Ok(Vec::new()) };
    let orphaned = responsibility.is_some_and(|row| row.orphaned_at.is_some());
    let stopped = row.state_reason.as_deref() == Some(STOPPED);
    let now = session.now();
    let to = |row: ClientRow, state: &str, why: Option<&str>| {
        let (state, state_reason) = (state.to_owned(), why.map(str::to_owned));
        Write::Update(Row::Client(ClientRow { state, state_reason, updated_at: now, ..row }))
    };
    Ok(match (verb, row.state.as_str()) {
        (Verb::Suspend, "active") => vec![to(row, "suspended", Some(STOPPED))],
        (Verb::Resume, "suspended") if stopped && !orphaned => vec![to(row, "active", None)],
        (Verb::Revoke, "active" | "suspended" | "requested") => {
            let owner = row.owner_id.clone();
            let dead = entry(&Entry {
                kind: RevokedKind::Client,
                value: client,
                owner: Some(&owner),
                reason: ENDED,
                severity: "low",
                by,
                now,
            });
            vec![to(row, "revoked", Some(ENDED)), Write::Insert(Row::Revocation(dead))]
        }
        _ => Vec::new(),
    })
}
