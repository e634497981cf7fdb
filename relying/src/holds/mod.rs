//! Holds that survive the service's own crash.
//!
//! Each step is in the journal before the server hears of it: the ask with its key before the
//! hold, the hold before the work begins, the capture with its key before it is sent. So after
//! `kill -9` at any point [`Holds::recover`] knows what may have happened and ends every hold
//! once:
//!
//! | the crash came | known | recovery |
//! |---|---|---|
//! | before the server's answer was journaled | no work was begun | repeats the ask with its key and voids the hold; without the token, or when it is no longer active, leaves it to lapse |
//! | between that and the journaled capture | the work may be done, its cost is lost | [`OnUnfinished`] |
//! | after the capture was journaled | the cost | repeats the capture with its key: once in all |
//!
//! The key is what makes repeating safe, and the server remembers keys for a day
//! ([`KEY_LIFE_SECONDS`]): recover within that. A part that was captured longer ago with no
//! answer is taken as captured and not sent again.
//!
//! The journal holds access tokens of asks that were not answered yet, and until it is next
//! written anew those of earlier ones (at most `compact_bytes` or four times what is open).
//! The file is readable by its owner only; [`HoldOptions::keep_tokens`] keeps them out of it.

mod book;
mod recover;

pub use recover::{Outcome, Settled};

use crate::journal::{Journal, JournalError, JournalOptions, Purpose};
use crate::refusal::Refusal;
use crate::spend::{IdempotencyKey, KEY_LIFE_SECONDS, MAX_HOLD_SECONDS, Receipt, SpendError, Spender};
use book::{Ask, HoldBook, HoldRecord, Settling};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stipend_token::Timestamp;
use stipend_token::budget::{Amount, Unit};

/// What becomes of a hold whose work may have been done, when its cost is not known: the
/// service crashed, or dropped the [`Held`], between the hold and the capture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnUnfinished {
    /// Capture what is held. The default, because a budget is a limit on what an agent can
    /// cause: if a crash made work free, whoever can crash the service could cause work
    /// without end. The agent pays at most what was held, and each case is in what
    /// [`Holds::recover`] answers, to be refunded where the work was not done.
    #[default]
    CaptureAll,
    /// Free it: for services whose work is undone by the crash, or costs them nothing.
    Void,
}

/// How holds are kept.
#[derive(Clone, Copy, Debug)]
pub struct HoldOptions {
    pub on_unfinished: OnUnfinished,
    /// Whether an ask's token is in the journal until its answer is. Without it a hold whose
    /// answer a crash swallowed is not voided but lapses by itself.
    pub keep_tokens: bool,
    /// Holds that may be open at once.
    pub max_open: usize,
    pub journal: JournalOptions,
}

impl Default for HoldOptions {
    fn default() -> Self {
        let journal = JournalOptions::default();
        Self { on_unfinished: OnUnfinished::default(), keep_tokens: true, max_open: 10_000, journal }
    }
}

/// Why a hold was not taken or settled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HoldError {
    #[error(transparent)]
    Spend(#[from] SpendError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("too many holds are open at once")]
    TooMany,
}

impl From<HoldError> for Refusal {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Spend(error) => error.into(),
            HoldError::Journal(_) | HoldError::TooMany => Self::Unavailable,
        }
    }
}

/// Takes holds and sees each to its end. Make it once, share it; call
/// [`recover`](Holds::recover) after opening and now and then.
#[derive(Clone, Debug)]
pub struct Holds {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spender: Spender,
    journal: Journal<HoldBook>,
    options: HoldOptions,
    /// What nobody is at work on: left by an earlier process, dropped, or not answered.
    pending: Mutex<BTreeMap<String, Ask>>,
    open: AtomicUsize,
}

impl Holds {
    /// Opens the journal at `path`, which no other process may have open. What an earlier
    /// process left behind waits for [`recover`](Self::recover).
    ///
    /// Reads and writes the disk; when the last clone is dropped, waits for the last write.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, spender: Spender, options: HoldOptions) -> Result<Self, JournalError> {
        let (journal, book) = Journal::<HoldBook>::open(path, options.journal)?;
        let open = AtomicUsize::new(book.asks.len());
        let pending = Mutex::new(book.asks);
        Ok(Self { shared: Arc::new(Shared { spender, journal, options, pending, open }) })
    }

    /// The client it spends through.
    #[must_use]
    pub fn spender(&self) -> &Spender {
        &self.shared.spender
    }

    /// Sets `amount` aside for `seconds` (1 to 3600). The work may begin when this returns.
    ///
    /// Dropped before, nothing was promised: recovery voids the hold if there is one.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn hold(
        &self,
        token: &str,
        unit: &Unit,
        amount: Amount,
        seconds: i64,
        now: Timestamp,
    ) -> Result<Held, HoldError> {
        let seconds = seconds.clamp(1, MAX_HOLD_SECONDS);
        let mut task = Task::begin(&self.shared, token, unit, amount, (seconds, now))?;
        self.shared.journal.append(task.ask.record(&task.key), Purpose::Begin).await.inspect_err(|_| task.end())?;
        let key = IdempotencyKey::kept(task.key.clone());
        let receipt = match self.shared.spender.hold(&key, token, unit, amount, seconds).await {
            Ok(receipt) => receipt,
            Err(error) => {
                if error.is_final() {
                    task.ended().await;
                }
                return Err(error.into());
            }
        };
        let Some(hold) = receipt.hold.clone() else { return Err(HoldError::Journal(JournalError::Broken)) };
        let record = HoldRecord::Held { key: task.key.clone(), hold: hold.clone(), captured: 0 };
        self.shared.journal.append(record, Purpose::End).await?;
        task.ask.hold = Some(hold.clone());
        Ok(Held { task, hold, amount, receipt })
    }
}

