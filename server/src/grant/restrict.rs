//! Asking the policies about a token that rows would give: after they have decided, and before
//! the ledger does. Policies only take away.

use super::{Authorization, Refused};
use crate::app::App;
use crate::audit::Origin;
use crate::client::AuthenticatedClient;
use crate::policy::{self, TokenQuestion};
use crate::reason::Reason;

/// How a token is asked for, as policies see it.
#[derive(Clone, Copy)]
pub(super) struct Restricted<'a> {
    pub(super) grant_type: &'a str,
    pub(super) exchange: bool,
    pub(super) origin: &'a Origin,
}

/// Policies: after rows have decided, and before the ledger does (the plan only reads).
pub(super) async fn restrict(
    app: &App,
    asked: Restricted<'_>,
    client: &AuthenticatedClient,
    mut authorization: Authorization,
) -> Result<Authorization, Refused> {
    let amounts = authorization.plan.amounts();
    let question = TokenQuestion {
        client: &client.client,
        grant_type: asked.grant_type,
        exchange: asked.exchange,
        claims: &authorization.claims,
        amounts: &amounts,
        source: asked.origin.source,
        now: app.clock.now(),
    };
    let admission = policy::of_token(&app.records, &question).await?;
    if !amounts.is_empty() {
        authorization.draft.put("amounts", policy::seen_amounts(&amounts));
    }
    admission.note(&mut authorization.draft);
    authorization.deps.extend(admission.deps.iter().cloned());
    if !admission.is_denied() {
        return Ok(authorization);
    }
    let Authorization { mut draft, deps, claims, .. } = authorization;
    draft.describe("wanted", &claims);
    Err(Refused { reason: Reason::PolicyDenied, deps, draft: Some(draft) })
}
