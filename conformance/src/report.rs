//! The report: what came of every row, as a table or as JSON.
//!
//! Owns the verdict over a run. Levels M and H count; S is shown only.

use std::fmt;

use serde::Serialize;

use crate::check::Level;

const SEEN_WIDTH: usize = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Pass,
    Fail,
    Skipped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// One line of the clause table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub id: &'static str,
    pub level: Level,
    pub source: &'static str,
    pub title: &'static str,
    pub outcome: Outcome,
    /// What was seen, or why the row was skipped.
    pub seen: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub issuer: String,
    pub rows: Vec<Row>,
}

impl Report {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// The rows that count and failed.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        let counts = |row: &&Row| row.outcome == Outcome::Fail && row.level != Level::S;
        self.rows.iter().filter(counts)
    }

    /// No M or H row that applies failed, and at least one row passed.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none() && self.count(Outcome::Pass) > 0
    }

    pub fn summary(&self) -> String {
        format!(
            "{} rows: {} pass, {} fail ({} of level M or H), {} skipped",
            self.rows.len(),
            self.count(Outcome::Pass),
            self.count(Outcome::Fail),
            self.failures().count(),
            self.count(Outcome::Skipped),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
        let (ids, sources) = (width(|row| row.id), width(|row| row.source));
        for row in &self.rows {
            let (id, level, source) = (row.id, row.level.letter(), row.source);
            let (outcome, seen) = (row.outcome.word(), one_line(&row.seen));
            writeln!(f, "{id:ids$}  {level}  {source:sources$}  {outcome:7}  {seen}")?;
        }
        writeln!(f, "{}", self.summary())
    }
}

/// What was seen may quote the issuer: control characters stay out of the terminal.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = clean.take(SEEN_WIDTH).collect();
    if line.chars().count() < text.chars().count() { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(level: Level, outcome: Outcome) -> Report {
        let row = |level, outcome| Row { id: "X1", level, source: "RFC 0", title: "t", outcome, seen: "a\nb".into() };
        let rows = vec![row(Level::M, Outcome::Pass), row(level, outcome)];
        Report { issuer: "https://as.example".into(), rows }
    }

    #[test]
    fn a_failed_should_does_not_fail_the_run() {
        assert!(report(Level::S, Outcome::Fail).passed());
        assert!(!report(Level::M, Outcome::Fail).passed());
        assert!(!report(Level::H, Outcome::Fail).passed());
        assert!(report(Level::H, Outcome::Skipped).passed());
    }

    #[test]
    fn a_run_without_a_pass_has_not_passed() {
        let mut empty = report(Level::M, Outcome::Skipped);
        empty.rows.remove(0);
        assert!(!empty.passed());
    }

    #[test]
    fn the_table_is_one_line_per_row() {
        let table = report(Level::M, Outcome::Fail).to_string();
        assert_eq!(table.lines().count(), 3);
        assert!(table.contains("FAIL     a b"), "{table}");
    }
}
