//! A client as authentication and the grants see it.

use super::{AuthMethod, ClientSettings, LoadError, Loaded, RegisteredKey, column, word};
use crate::deps;
use crate::federation::Issuer;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use stipend_keys::Verifier;
use stipend_schema::documents::DocumentClientRow;
use stipend_schema::{Db, queries};
use stipend_token::access::AccessEntry;
use stipend_token::rate::Rate;
use stipend_token::{Environment, MayAct, ScopeSet, id};

/// What a client is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// An AI agent.
    Agent,
    /// A relying service: holds resources, introspects, settles budgets.
    Service,
    /// Administers this server.
    Admin,
}

/// Where a client is in its life. Revoked and retired are final.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    Requested,
    Active,
    Suspended,
    Revoked,
    Retired,
}

/// What an admin may do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    PlatformAdmin,
    OwnerAdmin,
    CredentialAdmin,
    BudgetAdmin,
    /// Judges the risk of agents, and sees.
    RiskAdmin,
    Auditor,
}

/// A role, over one owner or (platform-admin, auditor) over all.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleGrant {
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A stored secret. Argon2id runs at most once per secret and record: what was proved is
/// kept as a keyed MAC, and lapses with the record whenever anything about the client changes.
#[derive(Debug)]
pub struct ClientSecret {
    pub id: String,
    pub hash: String,
    pub expires_at: i64,
    pub proved: OnceLock<[u8; 32]>,
    /// When it was last noted for all nodes that it was proved, in seconds.
    pub noted: AtomicI64,
}

#[derive(Debug)]
pub struct ClientKey {
    pub id: String,
    pub verifier: Verifier,
    /// `x5t#S256` of the certificate that was registered with it.
    pub certificate: Option<String>,
    pub expires_at: i64,
}

#[derive(Debug)]
pub struct Client {
    pub id: String,
    pub owner_id: String,
    pub kind: ClientKind,
    pub state: ClientState,
    pub owner_active: bool,
    pub auth_method: AuthMethod,
    /// Admits the token endpoint's URL as an assertion's audience.
    pub legacy_assertion_aud: bool,
    pub access: Vec<AccessEntry>,
    pub scope_ceiling: Option<ScopeSet>,
    pub ttl_seconds: i64,
    pub roles: Vec<RoleGrant>,
    pub environment: Environment,
    pub may_act: Option<MayAct>,
    pub expires_at: Option<i64>,
    pub secrets: Vec<ClientSecret>,
    pub keys: Vec<ClientKey>,
    /// Where it publishes its keys, if it does: then those are all it has.
    pub published: Option<Arc<Issuer>>,
    pub settings: ClientSettings,
    /// How often it may ask, where that is not what holds for all.
    pub rate: Option<Rate>,
    /// The metadata document that it is known by, if it is.
    pub document: Option<DocumentClientRow>,
    /// Its `sub`.
    pub subject: String,
}

impl Client {
    /// Whether others call it so: by its id, or by the URL of its metadata document.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.document.as_ref().is_some_and(|document| document.url == name)
    }

    /// Whether it may authenticate and its tokens count, as far as its records say.
    #[must_use]
    pub fn stands(&self, now: i64) -> bool {
        self.state == ClientState::Active && self.owner_active && self.expires_at.is_none_or(|at| now < at)
    }
}

pub(super) async fn load(db: Db, id: String) -> Result<Loaded<Client>, LoadError> {
    let Some(bundle) = queries::find_client_bundle(&db, &id).await? else {
        return Ok(Loaded { value: None, deps: vec![deps::client(&id)] });
    };
    let row = bundle.client;
    let kind: ClientKind = word(&row.kind, "client kind")?;
    let may_act = row.may_act.as_deref().map(|text| column::<serde_json::Value>(text, "may_act")).transpose()?;
    let keys = bundle.keys.iter().map(|key| load_key(&key.id, &key.jwk, key.expires_at)).collect::<Result<_, _>>()?;
    let settings: ClientSettings = column(&row.settings, "client settings")?;
    let published = settings.jwks_uri.as_deref().map(|url| Arc::new(Issuer::of_client(&row.id, &row.owner_id, url)));
    let client = Client {
        subject: match kind {
            ClientKind::Agent => id::agent_subject(&row.id),
            ClientKind::Service | ClientKind::Admin => id::client_subject(&row.id),
        },
        kind,
        state: word(&row.state, "client state")?,
        owner_active: bundle.owner.state == "active",
        auth_method: word(&row.auth_method, "auth method")?,
        legacy_assertion_aud: row.legacy_assertion_aud,
        access: column(&row.access, "access")?,
        scope_ceiling: row.scope_ceiling.as_deref().map(|text| column(text, "scope ceiling")).transpose()?,
        ttl_seconds: row.max_ttl_seconds,
        roles: column(&row.roles, "roles")?,
        environment: Environment::parse(&row.environment).ok_or(LoadError::Corrupt("environment"))?,
        may_act: may_act
            .map(|value| MayAct::from_json(&value).map_err(|_| LoadError::Corrupt("may_act")))
            .transpose()?,
        expires_at: row.expires_at,
        secrets: bundle
            .secrets
            .into_iter()
            .map(|secret| ClientSecret {
                id: secret.id,
                hash: secret.hash,
                expires_at: secret.expires_at,
                proved: OnceLock::new(),
                noted: AtomicI64::new(0),
            })
            .collect(),
        keys,
        document: bundle.document,
        published,
        rate: settings.rate.map(|rate| rate.rate().map_err(|_| LoadError::Corrupt("client settings"))).transpose()?,
        settings,
        id: row.id,
        owner_id: row.owner_id,
    };
    let deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    Ok(Loaded { value: Some(Arc::new(client)), deps })
}

fn load_key(id: &str, jwk: &str, expires_at: i64) -> Result<ClientKey, LoadError> {
    let corrupt = || LoadError::Corrupt("client key");
    let key = RegisteredKey::from_json(jwk).map_err(|_| corrupt())?;
    let verifier = key.jwk.verifier().map_err(|_| corrupt())?;
    let certificate = key.certificate.map(|certificate| certificate.thumbprint);
    Ok(ClientKey { id: id.to_owned(), verifier, certificate, expires_at })
}
