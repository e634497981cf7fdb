//! The token endpoint's phases, shared by every grant: authenticate, decide, record,
//! commit, sign. A grant is one file that returns an [`Authorization`].

mod backchannel;
mod bind;
mod budget;
mod ciba;
mod client_credentials;
mod id_jag;
mod issue;
mod jwt_bearer;
mod kept;
mod kind;
mod presented;
mod request;
mod restrict;
mod subject;
mod token_exchange;

pub use backchannel::{Started, start as start_backchannel};
pub use id_jag::ID_JAG;
pub use issue::{TokenResponse, token_type};
pub use kind::{CIBA, CLIENT_CREDENTIALS, GRANT_TYPES, JWT_BEARER, TOKEN_EXCHANGE};
pub use subject::{SubjectType, subject};
pub use token_exchange::{Exchanged, build as build_exchange};

use crate::app::App;
use crate::audit::{Draft, ISSUED, Origin};
use crate::binding::{Held, Presented, Proved, SingleUse};
use crate::budget::Declined;
use crate::client::{AuthFailure, AuthenticatedClient, Credentials, authenticate};
use crate::deps;
use crate::form::Params;
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::records::ClientKind;
use crate::retry::spend_key;
use crate::signals::reach;
use crate::status::{self, Placed};
use crate::telemetry::{self, Phase, phase};
use bind::bind;
use budget::Plan;
use futures_util::future::join;
use id_jag::Leaving;
use kind::GrantType;
use restrict::{Restricted, restrict};
use stipend_schema::ledger::{Answer, NewToken, Refusal, Settled, Spend, SpendKey, Step};
use stipend_schema::{Burn, Dep, Outcome, Work, Write};
use stipend_token::Audience;
use stipend_token::claims::AccessToken;

/// What a grant decides: the claims to issue, and all it looked at.
#[derive(Debug)]
pub struct Authorization {
    pub claims: AccessToken,
    pub deps: Vec<Dep>,
    pub draft: Draft,
    /// RFC 8693 section 2.2.1, for an exchange.
    pub issued_token_type: Option<&'static str>,
    pub plan: Plan,
    /// Bound tokens that it used: their keys must be proved, and what is issued is bound.
    pub held: Vec<Held>,
    /// What can kill the token beside what it names itself, where its status is published.
    pub status: Option<Vec<Dep>>,
    /// What is issued is an identity assertion grant, and this is where it leads.
    pub leaving: Option<Leaving>,
    /// An assertion that is used up with the issue, and with nothing else.
    pub burn: Option<Burn>,
    /// Audiences that what it was had for was not for.
    pub moved_to: Vec<Audience>,
}

/// How one round of deciding and committing ended.
#[derive(Debug)]
enum Round {
    Issued(Box<Issued>),
    Refused(Declined),
    /// A change overtook the decision: decide again.
    Overtaken,
}

impl Round {
    fn refused(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

/// Claims that are on record.
#[derive(Debug)]
struct Issued {
    /// The token, where it was signed while the record was stored.
    early: Option<issue::Early>,
    claims: AccessToken,
    issued_token_type: Option<&'static str>,
    leaving: Option<Leaving>,
    since: i64,
    /// The key that must sign, where the record names it.
    kid: Option<String>,
}

/// What every round of one request shares.
#[derive(Clone, Copy)]
struct Request<'a> {
    grant: GrantType,
    params: &'a Params,
    key: Option<&'a str>,
    presented: &'a Presented,
    origin: &'a Origin,
}

/// Serves a token request. Whatever the answer, it was recorded first; a refusal that
/// can't be recorded becomes 503.
///
/// # Errors
/// [`Declined`], with the reason.
pub async fn token(
    app: &App,
    credentials: &Credentials<'_>,
    key: Option<&str>,
    presented: &Presented,
    origin: &Origin,
) -> Result<TokenResponse, Declined> {
    let params = credentials.params;
    let grant = match GrantType::of(params) {
        Ok(grant) => grant,
        Err(reason) => return Err(refuse_stranger(app, &AuthFailure { reason, claimed: None }, origin).await.into()),
    };
    telemetry::grant(grant.word());
    let request = Request { grant, params, key, presented, origin };
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let client = match authenticate(app, credentials).await {
            Ok(client) => client,
            Err(failure) => return Err(refuse_stranger(app, &failure, origin).await.into()),
        };
        match round(app, request, &client, basis).await {
            Round::Issued(issued) => {
                return Ok(issue::answer(app, *issued)?);
            }
            Round::Refused(declined) => return Err(declined),
            Round::Overtaken => {
                app.tailer.catch_up().await;
            }
        }
    }
    Err(Reason::Overtaken.into())
}

/// Records a refusal of a request that nobody has vouched for.
pub async fn refuse_stranger(app: &App, failure: &AuthFailure, origin: &Origin) -> Reason {
    if failure.reason.is_own_trouble() {
        return failure.reason;
    }
    let recorded = app.refusals.refuse("token.refused", failure.reason, failure.claimed.as_deref(), origin).await;
    if recorded { failure.reason } else { Reason::StoreUnavailable }
}

