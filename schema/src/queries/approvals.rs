//! Exchanges that wait for people.

use super::lists::{OwnerFilter, Page};
use crate::approvals::ApprovalRequestRow;
use crate::db::{Db, DbError, read};
use crate::tables::approval_requests;
use diesel::prelude::*;

/// Most open requests that are counted.
const OPEN_LIMIT: i64 = 10_000;
const OPEN: [&str; 2] = ["pending", "approved"];

pub async fn find_approval(db: &Db, id: &str) -> Result<Option<ApprovalRequestRow>, DbError> {
    let id = id.to_owned();
    let found = read!(
        db,
        get_results::<ApprovalRequestRow>,
        approval_requests::table.find(id).select(ApprovalRequestRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// The request whose handle has this hash.
pub async fn find_approval_by_handle(db: &Db, hash: &[u8]) -> Result<Option<ApprovalRequestRow>, DbError> {
    let hash = hash.to_vec();
    let found = read!(
        db,
        get_results::<ApprovalRequestRow>,
        approval_requests::table
            .filter(approval_requests::handle_hash.eq(hash))
            .select(ApprovalRequestRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// Requests that concern an owner as the actor's, the subject's or the target's; of one state
/// where it is named.
pub async fn list_approvals(
    db: &Db,
    owners: &OwnerFilter,
    state: Option<&str>,
    page: &Page,
) -> Result<Vec<ApprovalRequestRow>, DbError> {
    let (after, limit) = page.parts();
    let (only, state) = (owners.only(), state.map(str::to_owned));
    read!(db, get_results::<ApprovalRequestRow>, {
        let mut query = approval_requests::table
            .select(ApprovalRequestRow::as_select())
            .into_boxed::<B>()
            .filter(approval_requests::id.gt(after));
        if let Some(state) = state {
            query = query.filter(approval_requests::state.eq(state));
        }
        if let Some(only) = only {
            query = query.filter(
                approval_requests::owner_id
                    .eq_any(only.clone())
                    .or(approval_requests::target_owner_id.eq_any(only.clone()))
                    .or(approval_requests::subject_owner_id.assume_not_null().eq_any(only)),
            );
        }
        query.order(approval_requests::id.asc()).limit(limit)
    })
}

/// How many requests of a client wait or may still be turned into a token.
pub async fn open_approvals_of_client(db: &Db, client_id: &str, now: i64) -> Result<usize, DbError> {
    let client_id = client_id.to_owned();
    let found = read!(
        db,
        get_results::<String>,
        approval_requests::table
            .filter(approval_requests::client_id.eq(client_id))
            .filter(approval_requests::state.eq_any(OPEN))
            .filter(approval_requests::expires_at.gt(now))
            .select(approval_requests::id)
            .limit(OPEN_LIMIT)
    )?;
    Ok(found.len())
}

/// How many of those concern an owner.
pub async fn open_approvals_of_owner(db: &Db, owner_id: &str, now: i64) -> Result<usize, DbError> {
    let owner_id = owner_id.to_owned();
    let found = read!(
        db,
        get_results::<String>,
        approval_requests::table
            .filter(
                approval_requests::owner_id
                    .eq(owner_id.clone())
                    .or(approval_requests::target_owner_id.eq(owner_id.clone()))
                    .or(approval_requests::subject_owner_id.assume_not_null().eq(owner_id)),
            )
            .filter(approval_requests::state.eq_any(OPEN))
            .filter(approval_requests::expires_at.gt(now))
            .select(approval_requests::id)
            .limit(OPEN_LIMIT)
    )?;
    Ok(found.len())
}
