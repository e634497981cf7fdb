//! What holds and captures add up to, beside what the lines say they have used.

use crate::db::{Db, DbError, Limits, read};
use crate::rows::{BudgetCaptureRow, BudgetHoldRow, BudgetUseRow};
use crate::tables::{budget_captures, budget_holds, budget_uses};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Reading a whole ledger may take longer than a request may.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A line and the start of a period.
type Place = (String, i64);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sums {
    held: i64,
    spent: i64,
    overage: i64,
}

/// Where the books of a ledger at rest differ from its holds and captures, a sentence for each
/// place: nothing, if no unit was lost and none counted twice. Carved amounts have no journal.
///
/// # Errors
/// [`DbError`].
pub async fn imbalances(database_url: &str) -> Result<Vec<String>, DbError> {
    let db = &Db::connect(database_url, Limits { answer_timeout: READ_TIMEOUT, ..Limits::default() }).await?;
    let uses = read!(db, get_results::<BudgetUseRow>, budget_uses::table.select(BudgetUseRow::as_select()))?;
    let holds = read!(db, get_results::<BudgetHoldRow>, budget_holds::table.select(BudgetHoldRow::as_select()))?;
    let captures =
        read!(db, get_results::<BudgetCaptureRow>, budget_captures::table.select(BudgetCaptureRow::as_select()))?;
    let mut faults = Vec::new();
    let due = add_up(&holds, &captures, &mut faults);
    let said = |used: BudgetUseRow| {
        ((used.line_id, used.period), Sums { held: used.held, spent: used.spent, overage: used.overage })
    };
    let said: BTreeMap<Place, Sums> = uses.into_iter().map(said).collect();
    for place in said.keys().chain(due.keys().filter(|place| !said.contains_key(*place))) {
        let (said, due) = (said.get(place).copied().unwrap_or_default(), due.get(place).copied().unwrap_or_default());
        if said != due {
            faults.push(format!("{place:?}: the books say {said:?}, the journal {due:?}"));
        }
    }
    Ok(faults)
}

fn add_up(holds: &[BudgetHoldRow], captures: &[BudgetCaptureRow], faults: &mut Vec<String>) -> BTreeMap<Place, Sums> {
    let mut captured: HashMap<&str, Vec<&BudgetCaptureRow>> = HashMap::new();
    for capture in captures {
        captured.entry(&capture.hold_id).or_default().push(capture);
    }
    let mut sums: BTreeMap<Place, Sums> = BTreeMap::new();
    for hold in holds {
        let captures = captured.get(hold.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let one = sums_of(hold, captures);
        let booked: i64 = captures.iter().map(|capture| capture.spent).sum();
        if booked < hold.captured {
            faults.push(format!("{}: {} captured, and captures of {booked}", hold.id, hold.captured));
        }
        let Ok(path) = serde_json::from_str::<Vec<Place>>(&hold.path) else {
            faults.push(format!("{}: no path in {}", hold.id, hold.path));
            continue;
        };
        for (level, place) in path.into_iter().enumerate() {
            let sum = sums.entry(place).or_default();
            sum.held = sum.held.saturating_add(one.held);
            sum.spent = sum.spent.saturating_add(one.spent);
            // Overage is the leaf's alone.
            sum.overage = sum.overage.saturating_add(if level == 0 { one.overage } else { 0 });
        }
    }
    sums
}

/// What one hold and its captures count for. Refunds are taken from the overage first.
fn sums_of(hold: &BudgetHoldRow, captures: &[&BudgetCaptureRow]) -> Sums {
    let mut sums = Sums::default();
    if hold.state == "open" {
        sums.held = hold.amount.saturating_sub(hold.captured);
    }
    for capture in captures {
        let from_overage = capture.refunded.min(capture.overage);
        let from_spent = capture.refunded.saturating_sub(from_overage);
        sums.overage = sums.overage.saturating_add(capture.overage.saturating_sub(from_overage));
        sums.spent = sums.spent.saturating_add(capture.spent.saturating_sub(from_spent));
    }
    sums
}
