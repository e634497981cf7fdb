//! The client credentials grant (RFC 6749 section 4.4): a token in the client's own name.

use super::budget::{Question, Source, plan, takes_budgets};
use super::{Authorization, Refused, issue, request};
use crate::app::App;
use crate::audit::Draft;
use crate::budget::Purse;
use crate::client::AuthenticatedClient;
use crate::deps;
use crate::form::Params;
use crate::reason::Reason;
use crate::records::{Client, Resource, Unavailable};
use crate::status;
use std::sync::Arc;
use stipend_schema::Dep;
use stipend_token::budget::BudgetCap;
use stipend_token::lineage::Lineage;
use stipend_token::{ActorChain, Audience, access};

pub(super) async fn decide(
    app: &App,
    authenticated: &AuthenticatedClient,
    params: &Params,
    mut draft: Draft,
) -> Result<Authorization, Refused> {
    draft.put("grant_type", super::CLIENT_CREDENTIALS);
    let client = &authenticated.client;
    let asked = request::details(params, client)?;
    let targets = request::targets(params)?;
    let scope = request::scope(params)?;
    let access = access::decide(&client.access, &targets, scope.as_ref(), client.scope_ceiling.as_ref())?;
    let mut looked_at = Vec::new();
    let reached = reach(app, client, &access.aud, &mut looked_at).await?;
    let resources = match reached {
        Ok(resources) => resources,
        Err(reason) => return Err(Refused { reason, deps: looked_at, draft: Some(draft) }),
    };
    // RFC 9068 section 2.2.3: every scope has a meaning at every audience.
    let scope = resources.iter().fold(access.scope, |scope, resource| scope.intersection(&resource.scopes));
    let ttl = resources.iter().fold(client.ttl_seconds, |ttl, resource| ttl.min(resource.ttl_seconds));
    if scope.is_empty() {
        return Err(Refused { reason: Reason::ScopeNotAllowed, deps: looked_at, draft: Some(draft) });
    }
    let now = app.clock.now();
    let mut claims = issue::new_claims(app, client, now);
    claims.aud = access.aud;
    claims.scope = scope;
    claims.lineage = Lineage::default();
    claims.act = ActorChain::default();
    claims.may_act = client.may_act.clone();
    claims.exp = now.saturating_add(ttl.max(1));
    looked_at.push(deps::subject(&claims.sub));
    let source = if takes_budgets(&resources) {
        let purse = Box::new(Purse::open(app, Arc::clone(client)).await?);
        Source::Purse { purse, default: access_default(client, &claims.aud), tasks: true }
    } else {
        Source::Nothing
    };
    let question =
        Question { targets: &resources, asked: asked.budgets.as_deref(), rules: &[], approved: None, exp: claims.exp };
    let plan = plan(app, source, &question).await;
    let plan = match plan {
        Ok(plan) => plan,
        Err((reason, deps)) => {
            looked_at.extend(deps);
            return Err(Refused { reason, deps: looked_at, draft: Some(draft) });
        }
    };
    claims.budget = plan.claim();
    // It only restricts: whether the client may use a credential, its grants decide at each use.
    claims.authorization_details = match request::ceiling(None, asked.credentials.as_deref(), &claims.jti) {
        Ok(ceiling) => ceiling,
        Err(reason) => return Err(Refused { reason, deps: looked_at, draft: Some(draft) }),
    };
    let status = status::wanted(std::iter::once(client.owner_id.as_str()), &resources);
    if let Err(reason) = issue::check_size(app, &claims, status.is_some()) {
        return Err(Refused { reason, deps: looked_at, draft: Some(draft) });
    }
    looked_at.extend(plan.deps.iter().cloned());
    Ok(Authorization {
        claims,
        deps: looked_at,
        draft,
        issued_token_type: None,
        plan,
        held: Vec::new(),
        status,
        leaving: None,
        burn: None,
        moved_to: Vec::new(),
    })
}

/// The resources that a token is for, and what was looked at on the way.
///
/// # Errors
/// [`Unavailable`]; inside, why one can't be had.
async fn reach(
    app: &App,
    client: &Client,
    audiences: &[Audience],
    looked_at: &mut Vec<Dep>,
) -> Result<Result<Vec<Arc<Resource>>, Reason>, Unavailable> {
    let mut resources = Vec::with_capacity(audiences.len());
    for audience in audiences {
        looked_at.push(deps::resource(audience.as_str()));
        let resource = app.records.find_resource(audience.as_str()).await?;
        let Some(resource) = resource.filter(|resource| resource.active) else {
            return Ok(Err(Reason::UnknownTarget));
        };
        looked_at.push(deps::owner(&resource.owner_id));
        if resource.environment.is_some_and(|env| env != client.environment) {
            return Ok(Err(Reason::EnvironmentCrossed));
        }
        resources.push(resource);
    }
    Ok(Ok(resources))
}

/// What the client's registration says of the budget of a token for this resource.
fn access_default(client: &Client, audience: &[Audience]) -> Option<Vec<BudgetCap>> {
    let [only] = audience else { return None };
    client.access.iter().find(|entry| entry.resource == *only).and_then(|entry| entry.default_budget.clone())
}
