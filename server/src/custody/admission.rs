//! Whether a call with a credential is allowed: token, standing, function, data, mode,
//! policies, constraints, in this order. It decides on a view that the commit then proves.

use super::call::ProxyCall;
use super::counting::{counts, of_token};
use super::policies::restrict;
use super::spec::ReleaseMode;
use super::target::target;
use super::{SCOPE_RELEASE, SCOPE_USE};
use crate::app::App;
use crate::audit::{Draft, Origin};
use crate::binding::{self, Presentation};
use crate::client::count;
use crate::deps;
use crate::pace::Pace;
use crate::reason::Reason;
use crate::records::{Credential, Grant, Unavailable, Version};
use crate::telemetry::{self, Phase, phase};
use crate::tokens::{Doubt, StandingToken};
use std::sync::Arc;
use stipend_relying::{Refusal, check_credential, check_scope, find_credential};
use stipend_schema::custody::Count;
use stipend_schema::{Burn, Dep};
use stipend_token::constraint::{
    Action, Body, Broken, Call, CanonicalPath, Constraints, Counted, Method, Mode, Request, Verdict, decide,
};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub shown: &'a Presentation,
    pub credential: &'a str,
    pub mode: ReleaseMode,
    /// The agent's request as it is to be forwarded; none where the agent gets the value.
    pub request: Option<Outline<'a>>,
    /// The whole of it, for what it may cost.
    pub call: Option<&'a ProxyCall>,
}

/// A request, without the host: that is the credential's.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a> {
    pub method: &'a Method,
    pub method_overridden: bool,
    pub path: &'a CanonicalPath,
    pub body: &'a Body,
}

/// A call that is allowed, as far as it could be seen before the commit.
#[derive(Debug)]
pub struct Admission {
    pub standing: StandingToken,
    pub credential: Arc<Credential>,
    pub version: Version,
    pub grant: Arc<Grant>,
    /// To be counted with the commit.
    pub counts: Vec<Count>,
    /// Constraints that would have refused, were they enforced.
    pub observed: Vec<Broken>,
    pub deps: Vec<Dep>,
    /// The proof that came with the token, to be used up with whatever is recorded.
    pub burn: Option<Burn>,
    pub draft: Draft,
}

/// Why a call is not allowed, with what was looked at.
#[derive(Debug)]
pub struct Refused {
    pub reason: Reason,
    pub broken: Option<Broken>,
    pub deps: Vec<Dep>,
    pub burn: Option<Burn>,
    /// Whose token it was, of a request that was not looked at.
    pub claimed: Option<String>,
    /// None before the token was found good: then nobody has vouched for anything.
    pub draft: Option<Draft>,
}

impl Refused {
    pub(super) fn stranger(reason: Reason) -> Self {
        Self { reason, broken: None, deps: Vec::new(), burn: None, claimed: None, draft: None }
    }
}

impl From<Unavailable> for Refused {
    fn from(_: Unavailable) -> Self {
        Self::stranger(Reason::StoreUnavailable)
    }
}

/// A token that is good at the key-release service.
#[derive(Debug)]
pub(super) struct Bearer {
    pub standing: StandingToken,
    pub deps: Vec<Dep>,
    pub burn: Option<Burn>,
    pub draft: Draft,
}

impl Bearer {
    pub fn refused(self, reason: Reason) -> Refused {
        Refused { reason, broken: None, deps: self.deps, burn: self.burn, claimed: None, draft: Some(self.draft) }
    }
}

/// Counts the request as one of the client that the token was issued to. Refused, it is gathered
/// like those of strangers, and uses up nothing: it was not looked at, and may come again.
async fn paced(app: &App, client_id: &str, pace: &Pace) -> Result<(), Reason> {
    // A token stands only while its client does; one that has just gone is found out later.
    match app.records.find_client(client_id).await? {
        Some(client) => count(app, &client, pace).await,
        None => Ok(()),
    }
}

