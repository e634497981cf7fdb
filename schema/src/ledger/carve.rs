//! Carved lines: what the service that counts them reports, and what comes back.
//!
//! Only what a last report leaves comes back, and not before the token is over and every
//! clock agrees that it is: until then the service may still be spending.

use super::books::{Books, Place};
use super::rows::BudgetCarveRow;
use super::words::{name, remaining};
use super::{REPORT_GRACE_SECONDS, Receipt, Refusal};
use stipend_token::budget::{self, Amount, Carve};

pub(super) const OPEN: &str = "open";
const SETTLED: &str = "settled";

impl Books {
    /// Books what was spent in all. What exceeds the line is overage of the line.
    pub(super) fn report(&mut self, line_id: &str, spent: Amount, last: bool, now: i64) -> Result<Receipt, Refusal> {
        let row = self.carves.get(line_id).cloned().ok_or(Refusal::NotFound)?;
        if row.state != OPEN || row.is_final {
            return Err(Refusal::Ended);
        }
        if spent.parts() < row.reported {
            return Err(Refusal::Backwards);
        }
        let places: [Place; 1] = [(line_id.to_owned(), 0)];
        let mut path = self.levels(&places, now);
        for level in &mut path {
            level.used.spent = spent.parts().min(row.amount);
            level.used.overage = spent.parts().saturating_sub(row.amount).max(0);
        }
        let told = self.tell(&places, &mut path);
        self.book(&places, &path);
        let row = BudgetCarveRow { reported: spent.parts(), is_final: last, updated_at: now, ..row };
        let receipt = Receipt {
            spent: spent.parts().saturating_sub(path.first().map_or(0, |level| level.used.overage)),
            overage: path.first().map_or(0, |level| level.used.overage),
            remaining: remaining(&path),
            told,
            ..Receipt::default()
        };
        let due = last && now >= row.due_at;
        self.keep_carve(row);
        if due {
            self.settle_carve(line_id, now)?;
        }
        Ok(receipt)
    }

    /// Ends a carved line: what the last report left comes back, and without one nothing.
    pub(super) fn settle_carve(&mut self, line_id: &str, now: i64) -> Result<Receipt, Refusal> {
        let row = self.carves.get(line_id).cloned().ok_or(Refusal::NotFound)?;
        let last_call = row.due_at.saturating_add(REPORT_GRACE_SECONDS);
        let due = if row.is_final { row.due_at } else { last_call };
        if row.state != OPEN || now < due {
            return Err(Refusal::Ended);
        }
        let places: Vec<Place> = serde_json::from_str(&row.path).map_err(|_| Refusal::NotFound)?;
        let returned = if row.is_final { row.amount.saturating_sub(row.reported).max(0) } else { 0 };
        let unspent = Amount::new(returned).unwrap_or_default();
        let mut path = self.levels(&places, now);
        let mut carve = Carve { amount: row.amount, settled: false };
        budget::settle(&mut path, &mut carve, unspent).map_err(|declined| name(declined, &places))?;
        let told = self.tell(&places, &mut path);
        self.book(&places, &path);
        let spent = row.amount.saturating_sub(returned);
        self.keep_carve(BudgetCarveRow { state: SETTLED.to_owned(), returned, updated_at: now, ..row });
        Ok(Receipt { spent, remaining: remaining(&path), told, ..Receipt::default() })
    }

    fn keep_carve(&mut self, row: BudgetCarveRow) {
        self.changed.carves.insert(row.line_id.clone());
        self.carves.insert(row.line_id.clone(), row);
    }
}
