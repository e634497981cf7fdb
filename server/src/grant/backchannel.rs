//! The backchannel authentication endpoint (OpenID CIBA Core section 7) for exchanges that
//! people must approve: the request is decided like any exchange, and instead of a token its
//! client gets a handle to poll with.
//!
//! The subject token stands where CIBA has a hint: it says whom the request is about. Nothing is
//! issued here, and what is kept of the tokens is what they say, never they.

use super::id_jag::{self, Leaving};
use super::presented::{Presented, read};
use super::token_exchange::{Judged, judge};
use super::{Authorization, GrantType, Refused, Restricted, check_grant, opening, refuse_stranger, restrict, work};
use crate::app::App;
use crate::approval::{ApprovalState, Asked, Kept, Offer, handle_hash};
use crate::audit::{DONE, Draft, Origin};
use crate::binding::SingleUse;
use crate::client::{AuthenticatedClient, Credentials, authenticate};
use crate::deps;
use crate::form::Params;
use crate::limits::{
    DEFAULT_APPROVAL_SECONDS, MAX_APPROVAL_SECONDS, MAX_BINDING_MESSAGE_BYTES, MAX_DECISIONS,
    MAX_OPEN_APPROVALS_OF_CLIENT, MAX_OPEN_APPROVALS_OF_OWNER, POLL_INTERVAL_SECONDS,
};
use crate::reason::Reason;
use crate::records::Resource;
use serde::Serialize;
use serde_json::{Map, Value, json};
use stipend_keys::random_id;
use stipend_schema::{ApprovalRequestRow, Dep, Outcome, Row, Work, Write, queries};
use stipend_token::constraint::CredentialRelease;
use stipend_token::rule::ExchangeMode;

/// CIBA Core section 7.3.
#[derive(Debug, Serialize)]
pub struct Started {
    pub auth_req_id: String,
    pub expires_in: i64,
    pub interval: i64,
}

/// What was decided: the row to write, and what it leans on.
struct Opened {
    row: ApprovalRequestRow,
    handle: String,
    /// Client and owners whose requests are counted.
    counted: Vec<Dep>,
    deps: Vec<Dep>,
    draft: Draft,
}

/// Takes a request that people must approve. Whatever the answer, it was recorded first.
///
/// # Errors
/// The [`Reason`].
pub async fn start(app: &App, credentials: &Credentials<'_>, origin: &Origin) -> Result<Started, Reason> {
    let first = match authenticate(app, credentials).await {
        Ok(client) => client,
        Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
    };
    // One client's requests are counted, so they are made one at a time.
    let _turn = app.turns.take(&first.client.id).await.map_err(|_| Reason::StoreUnavailable)?;
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let client = match authenticate(app, credentials).await {
            Ok(client) => client,
            Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
        };
        let draft = opening("approval.requested", &client, origin);
        let (work, answer) = match decide(app, &client, (credentials.params, origin), draft.clone()).await {
            Ok(opened) => opened.work(app, &client, basis),
            Err(refused) if refused.reason.is_own_trouble() => return Err(refused.reason),
            Err(refused) => {
                let mut draft = refused.draft.unwrap_or(draft);
                draft.event("approval.requested");
                let deps = client.deps.iter().cloned().chain(refused.deps).collect();
                (
                    work(basis, deps, &SingleUse::of(client.burn.as_ref(), None), draft.refused(refused.reason)),
                    Err(refused.reason),
                )
            }
        };
        match app.committer.submit(work).await {
            Outcome::Committed { .. } => return answer,
            Outcome::Stale => {
                app.tailer.catch_up().await;
            }
            Outcome::Replayed { .. } => return Err(Reason::AssertionReplayed),
            Outcome::Invalid(what) => {
                tracing::error!(what, "a request for an approval was refused by the committer");
                return Err(Reason::Internal);
            }
            Outcome::Conflict | Outcome::Settled { .. } | Outcome::Exceeded { .. } | Outcome::Unavailable => {
                return Err(Reason::StoreUnavailable);
            }
        }
    }
    Err(Reason::Overtaken)
}