/// Reads the token: ours, alive, for this service and no other, shown as its binding demands, with
/// the scope.
pub(super) async fn bearer(
    app: &App,
    shown: &Presentation,
    scope: &str,
    event: &'static str,
    origin: &Origin,
) -> Result<Bearer, Refused> {
    let now = app.clock.now();
    let standing = match app.tokens.standing(&shown.token, now).await {
        Ok(standing) => standing,
        Err(Doubt::Fault(_)) => return Err(Refused::stranger(Reason::BearerInvalid)),
        Err(Doubt::Unavailable) => return Err(Refused::stranger(Reason::StoreUnavailable)),
    };
    let claims = &standing.token.claims;
    // A token that is also for another service could be replayed here by that service.
    if !matches!(claims.aud.as_slice(), [only] if only.as_str() == app.urls.credential_resource) {
        return Err(Refused::stranger(Reason::BearerElsewhere));
    }
    // Who can't show the key has found the token: nobody has vouched for anything.
    let proved = binding::admit(&app.binding, claims.cnf.as_ref(), shown, now).map_err(Refused::stranger)?;
    if let Err(reason) = paced(app, &claims.client_id, &origin.pace).await {
        return Err(Refused { claimed: Some(claims.client_id.clone()), ..Refused::stranger(reason) });
    }
    telemetry::client(&claims.client_id);
    let mut draft = Draft::new(event, origin);
    if let Some(owner) = standing.owners.first() {
        draft.client(&claims.client_id, owner);
    }
    draft.jti(&claims.jti);
    draft.put("subject", claims.sub.clone());
    if let Some(actor) = claims.act.current() {
        draft.put("actor", actor.sub.clone());
    }
    draft.circumstances(claims);
    let bearer = Bearer { deps: standing.deps.clone(), standing, burn: proved.burn, draft };
    if check_scope(&bearer.standing.token.claims, scope).is_err() {
        let missing = if scope == SCOPE_USE { Reason::MissingUseScope } else { Reason::MissingScope };
        return Err(bearer.refused(missing));
    }
    Ok(bearer)
}

/// Decides. Counts and budgets are decided with the commit.
///
/// # Errors
/// [`Refused`].
pub async fn admit(
    app: &App,
    asked: &Asked<'_>,
    event: &'static str,
    origin: &Origin,
) -> Result<Admission, Box<Refused>> {
    let _timed = phase(Phase::Decide);
    let scope = if asked.mode == ReleaseMode::Proxy { SCOPE_USE } else { SCOPE_RELEASE };
    let mut bearer = bearer(app, asked.shown, scope, event, origin).await?;
    let (credential, grant) = find(app, asked, &mut bearer).await?;
    let modes = [&credential.spec.modes, &grant.spec.modes];
    if !modes.iter().all(|modes| modes.contains(&asked.mode)) {
        return Err(bearer.refused(Reason::ModeNotAllowed).into());
    }
    let Some(version) = credential.version.clone().filter(|_| credential.active) else {
        return Err(bearer.refused(Reason::CredentialNotReady).into());
    };
    bearer.draft.put("version", version.number);
    let asked_for = (asked.mode, asked.call, true);
    let mut bearer = restrict(app, bearer, &credential, asked_for, origin).await?;
    let (counts, observed) = match constrain(app, asked, &bearer.standing, &credential, &grant, origin) {
        Ok(constrained) => constrained,
        Err((reason, broken)) => return Err(Refused { broken, ..bearer.refused(reason) }.into()),
    };
    if !observed.is_empty() {
        let words = observed.iter().map(|broken| format!("{} {}", broken.constraint.as_str(), broken.reason.as_str()));
        bearer.draft.put("would_refuse", words.collect::<Vec<_>>());
    }
    let Bearer { standing, deps, burn, draft } = bearer;
    Ok(Admission { standing, credential, version, grant, counts, observed, deps, burn, draft })
}

impl From<Unavailable> for Box<Refused> {
    fn from(unavailable: Unavailable) -> Self {
        Self::new(unavailable.into())
    }
}

