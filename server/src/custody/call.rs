//! A call through the proxy: allowed, held for and recorded before a byte leaves; then sent
//! with the value that the agent never sees.
//!
//! An [`Open`] call always ends: sent and answered, failed, or dropped by an agent that went
//! away. Whatever was held is captured or freed then, by a task that no agent can cancel; what
//! a node that died could not end is captured in full when the hold runs out.

use super::admission::{Admission, Asked, Outline, admit};
use super::commit::{Committed, Ending, commit, proof_alone, refuse};
use super::price::{Taking, order};
use super::release::open as open_value;
use super::settle::{Held, Sent, settle};
use super::spec::{CredentialSpec, ReleaseMode};
use super::target::{Target, injection, prices, target};
use super::value::CredentialValue;
use crate::app::App;
use crate::audit::{Draft, Origin};
use crate::binding::Presentation;
use crate::limits::{MAX_DECISIONS, PROXY_HOLD_SECONDS};
use crate::proxy::prices::{Prices, estimate};
use crate::proxy::templates::find_provider;
use crate::proxy::usage::ensure_usage_in_stream;
use crate::proxy::{AnswerBody, Forward, Forwarded, RequestBody, UpstreamFault, UsageStyle, join};
use crate::reason::Reason;
use crate::records::{Credential, Grant, Version};
use crate::telemetry::{Phase, phase};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;
use stipend_keys::Secret;
use stipend_token::budget::{Amount, Unit};
use stipend_token::constraint::{Body, CanonicalPath, Method};

const EVENT: &str = "credential.proxied";

/// A call as it came.
#[derive(Debug)]
pub struct ProxyCall {
    pub shown: Presentation,
    pub credential: String,
    pub method: Method,
    pub method_overridden: bool,
    pub path: CanonicalPath,
    pub query: Option<String>,
    /// As the constraints see it.
    pub body: Body,
    /// As it is priced: of JSON only.
    pub json: Option<Value>,
    pub body_bytes: u64,
    /// The most that the caller says it may cost, in the smallest part of its unit.
    pub max_cost: Option<Amount>,
}

/// A call that is on record and not sent yet.
#[derive(Debug)]
pub struct Open {
    app: Arc<App>,
    credential: Arc<Credential>,
    version: Version,
    target: Target,
    held: Option<Held>,
    draft: Draft,
    jti: String,
    metered: Option<Prices>,
}

/// An answer on its way to the agent.
#[derive(Debug)]
pub struct Passing {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
    /// What is left of the budget, and what is held of it for this call.
    pub budget: Option<(i64, i64)>,
    pub jti: String,
}

/// What a call may cost at most, and how that is found in the end.
pub(super) struct Cost {
    pub unit: Unit,
    pub amount: Amount,
    metered: Option<Prices>,
}

/// Decides a call and puts it on record, with its hold.
///
/// # Errors
/// [`Ending`]; nothing was sent.
pub async fn begin(app: Arc<App>, call: &ProxyCall, origin: &Origin) -> Result<Open, Ending> {
    let outline =
        Outline { method: &call.method, method_overridden: call.method_overridden, path: &call.path, body: &call.body };
    let asked = Asked {
        shown: &call.shown,
        credential: &call.credential,
        mode: ReleaseMode::Proxy,
        request: Some(outline),
        call: Some(call),
    };
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let ended = match admit(&app, &asked, EVENT, origin).await {
            Ok(admission) => round(&app, admission, call, basis).await,
            Err(refused) => refuse(&app, *refused, EVENT, basis, origin).await.map(Err),
        };
        match ended {
            Some(ended) => return ended,
            None => {
                app.tailer.catch_up().await;
            }
        }
    }
    Err(Reason::Overtaken.into())
}

