//! The CIBA grant in poll mode (OpenID CIBA Core sections 10.1 and 11): a client asks how its
//! request stands, and once people have approved it gets its token, once.
//!
//! A yes is leave, not authority: before anything is issued all is decided again, the tokens'
//! standing, the rules, the narrowing and the budget, and what comes out is no more than what was
//! approved. The request is used up in the commit that records the issue.

use super::id_jag::{self, Leaving};
use super::presented::{Again, Wanted, issued_type, read_again};
use super::request::details_in;
use super::token_exchange::{Judged, judge};
use super::{
    Authorization, Commit, GrantType, Refused, Request, Restricted, Round, bind, check_grant, issue, opening, prove,
    refuse, restrict,
};
use crate::app::App;
use crate::approval::{self, ApprovalState, Kept, handle_hash};
use crate::audit::{Draft, Origin};
use crate::binding::Proved;
use crate::client::AuthenticatedClient;
use crate::limits::SLOW_DOWN_SECONDS;
use crate::reason::{OAuthCode, Reason};
use crate::tokens::VerifiedToken;
use serde_json::json;
use stipend_schema::{ApprovalRequestRow, Note, Polled, Row, Write, queries};
use stipend_token::AccessToken;

/// Longest handle that is looked up.
const MAX_HANDLE_BYTES: usize = 128;

/// What may be issued, and the request that is used up by it.
struct Fetched {
    authorization: Authorization,
    request: approval::Request,
}

impl Fetched {
    /// Bound to the key that this poll proved. One that proves none it should leaves the request
    /// as it is, to be asked for again.
    fn bound(mut self, app: &App, client: &AuthenticatedClient, proved: &Proved) -> Result<Self, Unanswered> {
        match bind(app, client, proved, &mut self.authorization) {
            Ok(()) => Ok(self),
            Err(reason) => {
                let Authorization { deps, draft, .. } = self.authorization;
                Err(Refused { reason, deps, draft: Some(draft) }.into())
            }
        }
    }
}

/// A poll that gets no token, with what is noted of it.
struct Unanswered {
    refused: Box<Refused>,
    polled: Option<Polled>,
}

impl From<Refused> for Unanswered {
    fn from(refused: Refused) -> Self {
        Self { refused: Box::new(refused), polled: None }
    }
}

impl From<Reason> for Unanswered {
    fn from(reason: Reason) -> Self {
        Refused::from(reason).into()
    }
}

pub(super) async fn round(app: &App, request: Request<'_>, client: &AuthenticatedClient, basis: i64) -> Round {
    let draft = opening("token.issued", client, request.origin);
    let (proved, single) = prove(app, request, client);
    let mut commit =
        Commit { client, basis, deps: client.deps.clone(), single: &single, writes: Vec::new(), changes: Vec::new() };
    let decided = match proved {
        Ok(proved) => {
            decide(app, request, client, draft.clone()).await.and_then(|fetched| fetched.bound(app, client, &proved))
        }
        Err(reason) => Err(reason.into()),
    };
    match decided {
        Ok(Fetched { authorization, request }) => {
            commit.changes.push(request.dep());
            let row = ApprovalRequestRow {
                state: ApprovalState::Consumed.as_str().to_owned(),
                jti: Some(authorization.claims.jti.clone()),
                updated_at: app.clock.now(),
                ..request.row
            };
            commit.deps.extend(authorization.deps.iter().cloned());
            commit.writes.push(Write::Update(Row::ApprovalRequest(row)));
            issue(app, authorization, None, commit).await
        }
        Err(Unanswered { refused, polled }) => {
            commit.writes.extend(polled.map(|polled| Write::Note(Note::Polled(polled))));
            refuse(app, *refused, draft, commit).await
        }
    }
}