impl Opened {
    fn work(self, app: &App, client: &AuthenticatedClient, basis: i64) -> (Work, Result<Started, Reason>) {
        let answer = Started {
            auth_req_id: self.handle,
            expires_in: self.row.expires_at.saturating_sub(app.clock.now()),
            interval: POLL_INTERVAL_SECONDS,
        };
        let deps = client.deps.iter().chain(&self.deps).chain(&self.counted).cloned().collect();
        let work = Work {
            writes: vec![Write::Insert(Row::ApprovalRequest(self.row))],
            changes: self.counted,
            ..work(basis, deps, &SingleUse::of(client.burn.as_ref(), None), self.draft.outcome(DONE))
        };
        (work, Ok(answer))
    }
}

async fn decide(
    app: &App,
    client: &AuthenticatedClient,
    (params, origin): (&Params, &Origin),
    mut draft: Draft,
) -> Result<Opened, Refused> {
    // Who may not fetch what people approve need not ask them.
    check_grant(client, GrantType::Ciba)?;
    draft.put("grant_type", super::CIBA);
    // CIBA Core section 7.1: exactly one hint, and the subject token is it.
    if ["login_hint", "login_hint_token", "id_token_hint"].iter().any(|hint| params.one(hint).is_some()) {
        return Err(Reason::ApprovalHint.into());
    }
    let message = binding_message(params)?;
    let expiry = requested_expiry(params)?;
    let (presented, wanted) = read(app, &client.client, params, &mut draft).await?;
    let judged = judge(app, client, &presented, wanted, draft).await?;
    let Judged { authorization, targets, subject_owner, mode, rules, approvers } = judged;
    // Nobody is asked for what a policy would forbid.
    let asked_for = Restricted { grant_type: super::CIBA, exchange: true, origin };
    let authorization = restrict(app, asked_for, client, authorization).await?;
    let (mut looked_at, mut draft) = (authorization.deps.clone(), authorization.draft.clone());
    let refused =
        |reason, deps: &[Dep], draft: &Draft| Refused { reason, deps: deps.to_vec(), draft: Some(draft.clone()) };
    if approvers.is_empty() {
        return Err(refused(Reason::ApprovalNotNeeded, &looked_at, &draft));
    }
    let [target] = targets.as_slice() else {
        return Err(refused(Reason::ApprovalTargets, &looked_at, &draft));
    };
    let now = app.clock.now();
    let offer = offer(&authorization, target, (mode, rules), now)?;
    let id = random_id("apr_");
    let handle = random_id("ar_");
    let row = ApprovalRequestRow {
        handle_hash: handle_hash(&handle),
        client_id: client.client.id.clone(),
        owner_id: client.client.owner_id.clone(),
        subject_owner_id: subject_owner,
        target_owner_id: target.owner_id.clone(),
        state: ApprovalState::Pending.as_str().to_owned(),
        asked: asked(params, &presented, target.audience.clone(), authorization.issued_token_type)?,
        offered: text(&offer)?,
        approvers: text(&approvers)?,
        decisions: "[]".to_owned(),
        binding_message: message.map(str::to_owned),
        jti: None,
        polled_at: None,
        interval_seconds: POLL_INTERVAL_SECONDS,
        expires_at: end(&presented, expiry, now),
        created_at: now,
        updated_at: now,
        id,
    };
    draft
        .put("approval", json!({ "id": row.id, "approvers": approvers, "offer": offer, "expires_at": row.expires_at }));
    if let Some(message) = message {
        draft.put("binding_message", message);
    }
    let counted = check_room(app, &row).await.map_err(|reason| refused(reason, &looked_at, &draft))?;
    looked_at.extend(targets.iter().map(|target| deps::owner(&target.owner_id)));
    Ok(Opened { row, handle, counted, deps: looked_at, draft })
}

/// What people are asked to approve.
fn offer(
    authorization: &Authorization,
    target: &Resource,
    (mode, rules): (ExchangeMode, Vec<String>),
    now: i64,
) -> Result<Offer, Reason> {
    let claims = &authorization.claims;
    Ok(Offer {
        sub: claims.sub.clone(),
        act: claims.act.to_json(),
        resource: target.audience.clone(),
        scope: claims.scope.clone(),
        mode,
        rules,
        ttl_seconds: claims.exp.saturating_sub(now),
        budget: authorization.plan.caps(),
        id_jag: authorization.leaving.as_ref().map(Leaving::describe),
        credentials: credentials(claims.authorization_details.as_deref())?,
    })
}

