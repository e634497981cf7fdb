//! The token endpoint's phases, shared by every grant: authenticate, decide, record,
//! commit, sign. A grant is one file that returns an [`Authorization`].

mod client_credentials;
mod issue;
mod request;
mod token_exchange;

pub use issue::TokenResponse;
pub use token_exchange::{Exchanged, build as build_exchange};

use crate::app::App;
use crate::audit::{Draft, ISSUED, Origin};
use crate::client::{AuthFailure, AuthenticatedClient, Credentials, authenticate};
use crate::form::Params;
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::records::ClientKind;
use stipend_schema::{Burn, Dep, Outcome, Work};
use stipend_token::claims::AccessToken;

pub const CLIENT_CREDENTIALS: &str = "client_credentials";
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What a grant decides: the claims to issue, and all it looked at.
#[derive(Debug)]
pub struct Authorization {
    pub claims: AccessToken,
    pub deps: Vec<Dep>,
    pub draft: Draft,
    /// RFC 8693 section 2.2.1, for an exchange.
    pub issued_token_type: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum GrantType {
    ClientCredentials,
    TokenExchange,
}

/// How one round of deciding and committing ended.
enum Round {
    Issued(Box<AccessToken>, Option<&'static str>),
    Refused(Reason),
    /// A change overtook the decision: decide again.
    Overtaken,
}

/// Serves a token request. Whatever the answer, it was recorded first; a refusal that
/// can't be recorded becomes 503.
///
/// # Errors
/// The [`Reason`].
pub async fn token(app: &App, credentials: &Credentials<'_>, origin: &Origin) -> Result<TokenResponse, Reason> {
    let grant = match grant_type(credentials.params) {
        Ok(grant) => grant,
        Err(reason) => return Err(refuse_stranger(app, &AuthFailure { reason, claimed: None }, origin).await),
    };
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let client = match authenticate(app, credentials).await {
            Ok(client) => client,
            Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
        };
        match round(app, grant, &client, credentials.params, basis, origin).await {
            Round::Issued(claims, kind) => return issue::sign(app, &claims, kind),
            Round::Refused(reason) => return Err(reason),
            Round::Overtaken => {
                app.tailer.catch_up().await;
            }
        }
    }
    Err(Reason::Overtaken)
}

fn grant_type(params: &Params) -> Result<GrantType, Reason> {
    match params.one("grant_type") {
        Some(CLIENT_CREDENTIALS) => Ok(GrantType::ClientCredentials),
        Some(TOKEN_EXCHANGE) => Ok(GrantType::TokenExchange),
        Some(_) => Err(Reason::UnsupportedGrantType),
        None => Err(Reason::MissingGrantType),
    }
}

/// Records a refusal of a request that nobody has vouched for.
pub async fn refuse_stranger(app: &App, failure: &AuthFailure, origin: &Origin) -> Reason {
    if failure.reason.is_own_trouble() {
        return failure.reason;
    }
    let recorded = app.refusals.refuse("token.refused", failure.reason, failure.claimed.as_deref(), origin).await;
    if recorded { failure.reason } else { Reason::StoreUnavailable }
}

async fn round(
    app: &App,
    grant: GrantType,
    client: &AuthenticatedClient,
    params: &Params,
    basis: i64,
    origin: &Origin,
) -> Round {
    let mut draft = Draft::new("token.issued", origin);
    draft.client(&client.client.id, &client.client.owner_id);
    draft.put("auth_method", method_name(client));
    let mut deps = client.deps.clone();
    let decided = match grant {
        // An administrator acts in its own name only.
        GrantType::TokenExchange if client.client.kind == ClientKind::Admin => Err(Reason::GrantNotAllowed.into()),
        GrantType::ClientCredentials => client_credentials::decide(app, client, params, draft.clone()).await,
        GrantType::TokenExchange => token_exchange::decide(app, client, params, draft.clone()).await,
    };
    match decided {
        Ok(authorization) => {
            deps.extend(authorization.deps);
            let mut draft = authorization.draft;
            draft.jti(&authorization.claims.jti);
            draft.describe("token", &authorization.claims);
            let work = work(basis, deps, client.burn.clone(), draft.outcome(ISSUED));
            match app.committer.submit(work).await {
                Outcome::Committed { .. } => {
                    Round::Issued(Box::new(authorization.claims), authorization.issued_token_type)
                }
                other => unsuccessful(&other),
            }
        }
        Err(refused) => {
            if refused.reason.is_own_trouble() {
                return Round::Refused(refused.reason);
            }
            deps.extend(refused.deps);
            let mut draft = refused.draft.unwrap_or(draft);
            draft.event("token.refused");
            let work = work(basis, deps, client.burn.clone(), draft.refused(refused.reason));
            match app.committer.submit(work).await {
                Outcome::Committed { .. } => Round::Refused(refused.reason),
                other => unsuccessful(&other),
            }
        }
    }
}

/// A refusal by a grant, with what it looked at: a refusal can be overtaken as well.
#[derive(Debug)]
pub struct Refused {
    pub reason: Reason,
    pub deps: Vec<Dep>,
    pub draft: Option<Draft>,
}

impl<R: Into<Reason>> From<R> for Refused {
    fn from(reason: R) -> Self {
        Self { reason: reason.into(), deps: Vec::new(), draft: None }
    }
}

fn unsuccessful(outcome: &Outcome) -> Round {
    match outcome {
        Outcome::Stale => Round::Overtaken,
        Outcome::Replayed { .. } => Round::Refused(Reason::AssertionReplayed),
        Outcome::Invalid(what) => {
            tracing::error!(what, "a token work was refused by the committer");
            Round::Refused(Reason::Internal)
        }
        Outcome::Committed { .. } | Outcome::Conflict | Outcome::Settled { .. } | Outcome::Unavailable => {
            Round::Refused(Reason::StoreUnavailable)
        }
    }
}

fn work(basis: i64, deps: Vec<Dep>, burn: Option<Burn>, record: stipend_schema::AuditDraft) -> Work {
    Work { basis, deps, burn, spend: None, writes: Vec::new(), changes: Vec::new(), record }
}

fn method_name(client: &AuthenticatedClient) -> &'static str {
    use crate::records::AuthMethod;
    match client.method {
        AuthMethod::ClientSecretBasic => "client_secret_basic",
        AuthMethod::ClientSecretPost => "client_secret_post",
        AuthMethod::PrivateKeyJwt => "private_key_jwt",
    }
}
