//! A registered audience.

use super::{LoadError, Loaded, column};
use crate::deps;
use std::sync::Arc;
use stipend_schema::{Db, queries};
use stipend_token::{Audience, Environment, ScopeSet};

#[derive(Debug)]
pub struct Resource {
    pub id: String,
    pub audience: Audience,
    pub owner_id: String,
    pub scopes: ScopeSet,
    /// `None`: serves both.
    pub environment: Option<Environment>,
    pub ttl_seconds: i64,
    /// Clients that may introspect its tokens.
    pub introspectors: Vec<String>,
    /// Its services spend from budgets.
    pub budget_capable: bool,
    /// Its tokens have a place in a status list.
    pub status_list: bool,
    pub active: bool,
}

pub(super) async fn load(db: Db, uri: String) -> Result<Loaded<Resource>, LoadError> {
    let Some(row) = queries::find_resource_by_uri(&db, &uri).await? else {
        return Ok(Loaded { value: None, deps: vec![deps::resource(&uri)] });
    };
    let owner = queries::find_owner(&db, &row.owner_id).await?;
    let environment = row
        .environment
        .as_deref()
        .map(|text| Environment::parse(text).ok_or(LoadError::Corrupt("environment")))
        .transpose()?;
    let deps = vec![deps::resource(&uri), deps::owner(&row.owner_id)];
    let resource = Resource {
        audience: Audience::parse(&row.uri).map_err(|_| LoadError::Corrupt("resource uri"))?,
        scopes: column(&row.scopes, "resource scopes")?,
        environment,
        ttl_seconds: row.max_ttl_seconds,
        introspectors: column(&row.introspectors, "introspectors")?,
        active: row.state == "active" && owner.is_some_and(|owner| owner.state == "active"),
        budget_capable: row.budget_capable,
        status_list: row.status_list,
        id: row.id,
        owner_id: row.owner_id,
    };
    Ok(Loaded { value: Some(Arc::new(resource)), deps })
}
