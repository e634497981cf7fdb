//! Telling the server what was spent: while the line lives the sum of what is settled, which
//! only grows because the server takes no step back; when no token can come and no work is
//! open any more the final sum, of everything that was taken. A report that may not have
//! arrived is sent again: the sum is the same, and a second final one is refused as late.

use super::Counter;
use super::book::{CountRecord, Counted};
use crate::journal::{JournalError, Purpose};
use crate::spend::{IdempotencyKey, SpendError, Spender};
use stipend_token::Timestamp;
use stipend_token::budget::Amount;

/// So many reports in a row without an answer, and the rest waits for the next time.
const UNANSWERED_AT_MOST: usize = 3;

/// What came of one line's report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    pub line: String,
    pub spent: i64,
    pub last: bool,
    /// Refused for good, not answered, or not journaled; what was not answered or not
    /// journaled is sent again by the next call.
    pub outcome: Result<(), ReportError>,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Spend(#[from] SpendError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Counter {
    /// Reports every line with something to say, and forgets the lines that are over. Call it
    /// every few seconds to minutes; what is never reported counts as spent.
    ///
    /// Stops when the server seems to be away.
    pub async fn report(&self, spender: &Spender, now: Timestamp) -> Vec<Report> {
        // One at a time: a sum must not arrive after a later one.
        let _turn = self.reporting.lock().await;
        let mut reports = Vec::new();
        let mut unanswered = 0;
        for counted in self.due(now) {
            let Some(report) = self.report_line(spender, counted, now).await else { continue };
            let stuck = report.outcome.as_ref().is_err_and(|error| match error {
                ReportError::Spend(error) => !error.is_final(),
                ReportError::Journal(_) => true,
            });
            reports.push(report);
            unanswered = if stuck { unanswered + 1 } else { 0 };
            if unanswered >= UNANSWERED_AT_MOST {
                break;
            }
        }
        self.forget(now).await;
        reports
    }

    fn due(&self, now: Timestamp) -> Vec<Counted> {
        let lines = self.lines.lock();
        let due = |counted: &&Counted| {
            !counted.finished && (self.is_over(counted, now) || counted.settled() > counted.reported.unwrap_or(0))
        };
        lines.values().filter(due).cloned().collect()
    }

    async fn report_line(&self, spender: &Spender, counted: Counted, now: Timestamp) -> Option<Report> {
        let line = counted.line.clone();
        let last = self.is_over(&counted, now);
        // What it says from here on does not change any more.
        let spent = self.change(&line, |counted| {
            counted.closed |= last;
            if last { counted.spent } else { counted.settled() }
        })?;
        let report = |outcome| Some(Report { line: line.clone(), spent, last, outcome });
        if last && !counted.closed {
            let closed = self.journal.append(CountRecord::Closed { line: line.clone() }, Purpose::End).await;
            if let Err(error) = closed {
                return report(Err(error.into()));
            }
        }
        let amount = Amount::new(spent).unwrap_or_default();
        let answer = spender.report(&IdempotencyKey::random(), &line, amount, last).await;
        let settled = match &answer {
            Ok(_) => last,
            // Settled already, or by a name the server does not know: nothing more to say.
            Err(SpendError::Ended | SpendError::NotFound) => true,
            Err(error) => return report(Err(error.clone().into())),
        };
        let record = CountRecord::Reported { line: line.clone(), spent, last: settled };
        if let Err(error) = self.journal.append(record, Purpose::End).await {
            return report(Err(error.into()));
        }
        self.change(&line, |counted| {
            counted.reported = Some(spent);
            counted.finished |= settled;
            // A line that the server has settled gives no more.
            counted.closed |= settled;
        });
        report(match answer {
            // An earlier one of ours that was not answered.
            Err(SpendError::Ended) if last => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        })
    }

    async fn forget(&self, now: Timestamp) {
        let kept = self.options.keep_seconds.max(0);
        let old = |counted: &&Counted| counted.finished && self.accepted_until(counted.exp).saturating_add(kept) <= now;
        let old: Vec<String> = self.lines.lock().values().filter(old).map(|counted| counted.line.clone()).collect();
        for line in old {
            if self.journal.append(CountRecord::Forgotten { line: line.clone() }, Purpose::End).await.is_err() {
                return;
            }
            self.lines.lock().remove(&line);
        }
    }

    /// No token can come and no work is open any more.
    fn is_over(&self, counted: &Counted, now: Timestamp) -> bool {
        self.accepted_until(counted.exp).saturating_add(self.options.settle_seconds.max(0)) <= now
    }
}
