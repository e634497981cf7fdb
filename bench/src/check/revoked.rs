//! Revocation: what commits is exact, so nothing that was asked after a revocation was
//! answered may be done with the token or what descends from it; what commits nothing
//! (introspection) may lean on what was true a second ago.

use super::{Check, Violation, violation};
use crate::clock::Micros;
use crate::load::history::{Attempt, History, Kind, Operation, Outcome, Token};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long introspection may call a revoked token active.
const GRACE: Micros = 1_000_000;

/// When a token was revoked.
#[derive(Clone, Copy, Debug)]
struct Revocation {
    /// It may be dead from here on.
    possible: Micros,
    /// It is dead from here on.
    certain: Option<Micros>,
}

pub(super) fn judge(history: &History) -> Vec<Violation> {
    let mut revoked: BTreeMap<&str, Revocation> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.kind == Kind::Revoke) {
        if let Some(token) = &operation.subject.token {
            let revocation = Revocation { possible: operation.possible_from(), certain: operation.certain_from() };
            revoked.insert(&token.jti, revocation);
        }
    }
    let mut violations = Vec::new();
    for operation in &history.operations {
        let Some(token) = operation.subject.token.as_deref().filter(|_| operation.kind != Kind::Revoke) else {
            continue;
        };
        let of_token = || token.lineage.iter().filter_map(|jti| revoked.get(jti.as_str()));
        let certain = of_token().filter_map(|revocation| revocation.certain).min();
        let possible = of_token().map(|revocation| revocation.possible).min();
        for attempt in &operation.attempts {
            violations.extend(alive(operation, attempt, token, certain));
            violations.extend(killed(operation, attempt, token, possible));
        }
    }
    violations
}

/// Answered as good though it was dead.
fn alive(operation: &Operation, attempt: &Attempt, token: &Token, certain: Option<Micros>) -> Option<Violation> {
    let (dead, Outcome::Done(reply)) = (certain?, &attempt.outcome) else { return None };
    let since = match operation.kind {
        Kind::Introspect if is_active(&reply.body) => attempt.started.checked_sub(dead + GRACE),
        Kind::Introspect => None,
        // By its first attempt: a retry of what was done before is answered as it was.
        _ => operation.possible_from().checked_sub(dead),
    }?;
    let (kind, node, jti) = (operation.kind.as_str(), attempt.node, &token.jti);
    let grace = if operation.kind == Kind::Introspect { " and a second" } else { "" };
    let what = format!(
        "node {node} answered {kind} of {jti} as good, asked {since} us after its revocation{grace} (operation {})",
        operation.id
    );
    Some(violation(Check::Revocation, what))
}

/// Called dead by introspection, or refused as such, before anybody can have revoked it.
fn killed(operation: &Operation, attempt: &Attempt, token: &Token, possible: Option<Micros>) -> Option<Violation> {
    if possible.is_some_and(|possible| possible <= attempt.ended) {
        return None;
    }
    let is_dead = match &attempt.outcome {
        Outcome::Done(reply) => operation.kind == Kind::Introspect && !is_active(&reply.body),
        Outcome::Refused(reply) => {
            let error = reply.body.get("error").and_then(Value::as_str);
            error == Some("invalid_token") || (operation.kind == Kind::Exchange && error == Some("invalid_request"))
        }
        Outcome::Failed(_) | Outcome::Lost(_) => false,
    };
    let what = || {
        format!(
            "node {} called {} dead, which nobody has revoked (operation {})",
            attempt.node, token.jti, operation.id
        )
    };
    is_dead.then(|| violation(Check::WrongRefusals, what()))
}

fn is_active(body: &Value) -> bool {
    body.get("active").and_then(Value::as_bool).unwrap_or_default()
}
