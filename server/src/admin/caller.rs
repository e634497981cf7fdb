//! Who calls the admin API: a client with a token of ours for it, or a person with a token of a
//! trusted issuer; and which roles they have now.
//!
//! Roles come from the client's record or the issuer's registration and never from a token of
//! ours, so that taking one away works at once. A delegated or exchanged token is nobody's own
//! and administers nothing.

use super::api::{SCOPE_AUDIT, SCOPE_READ, SCOPE_WRITE};
use super::person::{self, Person};
use super::problem::{Code, Refusal};
use super::roles::{self, Action, Verdict};
use crate::app::App;
use crate::records::{Client, RoleGrant};
use crate::tokens::Doubt;
use std::sync::Arc;
use stipend_keys::Unverified;
use stipend_schema::Dep;
use stipend_schema::queries::OwnerFilter;
use stipend_token::ScopeSet;

/// Somebody who has shown a good token for the admin API.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Who,
    pub scope: ScopeSet,
    /// What its standing was concluded from.
    pub deps: Vec<Dep>,
}

#[derive(Clone, Debug)]
enum Who {
    Client(Arc<Client>),
    Person(Arc<Person>),
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
    // What says that it is ours is judged as ours, and as nobody else's.
    match Unverified::parse(bearer).ok().filter(|token| !is_ours(app, token)) {
        Some(foreign) => person(app, foreign).await,
        None => client(app, bearer).await,
    }
}

fn is_ours(app: &App, token: &Unverified) -> bool {
    token.claims().get("iss").and_then(serde_json::Value::as_str) == Some(app.urls.issuer.as_str())
}

pub(super) fn invalid() -> Refusal {
    Refusal::new(Code::InvalidToken, "the access token is not valid here")
}

async fn client(app: &App, bearer: &str) -> Result<Caller, Refusal> {
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
    Ok(Caller { who: Who::Client(client), scope: claims.scope.clone(), deps: standing.deps })
}

async fn person(app: &App, token: Unverified) -> Result<Caller, Refusal> {
    let (person, deps) = person::authenticate(app, token).await?;
    let may = |action| roles::scope_of(&person.roles, action) != Some(Vec::new());
    // A person has the scopes that the roles are good for: no token of another issuer has ours.
    let scopes = [
        (SCOPE_READ, !person.roles.is_empty()),
        (SCOPE_WRITE, person.roles.iter().any(roles::may_change)),
        (SCOPE_AUDIT, may(Action::ReadAudit)),
    ];
    let held = scopes.into_iter().filter_map(|(scope, held)| held.then_some(scope));
    let scope = ScopeSet::from_tokens(held).unwrap_or_default();
    Ok(Caller { who: Who::Person(Arc::new(person)), scope, deps })
}

impl Caller {
    /// The client's id, or the person's subject.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.who {
            Who::Client(client) => &client.id,
            Who::Person(person) => &person.subject,
        }
    }

    /// The client's owner, or the owner of the person's issuer.
    #[must_use]
    pub fn owner(&self) -> &str {
        match &self.who {
            Who::Client(client) => &client.owner_id,
            Who::Person(person) => &person.issuer.owner_id,
        }
    }

    #[must_use]
    pub fn roles(&self) -> &[RoleGrant] {
        match &self.who {
            Who::Client(client) => &client.roles,
            Who::Person(person) => &person.roles,
        }
    }

    /// Who it is, where it is a person.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match &self.who {
            Who::Client(_) => None,
            Who::Person(person) => Some(person),
        }
    }

    #[must_use]
    pub fn may(&self, action: Action, owner: Option<&str>) -> bool {
        roles::decide(self.roles(), action, owner) == Verdict::Allowed
    }

    /// # Errors
    /// 403, or 404 where the caller sees nothing of the owner.
    pub fn check(&self, action: Action, owner: Option<&str>) -> Result<(), Refusal> {
        match roles::decide(self.roles(), action, owner) {
            Verdict::Allowed => Ok(()),
            Verdict::Forbidden => Err(Refusal::forbidden()),
            Verdict::Hidden => Err(Refusal::not_found()),
        }
    }

    /// Whose rows a list may show.
    #[must_use]
    pub fn owners(&self, action: Action) -> OwnerFilter {
        match roles::scope_of(self.roles(), action) {
            None => OwnerFilter::All,
            Some(owners) => OwnerFilter::Only(owners),
        }
    }
}
