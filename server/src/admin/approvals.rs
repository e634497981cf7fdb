//! Exchanges that wait for people: looking at them, and answering.
//!
//! Each owner that a rule names answers once, by those who may answer for it. A yes may narrow
//! what was asked for and never widens it; a single no ends the request. Nobody answers for
//! itself: the client that asks is no approver, whatever its roles.

use super::api::{ApprovalQuery, ApprovalRequest, ApprovalStatus, Approve, ListQuery, Page, Refuse};
use super::caller::Caller;
use super::check;
use super::limits::MAX_REASON_BYTES;
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::approval::{ApprovalState, Decision, Narrowing, Request};
use stipend_schema::{ApprovalRequestRow, Row, Write, queries};

fn read(row: ApprovalRequestRow) -> Result<Request, Refusal> {
    Request::read(row).map_err(|error| {
        tracing::error!(%error, "a request can't be shown");
        Refusal::internal()
    })
}

fn view(session: &Session<'_>, request: Request) -> ApprovalRequest {
    let (awaiting, approved) = (request.awaiting(), request.approved());
    let Request { row, state, offer, approvers, decisions } = request;
    ApprovalRequest {
        status: ApprovalStatus::new(state, session.now() >= row.expires_at),
        id: row.id,
        client_id: row.client_id,
        owner: row.owner_id,
        subject_owner: row.subject_owner_id,
        target_owner: row.target_owner_id,
        binding_message: row.binding_message,
        offer,
        approved,
        approvers,
        awaiting,
        decisions,
        jti: row.jti,
        expires_at: row.expires_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

pub(super) async fn list(session: &Session<'_>, query: &ApprovalQuery) -> Result<Page<ApprovalRequest>, Refusal> {
    let (limit, wanted) = page::wanted(&ListQuery { limit: query.limit, after: query.after.clone() })?;
    let owners = session.caller().owners(Action::ReadApproval);
    let state = query.state.map(ApprovalState::as_str);
    let rows = session.read(|db| async move { queries::list_approvals(&db, &owners, state, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), |row| Ok(view(session, read(row)?)))
}

/// A request that concerns an owner the caller may see.
async fn load(session: &Session<'_>, caller: &Caller, id: &str) -> Result<Request, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_approval(&db, &id).await }).await?;
    let request = read(row.ok_or_else(Refusal::not_found)?)?;
    if request.parties().iter().any(|owner| caller.may(Action::ReadApproval, Some(owner))) {
        Ok(request)
    } else {
        Err(Refusal::not_found())
    }
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<ApprovalRequest, Refusal> {
    Ok(view(session, load(session, session.caller(), id).await?))
}

pub(super) async fn approve(session: &Session<'_>, id: &str, yes: &Approve) -> Result<ApprovalRequest, Refusal> {
    let answer = Answer { approved: true, reason: yes.reason.as_deref(), narrowing: &yes.narrowing };
    session.change(id, async |caller| decide(session, caller, id, &answer).await).await
}

pub(super) async fn refuse(session: &Session<'_>, id: &str, no: &Refuse) -> Result<ApprovalRequest, Refusal> {
    let answer = Answer { approved: false, reason: Some(&no.reason), narrowing: &Narrowing::default() };
    session.change(id, async |caller| decide(session, caller, id, &answer).await).await
}

struct Answer<'a> {
    approved: bool,
    reason: Option<&'a str>,
    narrowing: &'a Narrowing,
}

async fn decide(
    session: &Session<'_>,
    caller: &Caller,
    id: &str,
    answer: &Answer<'_>,
) -> Result<Change<ApprovalRequest>, Refusal> {
    if let Some(reason) = answer.reason {
        check::text("/reason", reason, usize::from(!answer.approved), MAX_REASON_BYTES)?;
    }
    let mut request = load(session, caller, id).await?;
    let mine: Vec<String> =
        request.approvers.iter().filter(|owner| caller.may(Action::DecideApproval, Some(owner))).cloned().collect();
    if mine.is_empty() {
        return Err(Refusal::forbidden());
    }
    if caller.id() == request.row.client_id {
        return Err(Refusal::new(Code::OwnClient, "a client does not approve what it asks for itself"));
    }
    if request.state != ApprovalState::Pending {
        return settled(session, request, answer);
    }
    if session.now() >= request.row.expires_at {
        return Err(Refusal::new(Code::InvalidState, "the request has expired"));
    }
    let awaited: Vec<String> = request.awaiting().into_iter().filter(|owner| mine.contains(owner)).collect();
    if awaited.is_empty() {
        return settled(session, request, answer);
    }
    for owner in awaited {
        request.decisions.push(Decision {
            owner,
            by: caller.id().to_owned(),
            at: session.now(),
            approved: answer.approved,
            reason: answer.reason.map(str::to_owned),
            narrowing: answer.narrowing.clone(),
        });
    }
    if request.approved().is_none() {
        return Err(Refusal::new(Code::NotNarrower, "a yes leaves less of what was asked for, and something of it"));
    }
    request.state = match answer.approved {
        false => ApprovalState::Refused,
        true if request.awaiting().is_empty() => ApprovalState::Approved,
        true => ApprovalState::Pending,
    };
    write(session, request)
}

/// Answered already: the same answer again changes nothing, another one is too late.
fn settled(session: &Session<'_>, request: Request, answer: &Answer<'_>) -> Result<Change<ApprovalRequest>, Refusal> {
    let same = match request.state {
        ApprovalState::Pending | ApprovalState::Approved => answer.approved,
        ApprovalState::Refused => !answer.approved,
        ApprovalState::Consumed => false,
    };
    if !same || !answer.narrowing.is_none() {
        return Err(Refusal::new(Code::InvalidState, "the request was answered already"));
    }
    let (owner, deps) = (request.row.owner_id.clone(), vec![request.dep()]);
    Ok(Change::none(&owner, deps, view(session, request)))
}

fn write(session: &Session<'_>, mut request: Request) -> Result<Change<ApprovalRequest>, Refusal> {
    let row = &mut request.row;
    request.state.as_str().clone_into(&mut row.state);
    row.decisions = check::column(&request.decisions)?;
    row.updated_at = session.now();
    let row = row.clone();
    let (deps, offer) = (vec![request.dep()], check::column(&request.approved())?);
    let decisions = row.decisions.clone();
    Ok(Change {
        writes: vec![Write::Update(Row::ApprovalRequest(row.clone()))],
        changes: deps.clone(),
        other_owner: row.subject_owner_id.clone(),
        ..Change::none(&row.owner_id, deps, view(session, request))
    }
    .with("effect", row.state)
    .with("requested_by", row.client_id)
    .with("offer", offer)
    .with("decisions", decisions))
}
