//! One request through the guard.

use super::answer::tell_budget;
use super::{Caller, Charge, Guard};
use crate::check::{check_scope, require_budget};
use crate::counter::{Counter, Taken};
use crate::holds::Held;
use crate::proof::{Presented, Scheme};
use crate::refusal::{BudgetRefusal, Refusal};
use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, forward_ready};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{Error, HttpMessage, ResponseError};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use stipend_token::AccessToken;
use stipend_token::budget::{Amount, Enforce, Unit};

/// The header of a proof (RFC 9449 section 4.1).
const DPOP: &str = "dpop";

/// The guard in front of a service.
#[derive(Debug)]
pub struct GuardService<S> {
    pub(super) service: Rc<S>,
    pub(super) guard: Rc<Guard>,
}

type Answered<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

impl<S, B> Service<ServiceRequest> for GuardService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Answered<B>>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, guard) = (Rc::clone(&self.service), Rc::clone(&self.guard));
        Box::pin(async move {
            let (token, text) = match guard.verify(&request).await {
                Ok(verified) => verified,
                Err(refusal) => return Ok(refused(request, &refusal)),
            };
            request.extensions_mut().insert(Caller(Rc::new(token.clone())));
            let price = guard.price.as_ref().map(|(unit, price)| (unit.clone(), price(&request)));
            let Some((unit, price)) = price.filter(|(_, price)| *price > Amount::ZERO) else {
                request.extensions_mut().insert(Charge { held: Amount::ZERO, cost: Rc::default() });
                return service.call(request).await.map(ServiceResponse::map_into_left_body);
            };
            let work = async move { paid_work(&guard, &*service, request, (token, text), (unit, price)).await };
            // Its handle dropped, the task goes on: the caller may leave, the cost is booked.
            match actix_web::rt::spawn(work).await {
                Ok(answered) => answered,
                Err(_) => Err(Refusal::Unavailable.into()),
            }
        })
    }
}

/// What was set aside.
enum Reserve {
    Held(Box<Held>),
    Taken(Taken, Arc<Counter>),
}

async fn paid_work<S, B>(
    guard: &Guard,
    service: &S,
    request: ServiceRequest,
    (token, text): (AccessToken, String),
    (unit, price): (Unit, Amount),
) -> Answered<B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let reserve = match guard.reserve(&token, &text, &unit, price).await {
        Ok(reserve) => reserve,
        Err(refusal) => return Ok(refused(request, &refusal)),
    };
    let cost = Rc::new(Cell::new(None));
    request.extensions_mut().insert(Charge { held: price, cost: Rc::clone(&cost) });
    // A handler that is stopped drops the reserve: what it cost nobody knows.
    let Ok(answered) = tokio::time::timeout(guard.work_limit, service.call(request)).await else {
        return Err(Refusal::Unavailable.into());
    };
    let failed = match &answered {
        Ok(response) => response.status().is_server_error(),
        Err(error) => error.as_response_error().status_code().is_server_error(),
    };
    let cost = cost.get().unwrap_or(if failed { Amount::ZERO } else { price });
    let cost = if matches!(reserve, Reserve::Taken(..)) { cost.min(price) } else { cost };
    let remaining = guard.settle(reserve, cost).await;
    let mut response = answered?.map_into_left_body();
    if let Some(remaining) = remaining {
        tell_budget(response.headers_mut(), remaining, cost.parts());
    }
    Ok(response)
}

impl Guard {
    async fn verify(&self, request: &ServiceRequest) -> Result<(AccessToken, String), Refusal> {
        let (scheme, text) = sent(request.headers())?;
        let proofs: Vec<&str> =
            request.headers().get_all(DPOP).map(|value| value.to_str().unwrap_or_default()).collect();
        // From what the service is called, never from `Host`: whoever sends that could have it say
        // what the proof says.
        let base = self.public_url.clone().or_else(|| self.verifier.origin()).unwrap_or_default();
        let url = format!("{}{}", base.trim_end_matches('/'), request.uri().path());
        let certificate = self.certificate.as_ref().and_then(|certificate| certificate(request));
        let presented = Presented {
            token: text,
            scheme,
            proofs: &proofs,
            method: request.method().as_str(),
            url: &url,
            certificate: certificate.as_deref(),
        };
        let token = self.verifier.verify_presented(&presented, (self.clock)()).await?;
        if let Some(scope) = &self.scope {
            check_scope(&token, scope)?;
        }
        Ok((token, text.to_owned()))
    }

    async fn reserve(&self, token: &AccessToken, text: &str, unit: &Unit, price: Amount) -> Result<Reserve, Refusal> {
        let line = require_budget(token, unit, price)?;
        let now = (self.clock)();
        match (line.enforce, &self.holds, &self.counter) {
            (Enforce::Server, Some(holds), _) => {
                let held = holds.hold(text, unit, price, self.hold_seconds, now).await?;
                Ok(Reserve::Held(Box::new(held)))
            }
            (Enforce::Service, _, Some(counter)) => {
                let taken = counter.take(line, token.exp, price, now).await?;
                Ok(Reserve::Taken(taken, Arc::clone(counter)))
            }
            (Enforce::Server, None, _) | (Enforce::Service, _, None) => {
                let text = "this service takes no budget of this kind";
                Err(BudgetRefusal::new(text, Some(&line.id), price.parts()).into())
            }
        }
    }

    /// Books the cost and answers what is left. The work is done: what can't be booked now is
    /// booked by recovery, and the answer goes out without a figure.
    async fn settle(&self, reserve: Reserve, cost: Amount) -> Option<i64> {
        match reserve {
            Reserve::Held(held) => held.capture(cost, (self.clock)()).await.ok().map(|receipt| receipt.remaining),
            Reserve::Taken(taken, counter) => counter.settle(taken, cost).await.ok(),
        }
    }
}

fn refused<B>(request: ServiceRequest, refusal: &Refusal) -> ServiceResponse<EitherBody<B>> {
    request.into_response(refusal.error_response()).map_into_right_body()
}

/// RFC 6750 section 2.1 and RFC 9449 section 7.1, and no other way: a token in a body or an address
/// ends up in logs.
fn sent(headers: &HeaderMap) -> Result<(Scheme, &str), Refusal> {
    let mut all = headers.get_all(AUTHORIZATION);
    let header = all.next().ok_or(Refusal::NoToken)?;
    if all.next().is_some() {
        return Err(Refusal::BadRequest);
    }
    let text = header.to_str().map_err(|_| Refusal::BadRequest)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refusal::NoToken)?;
    let scheme = Scheme::parse(scheme).ok_or(Refusal::NoToken)?;
    Ok((scheme, token.trim_matches(' ')))
}
