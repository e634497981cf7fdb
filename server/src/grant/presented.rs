//! What an exchange is asked for (RFC 8693 section 2.1): the form, and its tokens verified and
//! alive. A token that was presented before, and has waited for people since, is asked again
//! whether it lives; what nobody presents is no part of any exchange.

use super::id_jag::{self, ID_JAG};
use super::subject::{ID_TOKEN, SubjectType, own_fault, subject, subject_again};
use super::{Refused, request};
use crate::app::App;
use crate::approval::Offer;
use crate::audit::Draft;
use crate::federation::Evidence;
use crate::form::Params;
use crate::reason::Reason;
use crate::records::Client;
use crate::tokens::{Doubt, StandingToken, TokenFault, VerifiedToken};
use serde_json::json;
use stipend_schema::Dep;
use stipend_token::{Audience, ScopeSet};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The parts of the form that are this grant's own.
struct Form<'a> {
    subject_token: &'a str,
    subject_type: SubjectType,
    actor_token: Option<&'a str>,
    issued_type: &'static str,
}

/// The tokens of an exchange, verified and alive.
pub(super) struct Presented {
    pub subject: StandingToken,
    pub actor: Option<StandingToken>,
}

/// What an exchange is asked for.
pub(super) struct Wanted<'a> {
    pub targets: Vec<Audience>,
    /// Of an identity assertion grant, where it leads.
    pub abroad: Option<id_jag::Wanted>,
    pub scope: Option<ScopeSet>,
    pub details: request::Details,
    /// For the answer of an exchange.
    pub issued_type: Option<&'static str>,
    /// What people have approved: nothing beyond it is issued.
    pub approved: Option<&'a Offer>,
}

/// Reads the form and verifies its tokens.
pub(super) async fn read(
    app: &App,
    client: &Client,
    params: &Params,
    draft: &mut Draft,
) -> Result<(Presented, Wanted<'static>), Refused> {
    let form = parse(params)?;
    let details = request::details(params, client)?;
    let now = app.clock.now();
    let refused =
        |reason, deps: &[Dep], draft: &Draft| Refused { reason, deps: deps.to_vec(), draft: Some(draft.clone()) };
    let subject = subject_of(app, client, &form, draft, now).await?;
    describe_subject(draft, client, &subject);
    let mut looked_at = subject.deps.clone();
    let actor = match form.actor_token {
        Some(token) => {
            let actor = app
                .tokens
                .standing(token, now)
                .await
                .map_err(actor_fault)
                .map_err(|r| refused(r, &looked_at, draft))?;
            draft.describe("actor_token", &actor.token.claims);
            looked_at.extend(actor.deps.iter().cloned());
            Some(actor)
        }
        None => None,
    };
    let abroad = (form.issued_type == ID_JAG).then(|| id_jag::Wanted::read(params)).transpose();
    let abroad = abroad.map_err(|r| refused(r, &looked_at, draft))?;
    let targets = match &abroad {
        Some(wanted) => vec![wanted.server.clone()],
        None => request::targets(params).map_err(|r| refused(r, &looked_at, draft))?,
    };
    let scope = request::scope(params).map_err(|r| refused(r, &looked_at, draft))?;
    let wanted = Wanted { targets, abroad, scope, details, issued_type: Some(form.issued_type), approved: None };
    Ok((Presented { subject, actor }, wanted))
}

/// A subject token that was presented before, by what was kept of it.
pub(super) enum Again<'a> {
    Own(Box<VerifiedToken>),
    Foreign(&'a Evidence),
}

/// The tokens of an exchange that waited for people, by what was kept of them.
pub(super) async fn read_again(
    app: &App,
    client: &Client,
    subject: Again<'_>,
    actor: Option<VerifiedToken>,
    draft: &mut Draft,
) -> Result<Presented, Reason> {
    let now = app.clock.now();
    let subject = match subject {
        Again::Own(token) => app.tokens.still_standing(*token, now).await.map_err(own_fault)?,
        Again::Foreign(evidence) => subject_again(app, client, evidence, now).await?,
    };
    describe_subject(draft, client, &subject);
    let actor = match actor {
        Some(actor) => {
            let actor = app.tokens.still_standing(actor, now).await.map_err(actor_fault)?;
            draft.describe("actor_token", &actor.token.claims);
            Some(actor)
        }
        None => None,
    };
    Ok(Presented { subject, actor })
}

/// The subject token, verified and alive. Which issuer a bad one names is on record.
async fn subject_of(
    app: &App,
    client: &Client,
    form: &Form<'_>,
    draft: &mut Draft,
    now: i64,
) -> Result<StandingToken, Refused> {
    let read = subject(app, client, form.subject_token, form.subject_type, now).await;
    read.map_err(|(reason, issuer)| {
        if let Some(issuer) = issuer {
            draft.put("federated", json!({ "issuer": issuer }));
        }
        Refused { reason, deps: Vec::new(), draft: Some(draft.clone()) }
    })
}

/// For the record: what was shown, and on whose word.
pub(super) fn describe_subject(draft: &mut Draft, client: &Client, subject: &StandingToken) {
    draft.describe("subject_token", &subject.token.claims);
    if let Some(vouched) = &subject.federated {
        draft.put("federated", vouched.describe());
    }
    // Whose word it is, where that is not the client's own side.
    if let Some(owner) = subject.owners.iter().find(|owner| **owner != client.owner_id) {
        draft.subject_owner(owner);
    }
}

/// RFC 8693 section 2.1.
fn parse(params: &Params) -> Result<Form<'_>, Reason> {
    let subject_token = params.one("subject_token").ok_or(Reason::MissingSubjectToken)?;
    let subject_type = params.one("subject_token_type").ok_or(Reason::MissingSubjectTokenType)?;
    let subject_type = match subject_type {
        ACCESS_TOKEN => SubjectType::AccessToken,
        JWT => SubjectType::Jwt,
        ID_TOKEN => SubjectType::IdToken,
        _ => return Err(Reason::UnsupportedTokenType),
    };
    let actor_token = params.one("actor_token");
    match (actor_token, params.one("actor_token_type")) {
        // actor_token_type is REQUIRED with actor_token and MUST NOT come without it.
        (Some(_), None) | (None, Some(_)) => return Err(Reason::ActorTokenWithoutType),
        (Some(_), Some(ACCESS_TOKEN | JWT)) => {}
        (Some(_), Some(_)) => return Err(Reason::UnsupportedTokenType),
        (None, None) => {}
    }
    let requested = params.one("requested_token_type").unwrap_or(ACCESS_TOKEN);
    let issued_type = issued_type(requested).ok_or(Reason::UnsupportedRequestedType)?;
    Ok(Form { subject_token, subject_type, actor_token, issued_type })
}

/// The types that can be issued (RFC 8693 section 3): for us the first two are the same token.
pub(super) fn issued_type(name: &str) -> Option<&'static str> {
    [ACCESS_TOKEN, JWT, ID_JAG].into_iter().find(|known| *known == name)
}

/// The actor token is ours alone, because who acts here is a client of ours.
fn actor_fault(doubt: Doubt) -> Reason {
    match doubt {
        Doubt::Unavailable => Reason::StoreUnavailable,
        Doubt::Fault(TokenFault::Malformed) => Reason::ActorMalformed,
        Doubt::Fault(TokenFault::Signature) => Reason::ActorSignature,
        Doubt::Fault(TokenFault::Expired) => Reason::ActorExpired,
        Doubt::Fault(TokenFault::Revoked(_)) => Reason::ActorRevoked,
        Doubt::Fault(TokenFault::NotStanding) => Reason::ActorNotStanding,
    }
}
