//! Introspection (RFC 7662): whether a token is alive, told to those it concerns.
//!
//! The plain answer commits nothing unless an assertion was used, so it leans on the live view,
//! whose age is measured when the answer is given. The signed one (RFC 9701) is a statement that
//! its receiver can hold against us, so it is recorded before it is signed, in a transaction that
//! is fenced like an issue: what it calls active was not revoked when it was recorded.

use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::client::{AuthenticatedClient, Credentials, authenticate};
use crate::grant::{refuse_stranger, token_type};
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::telemetry::{Phase, phase};
use crate::tokens::{Doubt, StandingToken};
use serde::Serialize;
use serde_json::{Map, Value};
use stipend_keys::TokenKind;
use stipend_schema::{Dep, Outcome, Work};
use stipend_token::claims::AccessToken;

/// The answer: the token's claims, or `{"active":false}` and nothing else.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Introspection(Map<String, Value>);

impl Introspection {
    fn inactive() -> Self {
        Self(Map::from_iter([("active".to_owned(), Value::Bool(false))]))
    }

    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.0.get("jti").and_then(Value::as_str)
    }
}

/// # Errors
/// [`Reason::MissingToken`], or that nobody can tell now: never a stale `active`.
pub async fn introspect(
    app: &App,
    caller: AuthenticatedClient,
    token: Option<&str>,
    origin: &Origin,
) -> Result<Introspection, Reason> {
    burn(app, &caller, origin).await?;
    let token = token.ok_or(Reason::MissingToken)?;
    if !app.view_is_fresh().await {
        return Err(Reason::StoreUnavailable);
    }
    match app.tokens.standing(token, app.clock.now()).await {
        Ok(standing) if may_know(app, &caller, &standing).await? => Ok(describe(&standing)),
        Ok(_) | Err(Doubt::Fault(_)) => Ok(Introspection::inactive()),
        Err(Doubt::Unavailable) => Err(Reason::StoreUnavailable),
    }
}

/// An answer as a signed JWT.
#[derive(Debug)]
pub struct SignedIntrospection {
    pub jwt: String,
    /// Of a token that is active: for the log.
    pub jti: Option<String>,
}

/// The answer as a JWT for the asking client (RFC 9701 section 5).
///
/// # Errors
/// As [`introspect`], and that the client can't be authenticated.
pub async fn introspect_signed(
    app: &App,
    credentials: &Credentials<'_>,
    origin: &Origin,
) -> Result<SignedIntrospection, Reason> {
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let caller = match authenticate(app, credentials).await {
            Ok(caller) => caller,
            Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
        };
        let Some(token) = credentials.params.one("token") else {
            burn(app, &caller, origin).await?;
            return Err(Reason::MissingToken);
        };
        let (answer, work) = decide_signed(app, &caller, token, basis, origin).await?;
        match app.committer.submit(work).await {
            Outcome::Committed { .. } => return sign(app, &caller.client.id, &answer),
            Outcome::Replayed { .. } => return Err(Reason::AssertionReplayed),
            Outcome::Stale => {
                app.tailer.catch_up().await;
            }
            Outcome::Conflict
            | Outcome::Invalid(_)
            | Outcome::Settled { .. }
            | Outcome::Exceeded { .. }
            | Outcome::Unavailable => return Err(Reason::StoreUnavailable),
        }
    }
    Err(Reason::Overtaken)
}

