//! The books of one transaction: the rows that its orders may touch, locked and loaded, and
//! what the orders made of them. Orders are decided one after the other, each on what the
//! ones before it left, so a batch is as good as a line of transactions.

use super::rows::{BudgetAnswerRow, BudgetCaptureRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow};
use super::words::{name, remaining, state, used, word};
use super::{Answer, MAX_PATH, NewHold, Receipt, Refusal, Settled, Spend, SpendKey, Step};
use std::collections::{BTreeSet, HashMap};
use stipend_token::budget::{self, Amount, Capture, Declined, Hold, HoldState, Level, Used, Window};

/// A line and the start of a period: where use is counted.
pub(super) type Place = (String, i64);

/// What was loaded.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub lines: Vec<BudgetLineRow>,
    pub uses: Vec<BudgetUseRow>,
    pub holds: Vec<BudgetHoldRow>,
    pub captures: Vec<BudgetCaptureRow>,
    pub answers: Vec<BudgetAnswerRow>,
}

#[derive(Debug)]
struct Line {
    row: BudgetLineRow,
    window: Window,
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    lines: HashMap<String, Line>,
    uses: HashMap<Place, Used>,
    holds: HashMap<String, BudgetHoldRow>,
    captures: HashMap<String, BudgetCaptureRow>,
    answers: HashMap<Vec<u8>, BudgetAnswerRow>,
    changed: Changed,
}

#[derive(Debug, Default)]
struct Changed {
    uses: BTreeSet<Place>,
    new_holds: BTreeSet<String>,
    holds: BTreeSet<String>,
    new_captures: BTreeSet<String>,
    captures: BTreeSet<String>,
    answers: BTreeSet<Vec<u8>>,
}

