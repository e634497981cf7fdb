//! Resources: the audiences that tokens are for. A resource's identifier is unique in the
//! deployment, because it is what `aud` says.

use super::api::{ChangeState, ListQuery, NewResource, Page, PatchResource, Resource, State};
use super::caller::Caller;
use super::check;
use super::limits::{MAX_INTROSPECTORS, MAX_NAME_BYTES, MAX_REASON_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::limits::MAX_TTL_SECONDS;
use stipend_keys::random_id;
use stipend_schema::{ResourceRow, Row, Write, queries};
use stipend_token::{Audience, Environment, ScopeSet};

pub(super) fn view(row: ResourceRow) -> Result<Resource, Refusal> {
    Ok(Resource {
        uri: Audience::parse(&row.uri).map_err(|_| Refusal::internal())?,
        scopes: check::parse_column(&row.scopes)?,
        environment: environment(&row)?,
        introspectors: check::parse_column(&row.introspectors)?,
        state: check::parse_word(&row.state)?,
        id: row.id,
        owner: row.owner_id,
        name: row.name,
        ttl_seconds: row.max_ttl_seconds,
        budget_capable: row.budget_capable,
        status_list: row.status_list,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn environment(row: &ResourceRow) -> Result<Option<Environment>, Refusal> {
    row.environment.as_deref().map(check::parse_word).transpose()
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Resource>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadResource);
    let rows = session.read(|db| async move { queries::list_resources(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

async fn load(session: &Session<'_>, caller: &Caller, id: &str, action: Action) -> Result<ResourceRow, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_resource(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok(row)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Resource, Refusal> {
    view(load(session, session.caller(), id, Action::ReadResource).await?)
}

pub(super) async fn find_by_uri(session: &Session<'_>, uri: &Audience) -> Result<Option<ResourceRow>, Refusal> {
    let uri = uri.as_str().to_owned();
    session.read(|db| async move { queries::find_resource_by_uri(&db, &uri).await }).await
}

/// Answers the resource, and whether it is new.
pub(super) async fn create(session: &Session<'_>, new: &NewResource) -> Result<(bool, Resource), Refusal> {
    session
        .change(new.uri.as_str(), async |caller| {
            caller.check(Action::ManageResource, Some(&new.owner))?;
            super::owners::load(session, &new.owner).await?;
            check_new(session, caller, new)?;
            check_introspectors(session, caller, &new.introspectors, &[]).await?;
            let deps = vec![deps::resource(new.uri.as_str()), deps::owner(&new.owner)];
            let row = row(new, session.now())?;
            if let Some(have) = find_by_uri(session, &new.uri).await? {
                let same = ResourceRow {
                    id: have.id.clone(),
                    state: have.state.clone(),
                    created_at: have.created_at,
                    updated_at: have.updated_at,
                    ..row
                };
                if same != have {
                    return Err(Refusal::new(Code::AlreadyExists, "this URI is registered already"));
                }
                return Ok(Change::none(&new.owner, deps, (false, view(have)?)));
            }
            let answer = (true, view(row.clone())?);
            Ok(Change {
                changes: vec![deps::resource(new.uri.as_str())],
                writes: vec![Write::Insert(Row::Resource(row.clone()))],
                ..Change::none(&new.owner, deps, answer)
            }
            .with("effect", "created")
            .with("target", row.id))
        })
        .await
}

fn row(new: &NewResource, now: i64) -> Result<ResourceRow, Refusal> {
    Ok(ResourceRow {
        id: random_id("res_"),
        owner_id: new.owner.clone(),
        uri: new.uri.as_str().to_owned(),
        name: new.name.clone(),
        scopes: check::column(&new.scopes)?,
        environment: new.environment.map(|env| env.as_str().to_owned()),
        max_ttl_seconds: new.ttl_seconds.unwrap_or(MAX_TTL_SECONDS),
        introspectors: check::column(&new.introspectors)?,
        budget_capable: new.budget_capable,
        status_list: new.status_list,
        state: State::Active.as_str().to_owned(),
        created_at: now,
        updated_at: now,
    })
}

fn check_new(session: &Session<'_>, caller: &Caller, new: &NewResource) -> Result<(), Refusal> {
    check::text("/name", &new.name, 1, MAX_NAME_BYTES)?;
    new.ttl_seconds.map_or(Ok(()), check::ttl)?;
    check_scopes(&new.scopes)?;
    // Names under the issuer are the server's own surfaces, those to come included.
    let issuer = session.app.urls.issuer.trim_end_matches('/');
    let own = new.uri.as_str().strip_prefix(issuer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if own && !caller.may(Action::ManageAdmin, None) {
        return Err(Refusal::field("/uri", "identifiers under the issuer are reserved"));
    }
    Ok(())
}

fn check_scopes(scopes: &ScopeSet) -> Result<(), Refusal> {
    if scopes.is_empty() {
        return Err(Refusal::field("/scopes", "names at least one scope"));
    }
    Ok(())
}

/// New introspectors are clients the caller may see; a hidden one and a missing one look alike.
async fn check_introspectors(
    session: &Session<'_>,
    caller: &Caller,
    wanted: &[String],
    have: &[String],
) -> Result<(), Refusal> {
    if wanted.len() > MAX_INTROSPECTORS {
        return Err(Refusal::field("/introspectors", format!("names at most {MAX_INTROSPECTORS} clients")));
    }
    for (index, id) in wanted.iter().enumerate() {
        if have.contains(id) {
            continue;
        }
        if !stipend_token::id::is_identifier(id) {
            return Err(Refusal::field(format!("/introspectors/{index}"), "no such client"));
        }
        let key = id.clone();
        let row = session.read(|db| async move { queries::find_client(&db, &key).await }).await?;
        if !row.is_some_and(|row| caller.may(Action::ReadAgent, Some(&row.owner_id))) {
            return Err(Refusal::field(format!("/introspectors/{index}"), "no such client"));
        }
    }
    Ok(())
}

fn refuse_built_in(session: &Session<'_>, row: &ResourceRow) -> Result<(), Refusal> {
    if row.uri == session.app.urls.admin_resource {
        return Err(Refusal::new(Code::BuiltIn, "the admin API's own resource can't be changed"));
    }
    Ok(())
}

pub(super) async fn patch(session: &Session<'_>, id: &str, patch: &PatchResource) -> Result<Resource, Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageResource).await?;
            refuse_built_in(session, &row)?;
            if let Some(wanted) = &patch.introspectors {
                let have: Vec<String> = check::parse_column(&row.introspectors)?;
                check_introspectors(session, caller, wanted, &have).await?;
            }
            let patched = patched(&row, patch)?;
            store(session, row, patched)
        })
        .await
}

/// The row with the patch applied: pure.
fn patched(row: &ResourceRow, patch: &PatchResource) -> Result<ResourceRow, Refusal> {
    let mut row = row.clone();
    if let Some(name) = &patch.name {
        check::text("/name", name, 1, MAX_NAME_BYTES)?;
        row.name.clone_from(name);
    }
    if let Some(scopes) = &patch.scopes {
        check_scopes(scopes)?;
        row.scopes = check::column(scopes)?;
    }
    if let Some(environment) = patch.environment {
        row.environment = environment.map(|env| env.as_str().to_owned());
    }
    if let Some(ttl) = patch.ttl_seconds {
        check::ttl(ttl)?;
        row.max_ttl_seconds = ttl;
    }
    if let Some(introspectors) = &patch.introspectors {
        row.introspectors = check::column(introspectors)?;
    }
    if let Some(budget_capable) = patch.budget_capable {
        row.budget_capable = budget_capable;
    }
    if let Some(status_list) = patch.status_list {
        row.status_list = status_list;
    }
    Ok(row)
}

pub(super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    to: State,
    why: &ChangeState,
) -> Result<Resource, Refusal> {
    session
        .change(id, async |caller| {
            let reason = why.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            let row = load(session, caller, id, Action::ManageResource).await?;
            refuse_built_in(session, &row)?;
            let changed = ResourceRow { state: to.as_str().to_owned(), ..row.clone() };
            Ok(store(session, row, changed)?.with("why", reason))
        })
        .await
}

fn store(session: &Session<'_>, old: ResourceRow, mut new: ResourceRow) -> Result<Change<Resource>, Refusal> {
    let deps = vec![deps::resource(&old.uri)];
    if old == new {
        return Ok(Change::none(&old.owner_id, deps, view(old.clone())?));
    }
    new.updated_at = session.now();
    let answer = view(new.clone())?;
    Ok(Change {
        writes: vec![Write::Update(Row::Resource(new))],
        changes: deps.clone(),
        ..Change::none(&old.owner_id, deps, answer)
    }
    .with("effect", "changed")
    .with("uri", old.uri))
}
