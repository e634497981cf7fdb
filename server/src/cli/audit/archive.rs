//! The file of an export: one JSON object a line. First who it is from and with which keys
//! its checkpoints are signed, then each writer's records in order with their checkpoints, and
//! last how many records there are, so that a file that was cut off is seen.

use super::super::error::CliError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::{BufRead, Read, Write};

/// Longest line. A record is a few hundred bytes.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
const FORMAT: &str = "stipend-audit-1";

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Head {
    pub format: String,
    pub issuer: String,
    /// Public JWKs.
    pub keys: Vec<Map<String, Value>>,
}

impl Head {
    pub fn new(issuer: String, keys: Vec<Map<String, Value>>) -> Self {
        Self { format: FORMAT.to_owned(), issuer, keys }
    }
}

/// Any other line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    Record {
        record: String,
        hash: String,
    },
    Checkpoint {
        checkpoint: String,
    },
    /// That the chain begins later: signed.
    Pruned {
        pruning: String,
    },
    /// That something was taken out of a record: signed.
    Redacted {
        redaction: String,
    },
    /// The last one: how many records there are.
    End {
        end: u64,
    },
}

pub(super) fn write(out: &mut impl Write, line: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(line).map_err(|error| CliError::failed("export", error.to_string()))?;
    writeln!(out, "{text}").map_err(|error| CliError::failed("export", format!("the file can't be written: {error}")))
}

/// Reads a file line by line, never more than one line at once.
pub(super) struct Reader<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line as well.
    pub fn open(input: R) -> Result<(Head, Self), CliError> {
        let mut reader = Self { input, line: 0 };
        match reader.next_json::<Head>() {
            Ok(Some(head)) if head.format == FORMAT => Ok((head, reader)),
            _ => Err(CliError::usage("this is no file of `stipend audit export`")),
        }
    }

    pub fn next(&mut self) -> Result<Option<Line>, CliError> {
        self.next_json()
    }

    fn next_json<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, CliError> {
        let mut text = String::new();
        let at = self.line.saturating_add(1);
        let broken = |what: &dyn std::fmt::Display| CliError::failed("not_proved", format!("line {at}: {what}"));
        let mut bounded = (&mut self.input).take(MAX_LINE_BYTES);
        let read = bounded.read_line(&mut text).map_err(|error| broken(&error))?;
        self.line = at;
        if read == 0 {
            return Ok(None);
        }
        if !text.ends_with('\n') {
            return Err(broken(&"the line is cut off, or longer than 1 MiB"));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| broken(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    type Opened = (Head, Reader<Cursor<Vec<u8>>>);

    fn archive(lines: &str) -> Result<Opened, CliError> {
        let head = serde_json::to_string(&Head::new("https://as.example".to_owned(), Vec::new())).unwrap();
        Reader::open(Cursor::new(format!("{head}\n{lines}").into_bytes()))
    }

    #[test]
    fn lines_are_records_or_checkpoints() {
        let (head, mut reader) = archive("{\"record\":\"{}\",\"hash\":\"x\"}\n{\"checkpoint\":\"a.b.c\"}\n").unwrap();
        assert_eq!(head.issuer, "https://as.example");
        assert!(matches!(reader.next().unwrap(), Some(Line::Record { .. })));
        assert!(matches!(reader.next().unwrap(), Some(Line::Checkpoint { .. })));
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_refused() {
        let (_, mut reader) = archive("{\"record\":\"{}\",\"hash\":\"x\"}").unwrap();
        assert!(reader.next().unwrap_err().message.contains("line 2"));
        let (_, mut reader) = archive(&format!("{}\n", "x".repeat(2 * 1024 * 1024))).unwrap();
        assert!(reader.next().unwrap_err().message.contains("cut off"));
        assert!(Reader::open(Cursor::new(b"{}\n".to_vec())).is_err());
        assert!(Reader::open(Cursor::new(b"".to_vec())).is_err());
    }
}
