//! The service's own count of carved lines (`"enforce": "rs"`): their amount was taken out of
//! the budgets above at issue, and only the one service the token is for spends from it. So
//! this service can say yes without asking the server, if it never says it twice.
//!
//! A take is in the journal, fsynced, before it is a yes; takes that come together share one
//! fsync. After `kill -9` everything that was granted is still counted: what was being written
//! then may be counted though nobody was told yes, so a crash can cost the agent what was in
//! flight and can never let more out than the line has.
//!
//! Two services, or two nodes of one, must not count the same line: the file has one writer,
//! and a token must come to the node that has it. What was not spent goes back to the budgets
//! above only if the service reports it ([`Counter::report`]): unreported means spent.

mod book;
mod report;

pub use report::{Report, ReportError};

use crate::check::admits;
use crate::error::VerifyError;
use crate::journal::{Journal, JournalError, JournalOptions, Purpose};
use crate::options::MAX_LEEWAY_SECONDS;
use crate::refusal::{BudgetRefusal, Refusal};
use book::{CountBook, CountRecord, Counted};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use stipend_token::Timestamp;
use stipend_token::budget::{Amount, TokenLine};

/// How lines are counted. Durations in seconds.
#[derive(Clone, Copy, Debug)]
pub struct CounterOptions {
    /// How long after `exp` a token may still come: the verifier's leeway, at most 60.
    pub leeway_seconds: i64,
    /// How long after that the final report waits for work that has not settled yet.
    pub settle_seconds: i64,
    /// How long after `exp` and leeway a reported line is still known, so that a clock set
    /// back by less does not let it be spent once more.
    pub keep_seconds: i64,
    /// Lines that are counted at once.
    pub max_lines: usize,
    pub journal: JournalOptions,
}

impl Default for CounterOptions {
    fn default() -> Self {
        Self {
            leeway_seconds: MAX_LEEWAY_SECONDS,
            settle_seconds: 60,
            keep_seconds: 3600,
            max_lines: 100_000,
            journal: JournalOptions::default(),
        }
    }
}

/// Why nothing was taken or given back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TakeError {
    #[error(transparent)]
    Insufficient(#[from] BudgetRefusal),
    /// The line's time is over; what was taken from it stays taken.
    #[error("the line's time is over")]
    Over,
    #[error("too many lines are counted at once")]
    TooMany,
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<TakeError> for Refusal {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Insufficient(refusal) => Self::Budget(refusal),
            TakeError::Over => Self::Token(VerifyError::Expired),
            TakeError::TooMany | TakeError::Journal(_) => Self::Unavailable,
        }
    }
}

/// What was taken from a line. Dropped, it stays taken, and is reported with the final sum.
#[derive(Debug, Eq, PartialEq)]
pub struct Taken {
    line: String,
    amount: Amount,
    remaining: i64,
}

impl Taken {
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Left on the line after it.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.remaining
    }
}

/// Counts carved lines. Make it once, share it.
#[derive(Debug)]
pub struct Counter {
    journal: Journal<CountBook>,
    options: CounterOptions,
    /// What the journal says, and what is on its way there.
    lines: Mutex<BTreeMap<String, Counted>>,
    reporting: tokio::sync::Mutex<()>,
}

impl Counter {
    /// Opens the journal at `path`, which no other process may have open.
    ///
    /// Reads and writes the disk; dropping it waits for the last write.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, options: CounterOptions) -> Result<Self, JournalError> {
        let (journal, book) = Journal::<CountBook>::open(path, options.journal)?;
        let lines = Mutex::new(book.lines);
        Ok(Self { journal, options, lines, reporting: tokio::sync::Mutex::new(()) })
    }

    /// Takes `amount` from a carved line of a verified token whose `exp` is given. It is
    /// durable when this returns; when the future is dropped before, it may count as taken.
    ///
    /// # Errors
    /// [`TakeError`].
    pub async fn take(
        &self,
        line: &TokenLine,
        exp: Timestamp,
        amount: Amount,
        now: Timestamp,
    ) -> Result<Taken, TakeError> {
        admits(line, amount)?;
        if self.accepted_until(exp) <= now {
            return Err(TakeError::Over);
        }
        let remaining = self.reserve(line, exp, amount)?;
        let (id, most) = (line.id.clone(), line.amount.parts());
        let record = CountRecord::Took { line: id.clone(), n: amount.parts(), amount: most, exp };
        if let Err(error) = self.journal.append(record, Purpose::Begin).await {
            if matches!(error, JournalError::Full | JournalError::TooLarge) {
                self.change(&id, |counted| {
                    counted.spent = counted.spent.saturating_sub(amount.parts());
                    counted.open = counted.open.saturating_sub(amount.parts());
                });
            }
            return Err(error.into());
        }
        Ok(Taken { line: id, amount, remaining })
    }

    /// Settles what was taken by what it cost: each take once, also where it cost all; the rest is there again. Cost above what was
    /// taken is not counted: take enough. Answers what is left.
    ///
    /// # Errors
    /// [`TakeError`]: the whole stays taken.
    pub async fn settle(&self, taken: Taken, cost: Amount) -> Result<i64, TakeError> {
        let amount = taken.amount.parts();
        let rest = amount.saturating_sub(cost.parts()).max(0);
        let line = taken.line;
        let settled = self.change(&line, |counted| {
            let open = !counted.closed;
            if open {
                counted.spent = counted.spent.saturating_sub(rest).max(0);
                counted.open = counted.open.saturating_sub(amount).max(0);
            }
            (open, counted.remaining())
        });
        match settled {
            Some((true, remaining)) if rest == 0 => Ok(remaining),
            Some((true, remaining)) => {
                self.journal.append(CountRecord::GaveBack { line, n: rest }, Purpose::End).await?;
                Ok(remaining)
            }
            Some((false, _)) | None => Err(TakeError::Over),
        }
    }

    /// What was taken from a line so far, as far as it is known here.
    #[must_use]
    pub fn spent(&self, line: &str) -> Option<i64> {
        self.lines.lock().get(line).map(|counted| counted.spent)
    }

    /// Lines it knows.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.lock().len()
    }

    /// Counts it in memory first, so that nobody else gets it meanwhile.
    fn reserve(&self, line: &TokenLine, exp: Timestamp, amount: Amount) -> Result<i64, TakeError> {
        let mut lines = self.lines.lock();
        if !lines.contains_key(&line.id) && lines.len() >= self.options.max_lines {
            return Err(TakeError::TooMany);
        }
        let new = || Counted::new(&line.id, line.amount.parts(), exp);
        let counted = lines.entry(line.id.clone()).or_insert_with(new);
        if counted.closed {
            return Err(TakeError::Over);
        }
        if amount.parts() > counted.remaining() {
            let text = "the budget does not have that much left";
            let refusal = BudgetRefusal::new(text, Some(&line.id), amount.parts());
            return Err(refusal.remaining(counted.remaining()).into());
        }
        counted.spent = counted.spent.saturating_add(amount.parts());
        counted.open = counted.open.saturating_add(amount.parts());
        Ok(counted.remaining())
    }

    fn change<T>(&self, line: &str, change: impl FnOnce(&mut Counted) -> T) -> Option<T> {
        self.lines.lock().get_mut(line).map(change)
    }

    fn accepted_until(&self, exp: Timestamp) -> Timestamp {
        exp.saturating_add(self.options.leeway_seconds.clamp(0, MAX_LEEWAY_SECONDS))
    }
}
