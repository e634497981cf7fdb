//! Who calls the admin API: a bearer token of ours for it, and the roles of its client now.
//!
//! Roles come from the client's record and never from the token, so that taking one away
//! works at once. A delegated or exchanged token is nobody's own and administers nothing.

use super::problem::{Code, Refusal};
use super::roles::{self, Action, Verdict};
use crate::app::App;
use crate::records::Client;
use crate::tokens::Doubt;
use std::sync::Arc;
use stipend_schema::Dep;
use stipend_schema::queries::OwnerFilter;
use stipend_token::ScopeSet;

/// A client that has shown a good token for the admin API.
#[derive(Clone, Debug)]
pub struct Caller {
    pub client: Arc<Client>,
    pub scope: ScopeSet,
    /// What its standing was concluded from.
    pub deps: Vec<Dep>,
}

/// Reads the token of a request.
///
/// # Errors
/// [`Code::InvalidToken`], or that nobody can tell now.
pub(super) async fn authenticate(app: &App, bearer: &str) -> Result<Caller, Refusal> {
    // A read commits nothing, so it leans on the view as introspection does.
    if !app.view_is_fresh().await {
        return Err(Refusal::unavailable());
    }
    let invalid = || Refusal::new(Code::InvalidToken, "the access token is not valid here");
    let standing = match app.tokens.standing(bearer, app.clock.now()).await {
        Ok(standing) => standing,
        Err(Doubt::Unavailable) => return Err(Refusal::unavailable()),
        Err(Doubt::Fault(_)) => return Err(invalid()),
    };
    let claims = &standing.token.claims;
    // A token that is also for another service could be replayed here by that service.
    let ours = matches!(claims.aud.as_slice(), [only] if only.as_str() == app.urls.admin_resource);
    if !ours || !claims.act.is_empty() || !claims.lineage.tokens.is_empty() {
        return Err(invalid());
    }
    let client = app.records.find_client(&claims.client_id).await?.ok_or_else(invalid)?;
    if claims.sub != client.subject {
        return Err(invalid());
    }
    Ok(Caller { client, scope: claims.scope.clone(), deps: standing.deps })
}

impl Caller {
    #[must_use]
    pub fn id(&self) -> &str {
        &self.client.id
    }

    #[must_use]
    pub fn may(&self, action: Action, owner: Option<&str>) -> bool {
        roles::decide(&self.client.roles, action, owner) == Verdict::Allowed
    }

    /// # Errors
    /// 403, or 404 where the caller sees nothing of the owner.
    pub fn check(&self, action: Action, owner: Option<&str>) -> Result<(), Refusal> {
        match roles::decide(&self.client.roles, action, owner) {
            Verdict::Allowed => Ok(()),
            Verdict::Forbidden => Err(Refusal::forbidden()),
            Verdict::Hidden => Err(Refusal::not_found()),
        }
    }

    /// Whose rows a list may show.
    #[must_use]
    pub fn owners(&self, action: Action) -> OwnerFilter {
        match roles::scope_of(&self.client.roles, action) {
            None => OwnerFilter::All,
            Some(owners) => OwnerFilter::Only(owners),
        }
    }
}
