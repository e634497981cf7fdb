//! Token exchange (RFC 8693): from a subject token (and an actor token) to a narrower one.
//!
//! Order: the form, the subject, the actor, their standing, the targets, then the one pure
//! decision of the token crate. Nothing here widens what that decision yields.

use super::budget::{Plan, Question, Source, plan, takes_budgets};
use super::id_jag::{ID_JAG, Leaving, Wanted};
use super::{Authorization, Refused, issue, request};
use crate::app::App;
use crate::audit::Draft;
use crate::budget::{Purse, payer};
use crate::client::AuthenticatedClient;
use crate::deps;
use crate::form::Params;
use crate::limits::MAX_TARGETS;
use crate::reason::Reason;
use crate::records::{Client, Resource, Unavailable};
use crate::status;
use crate::tokens::{Doubt, StandingToken, TokenFault};
use std::sync::Arc;
use stipend_schema::Dep;
use stipend_token::budget::Asked;
use stipend_token::narrow::{self, Exchange, Narrowed, Presenter, Target};
use stipend_token::rule::{ExchangeMode, ExchangeRule};
use stipend_token::{AccessToken, Audience, ScopeSet};

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

/// An exchange with its records at hand: what [`narrow::decide`] judges.
#[derive(Debug)]
pub struct Exchanged {
    pub targets: Vec<Arc<Resource>>,
    pub rules: Arc<Vec<ExchangeRule>>,
    pub deps: Vec<Dep>,
    /// What is asked for is an identity assertion grant.
    pub abroad: bool,
}

pub(super) async fn decide(
    app: &App,
    authenticated: &AuthenticatedClient,
    params: &Params,
    mut draft: Draft,
) -> Result<Authorization, Refused> {
    draft.put("grant_type", super::TOKEN_EXCHANGE);
    let form = parse(params)?;
    let asked = request::details(params)?;
    let client = &authenticated.client;
    let now = app.clock.now();
    let refused =
        |reason, deps: &[Dep], draft: &Draft| Refused { reason, deps: deps.to_vec(), draft: Some(draft.clone()) };

    let subject = standing(app, form.subject_token, Which::Subject, now).await.map_err(|r| refused(r, &[], &draft))?;
    draft.describe("subject_token", &subject.token.claims);
    if let Some(owner) = subject.owners.first() {
        draft.subject_owner(owner);
    }
    let mut looked_at = subject.deps.clone();
    let actor = match form.actor_token {
        Some(token) => {
            let actor = standing(app, token, Which::Actor, now).await.map_err(|r| refused(r, &looked_at, &draft))?;
            draft.describe("actor_token", &actor.token.claims);
            looked_at.extend(actor.deps.iter().cloned());
            Some(actor)
        }
        None => None,
    };
    let abroad = form.leads_abroad().then(|| Wanted::read(params)).transpose();
    let abroad = abroad.map_err(|r| refused(r, &looked_at, &draft))?;
    let requested = match &abroad {
        Some(wanted) => vec![wanted.server.clone()],
        None => request::targets(params).map_err(|r| refused(r, &looked_at, &draft))?,
    };
    let scope = request::scope(params).map_err(|r| refused(r, &looked_at, &draft))?;
    let exchanged = build(app, client, &subject.token.claims, &requested)
        .await?
        .map_err(|(reason, deps)| refused(reason, &[looked_at.clone(), deps].concat(), &draft))?
        .leading_abroad(abroad.is_some());
    looked_at.extend(exchanged.deps.iter().cloned());

    let claims = &subject.token.claims;
    let owners: Vec<&str> = subject.owners.iter().map(String::as_str).collect();
    let actor_claims = actor.as_ref().map(|actor| &actor.token.claims);
    let narrowed = exchanged
        .decide(app, client, claims, &owners, actor_claims, scope.as_ref())
        .map_err(|refusal| refused(refusal.into(), &looked_at, &draft))?;
    note(&mut draft, &narrowed);
    if let Some(wanted) = abroad {
        looked_at.push(deps::subject(&client.subject));
        let leaving = exchanged.leaving(&narrowed, client, &wanted);
        let claims = claims_of(app, client, &subject, narrowed, now);
        return leave(app, leaving, claims, looked_at, draft).map_err(|refused| *refused);
    }
    let planned = plan_budget(app, claims, &exchanged, &narrowed, asked.budgets.as_deref()).await;
    let plan = planned.map_err(|(reason, deps)| refused(reason, &[looked_at.clone(), deps].concat(), &draft))?;
    // The subject token's ceiling goes along whatever the mode and wherever the child is for, so
    // that no detour loses it. The actor token's caps nothing: it says who acts, and as with scope
    // and budget nothing of what it allows is read; whoever acts could leave it out.
    let held = claims.authorization_details.as_deref();
    let mut claims = claims_of(app, client, &subject, narrowed, now);
    claims.budget = plan.claim();
    claims.authorization_details = request::ceiling(held, asked.credentials.as_deref(), &claims.jti)
        .map_err(|r| refused(r, &[looked_at.clone(), plan.deps.clone()].concat(), &draft))?;
    let status = status::wanted(owners.iter().copied().chain([client.owner_id.as_str()]), &exchanged.targets);
    issue::check_size(app, &claims, status.is_some()).map_err(|r| refused(r, &looked_at, &draft))?;
    looked_at.extend(plan.deps.iter().cloned());
    looked_at.push(deps::subject(&client.subject));
    Ok(Authorization {
        claims,
        deps: looked_at,
        draft,
        issued_token_type: Some(form.issued_type),
        plan,
        status,
        leaving: None,
    })
}

