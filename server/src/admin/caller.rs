//! Who calls the admin API: a client with a token of ours for it, or a person with a token of a
//! trusted issuer, with a proof of its key where it is bound; and which roles they have now.
//!
//! Roles come from the client's record or the issuer's registration and never from a token of
//! ours, so that taking one away works at once. A delegated or exchanged token is nobody's own
//! and administers nothing.

use super::api::{SCOPE_AUDIT, SCOPE_READ, SCOPE_WRITE};
use super::person::{self, Person};
use super::problem::{Code, Refusal};
use super::roles::{self, Action, Verdict};
use crate::app::App;
use crate::binding::{self, Presentation};
use crate::reason::{OAuthCode, Reason};
use crate::records::{Client, RoleGrant};
use crate::telemetry::{self, Phase, phase};
use crate::tokens::{Doubt, StandingToken};
use std::sync::Arc;
use stipend_keys::Unverified;
use stipend_schema::queries::OwnerFilter;
use stipend_schema::{Burn, Dep};
use stipend_token::{Confirmation, ScopeSet};

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

/// Reads the token of a request, and what its proof uses up.
///
/// # Errors
/// [`Code::InvalidToken`], or that nobody can tell now.
pub(super) async fn authenticate(app: &App, shown: &Presentation) -> Result<(Caller, Option<Burn>), Refusal> {
    let _timed = phase(Phase::Authenticate);
    // A read commits nothing, so it leans on the view as introspection does.
    if !app.view_is_fresh().await {
        return Err(Refusal::unavailable());
    }
    // What says that it is ours is judged as ours, and as nobody else's.
    match Unverified::parse(&shown.token).ok().filter(|token| !is_ours(app, token)) {
        Some(foreign) => person(app, foreign, shown).await,
        None => client(app, shown).await,
    }
}

/// Whether whoever came with this token may still do something, and for whom: for what goes on
/// after its request was answered. What was proved of the key then is not proved again.
pub(super) async fn still(app: &App, shown: &Presentation) -> Result<Caller, Refusal> {
    if !app.view_is_fresh().await {
        return Err(Refusal::unavailable());
    }
    match Unverified::parse(&shown.token).ok().filter(|token| !is_ours(app, token)) {
        Some(foreign) => {
            let (person, deps) = person::authenticate(app, foreign).await?;
            let scope = scope_of(&person);
            Ok(Caller { who: Who::Person(Arc::new(person)), scope, deps })
        }
        None => {
            let (standing, client) = standing(app, shown).await?;
            Ok(Caller { who: Who::Client(client), scope: standing.token.claims.scope.clone(), deps: standing.deps })
        }
    }
}

fn is_ours(app: &App, token: &Unverified) -> bool {
    token.claims().get("iss").and_then(serde_json::Value::as_str) == Some(app.urls.issuer.as_str())
}

pub(super) fn invalid() -> Refusal {
    Refusal::new(Code::InvalidToken, "the access token is not valid here")
}

async fn client(app: &App, shown: &Presentation) -> Result<(Caller, Option<Burn>), Refusal> {
    let (standing, client) = standing(app, shown).await?;
    let claims = &standing.token.claims;
    let proved = binding::admit(&app.binding, claims.cnf.as_ref(), shown, app.clock.now()).map_err(unproved)?;
    Ok((Caller { who: Who::Client(client), scope: claims.scope.clone(), deps: standing.deps }, proved.burn))
}

/// The client's own token for this API, alive, whatever it is bound to.
async fn standing(app: &App, shown: &Presentation) -> Result<(StandingToken, Arc<Client>), Refusal> {
    let standing = match app.tokens.standing(&shown.token, app.clock.now()).await {
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
    telemetry::client(&client.id);
    Ok((standing, client))
}

async fn person(app: &App, token: Unverified, shown: &Presentation) -> Result<(Caller, Option<Burn>), Refusal> {
    // Another issuer's constraint is kept like ours; one that can't be read can't be.
    let cnf = token.claims().get("cnf").map(Confirmation::from_json).transpose().map_err(|_| invalid())?;
    let (person, deps) = person::authenticate(app, token).await?;
    let proved = binding::admit(&app.binding, cnf.as_ref(), shown, app.clock.now()).map_err(unproved)?;
    let scope = scope_of(&person);
    Ok((Caller { who: Who::Person(Arc::new(person)), scope, deps }, proved.burn))
}

/// A person has the scopes that the roles are good for: no token of another issuer has ours.
fn scope_of(person: &Person) -> ScopeSet {
    let may = |action| roles::scope_of(&person.roles, action) != Some(Vec::new());
    let scopes = [
        (SCOPE_READ, !person.roles.is_empty()),
        (SCOPE_WRITE, person.roles.iter().any(roles::may_change)),
        (SCOPE_AUDIT, may(Action::ReadAudit)),
    ];
    let held = scopes.into_iter().filter_map(|(scope, held)| held.then_some(scope));
    ScopeSet::from_tokens(held).unwrap_or_default()
}

/// A token that is not presented as its binding demands (RFC 9449 section 7.1).
pub(super) fn unproved(reason: Reason) -> Refusal {
    let code = match reason.code() {
        OAuthCode::InvalidDpopProof => Code::InvalidProof,
        OAuthCode::UseDpopNonce => Code::UseNonce,
        _ => Code::InvalidToken,
    };
    Refusal::new(code, reason.description())
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