/// `None`: overtaken.
async fn round(app: &Arc<App>, mut admission: Admission, call: &ProxyCall, basis: i64) -> Option<Result<Open, Ending>> {
    let Some(target) = target(&admission.credential) else {
        return Some(Err(Reason::CredentialNotReady.into()));
    };
    // What can't be opened now is neither held for nor on record as allowed. The safe keeps it
    // open until the call is sent.
    if let Err(reason) = open_value(app, &admission.credential, &admission.version).await {
        return Ending::from(reason).record(app, basis, admission).await.map(Err);
    }
    let cost = match cost(&admission.credential, call) {
        Ok(cost) => cost,
        Err(reason) => {
            return Ending::from(reason).record(app, basis, admission).await.map(Err);
        }
    };
    let (mut spend, mut held) = (None, None);
    if let Some(cost) = &cost {
        let claims = &admission.standing.token.claims;
        let taking = Taking::Hold { seconds: PROXY_HOLD_SECONDS };
        match order(app, claims, &admission.grant, (&cost.unit, cost.amount), taking).await {
            Ok((order, deps)) => {
                admission.deps.extend(deps);
                spend = Some(order);
            }
            Err(declined) => {
                return Ending::from(declined).record(app, basis, admission).await.map(Err);
            }
        }
    }
    let single = proof_alone(admission.burn.as_ref());
    let Admission { standing, credential, version, grant, counts, deps, draft, .. } = admission;
    match commit(app, basis, deps, (spend, counts), Vec::new(), (draft.clone(), &single)).await {
        Committed::Done { receipt, .. } => {
            if let (Some(receipt), Some(cost)) = (receipt, &cost)
                && let Some(hold_id) = receipt.hold_id
            {
                held = Some(Held { hold_id, amount: cost.amount, remaining: receipt.remaining });
            }
        }
        Committed::Ended(ending) => return Some(Err(ending)),
        Committed::Overtaken => return None,
    }
    note(app, &grant, &version);
    Some(Ok(Open {
        app: Arc::clone(app),
        credential,
        version,
        target,
        held,
        draft,
        jti: standing.token.claims.jti.clone(),
        metered: cost.and_then(|cost| cost.metered),
    }))
}

fn note(app: &App, grant: &Grant, version: &Version) {
    app.uses.note(&grant.id, &version.id, ReleaseMode::Proxy, app.clock.now());
}

/// What is held for a call: its price, or a bound on what it can use.
pub(super) fn cost(credential: &Credential, call: &ProxyCall) -> Result<Option<Cost>, Reason> {
    let spec = &credential.spec;
    if let Some(price) = spec.price.as_ref().filter(|price| price.amount > Amount::ZERO) {
        let unit = price.unit().ok_or(Reason::Internal)?;
        return Ok(Some(Cost { unit, amount: price.amount, metered: None }));
    }
    let Some(metering) = spec.metering.as_ref().filter(|_| !is_probe(spec, call)) else { return Ok(None) };
    let prices = prices(spec).ok_or(Reason::CredentialNotReady)?;
    let bound = || estimate(&prices, call.json.as_ref().unwrap_or(&Value::Null), call.body_bytes);
    let bound = metering.max_cost.unwrap_or_else(bound);
    // Holding less than it may cost would let it cost more than there is.
    let amount = match call.max_cost {
        Some(most) if most < bound => return Err(Reason::MaxCostTooLow),
        most => most.unwrap_or(bound),
    };
    let unit = Unit::new("USD", 6).map_err(|_| Reason::Internal)?;
    Ok((amount > Amount::ZERO).then_some(Cost { unit, amount, metered: Some(prices) }))
}

/// Whether it is the call that the template says has neither effect nor price: a list of models
/// says nothing of its use, and would take all that is held for a call.
fn is_probe(spec: &CredentialSpec, call: &ProxyCall) -> bool {
    let probe = spec.template.as_deref().and_then(find_provider).and_then(|provider| provider.probe.as_ref());
    probe.is_some_and(|probe| probe.method == call.method && probe.path == call.path) && !call.method_overridden
}

impl Open {
    /// Sends the call.
    ///
    /// # Errors
    /// [`Ending`]: nothing came of it, and what was held is free or captured as it should be.
    pub async fn send(self, headers: HeaderMap, call: &ProxyCall, body: RequestBody) -> Result<Passing, Ending> {
        let forwarded = match self.forward(headers, call, body).await {
            Ok(forwarded) => forwarded,
            Err(fault) => {
                let ending = Ending::from(reason(fault));
                self.end(Sent::Fault(fault)).await;
                return Err(ending);
            }
        };
        let budget = self.held.as_ref().map(|held| (held.remaining, held.amount.parts()));
        let passing = Passing {
            status: forwarded.status,
            headers: forwarded.headers,
            body: forwarded.body,
            budget,
            jti: self.jti.clone(),
        };
        let (status, mut meter) = (forwarded.status.as_u16(), forwarded.meter);
        let app = Arc::clone(&self.app);
        if status == 401 {
            app.upstream_tokens.forget(&self.version.id).await;
        }
        let ending = async move {
            let reading = meter.ended().await;
            self.end(Sent::Answer { status, reading: Box::new(reading) }).await;
        };
        // A task of its own: the agent may leave, the cost is booked.
        drop(app.store.background(ending));
        Ok(passing)
    }

