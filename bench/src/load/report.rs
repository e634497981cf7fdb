//! What a run came to, for people and for programs.

use crate::chaos::Recovery;
use crate::check::{Check, Violation};
use crate::clock::Micros;
use crate::load::evidence::Looked;
use crate::load::history::{History, Outcome, Verdict};
use crate::load::latency::Times;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Violations of one kind that are printed one by one.
const PRINTED: usize = 10;

/// How many of what.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    pub operations: usize,
    pub attempts: usize,
    pub done: usize,
    pub refused: usize,
    /// Without a definite answer when the load ended.
    pub unknown: usize,
    pub settled: usize,
    pub unsettled: usize,
    /// Attempts without a definite answer, by what was seen.
    pub failures: BTreeMap<String, usize>,
    /// Refusals by their error.
    pub errors: BTreeMap<String, usize>,
    /// Definite answers a second, in the time between the first and the last request.
    pub rate: f64,
}

impl Counts {
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut counts = Self { operations: history.operations.len(), ..Self::default() };
        let (mut first, mut last) = (Micros::MAX, 0);
        for operation in &history.operations {
            match operation.verdict() {
                Verdict::Done(..) => counts.done += 1,
                Verdict::Refused(_, reply) => {
                    counts.refused += 1;
                    *counts.errors.entry(crate::setup::text(&reply.body, "error")).or_default() += 1;
                }
                Verdict::Unknown => counts.unknown += 1,
            }
            for attempt in &operation.attempts {
                counts.attempts += 1;
                (first, last) = (first.min(attempt.started), last.max(attempt.ended));
                let failure = match &attempt.outcome {
                    Outcome::Done(_) | Outcome::Refused(_) => continue,
                    Outcome::Failed(status) => status.to_string(),
                    Outcome::Lost(lost) => lost.as_str().to_owned(),
                };
                *counts.failures.entry(failure).or_default() += 1;
            }
        }
        let answered = u32::try_from(counts.done + counts.refused).unwrap_or(u32::MAX);
        let span = seconds(last.saturating_sub(first));
        counts.rate = if span > 0.0 { f64::from(answered) / span } else { 0.0 };
        counts
    }
}

/// Seconds of microseconds.
#[must_use]
pub fn seconds(micros: Micros) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub seconds: f64,
    pub counts: Counts,
    pub looked: Looked,
    /// Microseconds from when a request was due to its answer.
    pub times: Vec<Times>,
    pub violations: Vec<Violation>,
    /// Of a chaos run.
    pub faults: Vec<Recovery>,
}

impl Report {
    #[must_use]
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// The run in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let Counts { operations, done, refused, unknown, settled, rate, .. } = &self.counts;
        let verdict = if self.passed() { "every promise kept" } else { "VIOLATIONS" };
        let faults = if self.faults.is_empty() { String::new() } else { format!(", {} faults", self.faults.len()) };
        format!(
            "{verdict}: seed {}, {:.0} s{faults}, {operations} operations at {rate:.0}/s ({done} done, {refused} refused, \
             {unknown} unknown of which {settled} settled), {} violations",
            self.seed,
            self.seconds,
            self.violations.len()
        )
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:14} {:>9} {:>10} {:>10} {:>10}", "operation", "count", "p50 ms", "p99 ms", "max ms")?;
        for Times { operation, count, p50, p99, max } in &self.times {
            let (p50, p99, max) = (seconds(*p50) * 1e3, seconds(*p99) * 1e3, seconds(*max) * 1e3);
            writeln!(f, "{operation:14} {count:>9} {p50:>10.2} {p99:>10.2} {max:>10.2}")?;
        }
        writeln!(f, "refused: {}", listed(&self.counts.errors))?;
        writeln!(f, "attempts without an answer: {}", listed(&self.counts.failures))?;
        let Looked { lines, token_lines, token_lines_in_all, observations, records } = self.looked;
        let records = records.map_or("no records compared".to_owned(), |records| format!("{records} records"));
        writeln!(
            f,
            "checked: {lines} lines, {token_lines} of {token_lines_in_all} lines of tokens, {observations} observations, {records}"
        )?;
        let mut by_check: BTreeMap<Check, Vec<&str>> = BTreeMap::new();
        for violation in &self.violations {
            by_check.entry(violation.check).or_default().push(&violation.what);
        }
        for (check, violations) in by_check {
            writeln!(f, "VIOLATED {check:?}: {} times", violations.len())?;
            for what in violations.iter().take(PRINTED) {
                writeln!(f, "  {what}")?;
            }
        }
        writeln!(f, "{}", self.summary())
    }
}

fn listed(counts: &BTreeMap<String, usize>) -> String {
    let listed: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
}
