//! What a line can have been at a moment: at least what had certainly happened, at most what
//! may have. An effect may be there from the moment its first attempt is sent, and is there
//! for certain once an attempt was answered.

use super::{Check, Evidence, Violation, violation};
use crate::clock::Micros;
use crate::load::history::{Kind, Operation, Sight, Verdict};
use std::collections::BTreeMap;

/// Sums of amounts over time.
#[derive(Debug, Default)]
struct Sums {
    /// Moments and the sum of all amounts up to them, in order.
    steps: Vec<(Micros, i64)>,
}

impl Sums {
    fn add(&mut self, at: Micros, amount: i64) {
        self.steps.push((at, amount));
    }

    fn finish(&mut self) {
        self.steps.sort_unstable_by_key(|(at, _)| *at);
        let mut sum = 0;
        for (_, amount) in &mut self.steps {
            sum += *amount;
            *amount = sum;
        }
    }

    /// The sum of what is at `at` or before.
    fn until(&self, at: Micros) -> i64 {
        let count = self.steps.partition_point(|(step, _)| *step <= at);
        count.checked_sub(1).and_then(|last| self.steps.get(last)).map_or(0, |(_, sum)| *sum)
    }
}

/// Something that goes up and down.
#[derive(Debug, Default)]
struct Gauge {
    possible_up: Sums,
    certain_up: Sums,
    possible_down: Sums,
    certain_down: Sums,
}

impl Gauge {
    fn up(&mut self, amount: i64, possible: Micros, certain: Option<Micros>) {
        self.possible_up.add(possible, amount);
        if let Some(certain) = certain {
            self.certain_up.add(certain, amount);
        }
    }

    fn down(&mut self, amount: i64, possible: Micros, certain: Option<Micros>) {
        self.possible_down.add(possible, amount);
        if let Some(certain) = certain {
            self.certain_down.add(certain, amount);
        }
    }

    fn finish(&mut self) {
        for sums in [&mut self.possible_up, &mut self.certain_up, &mut self.possible_down, &mut self.certain_down] {
            sums.finish();
        }
    }

    /// What it was at some moment of a span, at least and at most.
    fn between(&self, from: Micros, to: Micros) -> (i64, i64) {
        let least = self.certain_up.until(from) - self.possible_down.until(to);
        let most = self.possible_up.until(to) - self.certain_down.until(from);
        (least, most)
    }
}

/// One line through the run.
#[derive(Debug, Default)]
struct Timeline {
    limit: i64,
    /// Spent, held and carved.
    used: Gauge,
    spent: Gauge,
}

/// All lines through the run.
#[derive(Debug, Default)]
pub(super) struct Timelines(BTreeMap<String, Timeline>);

impl Timelines {
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let mut lines: BTreeMap<String, Timeline> = BTreeMap::new();
        for (id, line) in &evidence.world.lines {
            lines.entry(id.clone()).or_default().limit = line.limit;
        }
        for operation in &evidence.history.operations {
            if let Some(token) = &operation.issued
                && let Some(line) = token.lines.first()
            {
                lines.entry(line.clone()).or_default().limit = token.granted;
            }
            for line in &operation.subject.lines {
                add(lines.entry(line.clone()).or_default(), operation);
            }
        }
        for line in lines.values_mut() {
            line.used.finish();
            line.spent.finish();
        }
        Self(lines)
    }

    /// What a line had left at some moment of a span, at least and at most.
    pub fn remaining(&self, line: &str, from: Micros, to: Micros) -> Option<(i64, i64)> {
        let line = self.0.get(line)?;
        let (least, most) = line.used.between(from, to);
        Some((line.limit - most, line.limit - least))
    }
}

fn add(line: &mut Timeline, operation: &Operation) {
    if matches!(operation.verdict(), Verdict::Refused(..)) {
        return;
    }
    let (possible, certain) = (operation.possible_from(), operation.certain_from());
    let (amount, frees) = (operation.subject.amount, operation.subject.frees);
    match operation.kind {
        Kind::Hold => line.used.up(amount, possible, certain),
        Kind::Charge => {
            line.used.up(amount, possible, certain);
            line.spent.up(amount, possible, certain);
        }
        Kind::Capture | Kind::LastCapture => {
            line.spent.up(amount, possible, certain);
            line.used.down(frees, possible, certain);
        }
        Kind::Void => line.used.down(frees, possible, certain),
        Kind::Refund => {
            line.used.down(amount, possible, certain);
            line.spent.down(amount, possible, certain);
        }
        Kind::Token | Kind::Exchange if operation.subject.carve => {
            let granted = operation.issued.as_ref().map_or(amount, |token| token.granted);
            line.used.up(granted, possible, certain);
        }
        Kind::Token | Kind::Exchange | Kind::Introspect | Kind::Revoke => {}
    }
}

pub(super) fn judge(evidence: &Evidence<'_>, timelines: &Timelines) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (id, line) in &timelines.0 {
        let over = line.used.certain_up.steps.iter().find(|(at, _)| line.used.between(*at, *at).0 > line.limit);
        if let Some((at, _)) = over {
            let (least, _) = line.used.between(*at, *at);
            let what = format!("the line {id} had {least} in use of {} at {at} us, by the answers", line.limit);
            violations.push(violation(Check::Limits, what));
        }
    }
    for sight in &evidence.history.sights {
        if let Some(line) = timelines.0.get(&sight.line) {
            violations.extend(look(line, sight));
        }
    }
    violations
}

fn look(line: &Timeline, sight: &Sight) -> Option<Violation> {
    let Sight { line: id, started, ended, used } = sight;
    let (least, most) = line.used.between(*started, *ended);
    let in_use = used.held + used.spent + used.carved + used.overage;
    let (least_spent, most_spent) = line.spent.between(*started, *ended);
    let fits = (least..=most).contains(&in_use) && (least_spent..=most_spent).contains(&used.spent);
    if in_use > line.limit || used.remaining < 0 {
        return Some(violation(Check::Limits, format!("the line {id} was seen with {used:?} at {started} us")));
    }
    if !fits || used.limit - in_use != used.remaining {
        let bounds = format!("{least} to {most} in use, {least_spent} to {most_spent} spent");
        let what = format!("the line {id} was seen with {used:?} at {started} us, where it can have had {bounds}");
        return Some(violation(Check::Observations, what));
    }
    None
}
