//! What a verified token's own words admit, before anybody is asked: its scope, its budget
//! line in a unit, the cap on one call, its ceiling on credentials. Pure; what was spent already only a counter or the
//! server knows.

use crate::refusal::{BudgetRefusal, Refusal};
use stipend_token::AccessToken;
use stipend_token::budget::{Amount, TokenLine, Unit};
use stipend_token::constraint::{Action, Call, CredentialRelease, Mode, Verdict, decide};

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

/// What the token says of a credential. `None` where it does not name it: for no use of it at
/// all if it names others or none, and without limits if it has no such claim.
#[must_use]
pub fn find_credential<'t>(token: &'t AccessToken, credential: &str) -> Option<&'t CredentialRelease> {
    token.authorization_details.iter().flatten().find(|release| release.identifier() == credential)
}

/// Whether the token's ceiling admits a call with a credential.
///
/// The verdict says what has to be counted, and what was only observed. Limits that are counted
/// are judged as far as `call` says what was counted; the call is counted under each entry of
/// [`CredentialRelease::counted`], each with its own limits, in one step with the call and before
/// it is made. A token without the claim admits every call, with an empty verdict: a ceiling is
/// no grant, and whether the agent may use the credential is for others to say.
///
/// # Errors
/// [`Refusal::Credential`] where the claim does not name the credential, or not for this action;
/// [`Refusal::Constraint`] for the first constraint that is broken and enforced.
pub fn check_credential(
    token: &AccessToken,
    credential: &str,
    action: Action,
    call: &Call<'_>,
) -> Result<Verdict, Refusal> {
    if token.authorization_details.is_none() {
        return Ok(Verdict::default());
    }
    let release = find_credential(token, credential).filter(|release| release.allows(action));
    let verdict = decide(release.ok_or(Refusal::Credential)?.constraints(), call);
    match verdict.broken.iter().find(|broken| broken.mode == Mode::Enforce) {
        Some(broken) => Err(Refusal::Constraint { constraint: broken.constraint, reason: broken.reason }),
        None => Ok(verdict),
    }
}
