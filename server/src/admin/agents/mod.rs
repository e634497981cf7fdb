//! Agents, relying services and admins: one record, one life, credentials that end.
//!
//! Whoever may change an admin's record or credentials becomes that admin, so those take the
//! right to manage admins, whoever owns them. Ids are `<owner>.<name>`: no owner can learn
//! another's names by collision.

mod access;
mod change;
mod create;
mod credentials;
mod reissue;
mod responsible;
mod risk;
mod settings;
mod state;
mod view;

pub(super) use access::check_access;
pub(super) use change::{narrow, patch};
pub(super) use create::create;
pub(crate) use credentials::{FreshSecret, fresh_secret, key_row, parse_jwks};
pub(super) use credentials::{add_key, add_secret, delete_key, delete_secret};
pub(super) use reissue::reissue;
pub(super) use responsible::{accept, departed, transfer};
pub(super) use risk::rate;
pub(super) use settings::check_details_types;
pub(super) use state::{Verb, set_state};

use super::api::{Agent, ListQuery, Page};
use super::caller::Caller;
use super::check;
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::Session;
use crate::deps;
use crate::records::{ClientState, RoleGrant};
use stipend_schema::queries::{self, ClientBundle};
use stipend_schema::{ClientRow, Dep};

/// A client that the caller may see, and do `action` to.
async fn load(session: &Session<'_>, caller: &Caller, id: &str, action: Action) -> Result<ClientBundle, Refusal> {
    let id = id.to_owned();
    let bundle = session.read(|db| async move { queries::find_client_bundle(&db, &id).await }).await?;
    let bundle = bundle.ok_or_else(Refusal::not_found)?;
    let owner = Some(bundle.client.owner_id.as_str());
    caller.check(action, owner)?;
    if action != Action::ReadAgent && is_admin(&bundle.client)? {
        caller.check(Action::ManageAdmin, owner)?;
    }
    Ok(bundle)
}

fn is_admin(row: &ClientRow) -> Result<bool, Refusal> {
    let roles: Vec<RoleGrant> = check::parse_column(&row.roles)?;
    Ok(row.kind == "admin" || !roles.is_empty())
}

/// What a decision about a client leans on.
fn deps_of(row: &ClientRow) -> Vec<Dep> {
    vec![deps::client(&row.id), deps::owner(&row.owner_id)]
}

/// Revoked and retired are final: nothing about such a client changes any more.
fn refuse_ended(row: &ClientRow) -> Result<(), Refusal> {
    match check::parse_word(&row.state)? {
        ClientState::Revoked | ClientState::Retired => {
            Err(Refusal::new(Code::InvalidState, "the agent is revoked or retired, which is final"))
        }
        ClientState::Requested | ClientState::Active | ClientState::Suspended => Ok(()),
    }
}

/// A client that switches itself off could not switch itself on again.
fn refuse_own(caller: &Caller, row: &ClientRow) -> Result<(), Refusal> {
    if caller.id() == row.id {
        return Err(Refusal::new(Code::OwnClient, "a client can't do this to itself: use another admin"));
    }
    Ok(())
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Agent>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadAgent);
    let bundles = session
        .read(|db| async move {
            let rows = queries::list_clients(&db, &owners, &wanted).await?;
            let mut bundles = Vec::with_capacity(rows.len());
            for row in rows {
                // One that went away meanwhile is left out.
                bundles.extend(queries::find_client_bundle(&db, &row.id).await?);
            }
            Ok(bundles)
        })
        .await?;
    let now = session.now();
    page::cut(bundles, limit, |bundle| bundle.client.id.clone(), |bundle| view::view(bundle, now))
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Agent, Refusal> {
    view::view(load(session, session.caller(), id, Action::ReadAgent).await?, session.now())
}
