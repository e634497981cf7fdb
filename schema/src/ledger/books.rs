//! The books of one transaction: the rows that its orders may touch, locked and loaded, and
//! what the orders made of them. Orders are decided one after the other, each on what the
//! ones before it left, so a batch is as good as a line of transactions.

use super::rows::{BudgetAnswerRow, BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow};
use super::words::used;
use super::{Answer, Receipt, Refusal, Settled, Spend, SpendKey, Step};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use stipend_token::budget::{self, Declined, Used, Window};

/// A line and the start of a period: where use is counted.
pub(super) type Place = (String, i64);

/// What was loaded.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub lines: Vec<BudgetLineRow>,
    pub uses: Vec<BudgetUseRow>,
    pub holds: Vec<BudgetHoldRow>,
    pub captures: Vec<BudgetCaptureRow>,
    pub carves: Vec<BudgetCarveRow>,
    pub answers: Vec<BudgetAnswerRow>,
    /// How many lines are under a line, where that is bounded.
    pub children: Vec<(Option<String>, i64)>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub row: BudgetLineRow,
    pub window: Window,
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(super) lines: HashMap<String, Line>,
    pub(super) uses: HashMap<Place, Used>,
    pub(super) holds: HashMap<String, BudgetHoldRow>,
    pub(super) captures: HashMap<String, BudgetCaptureRow>,
    pub(super) carves: HashMap<String, BudgetCarveRow>,
    pub(super) children: HashMap<String, i64>,
    pub(super) new_lines: Vec<BudgetLineRow>,
    pub(super) changed: Changed,
    answers: HashMap<Vec<u8>, BudgetAnswerRow>,
}

#[derive(Debug, Default)]
pub(super) struct Changed {
    pub uses: BTreeSet<Place>,
    pub new_holds: BTreeSet<String>,
    pub holds: BTreeSet<String>,
    pub new_captures: BTreeSet<String>,
    pub captures: BTreeSet<String>,
    pub new_carves: BTreeSet<String>,
    pub carves: BTreeSet<String>,
    answers: BTreeSet<Vec<u8>>,
}

/// What must be stored: new rows, and rows that changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    pub new_lines: Vec<BudgetLineRow>,
    pub uses: Vec<BudgetUseRow>,
    pub new_holds: Vec<BudgetHoldRow>,
    pub holds: Vec<BudgetHoldRow>,
    pub new_captures: Vec<BudgetCaptureRow>,
    pub captures: Vec<BudgetCaptureRow>,
    pub new_carves: Vec<BudgetCarveRow>,
    pub carves: Vec<BudgetCarveRow>,
    pub answers: Vec<BudgetAnswerRow>,
}

/// The text of a remembered answer.
#[derive(Serialize, Deserialize)]
struct Remembered {
    answer: Answer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

impl Books {
    /// Lines whose window can't be read are left out: what is charged to them is refused.
    pub fn open(stored: Stored) -> Self {
        let mut books = Self::default();
        for row in stored.lines {
            if let Ok(window) = Window::parse(&row.time_window) {
                books.lines.insert(row.id.clone(), Line { row, window });
            }
        }
        for row in stored.uses {
            books.uses.insert((row.line_id.clone(), row.period), used(&row));
        }
        books.holds = stored.holds.into_iter().map(|row| (row.id.clone(), row)).collect();
        books.captures = stored.captures.into_iter().map(|row| (row.id.clone(), row)).collect();
        books.carves = stored.carves.into_iter().map(|row| (row.line_id.clone(), row)).collect();
        books.answers = stored.answers.into_iter().map(|row| (row.key_hash.clone(), row)).collect();
        books.children = stored.children.into_iter().filter_map(|(line, count)| Some((line?, count))).collect();
        books
    }

    /// Decides one order. `now` in seconds.
    pub fn settle(&mut self, spend: &Spend, now: i64) -> Settled {
        if let Some(known) = spend.key.as_ref().and_then(|key| self.recall(key)) {
            return known;
        }
        let answer = match self.step(spend, now) {
            Ok(receipt) => Answer::Done(receipt),
            Err(refusal) => Answer::Declined(refusal),
        };
        if let Some(key) = &spend.key {
            self.remember(key, &answer);
        }
        Settled { answer, repeated: false, kept: None }
    }

