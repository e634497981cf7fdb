//! Introspection (RFC 7662): whether a token is alive, told to those it concerns.
//!
//! It commits nothing unless an assertion was used, so it leans on the live view, whose
//! age is measured when the answer is given.

use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::client::AuthenticatedClient;
use crate::reason::Reason;
use crate::tokens::{Doubt, StandingToken};
use serde::Serialize;
use serde_json::{Map, Value};
use stipend_schema::{Outcome, Work};
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

/// An assertion is used up whatever becomes of the request (RFC 7523 section 3, item 7).
///
/// # Errors
/// [`Reason::AssertionReplayed`], or that it can't be recorded.
pub async fn burn(app: &App, caller: &AuthenticatedClient, origin: &Origin) -> Result<(), Reason> {
    let Some(burn) = caller.burn.clone() else { return Ok(()) };
    let mut draft = Draft::new("token.introspected", origin);
    draft.client(&caller.client.id, &caller.client.owner_id);
    let work = Work { burn: Some(burn), ..Work::recording(0, draft.outcome(DONE)) };
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
    answer.insert("token_type".to_owned(), Value::from("Bearer"));
    if let Ok(Value::Object(claims)) = serde_json::to_value(&standing.token.claims) {
        answer.extend(claims);
    }
    Introspection(answer)
}
