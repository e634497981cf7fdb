//! What a call costs: the lines that are charged, and the step that the ledger is asked for.

use super::SPENDER;
use crate::app::App;
use crate::budget::{Declined, chains_of};
use crate::deps;
use crate::reason::Reason;
use crate::records::Grant;
use stipend_keys::dated_id;
use stipend_relying::require_budget;
use stipend_schema::Dep;
use stipend_schema::ledger::{NewHold, Refusal, Spend, SpendKey, Step};
use stipend_token::budget::{AccountKind, Amount, Unit};
use stipend_token::claims::AccessToken;

/// An amount to be charged at once, or held for so many seconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taking {
    Charge,
    Hold { seconds: i64 },
}

/// The order to the ledger, and what was looked at.
pub(super) async fn order(
    app: &App,
    token: &AccessToken,
    grant: &Grant,
    (unit, amount): (&Unit, Amount),
    taking: Taking,
) -> Result<(Spend, Vec<Dep>), Declined> {
    require_budget(token, unit, amount).map_err(|refusal| match (refusal.line, refusal.required) {
        (Some(line_id), Some(required)) => match refusal.per_call {
            Some(per_call) => Declined::from(Refusal::PerCall { line_id, required, per_call }),
            None => Refusal::Insufficient { line_id, required, remaining: refusal.remaining.unwrap_or(0) }.into(),
        },
        _ => Declined::from(Reason::NoBudget),
    })?;
    let (mut paths, mut looked_at) = chains_of(app, token, unit).await?;
    if let Some(task) = &grant.spec.task {
        let account = format!("{}/{task}", token.client_id);
        looked_at.push(deps::budget_of(AccountKind::Task, &account));
        let lines = app.records.budget_lines(AccountKind::Task, &account).await?;
        // The grant says that this budget caps it: without one there is nothing to spend.
        let line = lines.iter().find(|line| line.unit == *unit).ok_or(Reason::NoBudget)?;
        let path = app.records.budget_path(&line.id).await?.ok_or(Reason::NoBudget)?;
        paths.push(path.lines.clone());
    }
    let now = app.clock.now();
    let hold = |seconds: i64| NewHold {
        hold_id: dated_id("bh_", now),
        paths,
        jti: Some(token.jti.clone()),
        amount,
        expires_at: now.saturating_add(seconds),
    };
    let step = match taking {
        Taking::Charge => Step::Charge { hold: hold(1), capture_id: dated_id("bc_", now) },
        Taking::Hold { seconds } => Step::Hold(hold(seconds)),
    };
    Ok((spend(step, None), looked_at))
}

pub(super) fn spend(step: Step, key: Option<SpendKey>) -> Spend {
    Spend { client_id: SPENDER.to_owned(), step, key }
}
