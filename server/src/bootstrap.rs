//! The first start: the built-in owner, the admin API as a resource, the first admin
//! client, the first signing key. Later starts find them and change nothing.

use crate::app::App;
use crate::audit::{DONE, Draft};
use crate::deps;
use crate::jobs::own_origin;
use crate::records::{Role, RoleGrant, Unavailable};
use crate::ring::{self, KeyOrder, Ordered};
use crate::signals::SSF_SCOPES;
use stipend_keys::{Secret, generate_client_secret, random_id};
use stipend_schema::{ClientRow, ClientSecretRow, Outcome, OwnerRow, ResourceRow, Row, Work, Write, queries};
use stipend_token::access::AccessEntry;
use stipend_token::{Audience, ScopeSet};

/// Owner of what is built in.
pub const OWNER: &str = "stipend";
/// The first admin client.
pub const ADMIN: &str = "stipend.admin";
/// Scopes of the admin API.
pub const ADMIN_SCOPES: [&str; 3] = ["admin:read", "admin:write", "admin:audit"];
/// Scopes of the key-release service.
const CREDENTIAL_SCOPES: [&str; 2] = [crate::custody::SCOPE_RELEASE, crate::custody::SCOPE_USE];
/// How long the first admin's secret is valid: long enough to be replaced.
pub const SECRET_SECONDS: i64 = 90 * 86_400;

/// Why the first start failed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Db(#[from] stipend_schema::DbError),
    #[error("the first admin could not be stored")]
    Refused,
    #[error("the issuer can't be a resource")]
    Issuer,
    #[error("the secret could not be hashed")]
    Hash,
}

/// Makes what is missing. Returns the first admin's secret if one was made up here, to be
/// shown once.
///
/// # Errors
/// [`BootstrapError`].
pub async fn bootstrap(app: &App) -> Result<Option<Secret<String>>, BootstrapError> {
    // Two nodes may start at once: who comes second finds the other's work.
    for _ in 0..crate::limits::MAX_DECISIONS {
        match ring::order(app, &KeyOrder::Schedule, &own_origin(), None).await? {
            Ordered::Overtaken => {
                app.tailer.catch_up().await;
            }
            Ordered::Done | Ordered::NothingToDo | Ordered::UnknownKey => break,
        }
    }
    if queries::find_client(app.store.db(), ADMIN).await?.is_some() {
        add_services(app).await?;
        return Ok(None);
    }
    let given = app.config.bootstrap_secret.as_ref().map(|secret| Secret::new(secret.expose().clone()));
    let made = given.is_none();
    let secret = given.unwrap_or_else(generate_client_secret);
    let hash = stipend_keys::password::hash(&secret).map_err(|_| BootstrapError::Hash)?;
    match app.committer.submit(work(app, hash)?).await {
        Outcome::Committed { .. } => Ok(made.then_some(secret)),
        // Another node was quicker.
        Outcome::Conflict | Outcome::Stale => Ok(None),
        Outcome::Replayed { .. }
        | Outcome::Invalid(_)
        | Outcome::Settled { .. }
        | Outcome::Exceeded { .. }
        | Outcome::Unavailable => Err(BootstrapError::Refused),
    }
}

