//! One JSON document, or a stream of events with one in each (server-sent events, HTML
//! Standard section 9.2). The first character tells which; no line is ever kept.

use super::scan::{Place, Scanner};

const DATA: &[u8] = b"data";

#[derive(Debug, Default)]
enum Form {
    #[default]
    Unknown,
    Document,
    Stream(Line),
}

/// Where in a line of an event stream the next byte is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Line {
    #[default]
    Start,
    /// So many characters of `data` have been seen, and nothing else.
    Name(usize),
    /// After the colon: one space here is not data.
    Colon,
    Data,
    Other,
    /// After a carriage return; a line feed belongs to it.
    Return,
}

/// Reads the documents of an answer one after the other.
#[derive(Debug, Default)]
pub(super) struct Events {
    form: Form,
    document: Scanner,
}

impl Events {
    /// One more byte, and the value that it ended.
    pub fn take(&mut self, byte: u8) -> Option<(Place, Vec<u8>)> {
        if matches!(self.form, Form::Unknown) {
            self.form = match byte {
                // White space, and the bytes of a byte order mark.
                b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => return None,
                b'{' | b'[' => Form::Document,
                _ => Form::Stream(Line::Start),
            };
        }
        match self.form {
            Form::Stream(line) => self.take_in_line(line, byte),
            Form::Document | Form::Unknown => self.document.take(byte),
        }
    }

    fn take_in_line(&mut self, line: Line, byte: u8) -> Option<(Place, Vec<u8>)> {
        let mut found = None;
        let next = match (line, byte) {
            (Line::Return, b'\n') => Line::Start,
            (Line::Return | Line::Start, b'\r' | b'\n') => {
                // An empty line ends the event.
                self.document = Scanner::default();
                if byte == b'\r' { Line::Return } else { Line::Start }
            }
            (Line::Colon | Line::Data, b'\r' | b'\n') => {
                // The lines of one event's data are one document.
                found = self.document.take(b'\n');
                if byte == b'\r' { Line::Return } else { Line::Start }
            }
            (_, b'\r') => Line::Return,
            (_, b'\n') => Line::Start,
            (Line::Start | Line::Return, _) if DATA.first() == Some(&byte) => Line::Name(1),
            (Line::Name(seen), b':') if seen == DATA.len() => Line::Colon,
            (Line::Name(seen), _) if DATA.get(seen) == Some(&byte) => Line::Name(seen + 1),
            (Line::Colon, b' ') => Line::Data,
            (Line::Colon | Line::Data, _) => {
                found = self.document.take(byte);
                Line::Data
            }
            (Line::Start | Line::Return | Line::Name(_) | Line::Other, _) => Line::Other,
        };
        self.form = Form::Stream(next);
        found
    }
}
