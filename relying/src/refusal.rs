//! What a service answers to a caller it does not serve: status, challenge and body.
//!
//! A token that is not good enough is answered as RFC 6750 section 3.1 says, with a
//! challenge. A budget that is not large enough is no matter of authentication: 403 with a
//! JSON body in the words of the server's own `/budget` API, and never 402 or 429. Nor is a
//! call that a constraint does not admit. Nothing here repeats anything of the token.

use crate::error::{BearerCode, VerifyError};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::fmt;
use stipend_token::constraint::{Kind, Reason};

/// `Retry-After` of a 503, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// A budget that does not admit what was asked. Amounts in the unit's smallest part.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{description}")]
pub struct BudgetRefusal {
    pub description: Cow<'static, str>,
    /// The line that refused, where there is one.
    pub line: Option<String>,
    pub required: Option<i64>,
    pub remaining: Option<i64>,
    /// Said instead of `remaining` where one call asked for more than a call may take.
    pub per_call: Option<i64>,
}

impl BudgetRefusal {
    /// The `error` of its body.
    pub const ERROR: &'static str = "insufficient_budget";

    pub(crate) fn new(description: &'static str, line: Option<&str>, required: i64) -> Self {
        let line = line.map(str::to_owned);
        let description = Cow::Borrowed(description);
        Self { description, line, required: Some(required), remaining: None, per_call: None }
    }

    pub(crate) fn remaining(mut self, remaining: i64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    pub(crate) fn per_call(mut self, per_call: i64) -> Self {
        self.per_call = Some(per_call);
        self
    }
}

/// Why a request is not served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// No `Authorization: Bearer`.
    NoToken,
    /// More than one `Authorization`, or one that is no text.
    BadRequest,
    Token(VerifyError),
    /// The server says that the token is not active, though its signature holds.
    NotActive,
    Scope {
        required: String,
    },
    Budget(BudgetRefusal),
    /// The token's ceiling does not name the credential, or not for this action.
    Credential,
    /// The token's ceiling does not admit this call.
    Constraint {
        constraint: Kind,
        reason: Reason,
    },
    /// The fault is ours or the issuer's.
    Unavailable,
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        if error.bearer_code().is_some() { Self::Token(error) } else { Self::Unavailable }
    }
}

impl From<BudgetRefusal> for Refusal {
    fn from(refusal: BudgetRefusal) -> Self {
        Self::Budget(refusal)
    }
}

