//! Spending from budgets: a relying service holds, captures and charges against the lines of
//! whoever pays for an agent's token.
//!
//! It decides who may and who pays; the ledger alone decides what is left, inside the
//! committer's transaction and in order with everything else. An answer was recorded first,
//! refusals too, and a retry with the same `Idempotency-Key` gets the same answer.

mod chains;
mod order;
mod reads;
mod retry;

pub use chains::{Purse, payer};
pub use order::{Order, Verb};
pub use reads::{LineState, WindowUse, read, window_use};

use crate::app::App;
use crate::audit::{DONE, Draft, Origin, REPEATED};
use crate::client::{AuthenticatedClient, Credentials, authenticate};
use crate::grant::refuse_stranger;
use crate::introspection::serves;
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::retry::spend_key;
use crate::tokens::{Doubt, StandingToken};
use retry::Retry;
use stipend_keys::dated_id;
use stipend_schema::ledger::{Answer, NewHold, Receipt, Refusal, Spend, Step};
use stipend_schema::{Dep, Outcome, Work};
use stipend_token::budget::{Amount, Unit};
use stipend_token::claims::AccessToken;

/// Why an order was not done, with the line that did not have it.
#[derive(Debug)]
pub struct Declined {
    pub reason: Reason,
    pub refusal: Option<Refusal>,
    deps: Vec<Dep>,
}

impl Declined {
    #[must_use]
    pub fn new(reason: Reason, refusal: Refusal) -> Self {
        Self { reason, refusal: Some(refusal), deps: Vec::new() }
    }
}

impl<R: Into<Reason>> From<R> for Declined {
    fn from(reason: R) -> Self {
        Self { reason: reason.into(), refusal: None, deps: Vec::new() }
    }
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        let reason = match &refusal {
            Refusal::NotFound => Reason::NoSuchHold,
            Refusal::Closed { .. } => Reason::BudgetClosed,
            Refusal::Insufficient { .. } => Reason::InsufficientBudget,
            Refusal::PerCall { .. } => Reason::PerCallExceeded,
            Refusal::Carved { .. } => Reason::BudgetCarved,
            Refusal::Children { .. } => Reason::TooManyChildren,
            Refusal::Backwards => Reason::ReportBackwards,
            Refusal::Zero => Reason::AmountZero,
            Refusal::Ended => Reason::HoldEnded,
            Refusal::TooMuch => Reason::AmountTooMuch,
            Refusal::KeyReused => Reason::IdempotencyKeyReused,
        };
        Self::new(reason, refusal)
    }
}

/// The chains of lines that a token spends from in a unit, and what was looked at.
///
/// # Errors
/// [`Declined`], as for a hold.
pub async fn chains_of(app: &App, token: &AccessToken, unit: &Unit) -> Result<(Vec<Vec<String>>, Vec<Dep>), Declined> {
    let chains = chains::of_token(app, token, unit).await?;
    Ok((chains.paths, chains.deps))
}

/// How one round of deciding and committing ended.
enum Round {
    Done(Receipt),
    Declined(Declined),
    Overtaken,
}

/// Carries out one order.
///
/// # Errors
/// [`Declined`].
pub async fn spend(
    app: &App,
    credentials: &Credentials<'_>,
    verb: Verb<'_>,
    key: Option<&str>,
    origin: &Origin,
) -> Result<Receipt, Declined> {
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let client = match authenticate(app, credentials).await {
            Ok(client) => client,
            Err(failure) => return Err(refuse_stranger(app, &failure, origin).await.into()),
        };
        let mut draft = Draft::new(verb.event(), origin);
        draft.client(&client.client.id, &client.client.owner_id);
        let work = Work {
            deps: client.deps.clone(),
            burn: client.burn.clone().map(Into::into),
            ..Work::recording(basis, draft.clone().outcome(DONE))
        };
        match round(app, &client, credentials, verb, key, (work, draft)).await {
            Round::Done(receipt) => return Ok(receipt),
            Round::Declined(declined) => return Err(declined),
            Round::Overtaken => {
                app.tailer.catch_up().await;
            }
        }
    }
    Err(Reason::Overtaken.into())
}

async fn round(
    app: &App,
    client: &AuthenticatedClient,
    credentials: &Credentials<'_>,
    verb: Verb<'_>,
    key: Option<&str>,
    (mut work, mut draft): (Work, Draft),
) -> Round {
    match decide(app, client, credentials, verb, key, &mut draft).await {
        Ok((spend, deps)) => {
            work.deps.extend(deps);
            work.record = draft.outcome(DONE);
            work.spend = Some(spend);
            settled(&app.committer.submit(work).await)
        }
        Err(declined) => {
            if declined.reason.is_own_trouble() {
                return Round::Declined(declined);
            }
            if declined.reason == Reason::TokenNotActive
                && let Some(key) = key
            {
                let retry = Retry { client_id: &client.client.id, verb, params: credentials.params, key };
                match retry.answer(app).await {
                    Ok(Some(answer)) => return repeat(app, &answer, work, draft).await,
                    Ok(None) => {}
                    Err(reason) => return Round::Declined(reason.into()),
                }
            }
            work.deps.extend(declined.deps.iter().cloned());
            work.record = draft.refused(declined.reason);
            match app.committer.submit(work).await {
                Outcome::Committed { .. } => Round::Declined(declined),
                other => settled(&other),
            }
        }
    }
}

