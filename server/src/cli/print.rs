//! Everything a command shows goes through here: tables and lines for people, JSON for
//! programs. What standard output no longer takes (`| head`) is no error.

use super::error::CliError;
use comfy_table::{Attribute, Cell, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::Value;
use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// No borders, one rule under the headings.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How to paint a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paint {
    Bold,
    Dim,
    Good,
    Bad,
    Accent,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Accent => "36",
        }
    }
}

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Programs are reading: print the server's answers as they are.
    pub json: bool,
    colour: bool,
    terminal: bool,
}

impl Out {
    /// Colour only on a terminal, and not where it is declined (<https://no-color.org>).
    pub fn new(json: bool, no_colour: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { json, colour: terminal && !no_colour, terminal }
    }

    #[must_use]
    pub fn colour(&self) -> bool {
        self.colour
    }

    pub fn line(&self, text: impl Display) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// A note beside the answer, on standard error so that it never mixes with it.
    pub fn note(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A line on a terminal that the next one writes over; the empty one takes it away.
    pub fn progress(&self, text: impl Display) {
        let mut stderr = std::io::stderr().lock();
        if !self.json && stderr.is_terminal() {
            let _ = write!(stderr, "\r\u{1b}[K{text}");
            let _ = stderr.flush();
        }
    }

    pub fn value(&self, value: &Value) {
        self.line(serde_json::to_string_pretty(value).unwrap_or_default());
    }

    pub fn error(&self, error: &CliError) {
        if self.json {
            self.note(error.to_json());
        } else {
            let word = if self.colour { "\u{1b}[31merror:\u{1b}[0m" } else { "error:" };
            self.note(format!("{word} {error}"));
        }
    }

    #[must_use]
    pub fn paint(&self, paint: Paint, text: impl Display) -> String {
        if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()) } else { text.to_string() }
    }

    /// A table; a sentence where it would be empty.
    pub fn table(&self, headings: &[&str], rows: Vec<Vec<String>>, if_empty: &str) {
        if rows.is_empty() {
            self.line(if_empty);
            return;
        }
        let mut table = Table::new();
        table.load_style(STYLE);
        // Only a terminal has a width to keep to; a pipe gets whole lines.
        table.set_content_arrangement(if self.terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        if !self.colour {
            table.force_no_tty();
        }
        table.set_header(headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)));
        table.add_rows(rows);
        self.line(table.trim_fmt());
    }

    /// Names and values, aligned; a value of several lines keeps its indent.
    pub fn facts(&self, facts: &[(&str, String)]) {
        let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            let value = value.replace('\n', &format!("\n{:width$}  ", ""));
            self.line(format!("{}  {value}", self.paint(Paint::Dim, format!("{name:<width$}"))));
        }
    }

    /// A state in its colour.
    #[must_use]
    pub fn state(&self, state: &str) -> String {
        let paint = match state {
            "active" | "enabled" | "ok" | "issued" | "done" | "published" => Paint::Good,
            "revoked" | "disabled" | "suspended" | "refused" | "distrusted" | "fail" => Paint::Bad,
            _ => Paint::Dim,
        };
        self.paint(paint, state)
    }
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How far `at` is from `now`, in the unit that says it best.
#[must_use]
pub fn relative(now: i64, at: i64) -> String {
    let distance = at.saturating_sub(now);
    let size = distance.saturating_abs();
    if size == 0 {
        return "now".to_owned();
    }
    let amount = match size {
        0..MINUTE => format!("{size} s"),
        MINUTE..HOUR => format!("{} min", size / MINUTE),
        HOUR..DAY => format!("{} h", size / HOUR),
        _ => format!("{} d", size / DAY),
    };
    if distance < 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

/// Seconds as a date and time (RFC 3339, UTC).
#[must_use]
pub fn instant(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// Both: for people, and exact.
#[must_use]
pub fn moment(now: i64, at: i64) -> String {
    format!("{} ({})", instant(at), relative(now, at))
}

/// A serialized word without its quotes, for enums that serde names.
#[must_use]
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_in_the_unit_that_says_them_best() {
        let at = |seconds| relative(1000, 1000 + seconds);
        assert_eq!((at(0), at(59), at(-61)), ("now".into(), "in 59 s".into(), "1 min ago".into()));
        assert_eq!((at(7200), at(-90 * DAY)), ("in 2 h".into(), "90 d ago".into()));
        assert!(relative(i64::MIN, i64::MAX).starts_with("in "));
    }

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(instant(1_795_230_000), "2026-11-21T03:00:00Z");
        assert_eq!(instant(i64::MAX), i64::MAX.to_string());
    }
}
