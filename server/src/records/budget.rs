//! Budget lines, as far as they do not change by being spent from.

use super::{LoadError, Loaded};
use crate::deps;
use std::sync::Arc;
use stipend_schema::ledger::{BudgetLineRow, MAX_PATH};
use stipend_schema::{Db, queries};
use stipend_token::budget::{AccountKind, Unit};

/// A line of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BudgetLine {
    pub id: String,
    pub unit: Unit,
    pub active: bool,
}

/// Where a line leads: itself and the lines above it, up to the one that pays. It never
/// changes once the line is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BudgetPath {
    pub lines: Vec<String>,
    pub owner_id: String,
    /// The token's, for a token's line: its id, and whom it is for.
    pub jti: Option<String>,
    pub audience: Option<String>,
    pub carved: bool,
}

/// `account` is a kind and an id: `owner:acme`, `agent:acme.planner`, `task:acme.planner/x`.
pub(super) async fn load(db: Db, account: String) -> Result<Loaded<Vec<BudgetLine>>, LoadError> {
    let (kind, id) = account.split_once(':').ok_or(LoadError::Corrupt("account"))?;
    let kind = AccountKind::parse(kind).ok_or(LoadError::Corrupt("account kind"))?;
    let rows = queries::lines_of_account(&db, kind, id).await?;
    let line = |row: BudgetLineRow| {
        let unit = Unit::new(&row.unit, row.decimals).map_err(|_| LoadError::Corrupt("budget unit"))?;
        Ok(BudgetLine { active: row.state == "active", id: row.id, unit })
    };
    let lines = rows.into_iter().map(line).collect::<Result<Vec<_>, LoadError>>()?;
    Ok(Loaded { value: Some(Arc::new(lines)), deps: vec![deps::budget_of(kind, id)] })
}

/// Ids of lines are random and known once the line is there: what is missing stays missing.
pub(super) async fn load_path(db: Db, id: String) -> Result<Loaded<BudgetPath>, LoadError> {
    let Some(leaf) = queries::find_budget_line(&db, &id).await? else {
        return Ok(Loaded { value: None, deps: Vec::new() });
    };
    let mut lines = vec![leaf.id.clone()];
    let mut above = leaf.parent_id.clone();
    while let Some(id) = above {
        if lines.len() >= MAX_PATH {
            return Err(LoadError::Corrupt("budget path"));
        }
        let line = queries::find_budget_line(&db, &id).await?.ok_or(LoadError::Corrupt("budget parent"))?;
        lines.push(line.id);
        above = line.parent_id;
    }
    let of_token = AccountKind::parse(&leaf.account_kind) == Some(AccountKind::Token);
    let path = BudgetPath {
        lines,
        owner_id: leaf.owner_id,
        jti: of_token.then_some(leaf.account_id),
        audience: leaf.audience,
        carved: leaf.enforce == "rs",
    };
    Ok(Loaded { value: Some(Arc::new(path)), deps: Vec::new() })
}
