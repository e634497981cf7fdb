//! `/budget/…`: forms in, JSON out, as at the other endpoints that a relying service calls.

use super::answer::{json, oauth_error};
use super::body::{authorization, read_request};
use super::declined::{refused, with_budget};
use super::origin::origin;
use crate::app::App;
use crate::audit::Origin;
use crate::budget::{Declined, LineState, Verb, read, spend};
use crate::client::{AuthFailure, Credentials};
use crate::form::Params;
use crate::grant::refuse_stranger;
use crate::reason::Reason;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Serialize;
use stipend_schema::ledger::Receipt;

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

pub(super) async fn report(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, payload, Verb::Report).await
}

/// A line, by HTTP Basic: a GET has no form.
pub(super) async fn line(app: Data<App>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let state = async {
        let authorization = match authorization(&request) {
            Ok(authorization) => authorization,
            Err(reason) => {
                let failure = AuthFailure { reason, claimed: None };
                return Err(refuse_stranger(&app, &failure, &origin).await);
            }
        };
        let params = Params::default();
        // A certificate names no client by itself, and there is no form to name one.
        let pace = origin.pace.clone();
        let credentials = Credentials { authorization, certificate: None, params: &params, origin: &origin, pace };
        read(&app, &credentials, &id, &origin).await
    };
    read_answer(&request, &origin, state.await)
}

/// The same for every method of client authentication: the form has nothing else.
pub(super) async fn line_by_form(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let state = async {
        let form = read_request(&app, &request, payload, &origin).await?;
        read(&app, &form.credentials(&origin), &id, &origin).await
    };
    read_answer(&request, &origin, state.await)
}

fn read_answer(request: &HttpRequest, origin: &Origin, state: Result<LineState, Reason>) -> HttpResponse {
    let mut log = super::log::Line::new(origin);
    let response = match state {
        Ok(state) => with_budget(json(200, &state), state.remaining, 0),
        Err(reason) => {
            log.reason = Some(reason);
            oauth_error(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
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
    let form = read_request(app, request, payload, origin).await?;
    spend(app, &form.credentials(origin), verb, form.key, origin).await
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
