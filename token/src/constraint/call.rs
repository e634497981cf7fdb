//! The facts about one call. Each is of a type that only its strict reader makes, so that a call
//! that could be read in two ways is none.

use super::host::Host;
use super::method::Method;
use super::path::CanonicalPath;
use crate::Timestamp;
use crate::json::{JsonError, Limits, parse_value};
use serde_json::Value;
use std::net::IpAddr;

/// Longest body that a selector reads. A caller may set less, and then says
/// [`Unreadable::TooLong`] itself.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Deepest nesting of a body that a selector reads.
pub const MAX_BODY_DEPTH: usize = 32;

/// A call that is to be made with a credential.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The request, where it goes through us. `None` where the credential is released and the
    /// agent makes its calls itself: what would have to be seen in a request is then denied.
    pub request: Option<Request<'a>>,
    /// Where the agent's request came from. `None`: it is not known, and `source` denies.
    pub source: Option<IpAddr>,
    pub now: Timestamp,
    pub counted: Counted<'a>,
}

/// A request as it is to be forwarded.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// Whether anything in the request names another method: a header for which
    /// [`super::is_method_override_header`] holds, or a query for which
    /// [`super::query_overrides_method`] does. Some servers read such a parameter in a form's
    /// body as well; whoever forwards forms looks there too.
    pub method_overridden: bool,
    /// The host that is connected to, not the agent's `Host` header.
    pub host: &'a Host,
    pub path: &'a CanonicalPath,
    pub body: &'a Body,
}

/// What was counted before this call. A count that is not given is not judged; either way the
/// verdict says what has to be counted, in one step with the call, before it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<'a> {
    pub uses: Option<u64>,
    /// Calls in the last `per_s` seconds, by span.
    pub rates: &'a [RateCount],
}

/// Calls in the last `per_s` seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateCount {
    pub per_s: u32,
    pub count: u64,
}

/// A request's body, as a selector may read it.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    None,
    Json(StrictJson),
    Unreadable(Unreadable),
}

/// JSON that was read by [`crate::json`]: no member twice, UTF-8, nothing after it.
#[derive(Clone, Debug, PartialEq)]
pub struct StrictJson(Value);

impl StrictJson {
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// Why no selector can read a body.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Unreadable {
    /// It has a content coding, as `gzip`.
    Encoded,
    /// It is longer than what is read, or its length was not known before it ended.
    TooLong,
    /// Its media type is not JSON.
    OtherType,
    /// An object names a member twice.
    DuplicateMember,
    /// It says that it is JSON and is not, or is nested too deeply.
    Malformed,
}

impl Unreadable {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encoded => "body_encoded",
            Self::TooLong => "body_too_long",
            Self::OtherType => "body_other_type",
            Self::DuplicateMember => "body_duplicate_member",
            Self::Malformed => "body_malformed",
        }
    }
}

impl Body {
    /// Reads a body whose media type is JSON and that has no content coding. These bytes, and no
    /// others, are then to be forwarded.
    #[must_use]
    pub fn parse_json(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::None;
        }
        match parse_value(bytes, Limits { max_bytes: MAX_BODY_BYTES, max_depth: MAX_BODY_DEPTH }) {
            Ok(value) => Self::Json(StrictJson(value)),
            Err(error) => Self::Unreadable(match error {
                JsonError::TooLarge => Unreadable::TooLong,
                JsonError::DuplicateMember => Unreadable::DuplicateMember,
                JsonError::NotUtf8
                | JsonError::TooDeep
                | JsonError::Syntax
                | JsonError::TrailingData
                | JsonError::Nul
                | JsonError::NotAnObject
                | JsonError::Member { .. } => Unreadable::Malformed,
            }),
        }
    }
}