impl Refusal {
    /// The `error` of a call that a constraint does not admit.
    pub const CONSTRAINT_VIOLATED: &'static str = "constraint_violated";

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NoToken | Self::NotActive => 401,
            Self::Token(error) => error.status(),
            Self::Scope { .. } | Self::Budget(_) | Self::Credential | Self::Constraint { .. } => 403,
            Self::Unavailable => 503,
        }
    }

    /// The `error` of the body, and of the challenge where there is one.
    #[must_use]
    pub fn error(&self) -> &'static str {
        match self {
            Self::NoToken | Self::NotActive => BearerCode::InvalidToken.as_str(),
            Self::BadRequest => "invalid_request",
            Self::Token(error) => error.bearer_code().map_or("temporarily_unavailable", BearerCode::as_str),
            // RFC 6750 section 3.1: "higher privileges than provided by the access token". The token
            // is valid, and another one that names the credential would do.
            Self::Scope { .. } | Self::Credential => BearerCode::InsufficientScope.as_str(),
            Self::Budget(_) => BudgetRefusal::ERROR,
            Self::Constraint { .. } => Self::CONSTRAINT_VIOLATED,
            Self::Unavailable => "temporarily_unavailable",
        }
    }

    /// The `WWW-Authenticate` to send (RFC 6750 section 3).
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        match self {
            // RFC 6750 section 3.1: a request without authentication is told no error code.
            Self::NoToken => Some("Bearer".to_owned()),
            Self::Token(error) => error.www_authenticate(),
            // No scope is named for a credential: one more scope would not help.
            Self::BadRequest | Self::NotActive | Self::Credential => {
                Some(format!("Bearer error=\"{}\", error_description=\"{self}\"", self.error()))
            }
            Self::Scope { required } => {
                let mut text = format!("Bearer error=\"{}\", error_description=\"{self}\"", self.error());
                // RFC 6749 section 3.3: no quote and no backslash is in a scope.
                if required.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
                    text.push_str(&format!(", scope=\"{required}\""));
                }
                Some(text)
            }
            // A challenge would ask for another token, and it is another call that is needed.
            Self::Budget(_) | Self::Constraint { .. } | Self::Unavailable => None,
        }
    }

    /// The `Retry-After` to send, in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        (self.status() == 503).then_some(RETRY_AFTER_SECONDS)
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("error".to_owned(), json!(self.error()));
        body.insert("error_description".to_owned(), json!(self.to_string()));
        if let Self::Constraint { constraint, reason } = self {
            body.insert("constraint".to_owned(), json!(constraint.as_str()));
            body.insert("reason".to_owned(), json!(reason.as_str()));
        }
        if let Self::Budget(refusal) = self {
            if let Some(line) = &refusal.line {
                body.insert("line".to_owned(), json!(line));
            }
            let amounts =
                [("required", refusal.required), ("remaining", refusal.remaining), ("per_call", refusal.per_call)];
            for (name, amount) in amounts {
                if let Some(amount) = amount {
                    body.insert(name.to_owned(), json!(amount));
                }
            }
        }
        Value::Object(body)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str("an access token is needed"),
            Self::BadRequest => f.write_str("send one Authorization header"),
            Self::Token(error) => error.fmt(f),
            Self::NotActive => f.write_str("the token is not active"),
            Self::Scope { .. } => VerifyError::MissingScope.fmt(f),
            Self::Budget(refusal) => refusal.fmt(f),
            Self::Credential => f.write_str("the token is not for this use of the credential"),
            Self::Constraint { .. } => f.write_str("the token's constraints do not admit this call"),
            Self::Unavailable => f.write_str("this can't be decided now: try again"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_challenged_and_named() {
        let refusal = Refusal::Scope { required: "orders:refund".to_owned() };
        assert_eq!((refusal.status(), refusal.error()), (403, "insufficient_scope"));
        let challenge = refusal.www_authenticate().unwrap();
        assert!(challenge.starts_with("Bearer error=\"insufficient_scope\", error_description=\""), "{challenge}");
        assert!(challenge.ends_with(", scope=\"orders:refund\""), "{challenge}");
        let hostile = Refusal::Scope { required: "a\", error=\"b".to_owned() };
        assert!(!hostile.www_authenticate().unwrap().contains("scope=\""));
    }

    #[test]
    fn a_budget_refusal_is_the_servers_body_without_a_challenge() {
        let refusal = Refusal::Budget(BudgetRefusal::new("no", Some("bl_1"), 7).remaining(3));
        assert_eq!((refusal.status(), refusal.www_authenticate(), refusal.retry_after()), (403, None, None));
        let body = json!({"error": "insufficient_budget", "error_description": "no", "line": "bl_1", "required": 7, "remaining": 3});
        assert_eq!(refusal.body(), body);
        let capped = Refusal::Budget(BudgetRefusal::new("no", Some("bl_1"), 7).per_call(5)).body();
        assert_eq!((&capped["per_call"], capped.get("remaining")), (&json!(5), None));
    }

    #[test]
    fn who_sends_no_token_is_told_no_error_code_and_own_trouble_is_503() {
        assert_eq!(Refusal::NoToken.www_authenticate().as_deref(), Some("Bearer"));
        let trouble = Refusal::from(VerifyError::KeysUnavailable);
        assert_eq!((trouble.status(), trouble.retry_after(), trouble.www_authenticate()), (503, Some(1), None));
        let expired = Refusal::from(VerifyError::Expired);
        assert_eq!((expired.status(), expired.error(), expired.retry_after()), (401, "invalid_token", None));
    }
}
