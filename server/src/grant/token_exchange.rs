//! Token exchange (RFC 8693): from a subject token (and an actor token) to a narrower one.
//!
//! Order: the form, the subject, the actor, their standing, the targets, then the one pure
//! decision of the token crate. Nothing here widens what that decision yields.

use super::budget::{Plan, Question, Source, plan, takes_budgets};
use super::id_jag::{self, ID_JAG, Leaving};
use super::presented::{Presented, Wanted, read};
use super::{Authorization, Refused, issue, request};
use crate::app::App;
use crate::audit::Draft;
use crate::binding::Held;
use crate::budget::{Purse, payer};
use crate::client::AuthenticatedClient;
use crate::deps;
use crate::federation::Vouched;
use crate::form::Params;
use crate::limits::MAX_TARGETS;
use crate::reason::Reason;
use crate::records::{Client, Resource, Unavailable};
use crate::status;
use crate::tokens::StandingToken;
use std::sync::Arc;
use stipend_schema::Dep;
use stipend_token::budget::{Asked, BudgetCap};
use stipend_token::narrow::{self, Exchange, Narrowed, Presenter, Target};
use stipend_token::rule::{ExchangeMode, ExchangeRule};
use stipend_token::{AccessToken, Audience, ScopeSet};

/// An exchange with its records at hand: what [`narrow::decide`] judges.
#[derive(Debug)]
pub struct Exchanged {
    pub targets: Vec<Arc<Resource>>,
    pub rules: Arc<Vec<ExchangeRule>>,
    pub deps: Vec<Dep>,
    /// What is asked for is an identity assertion grant.
    pub abroad: bool,
    /// Who vouches for the subject, where its token is not ours.
    pub federated: Option<Arc<Vouched>>,
}

/// What an exchange would issue, and on whose word.
pub(super) struct Judged {
    pub authorization: Authorization,
    pub targets: Vec<Arc<Resource>>,
    /// Owner of the client that holds the subject token.
    pub subject_owner: Option<String>,
    pub mode: ExchangeMode,
    pub rules: Vec<String>,
    /// The owners whose people must approve it first.
    pub approvers: Vec<String>,
}

pub(super) async fn decide(
    app: &App,
    authenticated: &AuthenticatedClient,
    params: &Params,
    mut draft: Draft,
) -> Result<Authorization, Refused> {
    draft.put("grant_type", super::TOKEN_EXCHANGE);
    let (presented, wanted) = read(app, &authenticated.client, params, &mut draft).await?;
    let Judged { authorization, approvers, .. } = judge(app, authenticated, &presented, wanted, draft).await?;
    if approvers.is_empty() {
        return Ok(authorization);
    }
    // Who must be asked is no secret to whom the rule names; it is in the record for its owners.
    let Authorization { deps, mut draft, .. } = authorization;
    draft.put("approvers", approvers);
    Err(Refused { reason: Reason::ApprovalNeeded, deps, draft: Some(draft) })
}

