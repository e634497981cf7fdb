//! Answers held against each other and against what was certain: one effect and one answer
//! for each key, refusals that were due, and refusals that were not.

use super::bounds::Timelines;
use super::{Check, Violation, violation};
use crate::load::history::{History, Kind, Operation, Outcome, Verdict};
use crate::load::tokens;
use crate::setup::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn judge(history: &History, timelines: &Timelines) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut made: BTreeMap<String, u64> = BTreeMap::new();
    for operation in &history.operations {
        violations.extend(differing(operation));
        violations.extend(twice(operation, &mut made));
        violations.extend(allowed(operation));
        violations.extend(refused(operation, timelines));
    }
    violations
}

/// What an answer says, without what may differ from one signing to the next.
fn canonical(kind: Kind, status: u16, body: &Value) -> Value {
    if status == 200 && kind.issues() {
        let claims = tokens::claims(&text(body, "access_token")).unwrap_or_default();
        return json!({ "jti": claims.get("jti"), "budget": claims.get("budget"), "scope": body.get("scope") });
    }
    json!({ "status": status, "body": body })
}

fn differing(operation: &Operation) -> Option<Violation> {
    operation.key.as_ref()?;
    let mut said = operation.attempts.iter().filter_map(|attempt| attempt.outcome.reply());
    let first = said.next()?;
    let first = canonical(operation.kind, first.status, &first.body);
    let other = said.map(|reply| canonical(operation.kind, reply.status, &reply.body)).find(|said| *said != first)?;
    let what = format!("{} {}: one key was answered {first}, then {other}", operation.kind.as_str(), operation.id);
    Some(violation(Check::Keys, what))
}

/// An id that was given to two operations, or two ids to one.
fn twice(operation: &Operation, made: &mut BTreeMap<String, u64>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for attempt in &operation.attempts {
        let Outcome::Done(reply) = &attempt.outcome else { continue };
        let id = match operation.kind {
            Kind::Token | Kind::Exchange => {
                tokens::claims(&text(&reply.body, "access_token")).map(|of| text(&of, "jti"))
            }
            Kind::Hold => Some(text(&reply.body, "hold")),
            Kind::Capture | Kind::LastCapture | Kind::Charge => Some(text(&reply.body, "capture")),
            Kind::Void | Kind::Refund | Kind::Introspect | Kind::Revoke => None,
        };
        let Some(id) = id else { continue };
        let owner = *made.entry(id.clone()).or_insert(operation.id);
        if id.is_empty() || owner != operation.id {
            let what = format!(
                "{} {} was answered with the id {id:?} of operation {owner}",
                operation.kind.as_str(),
                operation.id
            );
            violations.push(violation(Check::Keys, what));
        }
    }
    violations
}

fn allowed(operation: &Operation) -> Option<Violation> {
    let Verdict::Done(_, reply) = operation.verdict() else { return None };
    if operation.subject.forbidden {
        let what =
            format!("{} {} was done, which nothing covers: {}", operation.kind.as_str(), operation.id, reply.body);
        return Some(violation(Check::Forbidden, what));
    }
    let said = |name: &str| reply.body.get(name).and_then(Value::as_i64);
    let (amount, spent) = (operation.subject.amount, said("spent"));
    let wrong = match operation.kind {
        Kind::Charge | Kind::Capture | Kind::LastCapture => spent != Some(amount),
        Kind::Refund => spent != Some(-amount),
        Kind::Hold => said("held") != Some(amount),
        Kind::Token | Kind::Exchange => {
            let granted = operation.issued.as_ref().map(|token| token.granted);
            granted.is_none_or(|granted| amount > 0 && granted > amount)
        }
        Kind::Void | Kind::Introspect | Kind::Revoke => false,
    };
    let below = said("remaining").is_some_and(|remaining| remaining < 0);
    let what = || format!("{} {} of {amount} was answered {}", operation.kind.as_str(), operation.id, reply.body);
    (wrong || below).then(|| violation(Check::Forbidden, what()))
}

fn refused(operation: &Operation, timelines: &Timelines) -> Option<Violation> {
    let Verdict::Refused(attempt, reply) = operation.verdict() else { return None };
    if operation.subject.forbidden {
        return None;
    }
    let wrong = |why: String| {
        let (kind, id) = (operation.kind.as_str(), operation.id);
        let what =
            format!("node {} refused {kind} {id} of {}: {}{why}", attempt.node, operation.subject.amount, reply.body);
        Some(violation(Check::WrongRefusals, what))
    };
    let required = match (operation.kind, text(&reply.body, "error").as_str()) {
        (Kind::Hold | Kind::Charge, "insufficient_budget") => operation.subject.amount,
        // As little as one is something to grant.
        (Kind::Token | Kind::Exchange, "invalid_authorization_details") => 1,
        // Whether it was dead is judged with the revocations.
        (Kind::Hold | Kind::Charge, "invalid_token") | (Kind::Exchange, "invalid_request") => return None,
        _ => return wrong(String::new()),
    };
    let line = text(&reply.body, "line");
    let Some((least, most)) = timelines.remaining(&line, operation.possible_from(), attempt.ended) else {
        return wrong(format!(", of a line that is none of ours: {line}"));
    };
    if least >= required {
        return wrong(format!(", where {least} were certainly left"));
    }
    let said = reply.body.get("remaining").and_then(Value::as_i64);
    if said.is_some_and(|said| !(least.max(0)..=most.max(0)).contains(&said)) {
        return wrong(format!(", where {least} to {most} were left"));
    }
    None
}