async fn decide(
    app: &App,
    asked: Request<'_>,
    client: &AuthenticatedClient,
    mut draft: Draft,
) -> Result<Fetched, Unanswered> {
    draft.put("grant_type", super::CIBA);
    check_grant(client, GrantType::Ciba)?;
    let handle = asked.params.one("auth_req_id").ok_or(Reason::MissingAuthReqId)?;
    let request = find(app, handle).await?.ok_or(Reason::ApprovalUnknown)?;
    let refused = |reason, draft: &Draft| Refused { reason, deps: vec![request.dep()], draft: Some(draft.clone()) };
    // CIBA Core section 11: a handle is its own client's. Of another's nothing is said or noted.
    if request.row.client_id != client.client.id {
        return Err(refused(Reason::ApprovalNotTheirs, &draft).into());
    }
    let approved_by: Vec<&str> = request.approved_by().collect();
    draft.put("approval", json!({ "id": request.row.id, "approved_by": approved_by, "decisions": request.decisions }));
    let waits = match request.state {
        ApprovalState::Consumed => return Err(refused(Reason::ApprovalUsed, &draft).into()),
        ApprovalState::Refused => return Err(refused(Reason::ApprovalRefused, &draft).into()),
        ApprovalState::Pending => true,
        ApprovalState::Approved => false,
    };
    if request.is_over(&*app.clock) {
        return Err(refused(Reason::ApprovalExpired, &draft).into());
    }
    if let Some(polled) = too_fast(&request, app.clock.now()).filter(|_| waits) {
        return Err(Unanswered { refused: Box::new(refused(Reason::ApprovalTooFast, &draft)), polled: Some(polled) });
    }
    // While it waits as well: a client need not wait for a yes that would come to nothing.
    let judged = judge_again(app, client, (&request, asked.origin), draft.clone()).await;
    let mut judged = judged.map_err(|refused| ended(refused, &request, draft.clone()))?;
    judged.authorization.deps.push(request.dep());
    if waits {
        let polled =
            Polled { id: request.row.id.clone(), at: app.clock.now(), interval_seconds: request.row.interval_seconds };
        let deps = judged.authorization.deps;
        let refused = Refused { reason: Reason::ApprovalPending, deps, draft: Some(draft) };
        return Err(Unanswered { refused: Box::new(refused), polled: Some(polled) });
    }
    // What was approved was a delegation or not, by these rules, and by all whom they name now.
    let leads = judged.authorization.leaving.as_ref().map(Leaving::describe);
    let same =
        judged.mode == request.offer.mode && judged.rules == request.offer.rules && leads == request.offer.id_jag;
    if !same || !judged.approvers.iter().all(|owner| approved_by.contains(&owner.as_str())) {
        let deps = judged.authorization.deps;
        return Err(Refused { reason: Reason::ApprovalEnded, deps, draft: Some(draft) }.into());
    }
    Ok(Fetched { authorization: judged.authorization, request })
}

async fn find(app: &App, handle: &str) -> Result<Option<approval::Request>, Reason> {
    if handle.len() > MAX_HANDLE_BYTES {
        return Ok(None);
    }
    let (hash, db) = (handle_hash(handle), app.store.db().clone());
    let row = app.store.run(async move { queries::find_approval_by_handle(&db, &hash).await }).await;
    let row = row.map_err(|_| Reason::StoreUnavailable)?.map_err(|_| Reason::StoreUnavailable)?;
    row.map(approval::Request::read).transpose().map_err(unreadable)
}

fn unreadable(error: approval::Unreadable) -> Reason {
    tracing::error!(%error, "a poll could not be answered");
    Reason::Internal
}

/// CIBA Core section 11: polled sooner than the interval allows, its client waits longer from
/// now on.
fn too_fast(request: &approval::Request, now: i64) -> Option<Polled> {
    let row = &request.row;
    let soon = row.polled_at.is_some_and(|at| now.saturating_sub(at) < row.interval_seconds);
    soon.then(|| Polled {
        id: row.id.clone(),
        at: now,
        interval_seconds: row.interval_seconds.saturating_add(SLOW_DOWN_SECONDS),
    })
}

/// Decides the exchange on what is true now, within what people have left of it.
async fn judge_again(
    app: &App,
    client: &AuthenticatedClient,
    (request, origin): (&approval::Request, &Origin),
    mut draft: Draft,
) -> Result<Judged, Refused> {
    let asked = request.asked().map_err(unreadable)?;
    let offer = request.approved().ok_or(Reason::ApprovalEnded)?;
    let subject = match &asked.subject.evidence {
        Some(evidence) => Again::Foreign(evidence),
        None => Again::Own(Box::new(verified(&asked.subject)?)),
    };
    let actor = asked.actor.as_ref().map(verified).transpose()?;
    let presented = read_again(app, &client.client, subject, actor, &mut draft).await?;
    let wanted = Wanted {
        abroad: asked.abroad.map(|resources| id_jag::Wanted { server: asked.resource.clone(), resources }),
        targets: vec![asked.resource],
        scope: None,
        details: details_in(asked.authorization_details.as_deref(), &client.client)?,
        issued_type: Some(issued_type(&asked.issued_token_type).ok_or(Reason::Internal)?),
        approved: Some(&offer),
    };
    let judged = judge(app, client, &presented, wanted, draft).await?;
    let asked = Restricted { grant_type: super::CIBA, exchange: true, origin };
    Ok(Judged { authorization: restrict(app, asked, client, judged.authorization).await?, ..judged })
}

fn verified(kept: &Kept) -> Result<VerifiedToken, Reason> {
    let claims = AccessToken::from_claims(&kept.claims).map_err(|_| unreadable(approval::Unreadable))?;
    Ok(VerifiedToken { claims, kid: kept.kid.clone() })
}

/// RFC 6749 section 5.2: a grant that has come to nothing is `invalid_grant`, whatever it was; the
/// record says what. What is wrong with a budget may be right a moment later.
fn ended(mut refused: Refused, request: &approval::Request, draft: Draft) -> Refused {
    refused.deps.push(request.dep());
    // Its issuer may be there again before the request is over.
    if refused.reason == Reason::SubjectKeysUnavailable {
        return refused;
    }
    let code = refused.reason.code();
    if matches!(code, OAuthCode::InvalidRequest | OAuthCode::InvalidTarget | OAuthCode::InvalidScope) {
        let draft = refused.draft.get_or_insert(draft);
        draft.put("because", refused.reason.as_str());
        refused.reason = Reason::ApprovalEnded;
    }
    refused
}