/// Decides the exchange.
pub(super) async fn judge(
    app: &App,
    authenticated: &AuthenticatedClient,
    presented: &Presented,
    wanted: Wanted<'_>,
    mut draft: Draft,
) -> Result<Judged, Refused> {
    let client = &authenticated.client;
    let now = app.clock.now();
    let Presented { subject, actor } = presented;
    let refused =
        |reason, deps: &[Dep], draft: &Draft| Refused { reason, deps: deps.to_vec(), draft: Some(draft.clone()) };
    let mut looked_at: Vec<Dep> =
        subject.deps.iter().chain(actor.iter().flat_map(|actor| &actor.deps)).cloned().collect();
    let exchanged = build(app, client, &subject.token.claims, &wanted.targets)
        .await?
        .map_err(|(reason, deps)| refused(reason, &[looked_at.clone(), deps].concat(), &draft))?
        .leading_abroad(wanted.abroad.is_some())
        .vouched_for(subject.federated.clone());
    looked_at.extend(exchanged.deps.iter().cloned());

    let claims = &subject.token.claims;
    let owners: Vec<&str> = subject.owners.iter().map(String::as_str).collect();
    let actor_claims = actor.as_ref().map(|actor| &actor.token.claims);
    let scope = wanted.approved.map_or(wanted.scope.as_ref(), |offer| Some(&offer.scope));
    let mut narrowed = exchanged
        .decide(app, client, claims, &owners, (actor_claims, scope), now)
        .map_err(|refusal| refused(refusal.into(), &looked_at, &draft))?;
    if let Some(offer) = wanted.approved {
        narrowed.exp = narrowed.exp.min(now.saturating_add(offer.ttl_seconds));
    }
    note(&mut draft, &narrowed);
    let bound = held(client, claims, actor_claims, &exchanged, &narrowed);
    let (mode, rules, approvers) = (narrowed.mode, narrowed.rules.clone(), narrowed.approvers.clone());
    let subject_owner = subject.owners.first().cloned();
    if let Some(abroad) = &wanted.abroad {
        if subject.federated.as_ref().is_some_and(|vouched| !id_jag::is_made_for(client, vouched)) {
            return Err(refused(Reason::SubjectAudience, &looked_at, &draft));
        }
        looked_at.push(deps::subject(&client.subject));
        let leaving = exchanged.leaving(&narrowed, client, abroad);
        let claims = claims_of(app, client, subject, narrowed, now);
        let authorization = leave(app, leaving, claims, looked_at, (draft, bound)).map_err(|refused| *refused)?;
        return Ok(Judged { authorization, targets: exchanged.targets, subject_owner, mode, rules, approvers });
    }
    let approved = wanted.approved.map(|offer| offer.budget.as_slice());
    // A unit that people took out is not asked for any more.
    let left = |asked: &Asked| approved.is_none_or(|caps| caps.iter().any(|cap| cap.unit == asked.unit));
    let asked: Option<Vec<Asked>> =
        wanted.details.budgets.as_ref().map(|asked| asked.iter().filter(|asked| left(asked)).cloned().collect());
    let planned = plan_budget(app, claims, &exchanged, &narrowed, (asked.as_deref(), approved)).await;
    let plan = planned.map_err(|(reason, deps)| refused(reason, &[looked_at.clone(), deps].concat(), &draft))?;
    // The subject token's ceiling goes along whatever the mode and wherever the child is for, so
    // that no detour loses it. The actor token's caps nothing: it says who acts, and as with scope
    // and budget nothing of what it allows is read; whoever acts could leave it out.
    let held = claims.authorization_details.as_deref();
    let mut claims = claims_of(app, client, subject, narrowed, now);
    let moved_to = claims.aud.iter().filter(|aud| !subject.token.claims.aud.contains(aud)).cloned().collect();
    claims.budget = plan.claim();
    claims.authorization_details = request::ceiling(held, wanted.details.credentials.as_deref(), &claims.jti)
        .map_err(|r| refused(r, &[looked_at.clone(), plan.deps.clone()].concat(), &draft))?;
    let status = status::wanted(owners.iter().copied().chain([client.owner_id.as_str()]), &exchanged.targets);
    issue::check_size(app, &claims, status.is_some()).map_err(|r| refused(r, &looked_at, &draft))?;
    looked_at.extend(plan.deps.iter().cloned());
    looked_at.push(deps::subject(&client.subject));
    let issued_token_type = wanted.issued_type;
    let authorization = Authorization {
        claims,
        deps: looked_at,
        draft,
        issued_token_type,
        plan,
        held: bound,
        status,
        leaving: None,
        burn: None,
        moved_to,
    };
    Ok(Judged { authorization, targets: exchanged.targets, subject_owner, mode, rules, approvers })
}

