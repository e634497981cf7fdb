//! Who answers for which client.

use super::lists::OwnerFilter;
use crate::db::{Db, DbError, read};
use crate::responsibilities::ResponsibilityRow;
use crate::tables::responsibilities;
use diesel::prelude::*;

/// Most clients of one person that are read at once.
pub const RESPONSIBILITIES_LIMIT: i64 = 200;

pub async fn find_responsibility(db: &Db, client_id: &str) -> Result<Option<ResponsibilityRow>, DbError> {
    let id = client_id.to_owned();
    let found = read!(
        db,
        get_results::<ResponsibilityRow>,
        responsibilities::table.find(id).select(ResponsibilityRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// The clients that a person answers for and that are no orphans yet, or that are offered to the
/// person.
pub async fn responsibilities_of_person(
    db: &Db,
    owners: &OwnerFilter,
    person: &str,
) -> Result<Vec<ResponsibilityRow>, DbError> {
    let (only, person) = (owners.only(), person.to_owned());
    read!(db, get_results::<ResponsibilityRow>, {
        let of_person = responsibilities::person.eq(person.clone()).and(responsibilities::orphaned_at.is_null());
        let mut query = responsibilities::table
            .select(ResponsibilityRow::as_select())
            .into_boxed::<B>()
            .filter(of_person.or(responsibilities::offered_to.assume_not_null().eq(person)));
        if let Some(only) = only {
            query = query.filter(responsibilities::owner_id.eq_any(only));
        }
        query.order(responsibilities::client_id.asc()).limit(RESPONSIBILITIES_LIMIT)
    })
}

/// Orphans whose grace is over at `now`.
pub async fn due_orphans(db: &Db, now: i64) -> Result<Vec<ResponsibilityRow>, DbError> {
    read!(
        db,
        get_results::<ResponsibilityRow>,
        responsibilities::table
            .filter(responsibilities::suspend_at.le(now))
            .order(responsibilities::suspend_at.asc())
            .limit(RESPONSIBILITIES_LIMIT)
            .select(ResponsibilityRow::as_select())
    )
}