/// An ask somebody is at work on. Dropped before its end, it is left to recovery.
#[derive(Debug)]
struct Task {
    shared: Arc<Shared>,
    key: String,
    ask: Ask,
    ended: bool,
}

impl Task {
    fn begin(
        shared: &Arc<Shared>,
        token: &str,
        unit: &Unit,
        amount: Amount,
        (seconds, at): (i64, Timestamp),
    ) -> Result<Self, HoldError> {
        if shared.open.fetch_add(1, Ordering::Relaxed) >= shared.options.max_open {
            shared.open.fetch_sub(1, Ordering::Relaxed);
            return Err(HoldError::TooMany);
        }
        let ask = Ask {
            token: shared.options.keep_tokens.then(|| token.to_owned()),
            unit: unit.code().to_owned(),
            decimals: unit.decimals(),
            amount: amount.parts(),
            seconds,
            at,
            hold: None,
            captured: 0,
            settling: None,
        };
        let key = IdempotencyKey::random().as_str().to_owned();
        Ok(Self { shared: Arc::clone(shared), key, ask, ended: false })
    }

    /// Nothing is left to do for it, and the journal need not know.
    fn end(&mut self) {
        self.ended = true;
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }

    async fn ended(&mut self) {
        self.end();
        self.shared.journal.append_soon(HoldRecord::Ended { key: self.key.clone() }).await;
    }

    /// Journals what is to become of the hold.
    async fn intend(&mut self, amount: Option<i64>, last: bool, at: Timestamp) -> Result<(), JournalError> {
        let settling = Settling { by: IdempotencyKey::random().as_str().to_owned(), amount, last, at };
        let record = settling.record(&self.key);
        self.ask.settling = Some(settling);
        self.shared.journal.append(record, Purpose::End).await
    }

    /// Sends what is to become of the hold, as often as that takes.
    async fn settle(&mut self) -> Result<Receipt, SpendError> {
        let (Some(hold), Some(settling)) = (self.ask.hold.clone(), self.ask.settling.clone()) else {
            return Err(SpendError::NotFound);
        };
        let by = IdempotencyKey::kept(settling.by.clone());
        let spender = &self.shared.spender;
        let answer = match settling.amount.map(Amount::new) {
            Some(Ok(amount)) => spender.capture(&by, &hold, amount, settling.last).await,
            Some(Err(_)) | None => spender.void(&by, &hold).await,
        };
        match &answer {
            Ok(_) if !settling.last => {
                self.ask.settling = None;
                self.ask.captured = self.ask.captured.saturating_add(settling.amount.unwrap_or(0));
                let record = HoldRecord::Captured { key: self.key.clone(), by: settling.by };
                self.shared.journal.append_soon(record).await;
            }
            Ok(_) => self.ended().await,
            Err(error) if error.is_final() => self.ended().await,
            Err(_) => {}
        }
        answer
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.pending.lock().insert(self.key.clone(), self.ask.clone());
        }
    }
}

/// A hold that was taken. Capture or void it; dropped, it is left to [`Holds::recover`] as
/// [`OnUnfinished`] says.
#[derive(Debug)]
pub struct Held {
    task: Task,
    hold: String,
    amount: Amount,
    receipt: Receipt,
}

impl Held {
    /// The server's id of the hold.
    #[must_use]
    pub fn hold(&self) -> &str {
        &self.hold
    }

    #[must_use]
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// What the server answered to the hold.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Lets the hold live for `seconds` from now on. A hold that has lapsed is still captured,
    /// from what is left by then.
    ///
    /// # Errors
    /// [`SpendError`].
    pub async fn extend(&self, seconds: i64) -> Result<Receipt, SpendError> {
        self.task.shared.spender.extend(&IdempotencyKey::random(), &self.hold, seconds).await
    }

    /// Spends a part of it and keeps the rest.
    ///
    /// # Errors
    /// [`HoldError`]. Where the outcome is unknown the hold can't be used further: drop it.
    pub async fn capture_part(&mut self, amount: Amount, now: Timestamp) -> Result<Receipt, HoldError> {
        if self.task.ask.settling.is_some() || self.task.ended {
            return Err(SpendError::Ended.into());
        }
        self.task.intend(Some(amount.parts()), false, now).await?;
        Ok(self.task.settle().await?)
    }

    /// Spends `amount` of it and frees the rest. Nothing spent is a void.
    ///
    /// Where it can't be told whether it was done, [`Holds::recover`] sees to it; so it does
    /// when the future is dropped.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn capture(self, amount: Amount, now: Timestamp) -> Result<Receipt, HoldError> {
        self.finish(Some(amount.parts()).filter(|parts| *parts > 0), now).await
    }

    /// Frees it: nothing was done.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn void(self, now: Timestamp) -> Result<Receipt, HoldError> {
        self.finish(None, now).await
    }

    async fn finish(mut self, amount: Option<i64>, now: Timestamp) -> Result<Receipt, HoldError> {
        if self.task.ask.settling.is_some() || self.task.ended {
            return Err(SpendError::Ended.into());
        }
        // Sent even if the journal fails: a hold ends once, so that what recovery makes of it
        // later comes too late and changes nothing.
        let kept = self.task.intend(amount, true, now).await;
        let receipt = self.task.settle().await?;
        kept.map(|()| receipt).map_err(HoldError::from)
    }
}

/// Whether a key from then is still good for repeating.
fn is_remembered(at: Timestamp, now: Timestamp) -> bool {
    // An hour to spare.
    now.saturating_sub(at) < KEY_LIFE_SECONDS.saturating_sub(3600)
}
