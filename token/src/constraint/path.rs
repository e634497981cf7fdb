//! One reading of a request's path.
//!
//! A path is matched here and read again by whatever stands upstream. Where two readers could
//! see two paths (a slash that is encoded, a segment of dots, an encoding of an encoding), the
//! path is refused; nothing is repaired. What passes is the canonical form, and that form alone
//! is matched and forwarded. Never forward the text that came in.

use super::lookalike::is_lookalike;
use std::fmt;

/// Longest path, in bytes, as it came in.
pub const MAX_PATH_BYTES: usize = 2048;
/// Most segments of a path.
pub const MAX_SEGMENTS: usize = 64;

/// An absolute path without its query: percent-encoding only where it is needed, in upper case
/// (RFC 3986 section 6.2.2), and no reader sees other segments in it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CanonicalPath(String);

/// Why a path is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    #[error("the path has more than 2048 bytes or 64 segments")]
    TooLong,
    #[error("the path has a character that must be percent-encoded")]
    Character,
    #[error("a percent sign is not followed by two hexadecimal digits")]
    Percent,
    #[error("the path is percent-encoded twice")]
    DoubleEncoding,
    #[error("the path has a backslash or an encoded slash, backslash, question mark or number sign")]
    Delimiter,
    #[error("the path has a semicolon")]
    Parameter,
    #[error("the path has a control character")]
    Control,
    #[error("the path is not UTF-8")]
    NotUtf8,
    #[error("the path has an empty segment")]
    EmptySegment,
    #[error("the path has a segment of dots")]
    DotSegment,
    #[error("a segment ends in a dot or a space")]
    SegmentEnd,
    #[error("the path has a character that some readers take for a delimiter, or don't see")]
    Lookalike,
}

impl CanonicalPath {
    /// Reads the path of a request's target, without the query. Unreserved characters that are
    /// percent-encoded are decoded, once; other encodings stay.
    ///
    /// # Errors
    /// [`PathError`] for whatever two readers could read differently.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        if raw.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let segments = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let last = segments.split('/').count();
        if last > MAX_SEGMENTS {
            return Err(PathError::TooLong);
        }
        let mut text = String::with_capacity(raw.len());
        for (place, segment) in (1..).zip(segments.split('/')) {
            // One slash at the end is a path of its own; anywhere else readers collapse it.
            if segment.is_empty() && place != last {
                return Err(PathError::EmptySegment);
            }
            text.push('/');
            push_segment(&mut text, segment)?;
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path and the query of a request's target, parted at the first `?`.
#[must_use]
pub fn split_query(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

fn push_segment(text: &mut String, segment: &str) -> Result<(), PathError> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            check_literal(byte)?;
            decoded.push(byte);
            text.push(char::from(byte));
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) else {
            return Err(PathError::Percent);
        };
        let byte = high * 16 + low;
        check_encoded(byte)?;
        decoded.push(byte);
        if is_unreserved(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    check_decoded(std::str::from_utf8(&decoded).map_err(|_| PathError::NotUtf8)?)
}

/// RFC 3986 section 3.3, `pchar`, less the semicolon.
fn check_literal(byte: u8) -> Result<(), PathError> {
    match byte {
        b';' => Err(PathError::Parameter),
        b'\\' => Err(PathError::Delimiter),
        _ if byte.is_ascii_control() => Err(PathError::Control),
        _ if is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte) => Ok(()),
        _ => Err(PathError::Character),
    }
}

fn check_encoded(byte: u8) -> Result<(), PathError> {
    match byte {
        b'%' => Err(PathError::DoubleEncoding),
        b'/' | b'\\' | b'?' | b'#' => Err(PathError::Delimiter),
        b';' => Err(PathError::Parameter),
        _ if byte.is_ascii_control() => Err(PathError::Control),
        _ => Ok(()),
    }
}

/// Looks at a segment as a reader does that decodes it whole.
fn check_decoded(segment: &str) -> Result<(), PathError> {
    if matches!(segment, "." | "..") {
        return Err(PathError::DotSegment);
    }
    if segment.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    // Windows drops dots and spaces at the end of a name, so that `.. ` is `..` there.
    if segment.ends_with('.') || segment.ends_with(char::is_whitespace) {
        return Err(PathError::SegmentEnd);
    }
    if segment.chars().any(is_lookalike) { Err(PathError::Lookalike) } else { Ok(()) }
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
