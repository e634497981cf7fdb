//! Credentials: registered with their first version, changed, switched off, destroyed.

use super::super::api::{
    Credential, CredentialSettings, CredentialState, ListQuery, NewCredential, Page, PatchCredential,
};
use super::super::caller::Caller;
use super::super::check;
use super::super::limits::{MAX_REASON_BYTES, MAX_URL_BYTES};
use super::super::page;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::versions::first_version;
use super::view::{Parts, view};
use crate::custody::{
    CredentialKind, CredentialSpec, CredentialValue, DEFAULT_LEASE_SECONDS, MAX_LEASE_SECONDS, Price, ReleaseMode,
    may_inject,
};
use crate::deps;
use crate::proxy::prices::Prices;
use crate::proxy::templates::find_provider;
use stipend_schema::custody::{CredentialRow, CredentialVersionRow};
use stipend_schema::{Row, Write, queries};
use stipend_token::Environment;
use stipend_token::id::client_id;
use url::Url;

pub(in super::super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Credential>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadCredential);
    let rows = session.read(|db| async move { queries::list_credentials(&db, &owners, &wanted).await }).await?;
    let mut parts = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.id.clone();
        let active = session.read(|db| async move { queries::active_version(&db, &id).await }).await?;
        let owner_active = owner_is_active(session, &row.owner_id).await?;
        parts.push(Parts { row, owner_active, versions: active.into_iter().collect(), exposures: Vec::new() });
    }
    page::cut(parts, limit, |parts| parts.row.id.clone(), view)
}

async fn owner_is_active(session: &Session<'_>, owner: &str) -> Result<bool, Refusal> {
    Ok(super::super::owners::load(session, owner).await?.state == "active")
}

