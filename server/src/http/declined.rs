//! Refusals by the ledger: the OAuth error, and which line does not have it.

use super::answer::{json, oauth_error};
use crate::budget::Declined;
use crate::reason::Reason;
use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use stipend_schema::ledger::Refusal;

/// What a step cost and what is left (a dictionary, RFC 9651 section 3.2).
const AGENT_BUDGET: HeaderName = HeaderName::from_static("agent-budget");

pub(super) fn with_budget(mut response: HttpResponse, remaining: i64, cost: i64) -> HttpResponse {
    if let Ok(value) = HeaderValue::from_str(&format!("remaining={remaining}, cost={cost}")) {
        response.headers_mut().insert(AGENT_BUDGET, value);
    }
    response
}

#[derive(Serialize)]
struct Refused<'a> {
    error: &'static str,
    error_description: &'static str,
    line: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_call: Option<i64>,
}

pub(super) fn refused(declined: &Declined) -> HttpResponse {
    let reason: Reason = declined.reason;
    let (line, required, remaining, per_call) = match &declined.refusal {
        Some(Refusal::Insufficient { line_id, required, remaining }) => {
            (line_id, Some(*required), Some(*remaining), None)
        }
        Some(Refusal::PerCall { line_id, required, per_call }) => (line_id, Some(*required), None, Some(*per_call)),
        Some(Refusal::Closed { line_id }) => (line_id, None, Some(0), None),
        Some(Refusal::Carved { line_id } | Refusal::Children { line_id }) => (line_id, None, None, None),
        Some(
            Refusal::NotFound
            | Refusal::Zero
            | Refusal::Ended
            | Refusal::TooMuch
            | Refusal::KeyReused
            | Refusal::Backwards,
        )
        | None => {
            return oauth_error(reason);
        }
    };
    let code = reason.code();
    let body =
        Refused { error: code.error(), error_description: reason.description(), line, required, remaining, per_call };
    let response = json(code.status(), &body);
    match remaining {
        Some(remaining) => with_budget(response, remaining, 0),
        None => response,
    }
}
