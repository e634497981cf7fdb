//! Committing what custody decided, and recording what it refused: one way for all endpoints.

use super::admission::{Admission, Refused};
use super::counting::exceeded;
use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::binding::SingleUse;
use crate::budget::Declined;
use crate::reason::Reason;
use stipend_schema::custody::Count;
use stipend_schema::ledger::{Answer, Receipt, Refusal, Spend};
use stipend_schema::{Burn, Dep, Outcome, Work, Write};
use stipend_token::constraint::Broken;

/// How a request ended that was not done.
#[derive(Debug)]
pub struct Ending {
    pub reason: Reason,
    /// Which line of the budget did not have it.
    pub budget: Option<Refusal>,
    /// Which constraint was broken.
    pub broken: Option<Broken>,
    /// After how many seconds it may be otherwise, where that can be said.
    pub retry_after: Option<u32>,
}

impl<R: Into<Reason>> From<R> for Ending {
    fn from(reason: R) -> Self {
        Self { reason: reason.into(), budget: None, broken: None, retry_after: None }
    }
}

impl From<Declined> for Ending {
    fn from(declined: Declined) -> Self {
        Self { reason: declined.reason, budget: declined.refusal, broken: None, retry_after: None }
    }
}

impl Ending {
    /// Records a refusal that was found after the admission. `None`: overtaken.
    pub(super) async fn record(self, app: &App, basis: i64, admission: Admission) -> Option<Self> {
        if self.reason.is_own_trouble() {
            return Some(self);
        }
        let Admission { deps, burn, draft, .. } = admission;
        record(app, basis, deps, (draft, burn), self).await
    }
}

/// How a commit ended.
pub(super) enum Committed {
    /// Durable; with the ledger's receipt, and for a retry what its first request left.
    Done {
        receipt: Option<Box<Receipt>>,
        kept: Option<String>,
    },
    Ended(Ending),
    Overtaken,
}

/// Commits a call that is allowed: its record, its counts, its price, and what it uses up.
pub(super) async fn commit(
    app: &App,
    basis: i64,
    deps: Vec<Dep>,
    (spend, counts): (Option<Spend>, Vec<Count>),
    writes: Vec<Write>,
    (draft, single): (Draft, &SingleUse),
) -> Committed {
    let (limits, burn) = (counts.clone(), single.burns());
    let record = draft.outcome(DONE);
    let work = Work { deps, burn, spend, counts, writes, ..Work::recording(basis, record) };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => Committed::Done { receipt: None, kept: None },
        Outcome::Settled { settled, .. } => match settled.answer {
            Answer::Done(receipt) => {
                for (line, percent) in receipt.told.iter().filter(|_| !settled.repeated) {
                    tracing::warn!(line, percent, "a budget reached a threshold");
                }
                Committed::Done { receipt: Some(Box::new(receipt)), kept: settled.kept }
            }
            Answer::Declined(refusal) => Committed::Ended(Declined::from(refusal).into()),
        },
        Outcome::Exceeded { count, .. } => Committed::Ended(exceeded(&limits, count)),
        Outcome::Replayed { burn, .. } => Committed::Ended(single.replayed(burn).into()),
        Outcome::Stale => Committed::Overtaken,
        Outcome::Invalid(what) => {
            tracing::error!(what, "a custody work was refused by the committer");
            Committed::Ended(Reason::Internal.into())
        }
        Outcome::Conflict | Outcome::Unavailable => Committed::Ended(Reason::StoreUnavailable.into()),
    }
}

/// Records a refusal. `None`: overtaken, decide again.
pub(super) async fn refuse(
    app: &App,
    refused: Refused,
    event: &'static str,
    basis: i64,
    origin: &Origin,
) -> Option<Ending> {
    let Refused { reason, broken, deps, burn, claimed, draft } = refused;
    let ending = Ending { reason, budget: None, broken, retry_after: None };
    if reason.is_own_trouble() {
        return Some(ending);
    }
    let Some(draft) = draft else {
        let recorded = app.refusals.refuse(event, reason, claimed.as_deref(), origin).await;
        return Some(if recorded { ending } else { Reason::StoreUnavailable.into() });
    };
    record(app, basis, deps, (draft, burn), ending).await
}

async fn record(
    app: &App,
    basis: i64,
    deps: Vec<Dep>,
    (mut draft, proof): (Draft, Option<Burn>),
    ending: Ending,
) -> Option<Ending> {
    if let Some(broken) = &ending.broken {
        draft.put("constraint", broken.constraint.as_str());
        draft.put("why", broken.reason.as_str());
    }
    let burn = proof_alone(proof.as_ref()).burns();
    let work = Work { deps, burn, ..Work::recording(basis, draft.refused(ending.reason)) };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => Some(ending),
        Outcome::Replayed { .. } => Some(Reason::DpopReplayed.into()),
        Outcome::Stale => None,
        _ => Some(Reason::StoreUnavailable.into()),
    }
}

/// What a request with a token uses up by itself.
pub(super) fn proof_alone(proof: Option<&Burn>) -> SingleUse {
    SingleUse::of(None, proof)
}
