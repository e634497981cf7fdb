//! Holds and what becomes of them: loaded, decided by the law, and put back.

use super::books::{Books, Place};
use super::rows::{BudgetCaptureRow, BudgetHoldRow};
use super::words::{name, remaining, state, word};
use super::{NewHold, Receipt, Refusal};
use stipend_token::budget::{self, Amount, Capture, Declined, Hold, HoldState, Level};

impl Books {
    pub(super) fn hold(&mut self, client_id: &str, new: &NewHold, now: i64) -> Result<Receipt, Refusal> {
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

    pub(super) fn capture(
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
        let overage = capture.overage();
        let row = BudgetCaptureRow {
            id: capture_id.to_owned(),
            hold_id: hold_id.to_owned(),
            spent: capture.spent(),
            overage,
            refunded: 0,
            created_at: now,
            overages: (overage > 0).then(|| serde_json::to_string(&capture.overages).unwrap_or_default()),
        };
        self.changed.new_captures.insert(row.id.clone());
        self.captures.insert(row.id.clone(), row);
        Ok(Receipt {
            hold_id: Some(hold_id.to_owned()),
            capture_id: Some(capture_id.to_owned()),
            spent: capture.spent(),
            overage,
            held: hold.rest(),
            remaining: remaining(&path),
            told,
            ..Receipt::default()
        })
    }

    /// A step that changes a hold and its path, and books nothing as spent.
    pub(super) fn end(
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

    pub(super) fn refund(&mut self, client_id: &str, capture_id: &str, amount: Amount) -> Result<Receipt, Refusal> {
        let row = self.captures.get(capture_id).cloned().ok_or(Refusal::NotFound)?;
        let (_, places) = self.find_hold(client_id, &row.hold_id)?;
        let mut path = self.levels(&places, row.created_at);
        let mut capture = booked(&row, path.len());
        let over_before = capture.overage().saturating_sub(row.refunded).max(0);
        budget::refund(&mut path, &mut capture, amount).map_err(|declined| name(declined, &places))?;
        self.book(&places, &path);
        self.changed.captures.insert(capture_id.to_owned());
        self.captures.insert(capture_id.to_owned(), BudgetCaptureRow { refunded: capture.refunded, ..row.clone() });
        let from_overage = over_before.min(amount.parts());
        Ok(Receipt {
            hold_id: Some(row.hold_id),
            capture_id: Some(capture_id.to_owned()),
            spent: from_overage.saturating_sub(amount.parts()),
            overage: from_overage.saturating_neg(),
            remaining: remaining(&path),
            ..Receipt::default()
        })
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
}

/// A capture as the law knows it. Every level of its path has an overage, most often none.
fn booked(row: &BudgetCaptureRow, levels: usize) -> Capture {
    let stored = row.overages.as_deref().and_then(|text| serde_json::from_str::<Vec<i64>>(text).ok());
    let mut overages = stored.unwrap_or_default();
    overages.resize(levels, 0);
    Capture { amount: row.spent.saturating_add(row.overage), overages, refunded: row.refunded }
}