    async fn forward(
        &self,
        headers: HeaderMap,
        call: &ProxyCall,
        body: RequestBody,
    ) -> Result<Forwarded, UpstreamFault> {
        let url = join(&self.target.base, &call.path, call.query.as_deref()).map_err(|_| UpstreamFault::UrlRefused)?;
        let value =
            open_value(&self.app, &self.credential, &self.version).await.map_err(|_| UpstreamFault::Injection)?;
        let bearer = self.bearer(&value).await?;
        let (spec, provider) = (&self.credential.spec, self.target.provider);
        let (inject, mask) = injection(spec, provider, &value, bearer.as_ref()).ok_or(UpstreamFault::Injection)?;
        let usage = self.metered.as_ref().and_then(|_| provider.map_or(Some(UsageStyle::Openai), |it| it.usage));
        // A stream tells of its usage only when it is asked to.
        let asks = usage.is_some() && provider.is_none_or(|provider| provider.usage_in_stream);
        let body = match &call.json {
            Some(json) if asks && is_stream(json) => {
                let asked = ensure_usage_in_stream(json.clone());
                RequestBody::Whole(
                    serde_json::to_vec(&asked).map(Bytes::from).map_err(|_| UpstreamFault::RequestBroken)?,
                )
            }
            _ => body,
        };
        let forward = Forward { headers, body, inject, mask, usage, ..Forward::new(call.method.clone(), url) };
        let timed = phase(Phase::Upstream);
        let began = Instant::now();
        let forwarded = self.app.upstreams.forward(forward).await;
        drop(timed);
        self.app.telemetry.called_upstream(outcome(&forwarded), began.elapsed());
        forwarded
    }

    async fn bearer(&self, value: &CredentialValue) -> Result<Option<Secret<String>>, UpstreamFault> {
        if !matches!(value, CredentialValue::OauthClientCredentials { .. }) {
            return Ok(None);
        }
        let now = self.app.clock.now();
        let token = self.app.upstream_tokens.find(&self.app.upstreams, &self.version.id, value, now);
        token.await.map(Some)
    }

    /// Ends the call on the books and on record.
    async fn end(mut self, sent: Sent) {
        let (held, draft) = (self.held.take(), self.draft.clone());
        settle(&self.app, held, (draft, self.metered.take()), sent).await;
    }
}

impl Drop for Open {
    /// The agent went away before the upstream answered.
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let (app, draft, metered) = (Arc::clone(&self.app), self.draft.clone(), self.metered.take());
            let ending = async move { settle(&app, Some(held), (draft, metered), Sent::Abandoned).await };
            drop(self.app.store.background(ending));
        }
    }
}

/// What became of a call, for whoever measures.
fn outcome(forwarded: &Result<Forwarded, UpstreamFault>) -> &'static str {
    match forwarded {
        Ok(forwarded) if forwarded.status.is_server_error() => "server_error",
        Ok(forwarded) if forwarded.status.is_client_error() => "client_error",
        Ok(_) => "answered",
        Err(UpstreamFault::Busy) => "busy",
        Err(fault) if fault.nothing_was_sent() => "not_sent",
        Err(_) => "broken",
    }
}

fn is_stream(json: &Value) -> bool {
    json.get("stream").and_then(Value::as_bool) == Some(true)
}

/// What the agent is told of a fault: no more than it can act on.
fn reason(fault: UpstreamFault) -> Reason {
    match fault {
        UpstreamFault::Busy => Reason::ProxyBusy,
        UpstreamFault::RequestTooLarge => Reason::BodyTooLarge,
        UpstreamFault::RequestBroken => Reason::RequestBroken,
        UpstreamFault::RequestStalled => Reason::BodyTooSlow,
        UpstreamFault::ConnectTimeout
        | UpstreamFault::HeadTimeout
        | UpstreamFault::IdleTimeout
        | UpstreamFault::TotalTimeout => Reason::UpstreamSlow,
        UpstreamFault::UrlRefused
        | UpstreamFault::AddressRefused
        | UpstreamFault::Injection
        | UpstreamFault::Encoded
        | UpstreamFault::HeadTooLarge => Reason::UpstreamRefused,
        UpstreamFault::Unresolved
        | UpstreamFault::Connect
        | UpstreamFault::Tls
        | UpstreamFault::Protocol
        | UpstreamFault::Closed => Reason::UpstreamFailed,
    }
}
