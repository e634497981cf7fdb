//! Single records, and the short lists that decisions need whole.

use crate::db::{Db, DbError, read};
use crate::rows::{ExchangeRuleRow, OwnerRow, ResourceRow, RevocationRow, SigningKeyRow};
use crate::tables::{exchange_rules, owners, resources, revocations, signing_keys};
use diesel::prelude::*;

/// Most exchange rules of one actor owner that are read.
pub const RULES_LIMIT: i64 = 2000;
/// Most signing keys that are read.
const KEYS_LIMIT: i64 = 200;

pub async fn find_owner(db: &Db, id: &str) -> Result<Option<OwnerRow>, DbError> {
    let id = id.to_owned();
    let found = read!(db, get_results::<OwnerRow>, owners::table.find(id).select(OwnerRow::as_select()))?;
    Ok(found.into_iter().next())
}

pub async fn find_resource(db: &Db, id: &str) -> Result<Option<ResourceRow>, DbError> {
    let id = id.to_owned();
    let found = read!(db, get_results::<ResourceRow>, resources::table.find(id).select(ResourceRow::as_select()))?;
    Ok(found.into_iter().next())
}

pub async fn find_resource_by_uri(db: &Db, uri: &str) -> Result<Option<ResourceRow>, DbError> {
    let uri = uri.to_owned();
    let found = read!(
        db,
        get_results::<ResourceRow>,
        resources::table.filter(resources::uri.eq(uri)).select(ResourceRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

pub async fn find_exchange_rule(db: &Db, id: &str) -> Result<Option<ExchangeRuleRow>, DbError> {
    let id = id.to_owned();
    let found =
        read!(db, get_results::<ExchangeRuleRow>, exchange_rules::table.find(id).select(ExchangeRuleRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// Every rule whose actors belong to `owner_id`, whatever its state, by id.
pub async fn exchange_rules_of_actor(db: &Db, owner_id: &str) -> Result<Vec<ExchangeRuleRow>, DbError> {
    let owner_id = owner_id.to_owned();
    read!(
        db,
        get_results::<ExchangeRuleRow>,
        exchange_rules::table
            .filter(exchange_rules::actor_owner_id.eq(owner_id))
            .order(exchange_rules::id.asc())
            .limit(RULES_LIMIT)
            .select(ExchangeRuleRow::as_select())
    )
}

pub async fn find_revocation(db: &Db, id: &str) -> Result<Option<RevocationRow>, DbError> {
    let id = id.to_owned();
    let found =
        read!(db, get_results::<RevocationRow>, revocations::table.find(id).select(RevocationRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// All signing keys, newest first.
pub async fn signing_keys(db: &Db) -> Result<Vec<SigningKeyRow>, DbError> {
    read!(
        db,
        get_results::<SigningKeyRow>,
        signing_keys::table
            .order((signing_keys::created_at.desc(), signing_keys::kid.asc()))
            .limit(KEYS_LIMIT)
            .select(SigningKeyRow::as_select())
    )
}