/// A grant for another server: recorded as a token would be, without what means something only
/// here (a budget, a ceiling on credentials, a place in a status list).
fn leave(
    app: &App,
    leaving: Option<Leaving>,
    claims: AccessToken,
    deps: Vec<Dep>,
    mut draft: Draft,
) -> Result<Authorization, Box<Refused>> {
    let claims = AccessToken { exp: Leaving::end(claims.iat, claims.exp), ..claims };
    let fits = issue::check_size(app, &claims, false);
    let leaving = match leaving.ok_or(Reason::UnknownTarget).and_then(|leaving| fits.map(|()| leaving)) {
        Ok(leaving) => leaving,
        Err(reason) => return Err(Box::new(Refused { reason, deps, draft: Some(draft) })),
    };
    draft.put("id_jag", leaving.describe());
    let (plan, issued_token_type) = (Plan::default(), Some(ID_JAG));
    Ok(Authorization { claims, deps, draft, issued_token_type, plan, status: None, leaving: Some(leaving) })
}

/// Under the subject token's lines. A token that has none hands none on, unless a rule says how
/// much: then those of whoever its authority began with pay. Every rule used caps it.
async fn plan_budget(
    app: &App,
    subject: &AccessToken,
    exchanged: &Exchanged,
    narrowed: &Narrowed,
    asked: Option<&[Asked]>,
) -> Result<Plan, (Reason, Vec<Dep>)> {
    let used = exchanged.rules.iter().filter(|rule| narrowed.rules.contains(&rule.id));
    let rules: Vec<_> = used.map(|rule| &rule.spec).collect();
    let question = Question { targets: &exchanged.targets, asked, rules: &rules, exp: narrowed.exp };
    let ceiling = rules.iter().find_map(|rule| rule.budget_ceiling.clone());
    let source = match (&subject.budget, ceiling) {
        (Some(lines), _) => Source::Token(lines),
        (None, Some(ceiling)) if takes_budgets(&exchanged.targets) => {
            let unknown = |reason: Reason| (reason, Vec::new());
            let payer = app.records.find_client(payer(subject)).await.map_err(|error| unknown(error.into()))?;
            let payer = payer.ok_or(unknown(Reason::SubjectNotStanding))?;
            let purse = Purse::open(app, payer).await.map_err(|error| unknown(error.into()))?;
            Source::Purse { purse: Box::new(purse), default: Some(ceiling), tasks: false }
        }
        (None, _) => Source::Nothing,
    };
    plan(app, source, &question).await
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
    app.tokens.standing(token, now).await.map_err(|doubt| match (which, doubt) {
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
    })
}

