//! What a handler behind the guard asks for: who calls, and where to say what it cost.

use crate::refusal::Refusal;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use std::cell::Cell;
use std::future::{Ready, ready};
use std::ops::Deref;
use std::rc::Rc;
use stipend_token::AccessToken;
use stipend_token::budget::Amount;

/// The verified token of the request.
#[derive(Clone, Debug)]
pub struct Caller(pub(super) Rc<AccessToken>);

impl Deref for Caller {
    type Target = AccessToken;

    fn deref(&self) -> &AccessToken {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Without the guard nobody was verified.
        ready(request.extensions().get::<Self>().cloned().ok_or(Refusal::Unavailable))
    }
}

/// What was set aside for the request, and what of it the work really cost.
#[derive(Clone, Debug)]
pub struct Charge {
    pub(super) held: Amount,
    pub(super) cost: Rc<Cell<Option<Amount>>>,
}

impl Charge {
    /// What was set aside.
    #[must_use]
    pub fn held(&self) -> Amount {
        self.held
    }

    /// Says what the work cost; the last word counts. Unsaid, it cost what was set aside, or
    /// nothing where the answer is a 5xx. More than was set aside is booked on lines that the
    /// server counts, and not on carved ones.
    pub fn cost(&self, amount: Amount) {
        self.cost.set(Some(amount));
    }
}

impl FromRequest for Charge {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(Refusal::Unavailable))
    }
}
