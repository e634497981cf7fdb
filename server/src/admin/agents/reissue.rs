//! A clone under a new name, with credentials of its own and a life not longer.

use super::super::api::{AgentCreated, ReissueAgent};
use super::super::check;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::create::{Registration, find, register};
use super::view::responsible;
use super::{credentials, deps_of, load};
use crate::records::{ClientSettings, ClientState};
use stipend_schema::{ClientRow, ResponsibilityRow, Row, Write};
use stipend_token::id::client_id;

/// Answers the clone, and whether it is new.
pub(in super::super) async fn reissue(
    session: &Session<'_>,
    id: &str,
    new: &ReissueAgent,
) -> Result<(bool, AgentCreated), Refusal> {
    session.change(id, async |caller| decide(session, caller, id, new).await).await
}

async fn decide(
    session: &Session<'_>,
    caller: &super::Caller,
    id: &str,
    new: &ReissueAgent,
) -> Result<Change<(bool, AgentCreated)>, Refusal> {
    let bundle = load(session, caller, id, Action::CreateAgent).await?;
    let origin = bundle.client;
    check::slug("/name", &new.name)?;
    let ttl = new.ttl_seconds.unwrap_or(origin.max_ttl_seconds);
    check::ttl(ttl)?;
    if ttl > origin.max_ttl_seconds {
        return Err(Refusal::new(Code::NotNarrower, "a clone's tokens live no longer than the original's"));
    }
    if origin.expires_at.is_some_and(|at| session.now() >= at) {
        return Err(Refusal::new(Code::InvalidState, "the agent has expired, and so would its clone"));
    }
    let takes = credentials::takes(&origin)?;
    let keys = new.jwks.as_ref().map_or(Ok(Vec::new()), |jwks| credentials::parse_jwks(takes, jwks))?;
    let clone_id = client_id(&origin.owner_id, &new.name);
    let now = session.now();
    let mut settings: ClientSettings = check::parse_column(&origin.settings)?;
    // Keys of its own stand in place of those that the original publishes; and those that its
    // document names are that one's alone.
    let documented = bundle.document.is_some();
    settings.jwks_uri = settings.jwks_uri.filter(|_| new.jwks.is_none() && !documented);
    let mut deps = deps_of(&origin);
    let row = ClientRow {
        id: clone_id.clone(),
        name: new.name.clone(),
        state: check::word(&ClientState::Active)?,
        state_reason: None,
        max_ttl_seconds: ttl,
        reissue_of: Some(id.to_owned()),
        settings: check::column(&settings)?,
        created_at: now,
        updated_at: now,
        ..origin
    };
    deps.extend(deps_of(&row));
    if bundle.responsibility.as_ref().is_some_and(|row| row.orphaned_at.is_some()) {
        return Err(Refusal::new(Code::InvalidState, "nobody answers for the agent: transfer it first"));
    }
    // Whoever answers for the original answers for its clone.
    let responsibility = bundle.responsibility.map(|row| ResponsibilityRow {
        client_id: clone_id.clone(),
        offered_to: None,
        offered_by: None,
        created_at: now,
        updated_at: now,
        ..row
    });
    let have = find(session, &clone_id).await?;
    let is_new = have.is_none();
    let new = Registration { row, owner: bundle.owner, keys, credential_seconds: new.secret_expires_in_seconds, deps };
    let mut change = register(session, new, have).await?;
    if let Some(row) = responsibility.filter(|_| is_new) {
        change.answer.1.agent.responsible = Some(responsible(row.clone()));
        change.writes.push(Write::Insert(Row::Responsibility(row)));
    }
    Ok(change.with("reissue_of", id))
}