async fn round(app: &App, request: Request<'_>, client: &AuthenticatedClient, basis: i64) -> Round {
    if request.grant == GrantType::Ciba {
        return ciba::round(app, request, client, basis).await;
    }
    let draft = opening("token.issued", client, request.origin);
    let (proved, single) = prove(app, request, client);
    let mut commit =
        Commit { client, basis, deps: client.deps.clone(), single: &single, writes: Vec::new(), changes: Vec::new() };
    match decide(app, request, client, proved, &draft).await {
        Ok((authorization, key)) => {
            commit.deps.extend(authorization.deps.iter().cloned());
            issue(app, authorization, key, commit).await
        }
        Err(refused) => refuse(app, refused, draft, commit).await,
    }
}

/// What a request proves of a key, and all that it uses up: a proof that is no good uses up
/// nothing, a good one is used up whatever becomes of the request.
fn prove(app: &App, request: Request<'_>, client: &AuthenticatedClient) -> (Result<Proved, Reason>, SingleUse) {
    let proved = app.binding.prove(request.presented, None, app.clock.now());
    let proof = proved.as_ref().ok().and_then(|proved| proved.burn.as_ref());
    let single = SingleUse::of(client.burn.as_ref(), proof);
    (proved, single)
}

/// Records a refusal, with what is noted beside it; `draft` says what no grant has said better.
async fn refuse(app: &App, refused: Refused, draft: Draft, commit: Commit<'_>) -> Round {
    if refused.reason.is_own_trouble() {
        return Round::refused(refused.reason);
    }
    let Commit { basis, mut deps, single, writes, .. } = commit;
    deps.extend(refused.deps);
    let mut draft = refused.draft.unwrap_or(draft);
    draft.event("token.refused");
    let work = Work { writes, ..work(basis, deps, single, draft.refused(refused.reason)) };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => Round::refused(refused.reason),
        other => unsuccessful(&other, single),
    }
}

/// A record about to be drafted, of a client that has proved who it is.
fn opening(event: &'static str, client: &AuthenticatedClient, origin: &Origin) -> Draft {
    let mut draft = Draft::new(event, origin);
    draft.client(&client.client.id, &client.client.owner_id);
    draft.put("auth_method", client.method.as_str());
    draft
}

/// What an issue or a refusal leans on, and what else is done in its commit.
struct Commit<'a> {
    client: &'a AuthenticatedClient,
    basis: i64,
    deps: Vec<Dep>,
    /// What the request uses up.
    single: &'a SingleUse,
    writes: Vec<Write>,
    changes: Vec<Dep>,
}

/// Whether a client may use a grant at all (RFC 6749 section 5.2, `unauthorized_client`).
fn check_grant(client: &AuthenticatedClient, grant: GrantType) -> Result<(), Reason> {
    let client = &client.client;
    // An administrator acts in its own name only.
    let for_others = grant != GrantType::ClientCredentials;
    if (for_others && client.kind == ClientKind::Admin) || !client.settings.may_use(grant.as_str()) {
        return Err(Reason::GrantNotAllowed);
    }
    Ok(())
}

async fn decide(
    app: &App,
    request: Request<'_>,
    client: &AuthenticatedClient,
    proved: Result<Proved, Reason>,
    draft: &Draft,
) -> Result<(Authorization, Option<SpendKey>), Refused> {
    let _timed = phase(Phase::Decide);
    let Request { grant, params, key, .. } = request;
    let proved = proved?;
    let (client_id, now) = (&client.client.id, app.clock.now());
    let key = key.map(|key| spend_key(key, client_id, "token.issued", None, params, now)).transpose()?;
    check_grant(client, grant)?;
    let authorization = match grant {
        GrantType::ClientCredentials => client_credentials::decide(app, client, params, draft.clone()).await,
        GrantType::TokenExchange => token_exchange::decide(app, client, params, draft.clone()).await,
        GrantType::JwtBearer => jwt_bearer::decide(app, client, params, draft.clone()).await,
        // It has a round of its own, because there is more to its answers than a token.
        GrantType::Ciba => Err(Reason::Internal.into()),
    };
    let exchange = grant != GrantType::ClientCredentials;
    let asked = Restricted { grant_type: grant.as_str(), exchange, origin: request.origin };
    let mut authorization = authorization?;
    if let Err(reason) = bind(app, client, &proved, &mut authorization) {
        return Err(Refused { reason, deps: authorization.deps, draft: Some(authorization.draft) });
    }
    restrict(app, asked, client, authorization).await.map(|authorization| (authorization, key))
}