/// Brings the targets and rules of an exchange together; with none requested, the subject
/// token's own audience stays.
///
/// # Errors
/// [`Unavailable`]; inside, an unknown target with what was looked at.
pub async fn build(
    app: &App,
    client: &Client,
    subject: &AccessToken,
    requested: &[Audience],
) -> Result<Result<Exchanged, (Reason, Vec<Dep>)>, Unavailable> {
    let wanted = if requested.is_empty() { &subject.aud } else { requested };
    let mut looked_at = vec![deps::rules_of(&client.owner_id)];
    let mut targets = Vec::new();
    for audience in wanted.iter().take(MAX_TARGETS) {
        looked_at.push(deps::resource(audience.as_str()));
        match app.records.find_resource(audience.as_str()).await? {
            Some(resource) if resource.active => {
                looked_at.push(deps::owner(&resource.owner_id));
                targets.push(resource);
            }
            _ => return Ok(Err((Reason::UnknownTarget, looked_at))),
        }
    }
    let rules = app.records.rules_of(&client.owner_id).await?;
    Ok(Ok(Exchanged { targets, rules, deps: looked_at, abroad: false }))
}

impl Form<'_> {
    fn leads_abroad(&self) -> bool {
        self.issued_type == ID_JAG
    }
}

impl Exchanged {
    /// Where the rule that was used leads.
    fn leaving(&self, narrowed: &Narrowed, client: &Client, wanted: &Wanted) -> Option<Leaving> {
        let [used] = narrowed.rules.as_slice() else { return None };
        let rule = self.rules.iter().find(|rule| &rule.id == used)?;
        Leaving::by(rule.spec.id_jag.as_ref()?, &client.id, wanted)
    }

    #[must_use]
    pub fn leading_abroad(self, abroad: bool) -> Self {
        Self { abroad, ..self }
    }

    /// The decision itself.
    ///
    /// # Errors
    /// The refusal of [`narrow::decide`].
    pub fn decide(
        &self,
        app: &App,
        client: &Client,
        subject: &AccessToken,
        owners: &[&str],
        actor: Option<&AccessToken>,
        scope: Option<&ScopeSet>,
    ) -> Result<Narrowed, narrow::Refusal> {
        narrow::decide(&self.exchange(app, client, subject, owners, actor, scope, &self.targets()))
    }

    /// The targets as the decision wants them.
    #[must_use]
    pub fn targets(&self) -> Vec<Target<'_>> {
        self.targets
            .iter()
            .map(|resource| Target {
                audience: &resource.audience,
                owner_id: &resource.owner_id,
                scopes: &resource.scopes,
                environment: resource.environment,
                ttl_seconds: resource.ttl_seconds,
            })
            .collect()
    }

    /// The question as the token crate puts it.
    #[expect(clippy::too_many_arguments, reason = "the parts of one question, each from another place")]
    pub fn exchange<'a>(
        &'a self,
        app: &'a App,
        client: &'a Client,
        subject: &'a AccessToken,
        owners: &'a [&'a str],
        actor: Option<&'a AccessToken>,
        scope: Option<&'a ScopeSet>,
        targets: &'a [Target<'a>],
    ) -> Exchange<'a> {
        Exchange {
            issuer: &app.urls.issuer,
            subject,
            subject_owners: owners,
            actor_token: actor,
            presenter: Presenter {
                client_id: &client.id,
                subject: &client.subject,
                owner_id: &client.owner_id,
                environment: client.environment,
                scope_ceiling: client.scope_ceiling.as_ref(),
                ttl_seconds: client.ttl_seconds,
            },
            targets,
            scope,
            rules: &self.rules,
            abroad: self.abroad,
            max_depth: app.config.max_depth,
            now: app.clock.now(),
        }
    }
}

fn note(draft: &mut Draft, narrowed: &Narrowed) {
    let mode = match narrowed.mode {
        ExchangeMode::Delegation => "delegation",
        ExchangeMode::Impersonation => "impersonation",
    };
    draft.put("exchange", mode);
    draft.put("rules", narrowed.rules.clone());
}

fn claims_of(app: &App, client: &Client, subject: &StandingToken, narrowed: Narrowed, now: i64) -> AccessToken {
    let from = &subject.token.claims;
    let mut claims = issue::new_claims(app, client, now);
    claims.sub.clone_from(&from.sub);
    claims.sub_profile.clone_from(&from.sub_profile);
    claims.user.clone_from(&from.user);
    claims.aud = narrowed.aud;
    claims.scope = narrowed.scope;
    claims.lineage = narrowed.lineage;
    claims.act = narrowed.act;
    claims.exp = narrowed.exp;
    claims
}
