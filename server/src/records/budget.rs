//! The budget lines of one account.

use super::{LoadError, Loaded};
use crate::deps;
use std::sync::Arc;
use stipend_schema::{Db, queries};
use stipend_token::budget::Unit;

/// A line as far as it does not change by being spent from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BudgetLine {
    pub id: String,
    pub parent_id: Option<String>,
    pub unit: Unit,
    /// It pays by itself: what it has was taken from above before.
    pub carved: bool,
}

/// `account` is `owner:<id>` or `agent:<id>`.
pub(super) async fn load(db: Db, account: String) -> Result<Loaded<Vec<BudgetLine>>, LoadError> {
    let (kind, id) = account.split_once(':').ok_or(LoadError::Corrupt("account"))?;
    let rows = queries::lines_of_account(&db, kind, id).await?;
    let line = |row: stipend_schema::ledger::BudgetLineRow| {
        let unit = Unit::new(&row.unit, row.decimals).map_err(|_| LoadError::Corrupt("budget unit"))?;
        Ok(BudgetLine { id: row.id, parent_id: row.parent_id, unit, carved: row.enforce == "rs" })
    };
    let lines = rows.into_iter().map(line).collect::<Result<Vec<_>, LoadError>>()?;
    Ok(Loaded { value: Some(Arc::new(lines)), deps: vec![deps::budget_of(kind, id)] })
}
