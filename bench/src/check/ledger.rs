//! Totals: what each line says it has spent, held and given away is the sum of the definite
//! answers, to the unit. What nobody could settle widens the sum by itself and no more.

use super::{Check, Evidence, Violation, violation};
use crate::load::history::{Kind, Operation, Used, Verdict};
use std::collections::BTreeMap;

/// What a line must show, and how much of it is not certain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Total {
    spent: i64,
    held: i64,
    carved: i64,
    /// Of operations without a definite end.
    doubt: i64,
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
    for operation in &evidence.history.operations {
        let lines = operation.subject.lines.iter().map(String::as_str);
        for line in lines {
            add(totals.entry(line).or_default(), operation);
        }
    }
    let mut violations = Vec::new();
    let fixed = evidence.lines.iter().map(|(id, used)| (id.as_str(), name(evidence, id), used));
    let tokens = evidence.tokens.iter().filter(|(token, _)| !token.carved).filter_map(|(token, used)| {
        let line = token.lines.first()?;
        Some((line.as_str(), format!("the line {line} of the token {}", token.jti), used))
    });
    for (id, name, used) in fixed.chain(tokens) {
        let total = totals.get(id).copied().unwrap_or_default();
        violations.extend(compare(&name, total, used));
    }
    for (token, used) in &evidence.tokens {
        if used.limit != token.granted {
            let what =
                format!("the token {} was granted {}, and its line has {}", token.jti, token.granted, used.limit);
            violations.push(violation(Check::Conservation, what));
        }
    }
    violations
}

fn name(evidence: &Evidence<'_>, id: &str) -> String {
    let name = evidence.world.lines.get(id).map_or("unknown", |line| line.name.as_str());
    format!("the line {id} of {name}")
}

fn add(total: &mut Total, operation: &Operation) {
    let subject = &operation.subject;
    match operation.verdict() {
        Verdict::Refused(..) => {}
        Verdict::Unknown => match operation.kind {
            Kind::Token | Kind::Exchange if !subject.carve => {}
            Kind::Introspect | Kind::Revoke => {}
            _ => total.doubt += subject.amount + subject.frees,
        },
        Verdict::Done(..) => match operation.kind {
            Kind::Hold => total.held += subject.amount,
            Kind::Capture | Kind::LastCapture => {
                total.spent += subject.amount;
                total.held -= subject.amount + subject.frees;
            }
            Kind::Void => total.held -= subject.frees,
            Kind::Charge => total.spent += subject.amount,
            Kind::Refund => total.spent -= subject.amount,
            Kind::Token | Kind::Exchange => {
                let granted = operation.issued.as_ref().filter(|token| token.carved).map(|token| token.granted);
                total.carved += granted.unwrap_or_default();
            }
            Kind::Introspect | Kind::Revoke => {}
        },
    }
}

fn compare(name: &str, total: Total, used: &Used) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (what, said, sum) in [
        ("spent", used.spent, total.spent),
        ("held", used.held, total.held),
        ("carved", used.carved, total.carved),
        ("overage", used.overage, 0),
    ] {
        if (said - sum).abs() > total.doubt {
            let doubt = if total.doubt > 0 { format!(" (give or take {})", total.doubt) } else { String::new() };
            let what = format!("{name} says {what} {said}; the answers come to {sum}{doubt}");
            violations.push(violation(Check::Totals, what));
        }
    }
    let Used { limit, held, spent, carved, overage, remaining } = *used;
    if limit != held + spent + carved + overage + remaining {
        let parts = format!("{spent} spent, {held} held, {carved} carved, {overage} overage and {remaining} remaining");
        violations.push(violation(Check::Conservation, format!("{name}: {limit} is not {parts}")));
    }
    if remaining < 0 || spent < 0 || held < 0 || carved < 0 {
        violations.push(violation(Check::Limits, format!("{name}: {used:?}")));
    }
    violations
}
