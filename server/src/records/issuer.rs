//! A trusted issuer, by its id here or by what its tokens call it.

use super::{LoadError, Loaded, column, word};
use crate::deps;
use crate::federation::{Issuer, IssuerSpec, inline_keys};
use std::sync::Arc;
use stipend_schema::federation::IssuerRow;
use stipend_schema::{Db, Dep, queries};

pub(super) async fn load_named(db: Db, issuer: String) -> Result<Loaded<Issuer>, LoadError> {
    let row = queries::find_issuer_by_name(&db, &issuer).await?;
    load(&db, row, deps::issuer_named(&issuer)).await
}

pub(super) async fn load_by_id(db: Db, id: String) -> Result<Loaded<Issuer>, LoadError> {
    let row = queries::find_issuer(&db, &id).await?;
    load(&db, row, deps::issuer(&id)).await
}

async fn load(db: &Db, row: Option<IssuerRow>, found_by: Dep) -> Result<Loaded<Issuer>, LoadError> {
    let Some(row) = row else { return Ok(Loaded { value: None, deps: vec![found_by] }) };
    let owner = queries::find_owner(db, &row.owner_id).await?;
    let kind = word(&row.kind, "issuer kind")?;
    let spec: IssuerSpec = column(&row.spec, "issuer")?;
    let deps = vec![found_by, deps::issuer(&row.id), deps::owner(&row.owner_id)];
    let issuer = Issuer {
        inline: inline_keys(&spec.keys, kind).map(Arc::new),
        spec,
        mapping: column(&row.mapping, "claim mapping")?,
        active: row.state == "active" && owner.is_some_and(|owner| owner.state == "active"),
        kind,
        issuer: row.issuer,
        owner_id: row.owner_id,
        id: row.id,
    };
    Ok(Loaded { value: Some(Arc::new(issuer)), deps })
}
