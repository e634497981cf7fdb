//! `/budget/…`: forms in, JSON out, as at the other endpoints that a relying service calls.

use super::answer::{json, oauth_error};
use super::body::read_params;
use super::origin::origin;
use super::token::authorization;
use crate::app::App;
use crate::audit::Origin;
use crate::budget::{Declined, Verb, spend};
use crate::client::Credentials;
use crate::reason::Reason;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Serialize;
use stipend_schema::ledger::{Receipt, Refusal};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What a step cost and what is left (a dictionary, RFC 9651 section 3.2).
const AGENT_BUDGET: HeaderName = HeaderName::from_static("agent-budget");

pub(super) async fn hold(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Hold).await
}

pub(super) async fn charge(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Charge).await
}

pub(super) async fn refund(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Refund).await
}

pub(super) async fn capture(app: Data<App>, request: HttpRequest, id: Path<String>, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Capture(&id)).await
}

pub(super) async fn extend(app: Data<App>, request: HttpRequest, id: Path<String>, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Extend(&id)).await
}

pub(super) async fn void(app: Data<App>, request: HttpRequest, id: Path<String>, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Void(&id)).await
}

async fn serve(app: &App, request: &HttpRequest, payload: Payload, verb: Verb<'_>) -> HttpResponse {
    let origin = origin(&app.config, request);
    let mut log = super::log::Line::new(&origin);
    let response = match answer(app, request, payload, verb, &origin).await {
        Ok(receipt) => done(&receipt),
        Err(declined) => {
            log.reason = Some(declined.reason);
            refused(&declined)
        }
    };
    request.extensions_mut().insert(log);
    response
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    verb: Verb<'_>,
    origin: &Origin,
) -> Result<Receipt, Declined> {
    let params = read_params(app, request, payload, origin).await?;
    let credentials = Credentials { authorization: authorization(request)?, params: &params, source: origin.source };
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let key = match (keys.next(), keys.next()) {
        (None, _) => None,
        // What is no text is no key; the same answer as for any other bad one.
        (Some(key), None) => Some(key.to_str().unwrap_or_default()),
        (Some(_), Some(_)) => Some(""),
    };
    spend(app, &credentials, verb, key, origin).await
}

/// What was done. Amounts in the unit's smallest part.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<&'a str>,
    spent: i64,
    overage: i64,
    held: i64,
    remaining: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thresholds: Vec<Threshold<'a>>,
}

#[derive(Serialize)]
struct Threshold<'a> {
    line: &'a str,
    percent: u8,
}

fn done(receipt: &Receipt) -> HttpResponse {
    let body = Done {
        hold: receipt.hold_id.as_deref(),
        capture: receipt.capture_id.as_deref(),
        spent: receipt.spent,
        overage: receipt.overage,
        held: receipt.held,
        remaining: receipt.remaining,
        expires_at: receipt.expires_at,
        thresholds: receipt.told.iter().map(|(line, percent)| Threshold { line, percent: *percent }).collect(),
    };
    with_budget(json(200, &body), receipt.remaining, receipt.spent)
}

fn with_budget(mut response: HttpResponse, remaining: i64, cost: i64) -> HttpResponse {
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

fn refused(declined: &Declined) -> HttpResponse {
    let reason: Reason = declined.reason;
    let (line, required, remaining, per_call) = match &declined.refusal {
        Some(Refusal::Insufficient { line_id, required, remaining }) => {
            (line_id, Some(*required), Some(*remaining), None)
        }
        Some(Refusal::PerCall { line_id, required, per_call }) => (line_id, Some(*required), None, Some(*per_call)),
        Some(Refusal::Frozen { line_id } | Refusal::Closed { line_id }) => (line_id, None, Some(0), None),
        Some(Refusal::NotFound | Refusal::Zero | Refusal::Ended | Refusal::TooMuch | Refusal::KeyReused) | None => {
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
