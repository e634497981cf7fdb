//! What a status list is made from.

use super::rows::StatusEntryRow;
use crate::db::{Db, DbError, read};
use crate::tables::{clients, issuers, owners, resources, status_entries};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

/// Most records of each kind that are read of those that left the active state lately.
pub const FALLEN_LIMIT: i64 = 10_000;

/// The entries of a list, at most `limit` of them, by their places.
pub async fn status_entries(db: &Db, list: &str, limit: i64) -> Result<Vec<StatusEntryRow>, DbError> {
    let list = list.to_owned();
    read!(
        db,
        get_results::<StatusEntryRow>,
        status_entries::table
            .filter(status_entries::list.eq(list))
            .order(status_entries::idx.asc())
            .limit(limit)
            .select(StatusEntryRow::as_select())
    )
}

/// What left the active state so lately that a token issued before may be alive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fallen {
    pub owners: Vec<String>,
    /// With their states.
    pub clients: Vec<(String, String)>,
    /// Clients whose registration ended by itself.
    pub ended: Vec<String>,
    /// By their URIs.
    pub resources: Vec<String>,
    /// Trusted issuers, by their ids here.
    pub issuers: Vec<String>,
}

/// Reads them: changed at `since` (seconds) or later, ended between `since` and `now`.
pub async fn fallen(db: &Db, since: i64, now: i64) -> Result<Fallen, DbError> {
    // The words of the indexes, so that PostgreSQL sees whatever the plan that they serve.
    let not_active = || sql::<Bool>("state <> 'active'");
    Ok(Fallen {
        owners: read!(
            db,
            get_results::<String>,
            owners::table
                .filter(not_active())
                .filter(owners::updated_at.ge(since))
                .order(owners::updated_at.desc())
                .limit(FALLEN_LIMIT)
                .select(owners::id)
        )?,
        clients: read!(
            db,
            get_results::<(String, String)>,
            clients::table
                .filter(not_active())
                .filter(clients::updated_at.ge(since))
                .order(clients::updated_at.desc())
                .limit(FALLEN_LIMIT)
                .select((clients::id, clients::state))
        )?,
        ended: read!(
            db,
            get_results::<String>,
            clients::table
                .filter(clients::expires_at.assume_not_null().between(since, now))
                .order(clients::expires_at.desc())
                .limit(FALLEN_LIMIT)
                .select(clients::id)
        )?,
        resources: read!(
            db,
            get_results::<String>,
            resources::table
                .filter(not_active())
                .filter(resources::updated_at.ge(since))
                .order(resources::updated_at.desc())
                .limit(FALLEN_LIMIT)
                .select(resources::uri)
        )?,
        issuers: read!(
            db,
            get_results::<String>,
            issuers::table
                .filter(not_active())
                .filter(issuers::updated_at.ge(since))
                .order(issuers::updated_at.desc())
                .limit(FALLEN_LIMIT)
                .select(issuers::id)
        )?,
    })
}
