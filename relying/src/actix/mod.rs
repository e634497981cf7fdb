//! The actix middleware (feature `actix`): a token, a scope and a budget before the handler
//! runs, the cost after it.
//!
//! From the hold on a request runs in a task of its own, so that a caller who hangs up neither
//! stops the work half-way nor keeps its cost from being booked. What that task can't finish
//! (it is stopped, it panics, the process dies) is left to [`Holds::recover`].
//! It decides nothing itself that [`require_budget`](crate::require_budget), the counter and
//! the server do not, and reads the time from the clock it is given.

mod answer;
mod extract;
mod service;

pub use extract::{Caller, Charge};
pub use service::GuardService;

use crate::counter::Counter;
use crate::holds::Holds;
use crate::verifier::Verifier;
use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use std::fmt;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use stipend_token::Timestamp;
use stipend_token::budget::{Amount, Unit};

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
type CertificateOf = Arc<dyn Fn(&ServiceRequest) -> Option<String> + Send + Sync>;
type PriceOf = Arc<dyn Fn(&ServiceRequest) -> Amount + Send + Sync>;

/// Life of a hold, in seconds, unless told otherwise.
const HOLD_SECONDS: i64 = 60;
/// Longest time a handler may take.
const WORK_LIMIT: Duration = Duration::from_secs(55);

/// What requests must bring. A middleware: `App::new().wrap(guard)` or for one scope or
/// resource; cheap to clone, one for each worker.
#[derive(Clone)]
pub struct Guard {
    verifier: Arc<Verifier>,
    clock: Clock,
    scope: Option<String>,
    price: Option<(Unit, PriceOf)>,
    holds: Option<Holds>,
    counter: Option<Arc<Counter>>,
    hold_seconds: i64,
    work_limit: Duration,
    public_url: Option<String>,
    certificate: Option<CertificateOf>,
}

impl Guard {
    /// Requires a token that `verifier` accepts; `clock` answers seconds since the epoch.
    pub fn new(verifier: Arc<Verifier>, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            verifier,
            clock: Arc::new(clock),
            scope: None,
            price: None,
            holds: None,
            counter: None,
            hold_seconds: HOLD_SECONDS,
            work_limit: WORK_LIMIT,
            public_url: None,
            certificate: None,
        }
    }

    /// Where clients reach this service, for the URLs in their DPoP proofs: scheme, host and port,
    /// and what a proxy in front takes off the path. Unsaid, the origin of the resource identifier.
    #[must_use]
    pub fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// How the `x5t#S256` of a client's certificate is found, for tokens bound to one: from what
    /// the TLS listener keeps with the connection, or from a proxy of the service's own. Unsaid,
    /// such tokens are refused.
    #[must_use]
    pub fn certificate_by(
        mut self,
        certificate: impl Fn(&ServiceRequest) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.certificate = Some(Arc::new(certificate));
        self
    }

    /// Requires a scope as well.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// Sets `amount` aside before the handler runs.
    #[must_use]
    pub fn price(self, unit: Unit, amount: Amount) -> Self {
        self.price_by(unit, move |_| amount)
    }

    /// Sets aside what `price` says of a request; a request of price zero needs no budget.
    #[must_use]
    pub fn price_by(mut self, unit: Unit, price: impl Fn(&ServiceRequest) -> Amount + Send + Sync + 'static) -> Self {
        self.price = Some((unit, Arc::new(price)));
        self
    }

    /// Spends from lines that the server counts (`"enforce": "as"`) through these.
    #[must_use]
    pub fn holds(mut self, holds: Holds) -> Self {
        self.holds = Some(holds);
        self
    }

    /// Spends from carved lines (`"enforce": "rs"`) by this count.
    #[must_use]
    pub fn counter(mut self, counter: Arc<Counter>) -> Self {
        self.counter = Some(counter);
        self
    }

    /// How long holds live and handlers may work: a handler that takes longer is stopped, is
    /// answered with 503, and its hold is left to recovery. 60 and 55 seconds unless said.
    #[must_use]
    pub fn limits(mut self, hold_seconds: i64, work: Duration) -> Self {
        self.hold_seconds = hold_seconds;
        self.work_limit = work;
        self
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl<S, B> Transform<S, ServiceRequest> for Guard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = <GuardService<S> as Service<ServiceRequest>>::Response;
    type Error = Error;
    type Transform = GuardService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(GuardService { service: Rc::new(service), guard: Rc::new(self.clone()) }))
    }
}
