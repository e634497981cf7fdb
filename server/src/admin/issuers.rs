//! Trusted issuers. Registering one lets nobody in by itself: its subjects need an exchange
//! rule that its owner has accepted, its workloads a client that names it.

use super::api::{ChangeState, Issuer, ListQuery, NewIssuer, Page, PatchIssuer, State};
use super::caller::Caller;
use super::check;
use super::limits::{MAX_NAME_BYTES, MAX_REASON_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::revocations::{Entry, entry};
use super::roles::{Action, is_well_formed};
use super::session::{Change, Session};
use crate::deps;
use crate::federation::{AdminLogin, ClaimMapping, IssuerSpec, IssuerUse, SpecFault};
use stipend_keys::{Algorithm, random_id};
use stipend_schema::federation::IssuerRow;
use stipend_schema::{Dep, Row, Table, Write, queries};
use stipend_token::revoked::RevokedKind;

impl From<SpecFault> for Refusal {
    fn from(fault: SpecFault) -> Self {
        Self::field(fault.pointer, fault.detail)
    }
}

fn view(row: IssuerRow) -> Result<Issuer, Refusal> {
    let spec: IssuerSpec = check::parse_column(&row.spec)?;
    Ok(Issuer {
        kind: check::parse_word(&row.kind)?,
        keys: spec.keys,
        audiences: spec.audiences,
        algorithms: spec.algorithms,
        uses: spec.uses,
        hosts: spec.hosts,
        environment: spec.environment,
        mapping: check::parse_column(&row.mapping)?,
        state: check::parse_word(&row.state)?,
        id: row.id,
        owner: row.owner_id,
        issuer: row.issuer,
        name: row.name,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Issuer>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadIssuer);
    let rows = session.read(|db| async move { queries::list_issuers(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

pub(super) async fn load(
    session: &Session<'_>,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<IssuerRow, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_issuer(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok(row)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Issuer, Refusal> {
    view(load(session, session.caller(), id, Action::ReadIssuer).await?)
}

fn deps_of(row: &IssuerRow) -> Vec<Dep> {
    vec![deps::issuer(&row.id), deps::issuer_named(&row.issuer), deps::owner(&row.owner_id)]
}

fn change<T>(row: &IssuerRow, writes: Vec<Write>, answer: T) -> Change<T> {
    Change {
        writes,
        changes: vec![deps::issuer(&row.id), deps::issuer_named(&row.issuer)],
        ..Change::none(&row.owner_id, deps_of(row), answer)
    }
    .with("issuer", row.issuer.clone())
}

/// Answers the issuer, and whether it is new.
pub(super) async fn create(session: &Session<'_>, new: &NewIssuer) -> Result<(bool, Issuer), Refusal> {
    session
        .change(&new.issuer, async |caller| {
            caller.check(Action::ManageIssuer, Some(&new.owner))?;
            super::owners::load(session, &new.owner).await?;
            let row = row(session, caller, new)?;
            let named = row.issuer.clone();
            let found = session.read(|db| async move { queries::find_issuer_by_name(&db, &named).await }).await?;
            if let Some(have) = found {
                let same = IssuerRow {
                    id: have.id.clone(),
                    state: have.state.clone(),
                    created_by: have.created_by.clone(),
                    created_at: have.created_at,
                    updated_at: have.updated_at,
                    ..row
                };
                // One name, one registration: a second would bring other keys for the same tokens.
                if same != have {
                    return Err(Refusal::new(Code::AlreadyExists, "this issuer is registered already"));
                }
                return Ok(Change::none(&have.owner_id.clone(), deps_of(&have), (false, view(have)?)));
            }
            let answer = (true, view(row.clone())?);
            let target = row.id.clone();
            let change = change(&row, vec![Write::Insert(Row::Issuer(row.clone()))], answer);
            Ok(change.with("effect", "created").with("target", target))
        })
        .await
}

fn row(session: &Session<'_>, caller: &Caller, new: &NewIssuer) -> Result<IssuerRow, Refusal> {
    let name = new.name.clone().unwrap_or_else(|| new.issuer.chars().take(MAX_NAME_BYTES).collect());
    let spec = IssuerSpec {
        keys: new.keys.clone(),
        audiences: new.audiences.clone(),
        algorithms: new.algorithms.clone().unwrap_or_else(|| Algorithm::ALL.to_vec()),
        uses: new.uses.clone(),
        hosts: new.hosts.clone(),
        environment: new.environment,
    };
    spec.check(&new.issuer, new.kind)?;
    check::text("/name", &name, 1, MAX_NAME_BYTES)?;
    check_uses(caller, &[], &spec.uses)?;
    // What we issue is verified as ours, with all that it says: never as another's.
    let (own, named) = (session.app.urls.issuer.trim_end_matches('/'), new.issuer.trim_end_matches('/'));
    if own.eq_ignore_ascii_case(named) {
        return Err(Refusal::field("/issuer", "is this server itself"));
    }
    new.mapping.check()?;
    check_login(caller, &new.owner, &spec, (None, new.mapping.admin_login.as_ref()))?;
    let now = session.now();
    Ok(IssuerRow {
        id: random_id("iss_"),
        owner_id: new.owner.clone(),
        issuer: new.issuer.clone(),
        kind: check::word(&new.kind)?,
        name,
        state: State::Active.as_str().to_owned(),
        spec: check::column(&spec)?,
        mapping: check::column(&new.mapping)?,
        created_by: caller.id().to_owned(),
        created_at: now,
        updated_at: now,
    })
}

/// Whoever says which issuer's people administer this server could make anybody an admin.
fn check_uses(caller: &Caller, had: &[IssuerUse], wanted: &[IssuerUse]) -> Result<(), Refusal> {
    let login = IssuerUse::AdminLogin;
    if wanted.contains(&login) && !had.contains(&login) && !caller.may(Action::ManageAdmin, None) {
        return Err(Refusal::forbidden());
    }
    Ok(())
}

/// The same of which claims make them one, be it for later.
fn check_login(
    caller: &Caller,
    owner: &str,
    spec: &IssuerSpec,
    (had, wanted): (Option<&AdminLogin>, Option<&AdminLogin>),
) -> Result<(), Refusal> {
    if had != wanted && !caller.may(Action::ManageAdmin, None) {
        return Err(Refusal::forbidden());
    }
    let Some(login) = wanted else { return Ok(()) };
    if !login.roles.iter().all(|one| is_well_formed(&one.grant())) {
        return Err(Refusal::field("/mapping/admin_login/roles", "owner goes with each role but platform-admin"));
    }
    Ok(login.check(spec, owner)?)
}

pub(super) async fn patch(session: &Session<'_>, id: &str, patch: &PatchIssuer) -> Result<Issuer, Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageIssuer).await?;
            let before: IssuerSpec = check::parse_column(&row.spec)?;
            let admits_admins = before.uses.contains(&IssuerUse::AdminLogin);
            // Its keys, audiences and claims say who its people are.
            if admits_admins && !caller.may(Action::ManageAdmin, None) {
                return Err(Refusal::forbidden());
            }
            let patched = patched(&row, before.clone(), patch)?;
            let after: IssuerSpec = check::parse_column(&patched.spec)?;
            check_uses(caller, &before.uses, &after.uses)?;
            let (had, has): (ClaimMapping, ClaimMapping) =
                (check::parse_column(&row.mapping)?, check::parse_column(&patched.mapping)?);
            let logins = (had.admin_login.as_ref(), has.admin_login.as_ref());
            check_login(caller, &row.owner_id, &after, logins)?;
            store(session, &row, patched, Vec::new())
        })
        .await
}

/// The row with the patch applied: pure.
fn patched(row: &IssuerRow, mut spec: IssuerSpec, patch: &PatchIssuer) -> Result<IssuerRow, Refusal> {
    let mut row = row.clone();
    if let Some(name) = &patch.name {
        check::text("/name", name, 1, MAX_NAME_BYTES)?;
        row.name.clone_from(name);
    }
    spec.keys = patch.keys.clone().unwrap_or(spec.keys);
    spec.audiences = patch.audiences.clone().unwrap_or(spec.audiences);
    spec.algorithms = patch.algorithms.clone().unwrap_or(spec.algorithms);
    spec.uses = patch.uses.clone().unwrap_or(spec.uses);
    spec.hosts = patch.hosts.clone().unwrap_or(spec.hosts);
    spec.environment = patch.environment.unwrap_or(spec.environment);
    spec.check(&row.issuer, check::parse_word(&row.kind)?)?;
    row.spec = check::column(&spec)?;
    let mapping: ClaimMapping = match &patch.mapping {
        Some(mapping) => mapping.clone(),
        None => check::parse_column(&row.mapping)?,
    };
    mapping.check()?;
    row.mapping = check::column(&mapping)?;
    Ok(row)
}

/// Switches an issuer off or on. Off: what came of its tokens is dead, and stays dead when it
/// comes back; so do its tokens from before.
pub(super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    to: State,
    why: &ChangeState,
) -> Result<Issuer, Refusal> {
    session
        .change(id, async |caller| {
            let reason = why.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            let row = load(session, caller, id, Action::ManageIssuer).await?;
            let changed = IssuerRow { state: to.as_str().to_owned(), ..row.clone() };
            let revoked = (to == State::Disabled && row != changed).then(|| end(session, caller, &row, &reason));
            Ok(store(session, &row, changed, revoked.into_iter().collect())?.with("why", reason))
        })
        .await
}

/// Takes an issuer away for good, with all that came of its tokens. Rules that name it lead
/// nowhere from then on: its id is never given again.
pub(super) async fn delete(session: &Session<'_>, id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageIssuer).await?;
            let writes = vec![Write::Delete(Table::Issuer, row.id.clone()), end(session, caller, &row, "deleted")];
            Ok(change(&row, writes, ()).with("effect", "deleted").with("spec", row.spec))
        })
        .await
}

/// The entry that ends what came of an issuer's tokens until now.
fn end(session: &Session<'_>, caller: &Caller, row: &IssuerRow, reason: &str) -> Write {
    Write::Insert(Row::Revocation(entry(&Entry {
        kind: RevokedKind::Issuer,
        value: &row.id,
        owner: Some(&row.owner_id),
        reason,
        severity: "high",
        by: caller.id(),
        now: session.now(),
    })))
}

fn store(
    session: &Session<'_>,
    old: &IssuerRow,
    mut new: IssuerRow,
    mut writes: Vec<Write>,
) -> Result<Change<Issuer>, Refusal> {
    if *old == new {
        return Ok(Change::none(&old.owner_id, deps_of(old), view(new)?));
    }
    new.updated_at = session.now();
    writes.push(Write::Update(Row::Issuer(new.clone())));
    let effect = if old.state == new.state { "changed".to_owned() } else { new.state.clone() };
    Ok(change(old, writes, view(new)?).with("effect", effect))
}
