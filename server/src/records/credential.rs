//! A credential in custody with the version in use, and what lets an agent use it.

use super::{LoadError, Loaded, column, word};
use crate::custody::{CredentialKind, CredentialSpec, GrantSpec};
use crate::deps;
use std::sync::Arc;
use stipend_schema::{Db, queries};
use stipend_token::Environment;

/// The version that is in use, still sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    pub id: String,
    pub number: i64,
    pub sealed: Vec<u8>,
}

#[derive(Debug)]
pub struct Credential {
    pub id: String,
    pub owner_id: String,
    pub kind: CredentialKind,
    pub environment: Environment,
    /// Neither it nor its owner is switched off.
    pub active: bool,
    pub spec: CredentialSpec,
    pub version: Option<Version>,
}

#[derive(Debug)]
pub struct Grant {
    pub id: String,
    pub active: bool,
    pub expires_at: Option<i64>,
    pub spec: GrantSpec,
}

impl Grant {
    #[must_use]
    pub fn stands(&self, now: i64) -> bool {
        self.active && self.expires_at.is_none_or(|at| now < at)
    }
}

pub(super) async fn load(db: Db, id: String) -> Result<Loaded<Credential>, LoadError> {
    let Some(row) = queries::find_credential(&db, &id).await? else {
        return Ok(Loaded { value: None, deps: vec![deps::credential(&id)] });
    };
    let owner = queries::find_owner(&db, &row.owner_id).await?;
    let version = queries::active_version(&db, &id).await?;
    let deps = vec![deps::credential(&id), deps::owner(&row.owner_id)];
    let credential = Credential {
        kind: word(&row.kind, "credential kind")?,
        environment: Environment::parse(&row.environment).ok_or(LoadError::Corrupt("environment"))?,
        active: row.state == "active" && owner.is_some_and(|owner| owner.state == "active"),
        spec: column(&row.spec, "credential spec")?,
        version: version.and_then(|row| Some(Version { sealed: row.sealed?, id: row.id, number: row.number })),
        id: row.id,
        owner_id: row.owner_id,
    };
    Ok(Loaded { value: Some(Arc::new(credential)), deps })
}

/// `key` is a credential and an agent, with a space between.
pub(super) async fn load_grant(db: Db, key: String) -> Result<Loaded<Grant>, LoadError> {
    let (credential, agent) = key.split_once(' ').ok_or(LoadError::Corrupt("grant"))?;
    let deps = vec![deps::grant_of(credential, agent)];
    let Some(row) = queries::grant_of(&db, credential, agent).await? else {
        return Ok(Loaded { value: None, deps });
    };
    let spec = column(&row.spec, "grant spec")?;
    let grant = Grant { active: row.state == "active", expires_at: row.expires_at, id: row.id, spec };
    Ok(Loaded { value: Some(Arc::new(grant)), deps })
}
