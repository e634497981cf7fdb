//! The exchange rules of one actor owner.

use super::{LoadError, Loaded, column};
use crate::deps;
use std::sync::Arc;
use stipend_schema::{Db, ExchangeRuleRow, queries};
use stipend_token::rule::ExchangeRule;

pub(super) async fn load(db: Db, owner_id: String) -> Result<Loaded<Vec<ExchangeRule>>, LoadError> {
    let rows = queries::exchange_rules_of_actor(&db, &owner_id).await?;
    let rules = rows.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    Ok(Loaded { value: Some(Arc::new(rules)), deps: vec![deps::rules_of(&owner_id)] })
}

fn rule(row: &ExchangeRuleRow) -> Result<ExchangeRule, LoadError> {
    Ok(ExchangeRule {
        id: row.id.clone(),
        spec: column(&row.spec, "exchange rule")?,
        accepted_by: column(&row.accepted_by, "accepted_by")?,
        enabled: row.state == "active",
    })
}
