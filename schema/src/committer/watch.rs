//! What the committer tells of itself, to whoever measures: how long works waited, how many went
//! together, what became of them. It knows nothing of metrics, and nobody need listen: without a
//! watch neither a clock is read nor anything is allocated for it.

use super::work::{Outcome, Prepared};
use crate::ledger::{Answer, Refusal, Settled, Spend, Step};
use std::fmt::Debug;
use std::time::Duration;

/// Told what the committer does. It is called on the path of commits: it must not block.
pub trait CommitWatch: Debug + Send + Sync {
    /// A transaction ended, or was given up.
    fn transaction(&self, report: &TransactionReport);

    /// A work was answered. Called in the task that submitted it.
    fn work(&self, report: &WorkReport<'_>);
}

/// One transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransactionReport {
    /// Works that went together.
    pub works: usize,
    pub took: Duration,
    pub committed: bool,
}

/// One work, from its submission to its answer.
#[derive(Debug)]
pub struct WorkReport<'a> {
    pub took: Duration,
    /// How long it waited for its transaction to begin. `None` where it never got one in time.
    pub queued: Option<Duration>,
    /// Whether the ledger was asked.
    pub ledger: bool,
    pub outcome: &'a Outcome,
    /// Where the ledger declined.
    pub declined: Option<Declined>,
}

/// A refusal of the ledger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Declined {
    /// The audit's word.
    pub reason: &'static str,
    /// How far below the line that pays the line is that refused: 0 is the one that pays.
    pub level: Option<usize>,
}

/// How it went with one work, for its submitter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) queued: Option<Duration>,
    pub(super) declined: Option<Declined>,
}

/// What the ledger declined of a work that it answered.
pub(super) fn declined(prepared: &Prepared, outcome: &Outcome) -> Option<Declined> {
    let Outcome::Settled { settled, .. } = outcome else { return None };
    let Settled { answer: Answer::Declined(refusal), repeated: false, .. } = &**settled else { return None };
    let level = prepared.work.spend.as_ref().and_then(|spend| level(spend, line(refusal)?));
    Some(Declined { reason: refusal.as_str(), level })
}

fn line(refusal: &Refusal) -> Option<&str> {
    match refusal {
        Refusal::Closed { line_id }
        | Refusal::Insufficient { line_id, .. }
        | Refusal::PerCall { line_id, .. }
        | Refusal::Carved { line_id }
        | Refusal::Children { line_id } => Some(line_id),
        Refusal::NotFound
        | Refusal::Backwards
        | Refusal::Zero
        | Refusal::Ended
        | Refusal::TooMuch
        | Refusal::KeyReused => None,
    }
}

/// How many lines are above this one, in the chain that names it.
fn level(spend: &Spend, line_id: &str) -> Option<usize> {
    let above = |chain: &[String]| {
        let place = chain.iter().position(|id| id == line_id)?;
        chain.len().checked_sub(place.saturating_add(1))
    };
    match &spend.step {
        Step::Hold(hold) | Step::Charge { hold, .. } => hold.paths.iter().find_map(|path| above(path)),
        Step::Issue(token) => token.lines.iter().find_map(|line| {
            let own = (line.line_id == line_id).then_some(line.above.len());
            own.or_else(|| above(&line.above))
        }),
        Step::Capture { .. }
        | Step::Void { .. }
        | Step::Extend { .. }
        | Step::Refund { .. }
        | Step::Expire { .. }
        | Step::Report { .. }
        | Step::Settle { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::NewHold;
    use stipend_token::budget::Amount;

    #[test]
    fn the_line_that_pays_is_level_0_whatever_chain_names_it() {
        let path = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let hold = NewHold {
            hold_id: "h".to_owned(),
            paths: vec![path(&["token", "agent", "owner"]), path(&["own", "owner"])],
            jti: None,
            amount: Amount::ZERO,
            expires_at: 0,
        };
        let spend = Spend { client_id: "c".to_owned(), step: Step::Hold(hold), key: None };
        let of = |id| level(&spend, id);
        assert_eq!((of("owner"), of("agent"), of("token"), of("own")), (Some(0), Some(1), Some(2), Some(1)));
        assert_eq!(of("elsewhere"), None);
    }
}
