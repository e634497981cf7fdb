//! Policies, their versions, and the recorded decisions that a policy can be tried on.

use super::audit::{AUDIT_PAGE_LIMIT, AuditCursor};
use super::lists::{OwnerFilter, Page};
use crate::db::{Db, DbError, read};
use crate::policies::tables::{policies, policy_versions};
use crate::policies::{PolicyRow, PolicyVersionRow};
use crate::rows::AuditRow;
use crate::tables::audit_records as records;
use diesel::prelude::*;

/// Most policies of one owner that are read.
pub const POLICIES_LIMIT: i64 = 200;
/// Most versions of one policy that are read.
pub const POLICY_VERSIONS_LIMIT: i64 = 1000;

pub async fn find_policy(db: &Db, id: &str) -> Result<Option<PolicyRow>, DbError> {
    let id = id.to_owned();
    let found = read!(db, get_results::<PolicyRow>, policies::table.find(id).select(PolicyRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// Policies that were not removed, by id. Those of the deployment are listed for who sees all.
pub async fn list_policies(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<PolicyRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<PolicyRow>, {
        let mut query = policies::table
            .select(PolicyRow::as_select())
            .into_boxed::<B>()
            .filter(policies::id.gt(after))
            .filter(policies::state.ne("removed"));
        if let Some(only) = only {
            query = query.filter(policies::owner_id.assume_not_null().eq_any(only));
        }
        query.order(policies::id.asc()).limit(limit)
    })
}

/// What one owner, or the deployment, has and did not remove, by id.
pub async fn policies_of(db: &Db, owner_id: Option<&str>) -> Result<Vec<PolicyRow>, DbError> {
    let owner = owner_id.map(str::to_owned);
    read!(db, get_results::<PolicyRow>, {
        let mut query =
            policies::table.select(PolicyRow::as_select()).into_boxed::<B>().filter(policies::state.ne("removed"));
        query = match owner {
            Some(owner) => query.filter(policies::owner_id.eq(owner)),
            None => query.filter(policies::owner_id.is_null()),
        };
        query.order(policies::id.asc()).limit(POLICIES_LIMIT)
    })
}

/// The texts of a policy, newest first.
pub async fn policy_versions(db: &Db, policy_id: &str) -> Result<Vec<PolicyVersionRow>, DbError> {
    let id = policy_id.to_owned();
    read!(
        db,
        get_results::<PolicyVersionRow>,
        policy_versions::table
            .filter(policy_versions::policy_id.eq(id))
            .order(policy_versions::version.desc())
            .limit(POLICY_VERSIONS_LIMIT)
            .select(PolicyVersionRow::as_select())
    )
}

/// Which recorded decisions are wanted; times in microseconds, `since` included, `until` not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Matches a record's owner or its subject's owner; none matches all.
    pub owner: Option<String>,
    pub events: Vec<String>,
    pub outcomes: Vec<String>,
    pub since: i64,
    pub until: i64,
}

/// Records of decisions, newest first, after `cursor`, at most [`AUDIT_PAGE_LIMIT`].
pub async fn recorded_decisions(
    db: &Db,
    filter: &DecisionFilter,
    cursor: Option<&AuditCursor>,
    limit: i64,
) -> Result<Vec<AuditRow>, DbError> {
    let limit = limit.clamp(1, AUDIT_PAGE_LIMIT);
    let DecisionFilter { owner, events, outcomes, since, until } = filter.clone();
    let cursor = cursor.cloned();
    read!(db, get_results::<AuditRow>, {
        let mut query = records::table
            .select(AuditRow::as_select())
            .into_boxed::<B>()
            .filter(records::at.ge(since))
            .filter(records::at.lt(until))
            .filter(records::event.eq_any(events))
            .filter(records::outcome.eq_any(outcomes));
        if let Some(owner) = owner {
            query = query.filter(
                records::owner_id
                    .assume_not_null()
                    .eq(owner.clone())
                    .or(records::subject_owner_id.assume_not_null().eq(owner)),
            );
        }
        if let Some(AuditCursor { at, writer, n }) = cursor {
            // The first bound is what an index can begin at.
            query = query.filter(records::at.le(at)).filter(
                records::at.lt(at).or(records::at
                    .eq(at)
                    .and(records::writer.lt(writer.clone()).or(records::writer.eq(writer).and(records::n.lt(n))))),
            );
        }
        query.order((records::at.desc(), records::writer.desc(), records::n.desc())).limit(limit)
    })
}