/// What must be stored: new rows, and rows that changed.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub uses: Vec<BudgetUseRow>,
    pub new_holds: Vec<BudgetHoldRow>,
    pub holds: Vec<BudgetHoldRow>,
    pub new_captures: Vec<BudgetCaptureRow>,
    pub captures: Vec<BudgetCaptureRow>,
    pub answers: Vec<BudgetAnswerRow>,
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
        books.answers = stored.answers.into_iter().map(|row| (row.key_hash.clone(), row)).collect();
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
        Settled { answer, repeated: false }
    }

    fn recall(&self, key: &SpendKey) -> Option<Settled> {
        let known = self.answers.get(key.key_hash.as_slice())?;
        let answer = if known.digest == key.digest {
            serde_json::from_str(&known.answer).unwrap_or(Answer::Declined(Refusal::NotFound))
        } else {
            Answer::Declined(Refusal::KeyReused)
        };
        Some(Settled { answer, repeated: true })
    }

    fn remember(&mut self, key: &SpendKey, answer: &Answer) {
        let row = BudgetAnswerRow {
            key_hash: key.key_hash.to_vec(),
            digest: key.digest.to_vec(),
            // Plain structs of strings and integers: writing them can't fail.
            answer: serde_json::to_string(answer).unwrap_or_default(),
            expires_at: key.expires_at,
        };
        self.changed.answers.insert(row.key_hash.clone());
        self.answers.insert(row.key_hash.clone(), row);
    }

    fn step(&mut self, spend: &Spend, now: i64) -> Result<Receipt, Refusal> {
        match &spend.step {
            Step::Hold(new) => self.hold(&spend.client_id, new, now),
            Step::Capture { capture_id, hold_id, amount, last } => {
                self.capture(&spend.client_id, capture_id, hold_id, (*amount, *last), now)
            }
            Step::Charge { hold, capture_id } => {
                self.hold(&spend.client_id, hold, now)?;
                self.capture(&spend.client_id, capture_id, &hold.hold_id, (hold.amount, true), now)
            }
            Step::Void { hold_id } => {
                self.end(&spend.client_id, hold_id, now, |path, hold| budget::void(path, hold, now).map(|_| ()))
            }
            Step::Expire { hold_id } => self.end(&spend.client_id, hold_id, now, |path, hold| {
                budget::expire(path, hold, now).then_some(()).ok_or(Declined::Ended)
            }),
            Step::Extend { hold_id, expires_at } => {
                self.end(&spend.client_id, hold_id, now, |_, hold| budget::extend(hold, *expires_at, now))
            }
            Step::Refund { capture_id, amount } => self.refund(&spend.client_id, capture_id, *amount),
        }
    }

    fn hold(&mut self, client_id: &str, new: &NewHold, now: i64) -> Result<Receipt, Refusal> {
        let places = self.places(&new.paths, now)?;
        let mut path = self.levels(&places, now);
        let hold = budget::hold(&mut path, new.amount, new.expires_at).map_err(|declined| name(declined, &places))?;
        let leaf = places.first().map(|(line, _)| line.clone()).unwrap_or_default();
        self.book(&places, &path);
        let row = BudgetHoldRow {
            id: new.hold_id.clone(),
            line_id: leaf,
            client_id: client_id.to_owned(),
            jti: new.jti.clone(),
            amount: hold.amount,
            captured: hold.captured,
            state: word(hold.state).to_owned(),
            path: serde_json::to_string(&places).unwrap_or_default(),
            expires_at: hold.expires_at,
            created_at: now,
        };
        self.changed.new_holds.insert(row.id.clone());
        self.holds.insert(row.id.clone(), row);
        Ok(Receipt {
            hold_id: Some(new.hold_id.clone()),
            held: hold.rest(),
            expires_at: Some(hold.expires_at),
            remaining: remaining(&path),
            ..Receipt::default()
        })
    }

    fn capture(
        &mut self,
        client_id: &str,
        capture_id: &str,
        hold_id: &str,
        (amount, last): (Amount, bool),
        now: i64,
    ) -> Result<Receipt, Refusal> {
        let (mut hold, places) = self.find_hold(client_id, hold_id)?;
        let mut path = self.levels(&places, now);
        let capture = budget::capture(&mut path, &mut hold, amount, last, now);
        let capture = capture.map_err(|declined| name(declined, &places))?;
        let told = self.tell(&places, &mut path);
        self.book(&places, &path);
        self.keep_hold(hold_id, &hold);
        let row = BudgetCaptureRow {
            id: capture_id.to_owned(),
            hold_id: hold_id.to_owned(),
            spent: capture.spent,
            overage: capture.overage,
            refunded: 0,
            created_at: now,
        };
        self.changed.new_captures.insert(row.id.clone());
        self.captures.insert(row.id.clone(), row);
        Ok(Receipt {
            hold_id: Some(hold_id.to_owned()),
            capture_id: Some(capture_id.to_owned()),
            spent: capture.spent,
            overage: capture.overage,
            held: hold.rest(),
            expires_at: None,
            remaining: remaining(&path),
            told,
        })
    }

    /// A step that changes a hold and its path, and books nothing as spent.
    fn end(
        &mut self,
        client_id: &str,
        hold_id: &str,
        now: i64,
        step: impl FnOnce(&mut [Level], &mut Hold) -> Result<(), Declined>,
    ) -> Result<Receipt, Refusal> {
        let (mut hold, places) = self.find_hold(client_id, hold_id)?;
        let mut path = self.levels(&places, now);
        step(&mut path, &mut hold).map_err(|declined| name(declined, &places))?;
        self.book(&places, &path);
        self.keep_hold(hold_id, &hold);
        Ok(Receipt {
            hold_id: Some(hold_id.to_owned()),
            held: hold.rest(),
            expires_at: (hold.state == HoldState::Open).then_some(hold.expires_at),
            remaining: remaining(&path),
            ..Receipt::default()
        })
    }

    fn refund(&mut self, client_id: &str, capture_id: &str, amount: Amount) -> Result<Receipt, Refusal> {
        let row = self.captures.get(capture_id).cloned().ok_or(Refusal::NotFound)?;
        let (_, places) = self.find_hold(client_id, &row.hold_id)?;
        let mut path = self.levels(&places, row.created_at);
        let mut capture = Capture { spent: row.spent, overage: row.overage, refunded: row.refunded };
        let before = path.first().map_or(0, |leaf| leaf.used.spent);
        budget::refund(&mut path, &mut capture, amount).map_err(|declined| name(declined, &places))?;
        let after = path.first().map_or(0, |leaf| leaf.used.spent);
        self.book(&places, &path);
        self.changed.captures.insert(capture_id.to_owned());
        self.captures.insert(capture_id.to_owned(), BudgetCaptureRow { refunded: capture.refunded, ..row.clone() });
        Ok(Receipt {
            hold_id: Some(row.hold_id),
            capture_id: Some(capture_id.to_owned()),
            spent: after.saturating_sub(before),
            overage: before.saturating_sub(after).saturating_sub(amount.parts()),
            remaining: remaining(&path),
            ..Receipt::default()
        })
    }

    /// Where a new hold is booked: on every line of its chains, if they are chains, and open.
    fn places(&self, paths: &[Vec<String>], now: i64) -> Result<Vec<Place>, Refusal> {
        let mut places: Vec<Place> = Vec::new();
        for (chain, index, id) in
            paths.iter().flat_map(|chain| chain.iter().enumerate().map(move |(i, id)| (chain, i, id)))
        {
            let line = self.lines.get(id).ok_or(Refusal::NotFound)?;
            let pays = line.row.enforce == "rs" || line.row.parent_id.is_none();
            let above = chain.get(index.saturating_add(1));
            let leads_on = if pays { above.is_none() } else { above == line.row.parent_id.as_ref() };
            if !leads_on {
                return Err(Refusal::NotFound);
            }
            let over = line.row.expires_at.is_some_and(|end| now >= end);
            if line.row.state != "active" || over {
                return Err(Refusal::Closed { line_id: id.clone() });
            }
            let period = line.window.period(now).map_err(|_| Refusal::Closed { line_id: id.clone() })?;
            let place = (id.clone(), period.start);
            // The law freezes a level by its own overage; a rolling one has many parts.
            if self.other_parts(line, &place, now).any(|used| used.overage > 0) {
                return Err(Refusal::Frozen { line_id: id.clone() });
            }
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let none = places.is_empty() || paths.iter().any(Vec::is_empty) || places.len() > MAX_PATH;
        if none { Err(Refusal::NotFound) } else { Ok(places) }
    }

    /// The levels of a path as they are. What other parts of a rolling window have used counts
    /// as used earlier: those before the place's own, and for what is booked late, those since.
    fn levels(&self, places: &[Place], now: i64) -> Vec<Level> {
        let level = |place: &Place| {
            let line = self.lines.get(&place.0);
            let used = self.uses.get(place).copied().unwrap_or_default();
            let limit = line.map_or(0, |line| line.row.amount);
            let per_call = line.and_then(|line| line.row.per_call);
            Level {
                limit: Amount::new(limit).unwrap_or_default(),
                per_call: per_call.and_then(|amount| Amount::new(amount).ok()),
                earlier: line.map_or(0, |line| self.earlier(line, place, now)),
                used,
            }
        };
        places.iter().map(level).collect()
    }

    /// What the other parts of a rolling window have used that count together with `place`.
    fn other_parts<'a>(&'a self, line: &Line, place: &'a Place, now: i64) -> impl Iterator<Item = &'a Used> {
        let rolling = matches!(line.window, Window::Rolling(_));
        let from = line.window.counts_from(place.1).unwrap_or(i64::MIN);
        let counts = move |(id, period): &Place| *id == place.0 && *period != place.1 && (from..=now).contains(period);
        self.uses.iter().filter(move |(place, _)| rolling && counts(place)).map(|(_, used)| used)
    }

    fn earlier(&self, line: &Line, place: &Place, now: i64) -> i64 {
        let sum = |used: &Used| used.held.saturating_add(used.spent).saturating_add(used.carved);
        self.other_parts(line, place, now).map(sum).sum()
    }

    fn book(&mut self, places: &[Place], path: &[Level]) {
        for (place, level) in places.iter().zip(path) {
            if self.uses.insert(place.clone(), level.used) != Some(level.used) {
                self.changed.uses.insert(place.clone());
            }
        }
    }

    /// Marks the thresholds that use has reached as told, and answers them.
    fn tell(&self, places: &[Place], path: &mut [Level]) -> Vec<(String, u8)> {
        let mut told = Vec::new();
        for ((line, _), level) in places.iter().zip(path) {
            for percent in budget::crossed(level) {
                level.used.told = level.used.told.max(percent);
                told.push((line.clone(), percent));
            }
        }
        told
    }

    fn find_hold(&self, client_id: &str, hold_id: &str) -> Result<(Hold, Vec<Place>), Refusal> {
        let row = self.holds.get(hold_id).filter(|row| row.client_id == client_id).ok_or(Refusal::NotFound)?;
        let state = state(&row.state).ok_or(Refusal::NotFound)?;
        let places = serde_json::from_str(&row.path).map_err(|_| Refusal::NotFound)?;
        Ok((Hold { amount: row.amount, captured: row.captured, state, expires_at: row.expires_at }, places))
    }

    fn keep_hold(&mut self, hold_id: &str, hold: &Hold) {
        if let Some(row) = self.holds.get_mut(hold_id) {
            row.captured = hold.captured;
            row.state = word(hold.state).to_owned();
            row.expires_at = hold.expires_at;
            self.changed.holds.insert(hold_id.to_owned());
        }
    }

    /// What changed, in an order that is the same everywhere.
    pub fn close(self) -> Entries {
        let Self { uses, holds, captures, answers, changed, .. } = self;
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
        let only =
            |ids: &BTreeSet<String>, without: &BTreeSet<String>| ids.difference(without).cloned().collect::<Vec<_>>();
        let none = BTreeSet::new();
        let of = |ids: Vec<String>| ids.iter().filter_map(|id| holds.get(id).cloned()).collect();
        let captured = |ids: Vec<String>| ids.iter().filter_map(|id| captures.get(id).cloned()).collect();
        Entries {
            uses: changed.uses.iter().map(use_row).collect(),
            new_holds: of(only(&changed.new_holds, &none)),
            holds: of(only(&changed.holds, &changed.new_holds)),
            new_captures: captured(only(&changed.new_captures, &none)),
            captures: captured(only(&changed.captures, &changed.new_captures)),
            answers: changed.answers.iter().filter_map(|key| answers.get(key).cloned()).collect(),
        }
    }
}
