//! What a verified token's own words admit, before anybody is asked: its scope, its budget
//! line in a unit, the cap on one call. Pure; what was spent already only a counter or the
//! server knows.

use crate::refusal::{BudgetRefusal, Refusal};
use stipend_token::AccessToken;
use stipend_token::budget::{Amount, TokenLine, Unit};

/// The token's line in a unit. A unit with other decimals is another unit.
#[must_use]
pub fn find_line<'t>(token: &'t AccessToken, unit: &Unit) -> Option<&'t TokenLine> {
    token.budget.as_deref().unwrap_or_default().iter().find(|line| line.unit == *unit)
}

/// The token's line in a unit, if one call may take `amount` from it.
///
/// Says nothing of what is left: that an `as` line has it, the server says at the hold; that
/// an `rs` line has it, this service's own [`Counter`](crate::Counter).
///
/// # Errors
/// [`BudgetRefusal`]: no line, more than one call may take, or more than there ever was.
pub fn require_budget<'t>(token: &'t AccessToken, unit: &Unit, amount: Amount) -> Result<&'t TokenLine, BudgetRefusal> {
    let line = find_line(token, unit)
        .ok_or_else(|| BudgetRefusal::new("the token has no budget in this unit", None, amount.parts()))?;
    admits(line, amount)?;
    Ok(line)
}

/// Whether one call may take `amount` from a line that is untouched.
pub(crate) fn admits(line: &TokenLine, amount: Amount) -> Result<(), BudgetRefusal> {
    if let Some(per_call) = line.per_call.filter(|per_call| amount > *per_call) {
        let refusal = BudgetRefusal::new("the budget admits less in one call", Some(&line.id), amount.parts());
        return Err(refusal.per_call(per_call.parts()));
    }
    if amount > line.amount {
        let refusal = BudgetRefusal::new("the budget does not have that much left", Some(&line.id), amount.parts());
        return Err(refusal.remaining(line.amount.parts()));
    }
    Ok(())
}

/// Requires a scope, refusing as a service answers it.
///
/// # Errors
/// [`Refusal::Scope`].
pub fn check_scope(token: &AccessToken, scope: &str) -> Result<(), Refusal> {
    if token.scope.contains(scope) { Ok(()) } else { Err(Refusal::Scope { required: scope.to_owned() }) }
}