    /// Whether an order repeats an earlier one, by its key.
    pub fn knows(&self, spend: &Spend) -> bool {
        spend.key.as_ref().is_some_and(|key| self.answers.contains_key(key.key_hash.as_slice()))
    }

    fn recall(&self, key: &SpendKey) -> Option<Settled> {
        Some(remembered(self.answers.get(key.key_hash.as_slice())?, key))
    }

    fn remember(&mut self, key: &SpendKey, answer: &Answer) {
        let remembered = Remembered { answer: answer.clone(), kept: key.keep.clone() };
        let row = BudgetAnswerRow {
            key_hash: key.key_hash.to_vec(),
            digest: key.digest.to_vec(),
            // Plain structs of strings and integers: writing them can't fail.
            answer: serde_json::to_string(&remembered).unwrap_or_default(),
            expires_at: key.expires_at,
        };
        self.changed.answers.insert(row.key_hash.clone());
        self.answers.insert(row.key_hash.clone(), row);
    }

    fn step(&mut self, spend: &Spend, now: i64) -> Result<Receipt, Refusal> {
        let client_id = &spend.client_id;
        match &spend.step {
            Step::Hold(new) => self.hold(client_id, new, now),
            Step::Capture { capture_id, hold_id, amount, last } => {
                self.capture(client_id, capture_id, hold_id, (*amount, *last), now)
            }
            Step::Charge { hold, capture_id } => {
                self.hold(client_id, hold, now)?;
                self.capture(client_id, capture_id, &hold.hold_id, (hold.amount, true), now)
            }
            Step::Void { hold_id } => {
                self.end(client_id, hold_id, now, |path, hold| budget::void(path, hold, now).map(|_| ()))
            }
            Step::Expire { hold_id } => self.end(client_id, hold_id, now, |path, hold| {
                budget::expire(path, hold, now).then_some(()).ok_or(Declined::Ended)
            }),
            Step::Extend { hold_id, expires_at } => {
                self.end(client_id, hold_id, now, |_, hold| budget::extend(hold, *expires_at, now))
            }
            Step::Refund { capture_id, amount } => self.refund(client_id, capture_id, *amount),
            Step::Issue(new) => self.issue(new, now),
            Step::Report { line_id, spent, last } => self.report(line_id, *spent, *last, now),
            Step::Settle { line_id } => self.settle_carve(line_id, now),
        }
    }

    /// What changed, in an order that is the same everywhere.
    pub fn close(self) -> Entries {
        let Self { uses, holds, captures, carves, answers, mut new_lines, changed, .. } = self;
        let use_row = |place: &Place| {
            let used = uses.get(place).copied().unwrap_or_default();
            BudgetUseRow {
                line_id: place.0.clone(),
                period: place.1,
                held: used.held,
                spent: used.spent,
                carved: used.carved,
                overage: used.overage,
                told: i64::from(used.told),
            }
        };
        let none = BTreeSet::new();
        new_lines.sort_by(|one, other| one.id.cmp(&other.id));
        Entries {
            new_lines,
            uses: changed.uses.iter().map(use_row).collect(),
            new_holds: pick(&holds, &changed.new_holds, &none),
            holds: pick(&holds, &changed.holds, &changed.new_holds),
            new_captures: pick(&captures, &changed.new_captures, &none),
            captures: pick(&captures, &changed.captures, &changed.new_captures),
            new_carves: pick(&carves, &changed.new_carves, &none),
            carves: pick(&carves, &changed.carves, &changed.new_carves),
            answers: changed.answers.iter().filter_map(|key| answers.get(key).cloned()).collect(),
        }
    }
}

/// The rows with these ids and not those.
fn pick<T: Clone>(rows: &HashMap<String, T>, ids: &BTreeSet<String>, without: &BTreeSet<String>) -> Vec<T> {
    ids.difference(without).filter_map(|id| rows.get(id).cloned()).collect()
}

/// The answer to a retry, by what is remembered under its key.
pub(crate) fn remembered(known: &BudgetAnswerRow, key: &SpendKey) -> Settled {
    let same = known.digest == key.digest;
    let remembered = same.then(|| serde_json::from_str::<Remembered>(&known.answer));
    let (answer, kept) = match remembered {
        Some(Ok(Remembered { answer, kept })) => (answer, kept),
        Some(Err(_)) => (Answer::Declined(Refusal::NotFound), None),
        None => (Answer::Declined(Refusal::KeyReused), None),
    };
    Settled { answer, repeated: true, kept }
}
