//! Tells the steps so that a person can follow them.

use serde_json::Value;
use std::io::{Result, Write};

/// Widest value that is shown whole.
const MAX_SHOWN: usize = 96;

pub(super) struct Narrator<'a, W: Write> {
    out: &'a mut W,
    colour: bool,
    steps: usize,
}

impl<'a, W: Write> Narrator<'a, W> {
    pub fn new(out: &'a mut W, colour: bool) -> Self {
        Self { out, colour, steps: 0 }
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn title(&mut self, text: &str) -> Result<()> {
        let text = self.paint("1", text);
        writeln!(self.out, "\n{text}")
    }

    pub fn note(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "   {text}")
    }

    /// A numbered step: what is done.
    pub fn step(&mut self, text: &str) -> Result<()> {
        self.steps += 1;
        let head = self.paint("1;36", &format!("{:>2}", self.steps));
        writeln!(self.out, "\n{head} {}", self.paint("1", text))
    }

    /// The request, as it goes over the wire.
    pub fn request(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "   {} {text}", self.paint("2", "→"))
    }

    /// What came back.
    pub fn answer(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "   {} {text}", self.paint("2", "←"))
    }

    /// The members of an answer that matter, one a line.
    pub fn members(&mut self, object: &Value, names: &[&str]) -> Result<()> {
        let widest = names.iter().map(|name| name.len()).max().unwrap_or_default();
        for name in names {
            let value = match object.get(name) {
                Some(Value::String(text)) => shorten(text),
                Some(other) => shorten(&other.to_string()),
                None => "(absent)".to_owned(),
            };
            writeln!(self.out, "     {} {value}", self.paint("2", &format!("{name:<widest$}")))?;
        }
        Ok(())
    }

    /// What this shows.
    pub fn shows(&mut self, text: &str) -> Result<()> {
        let mark = self.paint("32", "✓");
        writeln!(self.out, "   {mark} {text}")
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(MAX_SHOWN).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shortened_between_characters() {
        assert_eq!(shorten("short"), "short");
        let long = "ä".repeat(200);
        assert_eq!(shorten(&long).chars().count(), MAX_SHOWN + 1);
    }
}
