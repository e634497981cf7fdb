//! Lists for the admin API: in order of id, a page at a time, and only of the owners the
//! caller may see.

use crate::db::{Db, DbError, read};
use crate::rows::{ClientRow, ExchangeRuleRow, OwnerRow, ResourceRow, RevocationRow};
use crate::tables::{clients, exchange_rules, owners, resources, revocations};
use diesel::prelude::*;

/// Longest page of a list.
pub const PAGE_LIMIT: i64 = 200;

/// Whose rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerFilter {
    All,
    Only(Vec<String>),
}

impl OwnerFilter {
    pub(crate) fn only(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Only(owners) => Some(owners.clone()),
        }
    }
}

/// Which page: rows with an id after `after`, at most `limit` (capped at [`PAGE_LIMIT`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub after: Option<String>,
    pub limit: i64,
}

impl Page {
    pub(crate) fn parts(&self) -> (String, i64) {
        (self.after.clone().unwrap_or_default(), self.limit.clamp(1, PAGE_LIMIT))
    }
}

/// A list by id; `$owned` narrows the boxed query `$query` to the owners `$only`.
macro_rules! list {
    ($db:expr, $owners:expr, $page:expr, $row:ident, $table:ident,
     |$query:ident, $only:ident| $owned:expr) => {{
        let (after, limit) = $page.parts();
        let only = $owners.only();
        read!($db, get_results::<$row>, {
            let mut query = $table::table.select($row::as_select()).into_boxed::<B>().filter($table::id.gt(after));
            if let Some($only) = only {
                let $query = query;
                query = $owned;
            }
            query.order($table::id.asc()).limit(limit)
        })
    }};
}

pub async fn list_owners(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<OwnerRow>, DbError> {
    list!(db, owners, page, OwnerRow, owners, |query, only| query.filter(owners::id.eq_any(only)))
}

pub async fn list_clients(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<ClientRow>, DbError> {
    list!(db, owners, page, ClientRow, clients, |query, only| query.filter(clients::owner_id.eq_any(only)))
}

pub async fn list_resources(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<ResourceRow>, DbError> {
    list!(db, owners, page, ResourceRow, resources, |query, only| query.filter(resources::owner_id.eq_any(only)))
}

/// Rules that concern an owner as the actor's, the subject's or the target's.
pub async fn list_exchange_rules(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<ExchangeRuleRow>, DbError> {
    list!(db, owners, page, ExchangeRuleRow, exchange_rules, |query, only| {
        query.filter(
            exchange_rules::actor_owner_id
                .eq_any(only.clone())
                .or(exchange_rules::target_owner_id.eq_any(only.clone()))
                .or(exchange_rules::subject_owner_id.assume_not_null().eq_any(only)),
        )
    })
}

/// Revocations whose row names an owner are seen by that owner's admins; the others only by
/// those who see all.
pub async fn list_revocations(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<RevocationRow>, DbError> {
    list!(db, owners, page, RevocationRow, revocations, |query, only| query
        .filter(revocations::owner_id.assume_not_null().eq_any(only)))
}