/// Records that an order was answered as before, and answers so.
async fn repeat(app: &App, answer: &Answer, mut work: Work, mut draft: Draft) -> Round {
    draft.put("ledger", serde_json::to_value(answer).unwrap_or_default());
    work.record = match answer {
        Answer::Done(_) => draft.outcome(REPEATED),
        Answer::Declined(refusal) => draft.refused(Declined::from(refusal.clone()).reason),
    };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => answered(answer),
        other => settled(&other),
    }
}

fn answered(answer: &Answer) -> Round {
    match answer {
        Answer::Done(receipt) => Round::Done(receipt.clone()),
        Answer::Declined(refusal) => Round::Declined(refusal.clone().into()),
    }
}

fn settled(outcome: &Outcome) -> Round {
    match outcome {
        Outcome::Settled { settled, .. } => {
            if let Answer::Done(receipt) = &settled.answer {
                for (line, percent) in receipt.told.iter().filter(|_| !settled.repeated) {
                    tracing::warn!(line, percent, "a budget reached a threshold");
                }
            }
            answered(&settled.answer)
        }
        Outcome::Stale => Round::Overtaken,
        Outcome::Replayed { .. } => Round::Declined(Reason::AssertionReplayed.into()),
        Outcome::Invalid(what) => {
            tracing::error!(what, "a budget work was refused by the committer");
            Round::Declined(Reason::Internal.into())
        }
        Outcome::Committed { .. } | Outcome::Conflict | Outcome::Exceeded { .. } | Outcome::Unavailable => {
            Round::Declined(Reason::StoreUnavailable.into())
        }
    }
}

/// The ledger's step, and what was looked at to order it.
async fn decide(
    app: &App,
    client: &AuthenticatedClient,
    credentials: &Credentials<'_>,
    verb: Verb<'_>,
    key: Option<&str>,
    draft: &mut Draft,
) -> Result<(Spend, Vec<Dep>), Declined> {
    let now = app.clock.now();
    let client_id = client.client.id.clone();
    let retry = |key| spend_key(key, &client_id, verb.event(), verb.path(), credentials.params, now);
    let key = key.map(retry).transpose()?;
    let (step, deps) = match Order::parse(verb, credentials.params)? {
        Order::Hold { token, unit, amount, expires_in } => {
            let (hold, deps) = new_hold(app, client, &token, (&unit, amount, expires_in), draft).await?;
            (Step::Hold(hold), deps)
        }
        Order::Charge { token, unit, amount } => {
            let (hold, deps) = new_hold(app, client, &token, (&unit, amount, 1), draft).await?;
            (Step::Charge { hold, capture_id: dated_id("bc_", now) }, deps)
        }
        Order::Capture { hold_id, amount, last } => {
            draft.put("hold", hold_id.clone());
            draft.put("amount", amount.parts());
            (Step::Capture { capture_id: dated_id("bc_", now), hold_id, amount, last }, Vec::new())
        }
        Order::Extend { hold_id, expires_in } => {
            draft.put("hold", hold_id.clone());
            (Step::Extend { hold_id, expires_at: now.saturating_add(expires_in) }, Vec::new())
        }
        Order::Void { hold_id } => {
            draft.put("hold", hold_id.clone());
            (Step::Void { hold_id }, Vec::new())
        }
        Order::Refund { capture_id, amount } => {
            draft.put("capture", capture_id.clone());
            draft.put("amount", amount.parts());
            (Step::Refund { capture_id, amount }, Vec::new())
        }
        Order::Report { line_id, spent, last } => {
            draft.put("line", line_id.clone());
            draft.put("spent", spent.parts());
            draft.put("final", last);
            let deps = reads::may_report(app, &client_id, &line_id).await?;
            (Step::Report { line_id, spent, last }, deps)
        }
    };
    Ok((Spend { client_id, step, key }, deps))
}

async fn new_hold(
    app: &App,
    client: &AuthenticatedClient,
    token: &str,
    (unit, amount, expires_in): (&Unit, Amount, i64),
    draft: &mut Draft,
) -> Result<(NewHold, Vec<Dep>), Declined> {
    let now = app.clock.now();
    let standing = match app.tokens.standing(token, now).await {
        Ok(standing) => standing,
        Err(Doubt::Fault(_)) => return Err(Reason::TokenNotActive.into()),
        Err(Doubt::Unavailable) => return Err(Reason::StoreUnavailable.into()),
    };
    // For whom the token is not, it does not exist: the same answer.
    if !serves(app, &client.client.id, &standing.token.claims).await? {
        return Err(Reason::TokenNotActive.into());
    }
    let StandingToken { token, owners, mut deps, .. } = standing;
    draft.jti(&token.claims.jti);
    if let Some(owner) = owners.first() {
        draft.subject_owner(owner);
    }
    draft.put("subject", token.claims.sub.clone());
    draft.put("unit", unit.to_string());
    draft.put("amount", amount.parts());
    let chains = match chains::of_token(app, &token.claims, unit).await {
        Ok(chains) => chains,
        Err(mut declined) => {
            declined.deps.append(&mut deps);
            return Err(declined);
        }
    };
    deps.extend(chains.deps);
    let hold = NewHold {
        hold_id: dated_id("bh_", now),
        paths: chains.paths,
        jti: Some(token.claims.jti.clone()),
        amount,
        expires_at: now.saturating_add(expires_in),
    };
    Ok((hold, deps))
}
