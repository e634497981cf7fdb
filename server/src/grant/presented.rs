//! What an exchange is asked for (RFC 8693 section 2.1): the form, and its tokens verified and
//! alive. A token that was presented before, and has waited for people since, is asked again
//! whether it lives; what nobody presents is no part of any exchange.

use super::id_jag::{self, ID_JAG};
use super::{Refused, request};
use crate::app::App;
use crate::approval::Offer;
use crate::audit::Draft;
use crate::form::Params;
use crate::reason::Reason;
use crate::tokens::{Doubt, StandingToken, TokenFault, VerifiedToken};
use stipend_schema::Dep;
use stipend_token::{Audience, ScopeSet};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The parts of the form that are this grant's own.
struct Form<'a> {
    subject_token: &'a str,
    actor_token: Option<&'a str>,
    issued_type: &'static str,
}

/// Which token of the request is at fault.
#[derive(Clone, Copy)]
enum Which {
    Subject,
    Actor,
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
    pub issued_type: &'static str,
    /// What people have approved: nothing beyond it is issued.
    pub approved: Option<&'a Offer>,
}

/// Reads the form and verifies its tokens.
pub(super) async fn read(
    app: &App,
    params: &Params,
    draft: &mut Draft,
) -> Result<(Presented, Wanted<'static>), Refused> {
    let form = parse(params)?;
    let details = request::details(params)?;
    let now = app.clock.now();
    let refused =
        |reason, deps: &[Dep], draft: &Draft| Refused { reason, deps: deps.to_vec(), draft: Some(draft.clone()) };
    let subject = standing(app, form.subject_token, Which::Subject, now).await.map_err(|r| refused(r, &[], draft))?;
    describe_subject(draft, &subject);
    let mut looked_at = subject.deps.clone();
    let actor = match form.actor_token {
        Some(token) => {
            let actor = standing(app, token, Which::Actor, now).await.map_err(|r| refused(r, &looked_at, draft))?;
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
    let wanted = Wanted { targets, abroad, scope, details, issued_type: form.issued_type, approved: None };
    Ok((Presented { subject, actor }, wanted))
}

/// The tokens of an exchange that waited for people, by what was kept of them.
pub(super) async fn read_again(
    app: &App,
    subject: VerifiedToken,
    actor: Option<VerifiedToken>,
    draft: &mut Draft,
) -> Result<Presented, Reason> {
    let now = app.clock.now();
    let subject = app.tokens.still_standing(subject, now).await.map_err(|doubt| in_words(Which::Subject, doubt))?;
    describe_subject(draft, &subject);
    let actor = match actor {
        Some(actor) => {
            let actor = app.tokens.still_standing(actor, now).await.map_err(|doubt| in_words(Which::Actor, doubt))?;
            draft.describe("actor_token", &actor.token.claims);
            Some(actor)
        }
        None => None,
    };
    Ok(Presented { subject, actor })
}

fn describe_subject(draft: &mut Draft, subject: &StandingToken) {
    draft.describe("subject_token", &subject.token.claims);
    if let Some(owner) = subject.owners.first() {
        draft.subject_owner(owner);
    }
}

/// RFC 8693 section 2.1.
fn parse(params: &Params) -> Result<Form<'_>, Reason> {
    let subject_token = params.one("subject_token").ok_or(Reason::MissingSubjectToken)?;
    let subject_type = params.one("subject_token_type").ok_or(Reason::MissingSubjectTokenType)?;
    check_type(subject_type)?;
    let actor_token = params.one("actor_token");
    match (actor_token, params.one("actor_token_type")) {
        // actor_token_type is REQUIRED with actor_token and MUST NOT come without it.
        (Some(_), None) | (None, Some(_)) => return Err(Reason::ActorTokenWithoutType),
        (Some(_), Some(kind)) => check_type(kind)?,
        (None, None) => {}
    }
    let requested = params.one("requested_token_type").unwrap_or(ACCESS_TOKEN);
    let issued_type = issued_type(requested).ok_or(Reason::UnsupportedRequestedType)?;
    Ok(Form { subject_token, actor_token, issued_type })
}

/// The types that can be issued (RFC 8693 section 3): for us the first two are the same token.
pub(super) fn issued_type(name: &str) -> Option<&'static str> {
    [ACCESS_TOKEN, JWT, ID_JAG].into_iter().find(|known| *known == name)
}

fn check_type(kind: &str) -> Result<(), Reason> {
    match kind {
        ACCESS_TOKEN | JWT => Ok(()),
        _ => Err(Reason::UnsupportedTokenType),
    }
}

async fn standing(app: &App, token: &str, which: Which, now: i64) -> Result<StandingToken, Reason> {
    app.tokens.standing(token, now).await.map_err(|doubt| in_words(which, doubt))
}

fn in_words(which: Which, doubt: Doubt) -> Reason {
    match (which, doubt) {
        (_, Doubt::Unavailable) => Reason::StoreUnavailable,
        (Which::Subject, Doubt::Fault(fault)) => match fault {
            TokenFault::Malformed => Reason::SubjectMalformed,
            TokenFault::Signature => Reason::SubjectSignature,
            TokenFault::Expired => Reason::SubjectExpired,
            TokenFault::Revoked(_) => Reason::SubjectRevoked,
            TokenFault::NotStanding => Reason::SubjectNotStanding,
        },
        (Which::Actor, Doubt::Fault(fault)) => match fault {
            TokenFault::Malformed => Reason::ActorMalformed,
            TokenFault::Signature => Reason::ActorSignature,
            TokenFault::Expired => Reason::ActorExpired,
            TokenFault::Revoked(_) => Reason::ActorRevoked,
            TokenFault::NotStanding => Reason::ActorNotStanding,
        },
    }
}
