//! A [`Refusal`] as an actix response, and the `Agent-Budget` header.

use crate::error::proof_algorithms;
use crate::refusal::Refusal;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

/// What a request cost and what is left (a dictionary, RFC 9651 section 3.2).
const AGENT_BUDGET: HeaderName = HeaderName::from_static("agent-budget");

pub(super) fn tell_budget(headers: &mut HeaderMap, remaining: i64, cost: i64) {
    if let Ok(value) = HeaderValue::from_str(&format!("remaining={remaining}, cost={cost}")) {
        headers.insert(AGENT_BUDGET, value);
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code()).json(self.body());
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.www_authenticate().and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if matches!(self, Self::NoToken) {
            // RFC 9449 section 7.1: that there is another scheme, and no error.
            if let Ok(challenge) = HeaderValue::from_str(&format!("DPoP {}", proof_algorithms())) {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::Budget(refusal) = self
            && let Some(remaining) = refusal.remaining
        {
            tell_budget(headers, remaining, 0);
        }
        response
    }
}
