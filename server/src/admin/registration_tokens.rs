//! Registration tokens. To make one is to let others create agents within its template, so it
//! takes the right to create them, and each entry of access is checked as at an agent's own
//! registration. The token is shown once and stored as a hash.

use super::agents::{check_access, check_details_types};
use super::api::{
    ChangeState, ListQuery, NewRegistrationToken, Page, RegistrationToken, RegistrationTokenCreated,
    RegistrationTokenState, ShownSecret,
};
use super::caller::Caller;
use super::check;
use super::limits::{
    DEFAULT_REGISTRATION_SECONDS, MAX_CREDENTIAL_SECONDS, MAX_EXPIRY_SECONDS, MAX_NAME_BYTES, MAX_REASON_BYTES,
    MAX_REGISTRATION_SECONDS, MAX_REGISTRATION_USES,
};
use super::page;
use super::problem::Refusal;
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::grant::GRANT_TYPES;
use crate::limits::MAX_TTL_SECONDS;
use crate::records::{AuthMethod, ClientSettings};
use crate::registration::{REGISTRABLE, Template, initial_token};
use stipend_keys::random_id;
use stipend_schema::registration::RegistrationTokenRow;
use stipend_schema::{Row, Write, queries};

fn view(row: RegistrationTokenRow) -> Result<RegistrationToken, Refusal> {
    Ok(RegistrationToken {
        template: check::parse_column(&row.template)?,
        state: check::parse_word(&row.state)?,
        id: row.id,
        owner: row.owner_id,
        name: row.name,
        uses: row.uses,
        max_uses: row.max_uses,
        expires_at: row.expires_at,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<RegistrationToken>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadAgent);
    let rows = session.read(|db| async move { queries::list_registration_tokens(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

async fn load(
    session: &Session<'_>,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<RegistrationTokenRow, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_registration_token(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok(row)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<RegistrationToken, Refusal> {
    view(load(session, session.caller(), id, Action::ReadAgent).await?)
}

pub(super) async fn create(
    session: &Session<'_>,
    new: &NewRegistrationToken,
) -> Result<RegistrationTokenCreated, Refusal> {
    session
        .change(&new.owner, async |caller| {
            caller.check(Action::CreateAgent, Some(&new.owner))?;
            super::owners::load(session, &new.owner).await?;
            let (token, hash) = initial_token();
            let row = row(new, hash, caller.id(), session.now())?;
            let template = &new.template;
            let read = check_access(session, caller, &template.access, &[], template.environment).await;
            let mut deps = read.map_err(|refusal| refusal.under("/template"))?;
            deps.extend([deps::registration_token(&row.id), deps::owner(&new.owner)]);
            let id = row.id.clone();
            let answer = RegistrationTokenCreated {
                registration_token: view(row.clone())?,
                initial_access_token: ShownSecret::new(&token),
            };
            Ok(Change {
                changes: vec![deps::registration_token(&id)],
                writes: vec![Write::Insert(Row::RegistrationToken(row))],
                ..Change::none(&new.owner, deps, answer)
            }
            .with("effect", "created")
            .with("target", id))
        })
        .await
}

fn row(new: &NewRegistrationToken, hash: [u8; 32], by: &str, now: i64) -> Result<RegistrationTokenRow, Refusal> {
    check::text("/name", &new.name, 1, MAX_NAME_BYTES)?;
    check_template(&new.template).map_err(|refusal| refusal.under("/template"))?;
    let max_uses = within("/max_uses", new.max_uses.unwrap_or(1), MAX_REGISTRATION_USES)?;
    let seconds = new.expires_in_seconds.unwrap_or(DEFAULT_REGISTRATION_SECONDS);
    let seconds = within("/expires_in_seconds", seconds, MAX_REGISTRATION_SECONDS)?;
    Ok(RegistrationTokenRow {
        id: random_id("rgt_"),
        owner_id: new.owner.clone(),
        name: new.name.clone(),
        hash: hash.to_vec(),
        template: check::column(&new.template)?,
        max_uses,
        uses: 0,
        state: RegistrationTokenState::Active.as_str().to_owned(),
        expires_at: now.saturating_add(seconds),
        created_by: by.to_owned(),
        created_at: now,
        updated_at: now,
    })
}

pub(super) fn within(pointer: &str, value: i64, max: i64) -> Result<i64, Refusal> {
    if (1..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Refusal::field(pointer, format!("must be between 1 and {max}")))
    }
}

/// All of it but the access.
pub(super) fn check_template(template: &Template) -> Result<(), Refusal> {
    if template.access.is_empty() {
        return Err(Refusal::field("/access", "names at least one resource"));
    }
    let methods = &template.auth_methods;
    if methods.is_empty() || has_twice(methods) || !methods.iter().all(|method| REGISTRABLE.contains(method)) {
        let known = REGISTRABLE.map(AuthMethod::as_str).join(", ");
        return Err(Refusal::field("/auth_methods", format!("names at least one of {known}, each once")));
    }
    let grants = &template.grant_types;
    if grants.is_empty() || has_twice(grants) || !grants.iter().all(|grant| GRANT_TYPES.contains(&grant.as_str())) {
        return Err(Refusal::field(
            "/grant_types",
            format!("names at least one of {}, each once", GRANT_TYPES.join(", ")),
        ));
    }
    within("/ttl_seconds", template.ttl_seconds, MAX_TTL_SECONDS)?;
    let secret = template.secret_expires_in_seconds;
    secret.map_or(Ok(0), |seconds| within("/secret_expires_in_seconds", seconds, MAX_CREDENTIAL_SECONDS))?;
    let client = template.client_expires_in_seconds;
    client.map_or(Ok(0), |seconds| within("/client_expires_in_seconds", seconds, MAX_EXPIRY_SECONDS))?;
    let settings = &template.settings;
    check_details_types("/settings/authorization_details_types", settings)?;
    let binding = ClientSettings {
        authorization_details_types: settings.authorization_details_types.clone(),
        dpop_bound_access_tokens: settings.dpop_bound_access_tokens,
        tls_client_certificate_bound_access_tokens: settings.tls_client_certificate_bound_access_tokens,
        ..ClientSettings::default()
    };
    if *settings != binding {
        return Err(Refusal::field(
            "/settings",
            "say what tokens are bound to and authorization_details_types, and nothing else",
        ));
    }
    Ok(())
}

fn has_twice<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().any(|(at, item)| list.iter().take(at).any(|earlier| earlier == item))
}

/// From now on it registers nobody, and what it registered is not changed by itself any more.
pub(super) async fn revoke(session: &Session<'_>, id: &str, why: &ChangeState) -> Result<RegistrationToken, Refusal> {
    session
        .change(id, async |caller| {
            let reason = why.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            let row = load(session, caller, id, Action::CreateAgent).await?;
            let (owner, deps) = (row.owner_id.clone(), vec![deps::registration_token(id)]);
            let revoked = RegistrationTokenState::Revoked.as_str();
            if row.state == revoked {
                return Ok(Change::none(&owner, deps, view(row)?));
            }
            let row = RegistrationTokenRow { state: revoked.to_owned(), updated_at: session.now(), ..row };
            Ok(Change {
                writes: vec![Write::Update(Row::RegistrationToken(row.clone()))],
                changes: deps.clone(),
                ..Change::none(&owner, deps, view(row)?)
            }
            .with("effect", "revoked")
            .with("why", reason))
        })
        .await
}
