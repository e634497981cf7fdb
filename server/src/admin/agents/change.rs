//! Changes of what a client may do: narrowing, which anybody in charge may repeat safely, and
//! patching, which may widen.

use super::super::api::{Agent, NarrowAgent, PatchAgent};
use super::super::check;
use super::super::limits::MAX_PURPOSE_BYTES;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::{access, deps_of, load, refuse_ended, refuse_own, settings, view};
use crate::deps;
use crate::records::ClientSettings;
use stipend_schema::queries::ClientBundle;
use stipend_schema::{ClientRow, Dep, Row, Write};
use stipend_token::access::AccessEntry;
use stipend_token::{Environment, ScopeSet};

pub(in super::super) async fn narrow(session: &Session<'_>, id: &str, to: &NarrowAgent) -> Result<Agent, Refusal> {
    session
        .change(id, async |caller| {
            let bundle = load(session, caller, id, Action::ChangeAgent).await?;
            refuse_ended(&bundle.client)?;
            let row = narrowed(&bundle.client, to)?;
            store(session, bundle, row, Vec::new())
        })
        .await
}

/// The row with the narrower members: pure.
fn narrowed(row: &ClientRow, to: &NarrowAgent) -> Result<ClientRow, Refusal> {
    let wider = |what: &'static str| Refusal::new(Code::NotNarrower, what);
    let mut row = row.clone();
    if let Some(wanted) = &to.access {
        let have: Vec<AccessEntry> = check::parse_column(&row.access)?;
        let within = |entry: &AccessEntry, have| access::is_within(entry, have) && entry.default_budget_is_within(have);
        let is_narrower = wanted.iter().all(|entry| have.iter().any(|have| within(entry, have)));
        let is_once = wanted
            .iter()
            .enumerate()
            .all(|(index, entry)| !wanted.iter().take(index).any(|earlier| earlier.resource == entry.resource));
        if !is_narrower || !is_once {
            return Err(wider("access is not within what the agent has"));
        }
        row.access = check::column(wanted)?;
    }
    if let Some(ceiling) = &to.scope_ceiling {
        let have: Option<ScopeSet> = row.scope_ceiling.as_deref().map(check::parse_column).transpose()?;
        if have.is_some_and(|have| !ceiling.is_subset(&have)) {
            return Err(wider("scope_ceiling is not within what the agent has"));
        }
        row.scope_ceiling = Some(check::column(ceiling)?);
    }
    if let Some(ttl) = to.ttl_seconds {
        check::ttl(ttl)?;
        if ttl > row.max_ttl_seconds {
            return Err(wider("ttl_seconds is longer than what the agent has"));
        }
        row.max_ttl_seconds = ttl;
    }
    Ok(row)
}

pub(in super::super) async fn patch(session: &Session<'_>, id: &str, patch: &PatchAgent) -> Result<Agent, Refusal> {
    session
        .change(id, async |caller| {
            let bundle = load(session, caller, id, Action::ChangeAgent).await?;
            refuse_ended(&bundle.client)?;
            let row = &bundle.client;
            let mut read = Vec::new();
            if let Some(wanted) = &patch.access {
                let have: Vec<AccessEntry> = check::parse_column(&row.access)?;
                let environment = Environment::parse(&row.environment).ok_or_else(Refusal::internal)?;
                read = access::check_access(session, caller, wanted, &have, environment).await?;
            }
            if let Some(roles) = &patch.roles {
                // Whoever may take roles away could take its own by mistake, and not give it back.
                refuse_own(caller, row)?;
                caller.check(Action::ManageAdmin, None)?;
                access::check_roles(caller, check::parse_word(&row.kind)?, roles)?;
            }
            if let Some(wanted) = &patch.settings {
                let have: ClientSettings = check::parse_column(&row.settings)?;
                // What was read and is sent back whole says nothing new of it.
                let same = wanted.risk.is_none() || wanted.risk == have.risk;
                let checked = ClientSettings { risk: wanted.risk.clone().filter(|_| !same), ..wanted.clone() };
                settings::check(session.app, check::parse_word(&row.auth_method)?, &checked)?;
                settings::check_rate(session.app, caller, wanted, Some(&have))?;
                if bundle.document.is_some() && have.jwks_uri != wanted.jwks_uri {
                    return Err(Refusal::field("/settings/jwks_uri", "is its metadata document's to say"));
                }
            }
            let row = patched(row, patch, session.now())?;
            store(session, bundle, row, read)
        })
        .await
}

/// The row with the patch applied: pure.
fn patched(row: &ClientRow, patch: &PatchAgent, now: i64) -> Result<ClientRow, Refusal> {
    let mut row = row.clone();
    if let Some(purpose) = &patch.purpose {
        check::text("/purpose", purpose, 0, MAX_PURPOSE_BYTES)?;
        row.purpose.clone_from(purpose);
    }
    if let Some(access) = &patch.access {
        row.access = check::column(access)?;
    }
    if let Some(ceiling) = &patch.scope_ceiling {
        row.scope_ceiling = ceiling.as_ref().map(check::column).transpose()?;
    }
    if let Some(ttl) = patch.ttl_seconds {
        check::ttl(ttl)?;
        row.max_ttl_seconds = ttl;
    }
    if let Some(may_act) = &patch.may_act {
        may_act.as_ref().map_or(Ok(()), access::check_may_act)?;
        row.may_act = may_act.as_ref().map(check::column).transpose()?;
    }
    if let Some(roles) = &patch.roles {
        row.roles = check::column(roles)?;
    }
    if let Some(expires_at) = patch.expires_at {
        access::check_expiry(expires_at, now)?;
        row.expires_at = expires_at;
    }
    if let Some(legacy) = patch.legacy_assertion_aud {
        row.legacy_assertion_aud = legacy;
    }
    if let Some(settings) = &patch.settings {
        let have: ClientSettings = check::parse_column(&row.settings)?;
        row.settings = check::column(&ClientSettings { risk: have.risk, ..settings.clone() })?;
    }
    Ok(row)
}

fn store(
    session: &Session<'_>,
    mut bundle: ClientBundle,
    mut row: ClientRow,
    read: Vec<Dep>,
) -> Result<Change<Agent>, Refusal> {
    let owner = row.owner_id.clone();
    let mut deps = deps_of(&row);
    deps.extend(read);
    if row == bundle.client {
        return Ok(Change::none(&owner, deps, view::view(bundle, session.now())?));
    }
    row.updated_at = session.now();
    bundle.client = row.clone();
    let changes = vec![deps::client(&row.id)];
    let writes = vec![Write::Update(Row::Client(row))];
    let answer = view::view(bundle, session.now())?;
    Ok(Change { writes, changes, ..Change::none(&owner, deps, answer) }.with("effect", "changed"))
}
