//! Owners: teams, the isolation boundary. Made and switched off by platform-admins only.

use super::api::{ChangeState, ListQuery, NewOwner, Owner, Page, State};
use super::check;
use super::limits::{MAX_NAME_BYTES, MAX_REASON_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::revocations::{Entry, entry};
use super::roles::Action;
use super::session::{Change, Session};
use crate::bootstrap::OWNER as BUILT_IN;
use crate::deps;
use stipend_schema::{OwnerRow, Row, Write, queries};
use stipend_token::revoked::RevokedKind;

/// An owner that the caller may see.
pub(super) async fn load(session: &Session<'_>, id: &str) -> Result<OwnerRow, Refusal> {
    if !stipend_token::id::is_slug(id) {
        return Err(Refusal::not_found());
    }
    let id = id.to_owned();
    session.read(|db| async move { queries::find_owner(&db, &id).await }).await?.ok_or_else(Refusal::not_found)
}

fn view(row: OwnerRow) -> Result<Owner, Refusal> {
    Ok(Owner {
        id: row.id,
        name: row.name,
        state: check::parse_word(&row.state)?,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Owner>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadOwner);
    let rows = session.read(|db| async move { queries::list_owners(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Owner, Refusal> {
    session.caller().check(Action::ReadOwner, Some(id))?;
    view(load(session, id).await?)
}

/// Answers the owner, and whether it is new.
pub(super) async fn create(session: &Session<'_>, new: &NewOwner) -> Result<(bool, Owner), Refusal> {
    session
        .change(&new.id, async |caller| {
            caller.check(Action::CreateOwner, None)?;
            check::slug("/id", &new.id)?;
            check::text("/name", &new.name, 1, MAX_NAME_BYTES)?;
            let id = new.id.clone();
            let deps = vec![deps::owner(&new.id)];
            if let Some(row) = session.read(|db| async move { queries::find_owner(&db, &id).await }).await? {
                if row.name != new.name {
                    return Err(Refusal::new(Code::AlreadyExists, "an owner of this id exists and differs"));
                }
                return Ok(Change::none(&new.id, deps, (false, view(row)?)));
            }
            let now = session.now();
            let row = OwnerRow {
                id: new.id.clone(),
                name: new.name.clone(),
                state: State::Active.as_str().to_owned(),
                created_at: now,
                updated_at: now,
            };
            Ok(Change {
                writes: vec![Write::Insert(Row::Owner(row.clone()))],
                changes: deps.clone(),
                ..Change::none(&new.id, deps, (true, view(row)?))
            }
            .with("effect", "created")
            .with("target", new.id.clone()))
        })
        .await
}

/// Switches an owner off or on. Off: its clients stand no more, and what was issued to them
/// until now stays dead when it comes back.
pub(super) async fn set_state(session: &Session<'_>, id: &str, to: State, why: &ChangeState) -> Result<Owner, Refusal> {
    session
        .change(id, async |caller| {
            caller.check(Action::ChangeOwnerState, Some(id))?;
            let reason = why.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            let mut row = load(session, id).await?;
            if id == BUILT_IN {
                return Err(Refusal::new(Code::BuiltIn, "the built-in owner can't be switched off"));
            }
            let deps = vec![deps::owner(id)];
            if row.state == to.as_str() {
                return Ok(Change::none(id, deps, view(row)?));
            }
            row.state = to.as_str().to_owned();
            row.updated_at = session.now();
            let mut writes = vec![Write::Update(Row::Owner(row.clone()))];
            if to == State::Disabled {
                writes.push(Write::Insert(Row::Revocation(entry(&Entry {
                    kind: RevokedKind::Owner,
                    value: id,
                    owner: Some(id),
                    reason: &reason,
                    severity: "high",
                    by: caller.id(),
                    now: session.now(),
                }))));
            }
            Ok(Change { writes, changes: deps.clone(), ..Change::none(id, deps, view(row)?) }
                .with("effect", to.as_str())
                .with("why", reason))
        })
        .await
}
