//! Grants: that an agent may use a credential. An agent has none until one is made; made or
//! deleted, it holds at the agent's next call.

use super::super::api::{CredentialGrant, GrantQuery, GrantSettings, ListQuery, NewGrant, Page, PatchGrant, State};
use super::super::caller::Caller;
use super::super::check;
use super::super::limits::{MAX_EXPIRY_SECONDS, MAX_REASON_BYTES};
use super::super::page;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::credentials::{check_modes, load as load_credential, refuse_destroyed};
use super::view::grant as view;
use crate::custody::{GrantSpec, ReleaseMode};
use crate::deps;
use stipend_keys::{EncryptionJwk, random_id};
use stipend_schema::custody::CredentialGrantRow;
use stipend_schema::{ClientRow, Dep, Row, Table, Write, queries};
use stipend_token::budget::is_task_name;

pub(in super::super) async fn list(
    session: &Session<'_>,
    query: &GrantQuery,
) -> Result<Page<CredentialGrant>, Refusal> {
    let list = ListQuery { limit: query.limit, after: query.after.clone() };
    let (limit, wanted) = page::wanted(&list)?;
    let owners = session.caller().owners(Action::ReadGrant);
    let (credential, agent) = (query.credential.clone(), query.agent.clone());
    let rows = session
        .read(|db| async move {
            queries::list_grants(&db, &owners, (credential.as_deref(), agent.as_deref()), &wanted).await
        })
        .await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

/// What an agent may use: empty from the moment it is registered.
pub(in super::super) async fn of_agent(
    session: &Session<'_>,
    agent: &str,
    query: &ListQuery,
) -> Result<Page<CredentialGrant>, Refusal> {
    load_agent(session, session.caller(), agent).await?;
    let query =
        GrantQuery { credential: None, agent: Some(agent.to_owned()), limit: query.limit, after: query.after.clone() };
    list(session, &query).await
}

async fn load_agent(session: &Session<'_>, caller: &Caller, id: &str) -> Result<ClientRow, Refusal> {
    let key = id.to_owned();
    let row = session.read(|db| async move { queries::find_client(&db, &key).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(Action::ReadAgent, Some(&row.owner_id))?;
    Ok(row)
}

async fn load(session: &Session<'_>, caller: &Caller, id: &str, action: Action) -> Result<CredentialGrantRow, Refusal> {
    let key = id.to_owned();
    let row = session.read(|db| async move { queries::find_grant(&db, &key).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok(row)
}

pub(in super::super) async fn find(session: &Session<'_>, id: &str) -> Result<CredentialGrant, Refusal> {
    view(load(session, session.caller(), id, Action::ReadGrant).await?)
}

fn deps_of(row: &CredentialGrantRow) -> Vec<Dep> {
    vec![
        deps::grant_of(&row.credential_id, &row.agent_id),
        deps::credential(&row.credential_id),
        deps::client(&row.agent_id),
        deps::owner(&row.owner_id),
    ]
}

fn changed(row: &CredentialGrantRow, writes: Vec<Write>, effect: &str) -> Result<Change<CredentialGrant>, Refusal> {
    let answer = view(row.clone())?;
    let change = Change {
        writes,
        changes: vec![deps::grant_of(&row.credential_id, &row.agent_id)],
        ..Change::none(&row.owner_id, deps_of(row), answer)
    };
    let change = change.with("effect", effect).with("credential", row.credential_id.clone());
    Ok(change.with("agent", row.agent_id.clone()))
}

/// Answers the grant, and whether it is new.
pub(in super::super) async fn create(
    session: &Session<'_>,
    new: &NewGrant,
) -> Result<(bool, CredentialGrant), Refusal> {
    session
        .change(&new.credential, async |caller| {
            let credential = load_credential(session, caller, &new.credential, Action::ManageGrant).await?.row;
            refuse_destroyed(&credential)?;
            // Who may not see an agent can't find out here whether there is one.
            let agent = load_agent(session, caller, &new.agent).await?;
            if agent.kind != "agent" {
                return Err(Refusal::field("/agent", "must be an agent"));
            }
            if agent.environment != credential.environment {
                return Err(Refusal::field("/agent", "agent and credential are of different environments"));
            }
            let now = session.now();
            let (spec, expires_at) = apply(None, None, &new.settings(), now)?;
            let row = CredentialGrantRow {
                id: random_id("cg_"),
                credential_id: credential.id.clone(),
                agent_id: agent.id.clone(),
                owner_id: credential.owner_id.clone(),
                state: "active".to_owned(),
                spec: check::column(&spec)?,
                expires_at,
                created_by: caller.id().to_owned(),
                created_at: now,
                updated_at: now,
            };
            let (of, to) = (row.credential_id.clone(), row.agent_id.clone());
            if let Some(have) = session.read(|db| async move { queries::grant_of(&db, &of, &to).await }).await? {
                if (&have.spec, have.expires_at) != (&row.spec, row.expires_at) {
                    let detail = "the agent has a grant of this credential, and it differs";
                    return Err(Refusal::new(Code::AlreadyExists, detail));
                }
                return Ok(Change::none(&have.owner_id.clone(), deps_of(&have), (false, view(have)?)));
            }
            let target = row.id.clone();
            let Change { changes, deps, owner, detail, answer, .. } = changed(&row, Vec::new(), "created")?;
            let change = Change {
                writes: vec![Write::Insert(Row::CredentialGrant(row))],
                changes,
                deps,
                owner,
                other_owner: Some(agent.owner_id),
                detail,
                answer: (true, answer),
            };
            Ok(change.with("target", target))
        })
        .await
}

/// What is said of a grant once `settings` are applied to what was said before.
fn apply(
    before: Option<GrantSpec>,
    expires_at: Option<i64>,
    settings: &GrantSettings,
    now: i64,
) -> Result<(GrantSpec, Option<i64>), Refusal> {
    let mut spec = before.unwrap_or_else(|| GrantSpec {
        modes: vec![ReleaseMode::Proxy],
        constraints: stipend_token::constraint::Constraints::default(),
        task: None,
        encryption_jwk: None,
    });
    if let Some(modes) = &settings.modes {
        spec.modes = check_modes(modes)?;
    }
    if let Some(constraints) = &settings.constraints {
        spec.constraints = constraints.clone();
    }
    if let Some(task) = &settings.task {
        spec.task.clone_from(task);
    }
    if let Some(jwk) = &settings.encryption_jwk {
        if let Some(jwk) = jwk {
            EncryptionJwk::parse(jwk).map_err(|error| Refusal::field("/encryption_jwk", error.to_string()))?;
        }
        spec.encryption_jwk.clone_from(jwk);
    }
    if spec.task.as_deref().is_some_and(|task| !is_task_name(task)) {
        return Err(Refusal::field("/task", "is letters, digits, `-`, `_` and `.`, 64 at most"));
    }
    if spec.modes.contains(&ReleaseMode::Jwe) && spec.encryption_jwk.is_none() {
        return Err(Refusal::field("/encryption_jwk", "is needed for the mode jwe"));
    }
    let expires_at = settings.expires_at.unwrap_or(expires_at);
    let ahead = 1..=MAX_EXPIRY_SECONDS;
    if settings.expires_at.flatten().is_some_and(|at| !ahead.contains(&at.saturating_sub(now))) {
        return Err(Refusal::field("/expires_at", "must be in the future, and ten years ahead at most"));
    }
    Ok((spec, expires_at))
}

pub(in super::super) async fn patch(
    session: &Session<'_>,
    id: &str,
    patch: &PatchGrant,
) -> Result<CredentialGrant, Refusal> {
    session
        .change(id, async |caller| {
            let mut row = load(session, caller, id, Action::ManageGrant).await?;
            let before = check::parse_column(&row.spec)?;
            let (spec, expires_at) = apply(Some(before), row.expires_at, &patch.settings(), session.now())?;
            row.spec = check::column(&spec)?;
            row.expires_at = expires_at;
            row.updated_at = session.now();
            changed(&row, vec![Write::Update(Row::CredentialGrant(row.clone()))], "changed")
        })
        .await
}

pub(in super::super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    to: State,
    reason: Option<&str>,
) -> Result<CredentialGrant, Refusal> {
    session
        .change(id, async |caller| {
            let reason = reason.unwrap_or_default();
            check::text("/reason", reason, 0, MAX_REASON_BYTES)?;
            let mut row = load(session, caller, id, Action::ManageGrant).await?;
            to.as_str().clone_into(&mut row.state);
            row.updated_at = session.now();
            let change = changed(&row, vec![Write::Update(Row::CredentialGrant(row.clone()))], to.as_str())?;
            Ok(change.with("why", reason))
        })
        .await
}

/// Takes a credential from an agent. The credential stays.
pub(in super::super) async fn delete(session: &Session<'_>, id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageGrant).await?;
            let change = changed(&row, vec![Write::Delete(Table::CredentialGrant, row.id.clone())], "deleted")?;
            let Change { writes, changes, deps, owner, detail, .. } = change;
            Ok(Change { writes, changes, deps, owner, other_owner: None, detail, answer: () })
        })
        .await
}