/// A credential that the caller may see, and do `action` to, with all that belongs to it.
pub(super) async fn load(session: &Session<'_>, caller: &Caller, id: &str, action: Action) -> Result<Parts, Refusal> {
    let key = id.to_owned();
    let row = session.read(|db| async move { queries::find_credential(&db, &key).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    let (versions_of, exposures_of) = (row.id.clone(), row.id.clone());
    let versions = session.read(|db| async move { queries::credential_versions(&db, &versions_of).await }).await?;
    let exposures =
        session.read(|db| async move { queries::exposures_of_credential(&db, &exposures_of).await }).await?;
    let owner_active = owner_is_active(session, &row.owner_id).await?;
    Ok(Parts { row, owner_active, versions, exposures })
}

pub(in super::super) async fn find(session: &Session<'_>, id: &str) -> Result<Credential, Refusal> {
    view(load(session, session.caller(), id, Action::ReadCredential).await?)
}

/// A change of a credential: written, published, answered as it then is.
pub(super) fn changed(parts: Parts, writes: Vec<Write>, effect: &str) -> Result<Change<Credential>, Refusal> {
    let (id, owner) = (parts.row.id.clone(), parts.row.owner_id.clone());
    let deps = vec![deps::credential(&id), deps::owner(&owner)];
    let answer = view(parts)?;
    let change = Change { writes, changes: vec![deps::credential(&id)], ..Change::none(&owner, deps, answer) };
    Ok(change.with("effect", effect))
}

/// Refuses changes of what has ended.
pub(super) fn refuse_destroyed(row: &CredentialRow) -> Result<(), Refusal> {
    if row.state == "destroyed" {
        return Err(Refusal::new(Code::InvalidState, "the credential is destroyed, which is final"));
    }
    Ok(())
}

/// Answers the credential, and whether it is new.
pub(in super::super) async fn create(
    session: &Session<'_>,
    new: &NewCredential,
) -> Result<(bool, Credential), Refusal> {
    let id = client_id(&new.owner, &new.name);
    session
        .change(&id, async |caller| {
            caller.check(Action::ManageCredential, Some(&new.owner))?;
            super::super::owners::load(session, &new.owner).await?;
            check::slug("/name", &new.name)?;
            let spec = apply(session, None, &new.settings(), new.value.kind())?;
            check_value(session, &new.value)?;
            let row = row(session, caller, new, &spec)?;
            let key = id.clone();
            let have = session.read(|db| async move { queries::find_credential(&db, &key).await }).await?;
            if have.is_some() {
                let have = load(session, caller, &id, Action::ManageCredential).await?;
                return existing(session, new, &row, have);
            }
            let version = first_version(session, &row, &new.value).await?;
            let writes = vec![
                Write::Insert(Row::Credential(row.clone())),
                Write::Insert(Row::CredentialVersion(version.clone())),
            ];
            let parts = Parts { row, owner_active: true, versions: vec![version], exposures: Vec::new() };
            let Change { changes, deps, owner, detail, answer, .. } = changed(parts, Vec::new(), "created")?;
            let answer = (true, answer);
            let change = Change { writes, changes, deps, owner, other_owner: None, detail, answer };
            Ok(change.with("target", id.clone()))
        })
        .await
}

/// The same registration twice is one.
fn existing(
    session: &Session<'_>,
    new: &NewCredential,
    row: &CredentialRow,
    have: Parts,
) -> Result<Change<(bool, Credential)>, Refusal> {
    let same = CredentialRow {
        created_by: have.row.created_by.clone(),
        created_at: have.row.created_at,
        updated_at: have.row.updated_at,
        ..row.clone()
    } == have.row;
    let print = session.app.safe.fingerprint(&row.owner_id, &new.value);
    let active = have.versions.iter().find(|version| version.state == "active");
    if !same || active.is_none_or(|version| version.fingerprint != print) {
        return Err(Refusal::new(Code::AlreadyExists, "a credential of this name exists and differs"));
    }
    let deps = vec![deps::credential(&row.id), deps::owner(&row.owner_id)];
    Ok(Change::none(&row.owner_id.clone(), deps, (false, view(have)?)))
}

/// A value that can be kept.
pub(super) fn check_value(session: &Session<'_>, value: &CredentialValue) -> Result<(), Refusal> {
    let plain = |host: &str| session.app.config.upstream_http_hosts.iter().any(|allowed| allowed == host);
    value.check(plain).map_err(|error| Refusal::field("/value", error.to_string()))
}

fn row(
    session: &Session<'_>,
    caller: &Caller,
    new: &NewCredential,
    spec: &CredentialSpec,
) -> Result<CredentialRow, Refusal> {
    let now = session.now();
    Ok(CredentialRow {
        id: client_id(&new.owner, &new.name),
        owner_id: new.owner.clone(),
        name: new.name.clone(),
        kind: check::word(&new.value.kind())?,
        environment: new.environment.unwrap_or(Environment::Live).as_str().to_owned(),
        state: "active".to_owned(),
        spec: check::column(spec)?,
        created_by: caller.id().to_owned(),
        created_at: now,
        updated_at: now,
    })
}

/// What is said of a credential once `settings` are applied to what was said before.
fn apply(
    session: &Session<'_>,
    before: Option<CredentialSpec>,
    settings: &CredentialSettings,
    kind: CredentialKind,
) -> Result<CredentialSpec, Refusal> {
    let is_new = before.is_none();
    let mut spec = before.unwrap_or_else(|| CredentialSpec {
        template: None,
        base_url: None,
        header: None,
        modes: vec![ReleaseMode::Proxy],
        constraints: stipend_token::constraint::Constraints::default(),
        price: None,
        metering: None,
        lease_seconds: DEFAULT_LEASE_SECONDS,
    });
    if let Some(template) = &settings.template {
        spec.template = Some(template.clone());
    }
    if let Some(base_url) = &settings.base_url {
        spec.base_url.clone_from(base_url);
    }
    if let Some(header) = &settings.header {
        spec.header.clone_from(header);
    }
    if let Some(modes) = &settings.modes {
        spec.modes = check_modes(modes)?;
    }
    if let Some(constraints) = &settings.constraints {
        spec.constraints = constraints.clone();
    } else if let Some(provider) = spec.template.as_deref().and_then(find_provider).filter(|_| is_new) {
        // What its users need, and no more; to allow more is to say so.
        spec.constraints = provider.constraints.clone();
    }
    if let Some(price) = &settings.price {
        spec.price.clone_from(price);
    }
    if let Some(metering) = &settings.metering {
        spec.metering.clone_from(metering);
    }
    spec.lease_seconds = settings.lease_seconds.unwrap_or(spec.lease_seconds);
    check_spec(session, &spec, kind)?;
    Ok(spec)
}

pub(super) fn check_modes(modes: &[ReleaseMode]) -> Result<Vec<ReleaseMode>, Refusal> {
    let mut sorted = modes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() || sorted.len() != modes.len() {
        return Err(Refusal::field("/modes", "names at least one mode, and each once"));
    }
    Ok(sorted)
}

fn check_spec(session: &Session<'_>, spec: &CredentialSpec, kind: CredentialKind) -> Result<(), Refusal> {
    if !(1..=MAX_LEASE_SECONDS).contains(&spec.lease_seconds) {
        return Err(Refusal::field("/lease_seconds", format!("must be between 1 and {MAX_LEASE_SECONDS}")));
    }
    if let Some(base_url) = &spec.base_url {
        check_base_url(session, base_url)?;
    }
    if let Some(header) = &spec.header {
        if kind != CredentialKind::ApiKey {
            return Err(Refusal::field("/header", "goes with an API key only"));
        }
        let plain = header.prefix.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) && header.prefix.len() <= 64;
        if !may_inject(&header.name) || !plain {
            return Err(Refusal::field(
                "/header",
                "must be a field name in lower case that is not the connection's own",
            ));
        }
    }
    if spec.template.as_deref().is_some_and(|template| find_provider(template).is_none()) {
        return Err(Refusal::field("/template", "is no template of this version"));
    }
    if let Some(metering) = &spec.metering {
        let own = metering.prices.clone().map(serde_json::from_value::<Prices>).transpose();
        let own = own.map_err(|error| Refusal::field("/metering/prices", error.to_string()))?;
        if own.is_none() && spec.template.is_none() {
            return Err(Refusal::field("/metering/prices", "are needed where there is no template"));
        }
    }
    if spec.price.as_ref().is_some_and(|price: &Price| price.unit().is_none()) {
        return Err(Refusal::field("/price", "unit and decimals must name a unit"));
    }
    if spec.price.is_some() && spec.metering.is_some() {
        return Err(Refusal::field("/price", "a call is charged by a price or by what is used, not by both"));
    }
    Ok(())
}

fn check_base_url(session: &Session<'_>, text: &str) -> Result<(), Refusal> {
    let refuse = |detail: &str| Err(Refusal::field("/base_url", detail));
    let Ok(url) = Url::parse(text) else { return refuse("must be an absolute URL") };
    if text.len() > MAX_URL_BYTES || url.query().is_some() || url.fragment().is_some() {
        return refuse("has no query and no fragment, and 512 bytes at most");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has no user information: that belongs into the value");
    }
    let plain = |host: &str| session.app.config.upstream_http_hosts.iter().any(|allowed| allowed == host);
    match url.scheme() {
        "https" if url.host().is_some() => Ok(()),
        "http" if url.host_str().is_some_and(plain) => Ok(()),
        _ => refuse("must be https, or http to a host that STIPEND_UPSTREAM_HTTP_HOSTS names"),
    }
}

pub(in super::super) async fn patch(
    session: &Session<'_>,
    id: &str,
    patch: &PatchCredential,
) -> Result<Credential, Refusal> {
    session
        .change(id, async |caller| {
            let mut parts = load(session, caller, id, Action::ManageCredential).await?;
            refuse_destroyed(&parts.row)?;
            let before = check::parse_column(&parts.row.spec)?;
            let spec = apply(session, Some(before), &patch.settings(), check::parse_word(&parts.row.kind)?)?;
            parts.row.spec = check::column(&spec)?;
            parts.row.updated_at = session.now();
            let writes = vec![Write::Update(Row::Credential(parts.row.clone()))];
            changed(parts, writes, "changed")
        })
        .await
}

/// Switches a credential off or on. Off, nothing is released and no call is made, at once.
pub(in super::super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    to: CredentialState,
    reason: Option<&str>,
) -> Result<Credential, Refusal> {
    session
        .change(id, async |caller| {
            let reason = reason.unwrap_or_default();
            check::text("/reason", reason, 0, MAX_REASON_BYTES)?;
            let mut parts = load(session, caller, id, Action::ManageCredential).await?;
            refuse_destroyed(&parts.row)?;
            parts.row.state = check::word(&to)?;
            parts.row.updated_at = session.now();
            let writes = vec![Write::Update(Row::Credential(parts.row.clone()))];
            Ok(changed(parts, writes, &check::word(&to)?)?.with("why", reason))
        })
        .await
}

/// Destroys a credential and every value it ever had. Its grants stay, and lead to nothing.
pub(in super::super) async fn destroy(
    session: &Session<'_>,
    id: &str,
    reason: Option<&str>,
) -> Result<Credential, Refusal> {
    session
        .change(id, async |caller| {
            let reason = reason.unwrap_or_default();
            check::text("/reason", reason, 0, MAX_REASON_BYTES)?;
            let mut parts = load(session, caller, id, Action::ManageCredential).await?;
            let now = session.now();
            parts.row.state = check::word(&CredentialState::Destroyed)?;
            parts.row.updated_at = now;
            let mut writes = vec![Write::Update(Row::Credential(parts.row.clone()))];
            for version in parts.versions.iter_mut().filter(|version| version.state != "destroyed") {
                *version = shredded(version.clone(), now);
                session.app.safe.forget(&version.id);
                writes.push(Write::Update(Row::CredentialVersion(version.clone())));
            }
            Ok(changed(parts, writes, "destroyed")?.with("why", reason))
        })
        .await
}

/// Without its sealed value the data key is gone as well: nothing can open it again.
pub(super) fn shredded(version: CredentialVersionRow, now: i64) -> CredentialVersionRow {
    CredentialVersionRow {
        state: "destroyed".to_owned(),
        sealed: None,
        kek_id: None,
        retire_at: None,
        destroyed_at: Some(now),
        ..version
    }
}
