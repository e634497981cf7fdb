//! Budget lines, and what they have used.

use super::lists::{OwnerFilter, Page};
use crate::db::{Db, DbError, read};
use crate::ledger::{Answer, REPORT_GRACE_SECONDS, SpendKey, remembered};
use crate::rows::{BudgetAnswerRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow};
use crate::tables::{budget_answers, budget_carves, budget_holds, budget_lines, budget_uses};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use stipend_token::budget::AccountKind;

/// Most lines of one account that are read.
pub const ACCOUNT_LINES_LIMIT: i64 = 64;
/// Most holds whose time is over that are read at once.
pub const DUE_HOLDS_LIMIT: i64 = 500;
/// Most carved lines that are due and read at once.
pub const DUE_CARVES_LIMIT: i64 = 500;
/// Written out, and not a parameter: or no planner could tell that the partial index will do.
const OPEN: &str = "state = 'open'";
/// Most periods of one line that are read.
const PERIODS_LIMIT: i64 = 400;

pub async fn find_budget_line(db: &Db, id: &str) -> Result<Option<BudgetLineRow>, DbError> {
    let id = id.to_owned();
    let found =
        read!(db, get_results::<BudgetLineRow>, budget_lines::table.find(id).select(BudgetLineRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// What the same order was answered before, refusals too.
pub async fn find_budget_answer(db: &Db, key: &SpendKey) -> Result<Option<Answer>, DbError> {
    let (hash, digest) = (key.key_hash.to_vec(), key.digest.to_vec());
    let found = read!(
        db,
        get_results::<BudgetAnswerRow>,
        budget_answers::table.find(hash).filter(budget_answers::digest.eq(digest)).select(BudgetAnswerRow::as_select())
    )?;
    Ok(found.first().map(|row| remembered(row, key).answer))
}

/// The lines of accounts that last: not those of tokens.
pub async fn list_budget_lines(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<BudgetLineRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<BudgetLineRow>, {
        let mut query = budget_lines::table
            .select(BudgetLineRow::as_select())
            .into_boxed::<B>()
            .filter(budget_lines::id.gt(after))
            .filter(budget_lines::account_kind.ne(AccountKind::Token.as_str()));
        if let Some(only) = only {
            query = query.filter(budget_lines::owner_id.eq_any(only));
        }
        query.order(budget_lines::id.asc()).limit(limit)
    })
}

/// The lines directly under one, of any kind.
pub async fn list_lines_under(
    db: &Db,
    parent: &str,
    owners: &OwnerFilter,
    page: &Page,
) -> Result<Vec<BudgetLineRow>, DbError> {
    let (after, limit) = page.parts();
    let (parent, only) = (parent.to_owned(), owners.only());
    read!(db, get_results::<BudgetLineRow>, {
        let mut query = budget_lines::table
            .select(BudgetLineRow::as_select())
            .into_boxed::<B>()
            .filter(budget_lines::parent_id.eq(parent))
            .filter(budget_lines::id.gt(after));
        if let Some(only) = only {
            query = query.filter(budget_lines::owner_id.eq_any(only));
        }
        query.order(budget_lines::id.asc()).limit(limit)
    })
}

/// The lines of an account in every unit, whatever their state.
pub async fn lines_of_account(db: &Db, kind: AccountKind, id: &str) -> Result<Vec<BudgetLineRow>, DbError> {
    let (kind, id) = (kind.as_str(), id.to_owned());
    read!(
        db,
        get_results::<BudgetLineRow>,
        budget_lines::table
            .filter(budget_lines::account_kind.eq(kind))
            .filter(budget_lines::account_id.eq(id))
            .order(budget_lines::id.asc())
            .limit(ACCOUNT_LINES_LIMIT)
            .select(BudgetLineRow::as_select())
    )
}

/// What a line has used in the periods from `from` on, newest first.
pub async fn uses_of_line(db: &Db, id: &str, from: i64) -> Result<Vec<BudgetUseRow>, DbError> {
    let id = id.to_owned();
    read!(
        db,
        get_results::<BudgetUseRow>,
        budget_uses::table
            .filter(budget_uses::line_id.eq(id))
            .filter(budget_uses::period.ge(from))
            .order(budget_uses::period.desc())
            .limit(PERIODS_LIMIT)
            .select(BudgetUseRow::as_select())
    )
}

pub async fn find_budget_hold(db: &Db, id: &str) -> Result<Option<BudgetHoldRow>, DbError> {
    let id = id.to_owned();
    let found =
        read!(db, get_results::<BudgetHoldRow>, budget_holds::table.find(id).select(BudgetHoldRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// Open holds whose time was over at `now`, in seconds.
pub async fn due_holds(db: &Db, now: i64) -> Result<Vec<BudgetHoldRow>, DbError> {
    read!(
        db,
        get_results::<BudgetHoldRow>,
        budget_holds::table
            .filter(sql::<Bool>(OPEN))
            .filter(budget_holds::expires_at.le(now))
            .order(budget_holds::expires_at.asc())
            .limit(DUE_HOLDS_LIMIT)
            .select(BudgetHoldRow::as_select())
    )
}

/// Carved lines that may be settled at `now`, in seconds: reported for the last time, or not
/// reported for too long.
pub async fn due_carves(db: &Db, now: i64) -> Result<Vec<BudgetCarveRow>, DbError> {
    let unreported = now.saturating_sub(REPORT_GRACE_SECONDS);
    read!(
        db,
        get_results::<BudgetCarveRow>,
        budget_carves::table
            .filter(sql::<Bool>(OPEN))
            .filter(budget_carves::due_at.le(now))
            .filter(budget_carves::is_final.or(budget_carves::due_at.le(unreported)))
            .order(budget_carves::due_at.asc())
            .limit(DUE_CARVES_LIMIT)
            .select(BudgetCarveRow::as_select())
    )
}