/// Finds the credential and the grant. For whom there is no grant, there is no credential.
async fn find(
    app: &App,
    asked: &Asked<'_>,
    bearer: &mut Bearer,
) -> Result<(Arc<Credential>, Arc<Grant>), Box<Refused>> {
    let (agent, env) = (bearer.standing.token.claims.client_id.clone(), bearer.standing.token.claims.env);
    bearer.deps.extend([deps::credential(asked.credential), deps::grant_of(asked.credential, &agent)]);
    bearer.draft.put("credential", asked.credential.to_owned());
    bearer.draft.put("mode", asked.mode.as_str());
    let taken = |bearer: &mut Bearer, reason| {
        let none = Bearer {
            standing: bearer.standing.clone(),
            deps: std::mem::take(&mut bearer.deps),
            burn: bearer.burn.take(),
            draft: bearer.draft.clone(),
        };
        Box::new(none.refused(reason))
    };
    let Some(credential) = app.records.find_credential(asked.credential).await? else {
        return Err(taken(bearer, Reason::NoSuchCredential));
    };
    bearer.deps.push(deps::owner(&credential.owner_id));
    bearer.draft.subject_owner(&credential.owner_id);
    let Some(grant) = app.records.find_grant(&credential.id, &agent).await? else {
        return Err(taken(bearer, Reason::NotGranted));
    };
    bearer.draft.put("grant", grant.id.clone());
    if !grant.stands(app.clock.now()) {
        return Err(taken(bearer, Reason::GrantEnded));
    }
    if credential.environment != env {
        return Err(taken(bearer, Reason::OtherEnvironment));
    }
    Ok((credential, grant))
}

type Constrained = (Vec<Count>, Vec<Broken>);

/// Judges the constraints of the credential, of the grant and of the token, each counted by
/// itself.
fn constrain(
    app: &App,
    asked: &Asked<'_>,
    standing: &StandingToken,
    credential: &Credential,
    grant: &Grant,
    origin: &Origin,
) -> Result<Constrained, (Reason, Option<Broken>)> {
    let now = app.clock.now();
    let target = target(credential).filter(|_| asked.request.is_some());
    let request = match (asked.request, &target) {
        (Some(outline), Some(target)) => Some(Request {
            method: outline.method,
            method_overridden: outline.method_overridden,
            host: &target.host,
            path: outline.path,
            body: outline.body,
        }),
        (Some(_), None) => return Err((Reason::CredentialNotReady, None)),
        (None, _) => None,
    };
    let call = Call { request, source: origin.source, now, counted: Counted::default() };
    let mut constrained = (Vec::new(), Vec::new());
    let mut judge = |constraints: &Constraints, prefix: String| {
        let verdict = decide(constraints, &call);
        if let Some(broken) = enforced(&verdict) {
            return Err((Reason::ConstraintViolated, Some(broken)));
        }
        constrained.1.extend(verdict.observed().copied());
        constrained.0.extend(counts(&verdict.needs, &prefix, i64::MAX, now));
        Ok(())
    };
    judge(&credential.spec.constraints, format!("credential:{}", credential.id))?;
    judge(&grant.spec.constraints, format!("grant:{}", grant.id))?;
    let claims = &standing.token.claims;
    let action = if asked.mode == ReleaseMode::Proxy { Action::Proxy } else { Action::Release };
    let verdict = check_credential(claims, &credential.id, action, &call).map_err(|refusal| match refusal {
        Refusal::Constraint { constraint, reason } => {
            (Reason::ConstraintViolated, Some(Broken { constraint, reason, mode: Mode::Enforce }))
        }
        _ => (Reason::TokenElsewhere, None),
    })?;
    constrained.1.extend(verdict.observed().copied());
    if let Some(ceiling) = find_credential(claims, &credential.id) {
        constrained.0.extend(of_token(ceiling.counted(), &credential.id, now));
    }
    Ok(constrained)
}

fn enforced(verdict: &Verdict) -> Option<Broken> {
    verdict.broken.iter().find(|broken| broken.mode == Mode::Enforce).copied()
}
