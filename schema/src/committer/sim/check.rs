//! What must be true once all is quiet: of the books by themselves, of the audit, and of both
//! beside what the clients were told.

use super::client::{Clients, Known, USES};
use super::database::Tables;
use crate::audit::verify_chain;
use crate::ledger::{Answer, CaptureEntry, CarveEntry, HoldEntry, Journal, UseEntry};
use std::collections::BTreeMap;
use stipend_token::constraint::{Span, Tally};

/// Everything that is wrong.
pub(super) fn faults(clients: &Clients) -> Vec<String> {
    let state = clients.db.state();
    let mut faults = state.violations.clone();
    faults.extend(books(&state.tables));
    faults.extend(verify_chain(state.tables.records.values(), []).err().map(|fault| fault.to_string()));
    faults.extend(told(&state.tables, clients));
    faults
}

/// Every line says what its journal comes to.
fn books(tables: &Tables) -> Vec<String> {
    let mut journal = Journal::default();
    let mut booked: BTreeMap<&str, i64> = BTreeMap::new();
    for row in tables.captures.values() {
        *booked.entry(&row.hold_id).or_default() += row.spent + row.overage;
        let path = tables.holds.get(&row.hold_id).map(|hold| hold.path.clone()).unwrap_or_default();
        journal.capture(&CaptureEntry {
            id: row.id.clone(),
            spent: row.spent,
            overage: row.overage,
            refunded: row.refunded,
            overages: row.overages.clone(),
            path,
        });
    }
    for row in tables.holds.values() {
        journal.hold(&HoldEntry {
            id: row.id.clone(),
            amount: row.amount,
            captured: row.captured,
            state: row.state.clone(),
            path: row.path.clone(),
            booked: booked.get(row.id.as_str()).copied().unwrap_or_default(),
        });
    }
    for row in tables.carves.values() {
        journal.carve(&CarveEntry {
            id: row.line_id.clone(),
            path: row.path.clone(),
            amount: row.amount,
            reported: row.reported,
            state: row.state.clone(),
            returned: row.returned,
        });
    }
    for row in tables.uses.values() {
        journal.compare(&UseEntry {
            id: row.line_id.clone(),
            period: row.period,
            held: row.held,
            spent: row.spent,
            carved: row.carved,
            overage: row.overage,
        });
    }
    journal.close().faults
}

/// What clients were told is what was done, once.
fn told(tables: &Tables, clients: &Clients) -> Vec<String> {
    let memory = clients.memory.lock();
    let mut faults = Vec::new();
    let mut captured: BTreeMap<&str, i64> = BTreeMap::new();
    for known in memory.known.values() {
        let Known::Answered(answer) = known else { continue };
        let Answer::Done(receipt) = &**answer else { continue };
        if let Some(capture) = receipt.capture_id.as_deref().filter(|_| receipt.spent + receipt.overage > 0) {
            *captured.entry(capture).or_default() += receipt.spent + receipt.overage;
        }
    }
    for (id, much) in &captured {
        let row = tables.captures.get(*id).map(|row| row.spent + row.overage);
        if row != Some(*much) {
            faults.push(format!("{id} was answered with {much} and is booked with {row:?}"));
        }
    }
    for id in tables.captures.keys().filter(|id| !captured.contains_key(id.as_str())) {
        let asked = id.trim_start_matches('c').parse::<u64>().ok();
        if !asked.is_some_and(|asked| memory.maybe.contains(&asked)) {
            faults.push(format!("{id} is booked and nobody was told"));
        }
    }
    faults.extend(
        memory
            .burned
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(key, times)| format!("{key:?} was used {times} times")),
    );
    let tally = tables.counters.get("uses").and_then(|row| Tally::read(&row.state));
    let counted = tally.map_or(0, |tally| tally.count(Span::Ever, 0));
    if counted > USES || u64::try_from(memory.counted).unwrap_or(u64::MAX) > counted {
        faults.push(format!("{} uses were granted, {counted} counted, {USES} allowed", memory.counted));
    }
    faults
}
