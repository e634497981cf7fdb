//! The method of a call, and what would make the upstream see another one.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest method.
const MAX_METHOD_BYTES: usize = 32;
/// Headers by which a server is told to read another method than the request line's. Names are
/// compared without regard to case, and `_` counts as `-`: many servers make them one.
pub const METHOD_OVERRIDE_HEADERS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// The parameter that does the same.
const METHOD_OVERRIDE_PARAMETER: &[u8] = b"_method";

/// A method as it is registered (RFC 9110 section 16.1): capitals, and hyphens within.
/// Methods are case-sensitive, so `post` is none.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Method(String);

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MethodError {
    #[error("a method is a word of capital letters, hyphens within, 32 at most")]
    Malformed,
    #[error("CONNECT, TRACE and TRACK are never made with a credential")]
    Forbidden,
}

impl Method {
    /// # Errors
    /// [`MethodError`]. `CONNECT` opens a tunnel that nobody looks into; `TRACE` and `TRACK`
    /// answer with the request's headers, and so with the credential.
    pub fn parse(text: &str) -> Result<Self, MethodError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if text.is_empty() || text.len() > MAX_METHOD_BYTES || !plain || text.starts_with('-') || text.ends_with('-') {
            return Err(MethodError::Malformed);
        }
        match text {
            "CONNECT" | "TRACE" | "TRACK" => Err(MethodError::Forbidden),
            _ => Ok(Self(text.to_owned())),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Method {
    type Error = MethodError;

    fn try_from(text: String) -> Result<Self, MethodError> {
        Self::parse(&text)
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a header is one of [`METHOD_OVERRIDE_HEADERS`].
#[must_use]
pub fn is_method_override_header(name: &str) -> bool {
    let same = |(a, b): (u8, u8)| a.to_ascii_lowercase() == b || (a == b'_' && b == b'-');
    METHOD_OVERRIDE_HEADERS.iter().any(|known| known.len() == name.len() && name.bytes().zip(known.bytes()).all(same))
}

/// Whether a query has a `_method` parameter, however it is written: in any case, encoded or not,
/// with the characters that some readers turn into an underscore or drop in front.
#[must_use]
pub fn query_overrides_method(query: &str) -> bool {
    query.split(['&', ';']).any(|part| {
        let name = decode(part.split_once('=').map_or(part, |(name, _)| name));
        let name: Vec<u8> = name.trim_ascii_start().iter().map(|byte| as_in_a_name(*byte)).collect();
        // `_method[]` and `_method.x` are members of the same name to some readers.
        name.starts_with(METHOD_OVERRIDE_PARAMETER)
    })
}

fn as_in_a_name(byte: u8) -> u8 {
    if matches!(byte, b'.' | b'[' | b' ') { b'_' } else { byte.to_ascii_lowercase() }
}

/// Decodes a part of a query as forms do, and leaves what is malformed.
fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let pair = ahead.next().zip(ahead.next()).and_then(|(high, low)| hex_pair(high, low));
        match (byte, pair) {
            (b'%', Some(value)) => {
                decoded.push(value);
                bytes = ahead;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_written_as_it_is_registered() {
        for text in ["GET", "POST", "PATCH", "M-SEARCH", "VERSION-CONTROL", "PROPFIND"] {
            assert_eq!(Method::parse(text).unwrap().as_str(), text);
        }
        let long = "A".repeat(33);
        let odd = ["", "post", "Post", "pOST", " POST", "POST ", "POST\r\n", "PO ST", "*", "-", "-GET", "GET-", "GET1"];
        for text in odd.into_iter().chain(["ＰＯＳＴ", "POST\0", "GET,POST", "G\u{415}T", &long]) {
            assert_eq!(Method::parse(text), Err(MethodError::Malformed), "{text:?}");
        }
        for text in ["CONNECT", "TRACE", "TRACK"] {
            assert_eq!(Method::parse(text), Err(MethodError::Forbidden), "{text}");
        }
    }

    #[test]
    fn whatever_names_another_method_is_seen() {
        for name in ["X-HTTP-Method-Override", "x-http-method", "X-METHOD-OVERRIDE", "X_HTTP_Method_Override"] {
            assert!(is_method_override_header(name), "{name}");
        }
        for name in ["", "x-http-methods", "x-method", "method", "x-http-method-override "] {
            assert!(!is_method_override_header(name), "{name}");
        }
        for query in ["_method=DELETE", "a=1&_method=PUT", "%5fmethod=x", "%5F%6dethod", "a;_METHOD=x", "_method[]=x"] {
            assert!(query_overrides_method(query), "{query}");
        }
        for query in ["+_method=x", "%20_method=x", ".method=x", "[method=x", "a&%2Emethod"] {
            assert!(query_overrides_method(query), "{query}");
        }
        for query in ["", "method=DELETE", "a=_method", "x_method=1", "%", "%5", "%5g_method=1", "%25"] {
            assert!(!query_overrides_method(query), "{query}");
        }
    }
}
