//! Who manages a stream or polls it: a client with an access token of its own for this service
//! (SSF section 8; the `authorization_schemes` of the metadata say so).

use crate::app::App;
use crate::audit::{Draft, Origin};
use crate::reason::Reason;
use crate::tokens::Doubt;
use stipend_schema::Dep;

/// Reads streams, polls them and asks for verification.
pub const SCOPE_READ: &str = "ssf.read";
/// Makes, changes and removes streams.
pub const SCOPE_MANAGE: &str = "ssf.manage";
/// All scopes of the service.
pub const SSF_SCOPES: [&str; 2] = [SCOPE_READ, SCOPE_MANAGE];

/// A client that may.
#[derive(Debug)]
pub struct Caller {
    pub client_id: String,
    pub owner_id: String,
    pub jti: String,
    pub deps: Vec<Dep>,
}

impl Caller {
    /// Reads the token: ours, alive, the client's own, for this service and no other, with the
    /// scope. Whoever may manage may read.
    ///
    /// # Errors
    /// [`Reason::BearerInvalid`], [`Reason::BearerElsewhere`], [`Reason::MissingScope`], or that
    /// nobody can tell now.
    pub async fn open(app: &App, bearer: &str, scope: &str) -> Result<Self, Reason> {
        let standing = match app.tokens.standing(bearer, app.clock.now()).await {
            Ok(standing) => standing,
            Err(Doubt::Fault(_)) => return Err(Reason::BearerInvalid),
            Err(Doubt::Unavailable) => return Err(Reason::StoreUnavailable),
        };
        let claims = &standing.token.claims;
        if !matches!(claims.aud.as_slice(), [only] if only.as_str() == app.urls.signals_resource) {
            return Err(Reason::BearerElsewhere);
        }
        // Bound to a key that is not asked for here, or somebody else's authority.
        if claims.cnf.is_some() || claims.act.current().is_some() {
            return Err(Reason::BearerInvalid);
        }
        if !claims.scope.contains(scope) && !claims.scope.contains(SCOPE_MANAGE) {
            return Err(Reason::MissingScope);
        }
        let owner_id = standing.owners.first().cloned().ok_or(Reason::Internal)?;
        let (client_id, jti) = (claims.client_id.clone(), claims.jti.clone());
        Ok(Self { client_id, owner_id, jti, deps: standing.deps })
    }

    /// A record of what it does.
    pub(super) fn draft(&self, event: &'static str, origin: &Origin) -> Draft {
        let mut draft = Draft::new(event, origin);
        draft.client(&self.client_id, &self.owner_id);
        draft.jti(&self.jti);
        draft
    }
}
