//! Policies: stored, versioned, switched on and off, tried on the past. A text is read in full
//! before it is stored; what applies is decided elsewhere, from the rows as they are now.

mod dry_run;

pub(super) use dry_run::dry_run;

use super::api::{
    ListQuery, NewPolicy, Page, PatchPolicy, Policy, PolicyChecked, PolicyFault, PolicySchema, PolicyState,
    PolicyVersion,
};
use super::caller::Caller;
use super::check;
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::limits::{MAX_POLICIES, MAX_POLICY_VERSIONS};
use crate::policy::{self, Checked, DEPLOYMENT, Fault, SCHEMA_TEXT, SCHEMA_VERSION};
use stipend_keys::random_id;
use stipend_schema::policies::{PolicyRow, PolicyVersionRow};
use stipend_schema::{Dep, Row, Write, queries};

fn view(row: PolicyRow) -> Result<Policy, Refusal> {
    Ok(Policy {
        state: check::parse_word(&row.state)?,
        id: row.id,
        owner: row.owner_id,
        name: row.name,
        version: row.version,
        text: row.text,
        hash: row.hash,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn fault(fault: Fault) -> PolicyFault {
    let Fault { message, help, line, column } = fault;
    PolicyFault { message, help, line, column }
}

/// Who may read or change policies of an owner, or of the deployment.
fn may(caller: &Caller, changes: bool, owner: Option<&str>) -> Result<(), Refusal> {
    let action = match (owner, changes) {
        (Some(_), false) => Action::ReadPolicy,
        (Some(_), true) => Action::ManagePolicy,
        (None, false) => Action::ReadDeploymentPolicy,
        (None, true) => Action::ManageDeploymentPolicy,
    };
    caller.check(action, owner)
}

/// Whose policies the feed says have changed.
fn of_owner(owner: Option<&str>) -> Dep {
    deps::policies_of(owner.unwrap_or(DEPLOYMENT))
}

async fn load(session: &Session<'_>, caller: &Caller, id: &str, changes: bool) -> Result<PolicyRow, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_policy(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    match may(caller, changes, row.owner_id.as_deref()) {
        // The deployment's own are no business of who may not even read them.
        Err(_) if row.owner_id.is_none() && may(caller, false, None).is_err() => Err(Refusal::not_found()),
        other => other.map(|()| row),
    }
}

/// Reads a text where blocking is allowed.
async fn read(session: &Session<'_>, text: &str) -> Result<Result<Checked, Vec<Fault>>, Refusal> {
    let text = text.to_owned();
    Ok(session.app.store.blocking(move || policy::check(&text)).await?)
}

async fn checked(session: &Session<'_>, text: &str) -> Result<Checked, Refusal> {
    read(session, text).await?.map_err(|faults| {
        let say = |fault: Fault| {
            let help = fault.help.map(|help| format!(" ({help})")).unwrap_or_default();
            format!("line {}, column {}: {}{help}", fault.line, fault.column, fault.message)
        };
        Refusal::fields(faults.into_iter().map(|fault| ("/text".to_owned(), say(fault))))
    })
}

pub(super) fn schema() -> PolicySchema {
    PolicySchema { version: SCHEMA_VERSION, schema: SCHEMA_TEXT.to_owned() }
}

pub(super) async fn validate(session: &Session<'_>, text: String) -> Result<PolicyChecked, Refusal> {
    let faults = |faults: Vec<Fault>| faults.into_iter().map(fault).collect();
    Ok(match read(session, &text).await? {
        Ok(Checked { statements, hash, warnings }) => PolicyChecked {
            valid: true,
            statements: Some(statements),
            hash: Some(hash),
            errors: Vec::new(),
            warnings: faults(warnings),
        },
        Err(errors) => {
            PolicyChecked { valid: false, statements: None, hash: None, errors: faults(errors), warnings: Vec::new() }
        }
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Policy>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadPolicy);
    let rows = session.read(|db| async move { queries::list_policies(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Policy, Refusal> {
    view(load(session, session.caller(), id, false).await?)
}

pub(super) async fn versions(session: &Session<'_>, id: &str) -> Result<Page<PolicyVersion>, Refusal> {
    let row = load(session, session.caller(), id, false).await?;
    let rows = session.read(|db| async move { queries::policy_versions(&db, &row.id).await }).await?;
    let version = |row: PolicyVersionRow| {
        let PolicyVersionRow { version, text, hash, author, at, .. } = row;
        PolicyVersion { version, text, hash, author, at }
    };
    Ok(Page { items: rows.into_iter().map(version).collect(), next: None })
}

/// What one owner, or the deployment, has.
async fn all_of(session: &Session<'_>, owner: Option<&str>) -> Result<Vec<PolicyRow>, Refusal> {
    let owner = owner.map(str::to_owned);
    session.read(|db| async move { queries::policies_of(&db, owner.as_deref()).await }).await
}

/// Answers the policy, and whether it is new.
pub(super) async fn create(session: &Session<'_>, new: &NewPolicy) -> Result<(bool, Policy), Refusal> {
    let owner = new.owner.as_deref();
    may(session.caller(), true, owner)?;
    check::slug("/name", &new.name)?;
    let Checked { hash, .. } = checked(session, &new.text).await?;
    // Policies of one owner are counted, so they are made one at a time.
    session
        .change(owner.unwrap_or(DEPLOYMENT), async |caller| {
            may(caller, true, owner)?;
            let mut deps = vec![of_owner(owner)];
            if let Some(owner) = owner {
                super::owners::load(session, owner).await?;
                deps.push(deps::owner(owner));
            }
            let have = all_of(session, owner).await?;
            let state = if new.disabled { PolicyState::Disabled } else { PolicyState::Enabled };
            if let Some(same) = have.iter().find(|row| row.name == new.name) {
                if same.hash != hash || same.state != state.as_str() {
                    return Err(Refusal::new(Code::AlreadyExists, "a policy of this name exists and differs"));
                }
                return Ok(unchanged(caller, owner, deps, (false, view(same.clone())?)));
            }
            if have.len() >= MAX_POLICIES {
                return Err(Refusal::new(Code::TooManyPolicies, "the owner has as many policies as it may"));
            }
            let row = row(session, caller, new, &hash, state);
            let answer = (true, view(row.clone())?);
            let id = row.id.clone();
            let writes = vec![Write::Insert(Row::Policy(row.clone())), version(caller, &row)];
            let change = Change { writes, changes: vec![of_owner(owner)], ..unchanged(caller, owner, deps, answer) };
            Ok(change.with("effect", "created").with("target", id).with("version", 1).with("hash", hash.clone()))
        })
        .await
}

fn row(session: &Session<'_>, caller: &Caller, new: &NewPolicy, hash: &str, state: PolicyState) -> PolicyRow {
    let now = session.now();
    PolicyRow {
        id: random_id("pol_"),
        owner_id: new.owner.clone(),
        name: new.name.clone(),
        text: new.text.clone(),
        hash: hash.to_owned(),
        state: state.as_str().to_owned(),
        version: 1,
        created_by: caller.id().to_owned(),
        created_at: now,
        updated_at: now,
    }
}

/// The row's text as one that is kept for ever.
fn version(caller: &Caller, row: &PolicyRow) -> Write {
    Write::Insert(Row::PolicyVersion(PolicyVersionRow {
        policy_id: row.id.clone(),
        version: row.version,
        text: row.text.clone(),
        hash: row.hash.clone(),
        author: caller.id().to_owned(),
        at: row.updated_at,
    }))
}

/// The record of a deployment's policy belongs to whoever changed it.
fn unchanged<T>(caller: &Caller, owner: Option<&str>, deps: Vec<Dep>, answer: T) -> Change<T> {
    Change::none(owner.unwrap_or(caller.owner()), deps, answer)
}

pub(super) async fn patch(session: &Session<'_>, id: &str, patch: &PatchPolicy) -> Result<Policy, Refusal> {
    load(session, session.caller(), id, true).await?;
    if let Some(name) = &patch.name {
        check::slug("/name", name)?;
    }
    let hash = match &patch.text {
        Some(text) => Some(checked(session, text).await?.hash),
        None => None,
    };
    session
        .change(id, async |caller| {
            let old = load(session, caller, id, true).await?;
            refuse_removed(&old)?;
            let mut new = old.clone();
            if let Some(name) = &patch.name {
                let have = all_of(session, old.owner_id.as_deref()).await?;
                if have.iter().any(|row| row.name == *name && row.id != old.id) {
                    return Err(Refusal::new(Code::AlreadyExists, "another policy has this name"));
                }
                new.name.clone_from(name);
            }
            if let (Some(text), Some(hash)) = (&patch.text, &hash)
                && *hash != old.hash
            {
                if old.version >= MAX_POLICY_VERSIONS {
                    return Err(Refusal::new(
                        Code::TooManyPolicies,
                        "it has had as many texts as it may: make another",
                    ));
                }
                new.text.clone_from(text);
                new.hash.clone_from(hash);
                new.version = old.version.saturating_add(1);
            }
            store(session, caller, &old, new)
        })
        .await
}

fn refuse_removed(row: &PolicyRow) -> Result<(), Refusal> {
    if row.state == PolicyState::Removed.as_str() {
        return Err(Refusal::new(Code::InvalidState, "the policy was removed"));
    }
    Ok(())
}

pub(super) async fn set_state(session: &Session<'_>, id: &str, to: PolicyState) -> Result<Policy, Refusal> {
    session
        .change(id, async |caller| {
            let old = load(session, caller, id, true).await?;
            if to != PolicyState::Removed {
                refuse_removed(&old)?;
            }
            let new = PolicyRow { state: to.as_str().to_owned(), ..old.clone() };
            store(session, caller, &old, new)
        })
        .await
}

fn store(
    session: &Session<'_>,
    caller: &Caller,
    old: &PolicyRow,
    mut new: PolicyRow,
) -> Result<Change<Policy>, Refusal> {
    let owner = old.owner_id.as_deref();
    let deps = vec![of_owner(owner)];
    if *old == new {
        return Ok(unchanged(caller, owner, deps, view(new)?));
    }
    new.updated_at = session.now();
    let mut writes = vec![Write::Update(Row::Policy(new.clone()))];
    if new.version != old.version {
        writes.push(version(caller, &new));
    }
    let (version, hash, state) = (new.version, new.hash.clone(), new.state.clone());
    let answer = view(new)?;
    let change = Change { writes, changes: vec![of_owner(owner)], ..unchanged(caller, owner, deps, answer) };
    Ok(change.with("effect", "changed").with("state", state).with("version", version).with("hash", hash))
}
