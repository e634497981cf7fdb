//! Trusted issuers.

use super::lists::{OwnerFilter, Page};
use crate::db::{Db, DbError, read};
use crate::federation::IssuerRow;
use crate::tables::issuers;
use diesel::prelude::*;

pub async fn find_issuer(db: &Db, id: &str) -> Result<Option<IssuerRow>, DbError> {
    let id = id.to_owned();
    let found = read!(db, get_results::<IssuerRow>, issuers::table.find(id).select(IssuerRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// By what its tokens call it.
pub async fn find_issuer_by_name(db: &Db, issuer: &str) -> Result<Option<IssuerRow>, DbError> {
    let issuer = issuer.to_owned();
    let found = read!(
        db,
        get_results::<IssuerRow>,
        issuers::table.filter(issuers::issuer.eq(issuer)).select(IssuerRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

pub async fn list_issuers(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<IssuerRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<IssuerRow>, {
        let mut query = issuers::table.select(IssuerRow::as_select()).into_boxed::<B>().filter(issuers::id.gt(after));
        if let Some(only) = only {
            query = query.filter(issuers::owner_id.eq_any(only));
        }
        query.order(issuers::id.asc()).limit(limit)
    })
}