/// In the form of a request: where its limits are counted concerns nobody who approves it.
fn credentials(ceiling: Option<&[CredentialRelease]>) -> Result<Option<Vec<Map<String, Value>>>, Reason> {
    let shown = |release: &CredentialRelease| match serde_json::to_value(release.without_counted()) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Reason::Internal),
    };
    ceiling.map(|releases| releases.iter().map(shown).collect()).transpose()
}

/// CIBA Core section 7.1: shown to whoever approves, so nothing that could make it look like
/// something else.
fn binding_message(params: &Params) -> Result<Option<&str>, Reason> {
    let Some(message) = params.one("binding_message") else { return Ok(None) };
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let odd = message.chars().any(|c| c.is_control() || turns(c) || matches!(c, '\u{2028}' | '\u{2029}'));
    if odd || message.len() > MAX_BINDING_MESSAGE_BYTES {
        return Err(Reason::BadBindingMessage);
    }
    Ok(Some(message))
}

fn requested_expiry(params: &Params) -> Result<i64, Reason> {
    let Some(text) = params.one("requested_expiry") else { return Ok(DEFAULT_APPROVAL_SECONDS) };
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse::<i64>().ok().filter(|seconds| digits && *seconds > 0);
    seconds.map(|seconds| seconds.min(MAX_APPROVAL_SECONDS)).ok_or(Reason::BadRequestedExpiry)
}

/// No longer than the tokens live that it is decided on.
fn end(presented: &Presented, seconds: i64, now: i64) -> i64 {
    let actor = presented.actor.as_ref().map(|actor| actor.token.claims.exp);
    let ends = [now.saturating_add(seconds), presented.subject.token.claims.exp];
    ends.into_iter().chain(actor).fold(i64::MAX, i64::min)
}

fn asked(
    params: &Params,
    presented: &Presented,
    resource: stipend_token::Audience,
    issued_type: Option<&'static str>,
) -> Result<String, Reason> {
    let kept = |token: &crate::tokens::StandingToken| match token.federated.as_deref() {
        Some(vouched) => vouched.evidence.clone().map(Kept::foreign).ok_or(Reason::Internal),
        None => Kept::new(&token.token.claims, &token.token.kid).map_err(|_| Reason::Internal),
    };
    // Without its spaces: what it says is bounded by the size of a token.
    let details = params.one("authorization_details").map(|details| {
        serde_json::from_str::<Value>(details).map(|value| value.to_string()).map_err(|_| Reason::Internal)
    });
    text(&Asked {
        subject: kept(&presented.subject)?,
        actor: presented.actor.as_ref().map(kept).transpose()?,
        resource,
        abroad: (issued_type == Some(id_jag::ID_JAG))
            .then(|| id_jag::Wanted::read(params).map(|wanted| wanted.resources))
            .transpose()?,
        authorization_details: details.transpose()?,
        issued_token_type: issued_type.unwrap_or_default().to_owned(),
    })
}

fn text(value: &impl Serialize) -> Result<String, Reason> {
    serde_json::to_string(value).map_err(|_| Reason::Internal)
}

/// Whether one more may be open, for the client and for each owner it concerns; answers what
/// must not change until it is.
async fn check_room(app: &App, row: &ApprovalRequestRow) -> Result<Vec<Dep>, Reason> {
    let now = app.clock.now();
    let (client, db) = (row.client_id.clone(), app.store.db().clone());
    let mut counted = vec![deps::approvals_of_client(&client)];
    let open = app.store.run(async move { queries::open_approvals_of_client(&db, &client, now).await }).await;
    check_count(open, MAX_OPEN_APPROVALS_OF_CLIENT)?;
    let mut owners: Vec<&String> = [Some(&row.owner_id), row.subject_owner_id.as_ref(), Some(&row.target_owner_id)]
        .into_iter()
        .flatten()
        .collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        counted.push(deps::approvals_of_owner(owner));
        let (owner, db) = (owner.clone(), app.store.db().clone());
        let open = app.store.run(async move { queries::open_approvals_of_owner(&db, &owner, now).await }).await;
        check_count(open, MAX_OPEN_APPROVALS_OF_OWNER)?;
    }
    Ok(counted)
}

fn check_count<D, S>(open: Result<Result<usize, D>, S>, most: usize) -> Result<(), Reason> {
    match open {
        Ok(Ok(open)) if open < most => Ok(()),
        Ok(Ok(_)) => Err(Reason::TooManyApprovals),
        Ok(Err(_)) | Err(_) => Err(Reason::StoreUnavailable),
    }
}
