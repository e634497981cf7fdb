//! What a client may be given: checks of its members against their registers.
//!
//! Access to a resource is the resource owner's to give: an admin can't write another owner's
//! resource into its own agent. What an agent has already it may keep.

use super::super::caller::Caller;
use super::super::check;
use super::super::limits::{MAX_MAY_ACT_BYTES, MAX_ROLES};
use super::super::problem::Refusal;
use super::super::resources;
use super::super::roles::{self, Action};
use super::super::session::Session;
use crate::deps;
use crate::records::{ClientKind, RoleGrant};
use serde_json::{Map, Value};
use stipend_schema::{Dep, ResourceRow};
use stipend_token::access::{AccessEntry, MAX_ACCESS_ENTRIES};
use stipend_token::budget::units_differ;
use stipend_token::{Environment, ScopeSet};

/// Checks every entry that is wider than what the client has; answers what was read.
pub(in super::super) async fn check_access(
    session: &Session<'_>,
    caller: &Caller,
    wanted: &[AccessEntry],
    have: &[AccessEntry],
    environment: Environment,
) -> Result<Vec<Dep>, Refusal> {
    if wanted.len() > MAX_ACCESS_ENTRIES {
        return Err(Refusal::field("/access", format!("names at most {MAX_ACCESS_ENTRIES} resources")));
    }
    let mut read = Vec::new();
    for (index, entry) in wanted.iter().enumerate() {
        if wanted.iter().take(index).any(|earlier| earlier.resource == entry.resource) {
            return Err(Refusal::field(format!("/access/{index}/resource"), "is named twice"));
        }
        check_entry(index, entry)?;
        if have.iter().any(|have| is_within(entry, have)) {
            continue;
        }
        read.push(deps::resource(entry.resource.as_str()));
        let row = resources::find_by_uri(session, &entry.resource).await?;
        let row = row.filter(|row| caller.may(Action::ManageResource, Some(&row.owner_id)));
        fits(index, entry, row, environment)?;
    }
    Ok(read)
}

fn check_entry(index: usize, entry: &AccessEntry) -> Result<(), Refusal> {
    if entry.scopes.is_empty() {
        return Err(Refusal::field(format!("/access/{index}/scopes"), "names at least one scope"));
    }
    if !entry.default_scopes.is_subset(&entry.scopes) {
        return Err(Refusal::field(format!("/access/{index}/default_scopes"), "must be among scopes"));
    }
    if entry.default_budget.as_ref().is_some_and(|caps| !units_differ(caps)) {
        return Err(Refusal::field(format!("/access/{index}/default_budget"), "names at most 8 units, each once"));
    }
    Ok(())
}

fn fits(index: usize, entry: &AccessEntry, row: Option<ResourceRow>, environment: Environment) -> Result<(), Refusal> {
    let row = row.ok_or_else(|| Refusal::field(format!("/access/{index}/resource"), "no such resource"))?;
    let scopes: ScopeSet = check::parse_column(&row.scopes)?;
    if !entry.scopes.is_subset(&scopes) {
        return Err(Refusal::field(format!("/access/{index}/scopes"), "the resource has no such scope"));
    }
    if row.environment.is_some_and(|env| env != environment.as_str()) {
        return Err(Refusal::field(format!("/access/{index}/resource"), "is in the other environment"));
    }
    Ok(())
}

/// Whether an entry grants nothing that the other does not.
pub(super) fn is_within(entry: &AccessEntry, have: &AccessEntry) -> bool {
    entry.resource == have.resource
        && entry.scopes.is_subset(&have.scopes)
        && entry.default_scopes.is_subset(&have.default_scopes)
}

/// Roles are for admins, well formed, and a platform-admin's to give.
pub(super) fn check_roles(caller: &Caller, kind: ClientKind, grants: &[RoleGrant]) -> Result<(), Refusal> {
    if kind == ClientKind::Admin || !grants.is_empty() {
        caller.check(Action::ManageAdmin, None)?;
    }
    if kind != ClientKind::Admin && !grants.is_empty() {
        return Err(Refusal::field("/roles", "only clients of kind admin have roles"));
    }
    if grants.len() > MAX_ROLES {
        return Err(Refusal::field("/roles", format!("names at most {MAX_ROLES} roles")));
    }
    for (index, grant) in grants.iter().enumerate() {
        if !roles::is_well_formed(grant) {
            let pointer = format!("/roles/{index}/owner");
            return Err(Refusal::field(
                pointer,
                "a platform-admin has no owner; every other role but auditor needs one",
            ));
        }
        if let Some(owner) = &grant.owner {
            check::slug(&format!("/roles/{index}/owner"), owner)?;
        }
    }
    Ok(())
}

/// RFC 8693 section 4.4: the members together name one party, by claims that we understand.
pub(super) fn check_may_act(may_act: &Map<String, Value>) -> Result<(), Refusal> {
    if may_act.is_empty() {
        return Err(Refusal::field("/may_act", "names at least one of sub, client_id and iss"));
    }
    if check::column(may_act)?.len() > MAX_MAY_ACT_BYTES {
        return Err(Refusal::field("/may_act", format!("has at most {MAX_MAY_ACT_BYTES} bytes")));
    }
    for (name, value) in may_act {
        let known = matches!(name.as_str(), "sub" | "client_id" | "iss");
        if !known || value.as_str().is_none_or(str::is_empty) {
            let pointer = format!("/may_act/{}", name.replace('~', "~0").replace('/', "~1"));
            return Err(Refusal::field(pointer, "must be a text named sub, client_id or iss"));
        }
    }
    Ok(())
}

pub(super) fn check_expiry(at: Option<i64>, now: i64) -> Result<(), Refusal> {
    let max = stipend_token::json::MAX_NUMERIC_DATE;
    if at.is_some_and(|at| at <= now || at > max) {
        return Err(Refusal::field("/expires_at", "must lie in the future"));
    }
    Ok(())
}