/// Commits what was decided: the record, and with it the lines of the token's budget.
async fn issue(app: &App, authorization: Authorization, key: Option<SpendKey>, commit: Commit<'_>) -> Round {
    let Commit { client, basis, deps, single, writes, changes } = commit;
    let Authorization { mut claims, mut draft, issued_token_type, plan, status, leaving, burn, moved_to, .. } =
        authorization;
    // Whoever ends what this comes of can then tell the services that it is for.
    let Ok(reach) = reach(app, &claims, &moved_to).await else { return Round::refused(Reason::StoreUnavailable) };
    let placed = match status.map(|others| status::place(app, &mut claims, &others)).transpose() {
        Ok(placed) => placed,
        Err(reason) => return Round::refused(reason),
    };
    draft.jti(&claims.jti);
    draft.describe("token", &claims);
    // An assertion that was exchanged is used up by the token it becomes, and by nothing else.
    let single = &single.clone().and(burn.as_ref(), Reason::GrantReplayed);
    let mut work = work(basis, deps, single, draft.outcome(ISSUED));
    (work.writes, work.changes) = (writes, changes);
    work.writes.extend(reach);
    let kid = placed.map(|Placed { write, kid }| {
        // Who is distrusted meanwhile signs nothing.
        work.deps.push(deps::key(&kid));
        work.writes.push(write);
        kid
    });
    let order = plan.order(&claims);
    // Where the ledger has no say, what is recorded is what will be signed.
    let plain = order.is_none() && key.is_none();
    if !plain {
        let kept = kept::keep(&claims, issued_token_type, leaving.as_ref(), kid.as_deref());
        let keep = |key| kept.map(|keep| SpendKey { keep: Some(keep), ..key });
        let key = match key.map(keep).transpose() {
            Ok(key) => key,
            Err(reason) => return Round::refused(reason),
        };
        let step = Step::Issue(order.unwrap_or_else(|| NewToken::bare(&claims.jti, claims.exp)));
        work.spend = Some(Spend { client_id: client.client.id.clone(), step, key });
    }
    let mut issued = Issued { early: None, since: claims.iat, claims, issued_token_type, leaving, kid };
    let outcome = if plain {
        let key = match issue::pledge(app, &issued, &mut work.deps).await {
            Ok(key) => key,
            Err(reason) => return Round::refused(reason),
        };
        let (outcome, early) = join(app.committer.submit(work), async { key.sign(&issued) }).await;
        issued.early = Some(early);
        outcome
    } else {
        app.committer.submit(work).await
    };
    match outcome {
        Outcome::Committed { .. } => Round::Issued(Box::new(issued)),
        Outcome::Settled { settled, .. } => settle(app, issued, &settled),
        other => unsuccessful(&other, single),
    }
}

fn settle(app: &App, now_issued: Issued, settled: &Settled) -> Round {
    let receipt = match &settled.answer {
        Answer::Done(receipt) => receipt,
        Answer::Declined(refusal) => return Round::Refused(ungranted(refusal)),
    };
    let mut issued = if settled.repeated {
        match kept::restore(app, settled.kept.as_deref()) {
            // A retry by another key, or by none, is another request.
            Ok(kept) if kept.claims.cnf != now_issued.claims.cnf => {
                return Round::refused(Reason::IdempotencyKeyReused);
            }
            Ok(issued) => issued,
            Err(round) => return round,
        }
    } else {
        now_issued
    };
    budget::fill(&mut issued.claims, &receipt.granted);
    Round::Issued(Box::new(issued))
}

/// The ledger's refusals in the words of this endpoint (RFC 9396 section 5).
fn ungranted(refusal: &Refusal) -> Declined {
    let reason = match refusal {
        Refusal::Insufficient { .. } | Refusal::PerCall { .. } => Reason::NothingToGrant,
        Refusal::Closed { .. } => Reason::LineClosed,
        Refusal::Carved { .. } => Reason::BudgetHandedOn,
        Refusal::Children { .. } => Reason::TooManyChildren,
        Refusal::NotFound => Reason::NoBudgetInUnit,
        Refusal::KeyReused => Reason::IdempotencyKeyReused,
        Refusal::Zero | Refusal::Ended | Refusal::TooMuch | Refusal::Backwards => Reason::Internal,
    };
    Declined::new(reason, refusal.clone())
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

fn unsuccessful(outcome: &Outcome, single: &SingleUse) -> Round {
    match outcome {
        Outcome::Stale => Round::Overtaken,
        Outcome::Replayed { burn, .. } => Round::refused(single.replayed(*burn)),
        Outcome::Invalid(what) => {
            tracing::error!(what, "a token work was refused by the committer");
            Round::refused(Reason::Internal)
        }
        Outcome::Committed { .. }
        | Outcome::Conflict
        | Outcome::Settled { .. }
        | Outcome::Exceeded { .. }
        | Outcome::Unavailable => Round::refused(Reason::StoreUnavailable),
    }
}

fn work(basis: i64, deps: Vec<Dep>, single: &SingleUse, record: stipend_schema::AuditDraft) -> Work {
    Work { deps, burn: single.burns(), ..Work::recording(basis, record) }
}