/// The answer, and the record of it. What is inactive stays so, and leans on nothing.
async fn decide_signed(
    app: &App,
    caller: &AuthenticatedClient,
    token: &str,
    basis: i64,
    origin: &Origin,
) -> Result<(Introspection, Work), Reason> {
    let mut draft = Draft::new("token.introspected", origin);
    draft.client(&caller.client.id, &caller.client.owner_id);
    let mut deps: Vec<Dep> = caller.deps.clone();
    let answer = match app.tokens.standing(token, app.clock.now()).await {
        Ok(standing) if may_know(app, caller, &standing).await? => {
            draft.jti(&standing.token.claims.jti);
            if let Some(owner) = standing.owners.first() {
                draft.subject_owner(owner);
            }
            deps.extend(standing.deps.iter().cloned());
            describe(&standing)
        }
        Ok(_) | Err(Doubt::Fault(_)) => Introspection::inactive(),
        Err(Doubt::Unavailable) => return Err(Reason::StoreUnavailable),
    };
    draft.put("active", answer.jti().is_some());
    let burn = caller.burn.clone().map(Into::into);
    Ok((answer, Work { deps, burn, ..Work::recording(basis, draft.outcome(DONE)) }))
}

/// RFC 9701 section 5: the answer is in a member of its own, and there is no `sub` and no `exp`
/// beside it, so that nobody takes this for an access token.
#[derive(Serialize)]
struct SignedClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a Introspection,
}

fn sign(app: &App, caller: &str, answer: &Introspection) -> Result<SignedIntrospection, Reason> {
    let now = app.clock.now();
    let claims = SignedClaims { iss: &app.urls.issuer, aud: caller, iat: now, token_introspection: answer };
    let payload = serde_json::to_vec(&claims).map_err(|_| Reason::Internal)?;
    let _timed = phase(Phase::Sign);
    let keyring = app.ring.keyring();
    let signer = keyring.signing_key(now).ok_or(Reason::NoSigningKey)?;
    let jwt = signer.sign(TokenKind::Introspection, &payload).map_err(|error| {
        tracing::error!(%error, "signing an introspection failed");
        Reason::Internal
    })?;
    Ok(SignedIntrospection { jwt, jti: answer.jti().map(str::to_owned) })
}

/// An assertion is used up whatever becomes of the request (RFC 7523 section 3, item 7).
///
/// # Errors
/// [`Reason::AssertionReplayed`], or that it can't be recorded.
pub async fn burn(app: &App, caller: &AuthenticatedClient, origin: &Origin) -> Result<(), Reason> {
    let Some(burn) = caller.burn.clone() else { return Ok(()) };
    let mut draft = Draft::new("token.introspected", origin);
    draft.client(&caller.client.id, &caller.client.owner_id);
    let work = Work { burn: Some(burn.into()), ..Work::recording(0, draft.outcome(DONE)) };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => Ok(()),
        Outcome::Replayed { .. } => Err(Reason::AssertionReplayed),
        Outcome::Stale
        | Outcome::Conflict
        | Outcome::Invalid(_)
        | Outcome::Settled { .. }
        | Outcome::Exceeded { .. }
        | Outcome::Unavailable => Err(Reason::StoreUnavailable),
    }
}

/// RFC 7662 section 4: the token's own client, and the services registered for an audience
/// of it. For everybody else the token does not exist.
async fn may_know(app: &App, caller: &AuthenticatedClient, standing: &StandingToken) -> Result<bool, Reason> {
    let claims = &standing.token.claims;
    let caller = caller.client.id.as_str();
    Ok(claims.client_id == caller || serves(app, caller, claims).await?)
}

/// Whether a client is a service of the token's audience.
///
/// # Errors
/// [`Reason::StoreUnavailable`].
pub async fn serves(app: &App, caller: &str, claims: &AccessToken) -> Result<bool, Reason> {
    for audience in &claims.aud {
        let resource = app.records.find_resource(audience.as_str()).await?;
        if resource.is_some_and(|resource| resource.introspectors.iter().any(|id| id == caller)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn describe(standing: &StandingToken) -> Introspection {
    let mut answer = Map::new();
    answer.insert("active".to_owned(), Value::Bool(true));
    answer.insert("token_type".to_owned(), Value::from(token_type(&standing.token.claims)));
    if let Ok(Value::Object(claims)) = serde_json::to_value(&standing.token.claims) {
        answer.extend(claims);
    }
    Introspection(answer)
}