/// A grant for another server: recorded as a token would be, without what means something only
/// here (a budget, a ceiling on credentials, a place in a status list).
fn leave(
    app: &App,
    leaving: Option<Leaving>,
    claims: AccessToken,
    deps: Vec<Dep>,
    (mut draft, held): (Draft, Vec<Held>),
) -> Result<Authorization, Box<Refused>> {
    let claims = AccessToken { exp: Leaving::end(claims.iat, claims.exp), ..claims };
    let fits = issue::check_size(app, &claims, false);
    let leaving = match leaving.ok_or(Reason::UnknownTarget).and_then(|leaving| fits.map(|()| leaving)) {
        Ok(leaving) => leaving,
        Err(reason) => return Err(Box::new(Refused { reason, deps, draft: Some(draft) })),
    };
    draft.put("id_jag", leaving.describe());
    let (plan, issued_token_type) = (Plan::default(), Some(ID_JAG));
    Ok(Authorization {
        claims,
        deps,
        draft,
        issued_token_type,
        plan,
        held,
        status: None,
        leaving: Some(leaving),
        burn: None,
        moved_to: Vec::new(),
    })
}

/// The bound tokens of the exchange. Another client's subject token may come without its key only
/// where it was meant to be handed on: its `may_act` names the presenter (which the decision has
/// checked), or every rule used says so. An actor token is its presenter's own.
fn held(
    client: &Client,
    subject: &AccessToken,
    actor: Option<&AccessToken>,
    exchanged: &Exchanged,
    narrowed: &Narrowed,
) -> Vec<Held> {
    let accepts = |id: &String| {
        exchanged.rules.iter().find(|rule| &rule.id == id).is_some_and(|rule| rule.spec.accept_bound_subject)
    };
    let by_rule = !narrowed.rules.is_empty() && narrowed.rules.iter().all(accepts);
    let handed_on = subject.client_id != client.id && (subject.may_act.is_some() || by_rule);
    let subject = Held::of(subject, handed_on, Reason::SubjectKeyNotProved);
    let actor = actor.and_then(|actor| Held::of(actor, false, Reason::ActorKeyNotProved));
    subject.into_iter().chain(actor).collect()
}

/// Under the subject token's lines. A token that has none hands none on, unless a rule says how
/// much: then those of whoever its authority began with pay. Every rule used caps it.
async fn plan_budget(
    app: &App,
    subject: &AccessToken,
    exchanged: &Exchanged,
    narrowed: &Narrowed,
    (asked, approved): (Option<&[Asked]>, Option<&[BudgetCap]>),
) -> Result<Plan, (Reason, Vec<Dep>)> {
    let used = exchanged.rules.iter().filter(|rule| narrowed.rules.contains(&rule.id));
    let rules: Vec<_> = used.map(|rule| &rule.spec).collect();
    let question = Question { targets: &exchanged.targets, asked, rules: &rules, approved, exp: narrowed.exp };
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
    Ok(Ok(Exchanged { targets, rules, deps: looked_at, abroad: false, federated: None }))
}

impl Exchanged {
    /// Where the rule that was used leads.
    fn leaving(&self, narrowed: &Narrowed, client: &Client, wanted: &id_jag::Wanted) -> Option<Leaving> {
        let [used] = narrowed.rules.as_slice() else { return None };
        let rule = self.rules.iter().find(|rule| &rule.id == used)?;
        Leaving::by(rule.spec.id_jag.as_ref()?, &client.id, wanted)
    }

    #[must_use]
    pub fn leading_abroad(self, abroad: bool) -> Self {
        Self { abroad, ..self }
    }

    /// The same for a subject that another issuer vouches for.
    #[must_use]
    pub fn vouched_for(self, federated: Option<Arc<Vouched>>) -> Self {
        Self { federated, ..self }
    }

    /// The decision itself, as of `now`.
    ///
    /// # Errors
    /// The refusal of [`narrow::decide`].
    pub fn decide(
        &self,
        app: &App,
        client: &Client,
        subject: &AccessToken,
        owners: &[&str],
        (actor, scope): (Option<&AccessToken>, Option<&ScopeSet>),
        now: i64,
    ) -> Result<Narrowed, narrow::Refusal> {
        let targets = self.targets();
        // At the moment that the token's own times are counted from.
        narrow::decide(&Exchange { now, ..self.exchange(app, client, subject, owners, actor, scope, &targets) })
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
            federated: self.federated.as_deref().map(Vouched::as_federated),
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
