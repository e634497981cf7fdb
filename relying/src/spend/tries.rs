//! One order, sent until there is a definite answer: bounded in tries, time and bytes.
//!
//! A definite answer is a 200 that can be read or a 4xx of the API. Everything else - no
//! connection, silence, a 5xx, 408 or 429, an answer cut short - leaves it open whether the order was
//! done, and is settled by sending the same again.

use super::answer::{Body, MAX_ANSWER_BYTES};
use super::{MAX_TRIES, SpendError, SpendOptions};
use crate::fetch::{innermost, read_body};
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Longest pause between two tries, whatever `Retry-After` says.
const MAX_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Tries {
    most: u32,
    pause: Duration,
    deadline: Instant,
}

/// How one try ended.
enum Try<T> {
    Done(T),
    No(SpendError),
    /// Not known; the server may have said when to come again.
    Open {
        reason: String,
        after: Option<Duration>,
    },
    /// Not known, and asking again would not tell.
    Odd(String),
}

impl Tries {
    pub fn new(options: &SpendOptions) -> Self {
        let now = Instant::now();
        let deadline = now.checked_add(options.deadline).unwrap_or(now);
        Self { most: options.tries.clamp(1, MAX_TRIES), pause: options.pause, deadline }
    }

    pub async fn run<T>(
        mut self,
        request: impl Fn() -> RequestBuilder,
        read: fn(&Body) -> Option<T>,
    ) -> Result<T, SpendError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let open = |reason: String| SpendError::Unknown { tries, reason };
            let Ok(tried) = timeout_at(self.deadline, one_try(request(), read)).await else {
                return Err(open("the time for it is over".to_owned()));
            };
            let (reason, after) = match tried {
                Try::Done(answer) => return Ok(answer),
                Try::No(error) => return Err(error),
                Try::Odd(reason) => return Err(open(reason)),
                Try::Open { reason, after } => (reason, after),
            };
            let pause = after.unwrap_or(self.pause).min(MAX_PAUSE);
            let too_late = Instant::now().checked_add(pause).is_none_or(|next| next >= self.deadline);
            if tries >= self.most || too_late {
                return Err(open(reason));
            }
            sleep(pause).await;
            self.pause = self.pause.saturating_mul(2);
        }
    }
}

async fn one_try<T>(request: RequestBuilder, read: fn(&Body) -> Option<T>) -> Try<T> {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Try::Open { reason: innermost(&error), after: None },
    };
    let status = response.status();
    let after = retry_after(&response);
    let bytes = match read_body(&mut response, MAX_ANSWER_BYTES).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Try::Odd("the answer is too large".to_owned()),
        Err(error) => return Try::Open { reason: innermost(&error), after: None },
    };
    let body = Body::parse(&bytes);
    if status == StatusCode::OK {
        return match body.as_ref().and_then(read) {
            Some(answer) => Try::Done(answer),
            None => Try::Odd("the answer can't be read".to_owned()),
        };
    }
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if status.is_server_error() || later.contains(&status) {
        return Try::Open { reason: format!("the server answered {}", status.as_u16()), after };
    }
    match body.filter(|_| status.is_client_error()) {
        Some(body) => refused(status, &body),
        // A redirect, or a 4xx that is not the API's: somebody in between.
        None => Try::Odd(format!("{} is no answer of the budget API", status.as_u16())),
    }
}

/// A definite no has the API's `error`; without one, somebody in between may have spoken.
fn refused<T>(status: StatusCode, body: &Body) -> Try<T> {
    let Some(error) = body.error() else {
        return Try::Odd(format!("{} is no answer of the budget API", status.as_u16()));
    };
    Try::No(match (status.as_u16(), error.as_str()) {
        (403, "insufficient_budget") => SpendError::Insufficient(body.insufficient()),
        (403, "invalid_token") => SpendError::TokenNotActive,
        (404, "not_found") => SpendError::NotFound,
        (409, "hold_ended") => SpendError::Ended,
        (422, "idempotency_key_reused") => SpendError::KeyReused,
        (401, _) => SpendError::Unauthenticated,
        (status, _) => SpendError::Refused { status, error },
    })
}

/// RFC 9110 section 10.2.3, as seconds; a date is left aside.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
