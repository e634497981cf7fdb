//! The audit, both ways: every answer has one record that says the same, and there is no
//! record of an effect that is not one of ours.

use super::{Check, Evidence, Violation, violation};
use crate::load::history::{History, Kind, Operation, Outcome, Verdict};
use crate::setup::text;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A record, as far as it is compared.
#[derive(Clone, Debug)]
pub struct Record {
    pub request_id: String,
    pub event: String,
    pub outcome: String,
    pub client_id: String,
}

impl Record {
    /// From an item of the admin API.
    #[must_use]
    pub fn read(item: &Value) -> Self {
        let request_id = item.get("detail").map(|detail| text(detail, "request_id")).unwrap_or_default();
        Self {
            request_id,
            event: text(item, "event"),
            outcome: text(item, "outcome"),
            client_id: text(item, "client_id"),
        }
    }
}

pub(super) fn judge(evidence: &Evidence<'_>, records: &[Record]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut by_request: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_request.entry(&record.request_id).or_default().push(record);
    }
    for operation in &evidence.history.operations {
        for attempt in &operation.attempts {
            violations.extend(recorded(operation, &attempt.outcome, &by_request));
        }
    }
    violations.extend(effects(evidence, records));
    violations
}

fn recorded(operation: &Operation, outcome: &Outcome, records: &BTreeMap<&str, Vec<&Record>>) -> Option<Violation> {
    let (event, reply) = (operation.kind.event()?, outcome.reply()?);
    let (kind, id) = (operation.kind.as_str(), operation.id);
    let Some(request_id) = &reply.request_id else {
        return Some(violation(Check::Audit, format!("the answer to {kind} {id} names no record")));
    };
    let found = records.get(request_id.as_str()).map(Vec::as_slice).unwrap_or_default();
    let [record] = found else {
        let what = format!("the answer to {kind} {id} ({request_id}) has {} records", found.len());
        return Some(violation(Check::Audit, what));
    };
    let good: &[&str] = match outcome {
        Outcome::Done(_) if operation.kind.issues() => &["issued", "repeated"],
        Outcome::Done(_) => &["done", "repeated"],
        _ => &["refused"],
    };
    let fits = good.contains(&record.outcome.as_str());
    // A refused issue is an event of its own.
    let named = record.event == event || (operation.kind.issues() && record.event == "token.refused");
    (!fits || !named).then(|| {
        let what = format!("{kind} {id} was answered {}, and recorded as {record:?}", reply.status);
        violation(Check::Audit, what)
    })
}

/// Events that are an effect each, with the operations that have it.
const EFFECTS: [(&str, &str, &[Kind]); 6] = [
    ("token.issued", "issued", &[Kind::Token, Kind::Exchange]),
    ("budget.held", "done", &[Kind::Hold]),
    ("budget.captured", "done", &[Kind::Capture, Kind::LastCapture]),
    ("budget.voided", "done", &[Kind::Void]),
    ("budget.charged", "done", &[Kind::Charge]),
    ("budget.refunded", "done", &[Kind::Refund]),
];

/// As many effects on record as were answered, but for those that nobody could settle.
fn effects(evidence: &Evidence<'_>, records: &[Record]) -> Vec<Violation> {
    let ours: BTreeSet<&str> = evidence.world.clients.iter().map(|client| client.id.as_str()).collect();
    let mut violations = Vec::new();
    for (event, outcome, kinds) in EFFECTS {
        let is_effect = |record: &&Record| {
            record.event == event && record.outcome == outcome && ours.contains(record.client_id.as_str())
        };
        let on_record = records.iter().filter(is_effect).count();
        let (done, unknown) = count(evidence.history, kinds);
        if !(done..=done + unknown).contains(&on_record) {
            let what = format!("{on_record} records of {event} ({outcome}), where {done} were answered");
            violations.push(violation(Check::Audit, what));
        }
    }
    violations
}

fn count(history: &History, kinds: &[Kind]) -> (usize, usize) {
    let of_kind = || history.operations.iter().filter(|operation| kinds.contains(&operation.kind));
    let done = of_kind().filter(|operation| matches!(operation.verdict(), Verdict::Done(..))).count();
    let unknown = of_kind().filter(|operation| matches!(operation.verdict(), Verdict::Unknown)).count();
    (done, unknown)
}
