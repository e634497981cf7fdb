//! Ending the holds that nobody is at work on any more.

use super::book::Ask;
use super::{Holds, OnUnfinished, Shared, Task, is_remembered};
use crate::journal::Purpose;
use crate::spend::{IdempotencyKey, SpendError};
use std::sync::Arc;
use stipend_token::Timestamp;
use stipend_token::budget::{Amount, Unit};

/// So many in a row without an answer, and the rest waits for the next time; fewer, and one
/// that never gets an answer does not keep the others from theirs.
const UNANSWERED_AT_MOST: usize = 3;
/// Over its time by this much, a hold has lapsed on the server's clock as well. In seconds.
const LAPSE_MARGIN_SECONDS: i64 = 120;

/// What became of one hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Captured as it was meant to be.
    Captured(i64),
    /// The work may have been done: captured as [`OnUnfinished::CaptureAll`] says. To be
    /// looked at, and refunded where it was not.
    CapturedUnfinished {
        amount: i64,
        /// What a refund names.
        capture: Option<String>,
    },
    Voided,
    /// No hold came of the ask.
    NotHeld,
    /// It ends, or ended, by itself.
    Lapsed,
    /// The server says that it ended before, by what was sent earlier.
    EndedBefore,
    /// The server refuses for good what was to become of it.
    Refused(SpendError),
    /// Not known yet: recover again.
    Left(SpendError),
}

/// One hold that recovery looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settled {
    /// The server's id, where it is known.
    pub hold: Option<String>,
    pub outcome: Outcome,
}

impl Holds {
    /// Ends the holds that an earlier process left, that were dropped, or whose capture was
    /// not answered; not those that somebody has in hand. Stops when the server seems to
    /// be away. Dropped before its end, it may be called again.
    pub async fn recover(&self, now: Timestamp) -> Vec<Settled> {
        let keys: Vec<String> = self.shared.pending.lock().keys().cloned().collect();
        let mut settled = Vec::with_capacity(keys.len());
        let mut unanswered = 0;
        for key in keys {
            let Some(mut task) = self.shared.take(&key) else { continue };
            let outcome = task.recover(now).await;
            unanswered = if matches!(outcome, Outcome::Left(_)) { unanswered + 1 } else { 0 };
            settled.push(Settled { hold: task.ask.hold.clone(), outcome });
            if unanswered >= UNANSWERED_AT_MOST {
                break;
            }
        }
        settled
    }

    /// How many holds wait for [`recover`](Self::recover).
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.shared.pending.lock().len()
    }
}

impl Shared {
    fn take(self: &Arc<Self>, key: &str) -> Option<Task> {
        let ask = self.pending.lock().remove(key)?;
        Some(Task { shared: Arc::clone(self), key: key.to_owned(), ask, ended: false })
    }
}

impl Task {
    async fn recover(&mut self, now: Timestamp) -> Outcome {
        if self.ask.hold.is_none() {
            return self.recover_ask(now).await;
        }
        if let Some(settling) = self.ask.settling.clone() {
            if !settling.last && !is_remembered(settling.at, now) {
                // Sent again it might be spent twice.
                self.ask.captured = self.ask.captured.saturating_add(settling.amount.unwrap_or(0));
                self.ask.settling = None;
            } else {
                // A part whose record a crash lost would be captured again with the rest.
                if !settling.last && self.shared.journal.append(settling.record(&self.key), Purpose::End).await.is_err()
                {
                    return Outcome::Left(no_journal());
                }
                let answer = self.settle().await;
                if settling.last || answer.is_err() {
                    return outcome(answer.map(|_| settling.amount.map_or(Outcome::Voided, Outcome::Captured)));
                }
            }
        }
        self.recover_unfinished(now).await
    }

    /// Nobody said what is to become of it.
    async fn recover_unfinished(&mut self, now: Timestamp) -> Outcome {
        let rest = match self.shared.options.on_unfinished {
            OnUnfinished::CaptureAll => {
                Some(self.ask.amount.saturating_sub(self.ask.captured)).filter(|rest| *rest > 0)
            }
            OnUnfinished::Void => None,
        };
        if self.intend(rest, true, now).await.is_err() {
            // Said nowhere, it was not decided: the journal is opened anew first.
            self.ask.settling = None;
            return Outcome::Left(no_journal());
        }
        outcome(self.settle().await.map(|receipt| match rest {
            Some(amount) => Outcome::CapturedUnfinished { amount, capture: receipt.capture },
            None => Outcome::Voided,
        }))
    }

    /// No answer to the ask is known, so no work was begun.
    async fn recover_ask(&mut self, now: Timestamp) -> Outcome {
        if lapsed(&self.ask, self.shared.spender.deadline().as_secs(), now) {
            self.ended().await;
            return Outcome::Lapsed;
        }
        let unit = Unit::new(&self.ask.unit, i64::from(self.ask.decimals));
        let (Some(token), Ok(unit), Ok(amount)) = (self.ask.token.clone(), unit, Amount::new(self.ask.amount)) else {
            self.ended().await;
            return Outcome::Lapsed;
        };
        let key = IdempotencyKey::kept(self.key.clone());
        let hold = match self.shared.spender.hold(&key, &token, &unit, amount, self.ask.seconds).await {
            Ok(receipt) => receipt.hold,
            // The token died meanwhile; if there is a hold, it lapses.
            Err(SpendError::TokenNotActive) => {
                self.ended().await;
                return Outcome::Lapsed;
            }
            Err(error) if error.is_final() => {
                self.ended().await;
                return Outcome::NotHeld;
            }
            Err(error) => return Outcome::Left(error),
        };
        let Some(hold) = hold else { return Outcome::NotHeld };
        // Not journaled: after a crash the same is done again with the same keys. Nor kept as
        // the hold of the ask: dropped here, it must not pass for one that work was begun on.
        let void = IdempotencyKey::kept(format!("{}-void", self.key));
        let answer = self.shared.spender.void(&void, &hold).await;
        if answer.as_ref().map_or_else(SpendError::is_final, |_| true) {
            self.ended().await;
            self.ask.hold = Some(hold);
        }
        outcome(answer.map(|_| Outcome::Voided))
    }
}

fn no_journal() -> SpendError {
    SpendError::Unknown { tries: 0, reason: "the journal takes no more".to_owned() }
}

fn outcome(answer: Result<Outcome, SpendError>) -> Outcome {
    match answer {
        Ok(outcome) => outcome,
        Err(SpendError::Ended) => Outcome::EndedBefore,
        Err(error) if error.is_final() => Outcome::Refused(error),
        Err(error) => Outcome::Left(error),
    }
}

fn lapsed(ask: &Ask, deadline_seconds: u64, now: Timestamp) -> bool {
    let deadline = i64::try_from(deadline_seconds).unwrap_or(i64::MAX);
    let longest = ask.seconds.saturating_add(deadline).saturating_add(LAPSE_MARGIN_SECONDS);
    now.saturating_sub(ask.at) > longest
}
