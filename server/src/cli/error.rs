//! Why a command failed, in one line that says what to do, and its exit code.

use crate::admin::api::Problem;
use serde_json::{Value, json};
use std::fmt;
use std::process::ExitCode;

/// The exit codes, as `--help` documents them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// 1: refused, or a check failed.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: the server can't be reached.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// A failure as it is shown.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    /// A word for programs.
    pub code: String,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl CliError {
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code: code.to_owned(), message: message.into(), hint: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed("usage", message) }
    }

    pub fn unreachable(message: impl Into<String>) -> Self {
        let hint = "is it running, and is --issuer (STIPEND_ISSUER) right? `stipend doctor` looks closer";
        Self { exit: Exit::Unreachable, ..Self::failed("unreachable", message) }.hint(hint)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A refusal of the admin API (RFC 9457).
    pub fn from_problem(status: u16, body: &Value) -> Self {
        let Ok(problem) = serde_json::from_value::<Problem>(body.clone()) else {
            return Self::failed("unexpected_answer", format!("the server answered {status}"));
        };
        let mut message = problem.detail;
        for error in problem.errors {
            let one = format!("{}: {}", error.pointer, error.detail);
            // Where one thing is wrong, the detail says it already.
            if one != message {
                message.push_str(&format!("; {one}"));
            }
        }
        let error = Self::failed(&problem.code, message);
        match hint_for(status, &error.code) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// A refusal of an OAuth endpoint (RFC 6749 section 5.2).
    pub fn from_oauth(status: u16, error: &str, description: Option<&str>) -> Self {
        let message = match description {
            Some(description) => format!("{error}: {description}"),
            None => format!("{error} ({status})"),
        };
        let failed = Self::failed(error, message);
        match error {
            "invalid_client" => failed.hint("check --client-id (STIPEND_CLIENT_ID) and STIPEND_CLIENT_SECRET"),
            "invalid_scope" | "invalid_target" => {
                failed.hint("`stipend rule explain` says which rule lets what through")
            }
            "temporarily_unavailable" | "too_many_requests" => failed.hint("try again in a moment"),
            _ => failed,
        }
    }

    pub fn to_json(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message, "hint": self.hint } })
    }
}

fn hint_for(status: u16, code: &str) -> Option<&'static str> {
    match (status, code) {
        (_, "already_exists") => Some("it is there with other settings: look with `show`, change it with `update`"),
        (_, "not_narrower") => Some("`narrow` only takes away; `agent update` may widen"),
        (_, "too_many_secrets") => Some("two may be valid at once: remove one with `stipend agent secret remove`"),
        (401, _) => Some("is STIPEND_TOKEN old, or for another issuer?"),
        (403, _) => Some("`stipend whoami` shows your roles and scopes"),
        (404, _) => Some("check the id with `list`; what you may not see looks the same"),
        (429 | 503, _) => Some("try again in a moment"),
        _ => None,
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_becomes_one_line_with_every_member_at_fault() {
        let body = json!({
            "type": "about:blank", "title": "Bad Request", "status": 400, "detail": "the body is not valid",
            "code": "invalid_body", "errors": [{ "pointer": "/ttl_seconds", "detail": "1 to 3600" }],
        });
        let error = CliError::from_problem(400, &body);
        assert_eq!(error.to_string(), "the body is not valid; /ttl_seconds: 1 to 3600");
        assert_eq!(error.exit, Exit::Failed);
    }

    #[test]
    fn what_is_no_problem_document_still_makes_a_sentence() {
        let error = CliError::from_problem(502, &json!("<html>"));
        assert_eq!(error.to_string(), "the server answered 502");
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = CliError::from_oauth(401, "invalid_client", Some("client authentication failed"));
        assert!(error.to_string().contains("STIPEND_CLIENT_SECRET"), "{error}");
    }
}
