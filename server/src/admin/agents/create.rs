//! Registration. The same registration twice is one: the second answers what exists, without
//! the secret, which is shown once.

use super::super::api::{AgentCreated, NewAgent};
use super::super::check;
use super::super::limits::{DEFAULT_SECRET_SECONDS, MAX_CREDENTIAL_SECONDS, MAX_PURPOSE_BYTES};
use super::super::owners;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::{access, credentials, deps_of, refuse_ended, settings, view};
use crate::deps;
use crate::limits::DEFAULT_TTL_SECONDS;
use crate::records::{ClientKind, ClientState, CredentialKind, RegisteredKey};
use std::collections::BTreeSet;
use stipend_schema::queries::{self, ClientBundle};
use stipend_schema::{ClientKeyRow, ClientRow, Dep, OwnerRow, Row, Write};
use stipend_token::Environment;
use stipend_token::access::AccessEntry;
use stipend_token::id::client_id;

/// A registration that was checked and is not stored yet.
pub(super) struct Registration {
    pub row: ClientRow,
    pub owner: OwnerRow,
    pub keys: Vec<RegisteredKey>,
    pub credential_seconds: Option<i64>,
    /// What it was checked against.
    pub deps: Vec<Dep>,
}

/// Answers the client, and whether it is new.
pub(in super::super) async fn create(session: &Session<'_>, new: &NewAgent) -> Result<(bool, AgentCreated), Refusal> {
    session
        .change(&client_id(&new.owner, &new.name), async |caller| {
            caller.check(Action::CreateAgent, Some(&new.owner))?;
            let owner = owners::load(session, &new.owner).await?;
            let kind = new.kind.unwrap_or(ClientKind::Agent);
            let environment = new.environment.unwrap_or(Environment::Live);
            check_members(new, session.now())?;
            access::check_roles(caller, kind, &new.roles)?;
            settings::check(session.app, new.auth_method, &new.settings)?;
            settings::check_rate(session.app, caller, &new.settings, None)?;
            let keys = keys(new)?;
            let row = row(new, kind, environment, session.now())?;
            let have = find(session, &row.id).await?;
            let has: Vec<AccessEntry> =
                have.as_ref().map(|have| check::parse_column(&have.client.access)).transpose()?.unwrap_or_default();
            let mut deps = access::check_access(session, caller, &new.access, &has, environment).await?;
            deps.extend(deps_of(&row));
            let registration =
                Registration { row, owner, keys, credential_seconds: new.secret_expires_in_seconds, deps };
            register(session, registration, have).await
        })
        .await
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Option<ClientBundle>, Refusal> {
    let id = id.to_owned();
    session.read(|db| async move { queries::find_client_bundle(&db, &id).await }).await
}

fn check_members(new: &NewAgent, now: i64) -> Result<(), Refusal> {
    check::slug("/name", &new.name)?;
    check::text("/purpose", &new.purpose, 0, MAX_PURPOSE_BYTES)?;
    new.ttl_seconds.map_or(Ok(()), check::ttl)?;
    new.may_act.as_ref().map_or(Ok(()), access::check_may_act)?;
    access::check_expiry(new.expires_at, now)
}

fn keys(new: &NewAgent) -> Result<Vec<RegisteredKey>, Refusal> {
    // RFC 7591 section 2: one or the other.
    if new.jwks.is_some() && new.settings.jwks_uri.is_some() {
        return Err(Refusal::field("/jwks", "and settings.jwks_uri exclude each other"));
    }
    new.jwks.as_ref().map_or(Ok(Vec::new()), |jwks| credentials::parse_jwks(new.auth_method.credential(), jwks))
}

fn row(new: &NewAgent, kind: ClientKind, environment: Environment, now: i64) -> Result<ClientRow, Refusal> {
    Ok(ClientRow {
        id: client_id(&new.owner, &new.name),
        owner_id: new.owner.clone(),
        kind: check::word(&kind)?,
        name: new.name.clone(),
        state: check::word(&ClientState::Active)?,
        state_reason: None,
        auth_method: check::word(&new.auth_method)?,
        legacy_assertion_aud: new.legacy_assertion_aud,
        access: check::column(&new.access)?,
        scope_ceiling: new.scope_ceiling.as_ref().map(check::column).transpose()?,
        max_ttl_seconds: new.ttl_seconds.unwrap_or(DEFAULT_TTL_SECONDS),
        roles: check::column(&new.roles)?,
        purpose: new.purpose.clone(),
        environment: environment.as_str().to_owned(),
        may_act: new.may_act.as_ref().map(check::column).transpose()?,
        reissue_of: None,
        expires_at: new.expires_at,
        created_at: now,
        updated_at: now,
        settings: check::column(&new.settings)?,
    })
}

/// Stores a checked registration, or finds that it is there already.
pub(super) async fn register(
    session: &Session<'_>,
    new: Registration,
    have: Option<ClientBundle>,
) -> Result<Change<(bool, AgentCreated)>, Refusal> {
    let owner_id = new.row.owner_id.clone();
    if let Some(have) = have {
        refuse_different(&new, &have)?;
        let agent = view::view(have, session.now())?;
        let answer = AgentCreated { agent, client_secret: None, client_secret_expires_at: None };
        return Ok(Change::none(&owner_id, new.deps, (false, answer)));
    }
    // One registration, one time: its credentials begin when it does.
    let now = new.row.created_at;
    let pointer = "/secret_expires_in_seconds";
    let id = new.row.id.clone();
    let mut bundle = ClientBundle {
        client: new.row,
        owner: new.owner,
        secrets: Vec::new(),
        keys: Vec::new(),
        responsibility: None,
        document: None,
    };
    let mut shown = (None, None);
    let mut writes = vec![Write::Insert(Row::Client(bundle.client.clone()))];
    if credentials::takes(&bundle.client)? == CredentialKind::Secret {
        let end = check::credential_end(pointer, new.credential_seconds, DEFAULT_SECRET_SECONDS, now)?;
        let fresh = credentials::fresh_secret(session.app, &id, now, end).await?;
        writes.push(Write::Insert(Row::ClientSecret(fresh.row.clone())));
        bundle.secrets.push(fresh.row);
        shown = (Some(fresh.shown), Some(end));
    }
    let end = check::credential_end(pointer, new.credential_seconds, MAX_CREDENTIAL_SECONDS, now)?;
    for key in &new.keys {
        let row = credentials::key_row(&id, key, now, end);
        writes.push(Write::Insert(Row::ClientKey(row.clone())));
        bundle.keys.push(row);
    }
    let agent = view::view(bundle, now)?;
    let answer = AgentCreated { agent, client_secret: shown.0, client_secret_expires_at: shown.1 };
    let change =
        Change { writes, changes: vec![deps::client(&id)], ..Change::none(&owner_id, new.deps, (true, answer)) };
    Ok(change.with("effect", "created").with("target", id))
}

/// The existing client must be what was asked for, and still in use.
fn refuse_different(new: &Registration, have: &ClientBundle) -> Result<(), Refusal> {
    let differs = || Refusal::new(Code::AlreadyExists, "an agent of this name exists and differs");
    refuse_ended(&have.client).map_err(|_| differs())?;
    let same = ClientRow {
        state: have.client.state.clone(),
        state_reason: have.client.state_reason.clone(),
        created_at: have.client.created_at,
        updated_at: have.client.updated_at,
        ..new.row.clone()
    };
    let wanted: BTreeSet<String> = new.keys.iter().map(RegisteredKey::to_json).collect();
    let keys: BTreeSet<String> = have.keys.iter().map(|key: &ClientKeyRow| key.jwk.clone()).collect();
    if same == have.client && (wanted.is_empty() || wanted == keys) { Ok(()) } else { Err(differs()) }
}