fn work(app: &App, hash: String) -> Result<Work, BootstrapError> {
    let now = app.clock.now();
    let audience = Audience::parse(&app.urls.admin_resource).map_err(|_| BootstrapError::Issuer)?;
    let keys = Audience::parse(&app.urls.credential_resource).map_err(|_| BootstrapError::Issuer)?;
    let signals = Audience::parse(&app.urls.signals_resource).map_err(|_| BootstrapError::Issuer)?;
    let owner = OwnerRow {
        id: OWNER.to_owned(),
        name: "Stipend".to_owned(),
        state: "active".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let secret = ClientSecretRow {
        id: random_id("sec_"),
        client_id: ADMIN.to_owned(),
        hash,
        created_at: now,
        expires_at: now + SECRET_SECONDS,
    };
    let mut draft = Draft::new("server.bootstrapped", &own_origin());
    draft.client(ADMIN, OWNER);
    Ok(Work {
        deps: vec![deps::client(ADMIN)],
        writes: vec![
            Write::Insert(Row::Owner(owner)),
            Write::Insert(Row::Resource(resource(&audience, "Stipend admin API", &ADMIN_SCOPES, now)?)),
            Write::Insert(Row::Resource(key_release(&keys, now)?)),
            Write::Insert(Row::Resource(signal_streams(&signals, now)?)),
            Write::Insert(Row::Client(client(audience.clone(), now)?)),
            Write::Insert(Row::ClientSecret(secret)),
        ],
        changes: vec![
            deps::owner(OWNER),
            deps::resource(audience.as_str()),
            deps::resource(keys.as_str()),
            deps::resource(signals.as_str()),
            deps::client(ADMIN),
        ],
        ..Work::recording(app.live.applied(), draft.outcome(DONE))
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, BootstrapError> {
    serde_json::to_string(value).map_err(|_| BootstrapError::Refused)
}

/// The key-release service as a resource: agents spend there.
fn key_release(audience: &Audience, now: i64) -> Result<ResourceRow, BootstrapError> {
    let resource = resource(audience, "Stipend key release", &CREDENTIAL_SCOPES, now)?;
    Ok(ResourceRow { budget_capable: true, ..resource })
}

/// The streams of security events as a resource.
fn signal_streams(audience: &Audience, now: i64) -> Result<ResourceRow, BootstrapError> {
    resource(audience, "Stipend security events", &SSF_SCOPES, now)
}

/// Makes a service's resource.
type Make = fn(&Audience, i64) -> Result<ResourceRow, BootstrapError>;

/// Adds the services to a deployment that was made before there were these.
async fn add_services(app: &App) -> Result<(), BootstrapError> {
    let services: [(&str, Make); 2] =
        [(&app.urls.credential_resource, key_release), (&app.urls.signals_resource, signal_streams)];
    for (uri, make) in services {
        let uri = Audience::parse(uri).map_err(|_| BootstrapError::Issuer)?;
        add_service(app, &uri, make(&uri, app.clock.now())?).await?;
    }
    Ok(())
}

async fn add_service(app: &App, uri: &Audience, row: ResourceRow) -> Result<(), BootstrapError> {
    if queries::find_resource_by_uri(app.store.db(), uri.as_str()).await?.is_some() {
        return Ok(());
    }
    let mut draft = Draft::new("resource.created", &own_origin());
    draft.owner(Some(OWNER));
    draft.put("resource", uri.as_str());
    let work = Work {
        deps: vec![deps::resource(uri.as_str())],
        writes: vec![Write::Insert(Row::Resource(row))],
        changes: vec![deps::resource(uri.as_str())],
        ..Work::recording(app.live.applied(), draft.outcome(DONE))
    };
    match app.committer.submit(work).await {
        // Another node was quicker.
        Outcome::Committed { .. } | Outcome::Conflict | Outcome::Stale => Ok(()),
        _ => Err(BootstrapError::Refused),
    }
}

fn resource(audience: &Audience, name: &str, scopes: &[&str], now: i64) -> Result<ResourceRow, BootstrapError> {
    Ok(ResourceRow {
        id: random_id("res_"),
        owner_id: OWNER.to_owned(),
        uri: audience.as_str().to_owned(),
        name: name.to_owned(),
        scopes: json(&scopes)?,
        environment: None,
        max_ttl_seconds: crate::limits::MAX_TTL_SECONDS,
        introspectors: "[]".to_owned(),
        budget_capable: false,
        state: "active".to_owned(),
        created_at: now,
        updated_at: now,
        status_list: false,
    })
}

fn client(audience: Audience, now: i64) -> Result<ClientRow, BootstrapError> {
    let scopes = ScopeSet::from_tokens(ADMIN_SCOPES).map_err(|_| BootstrapError::Refused)?;
    let access =
        AccessEntry { resource: audience, scopes: scopes.clone(), default_scopes: scopes, default_budget: None };
    let roles = [RoleGrant { role: Role::PlatformAdmin, owner: None }];
    Ok(ClientRow {
        id: ADMIN.to_owned(),
        owner_id: OWNER.to_owned(),
        kind: "admin".to_owned(),
        name: "admin".to_owned(),
        state: "active".to_owned(),
        state_reason: None,
        auth_method: "client_secret_basic".to_owned(),
        legacy_assertion_aud: false,
        access: json(&[access])?,
        scope_ceiling: None,
        max_ttl_seconds: crate::limits::DEFAULT_TTL_SECONDS,
        roles: json(&roles)?,
        purpose: "first administrator".to_owned(),
        environment: "live".to_owned(),
        may_act: None,
        reissue_of: None,
        expires_at: None,
        created_at: now,
        updated_at: now,
        settings: "{}".to_owned(),
    })
}
