//! `/admin/v1/agents`: bodies and answers; what happens is in the collection's own module.

use super::super::agents::{self as collection, Verb};
use super::super::api::{
    Agent, AgentCreated, ChangeState, Departed, Departure, ListQuery, NarrowAgent, NewAgent, Page, PatchAgent,
    RateAgent, ReissueAgent, RevokeAgent, SCOPE_READ, SCOPE_WRITE, Transfer,
};
use super::Refused;
use super::call::{answer, body, created, no_body, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Clients that the caller may see.
#[utoipa::path(get, path = "/admin/v1/agents", tag = "agents", params(ListQuery), responses((status = 200, body = Page<Agent>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "agent.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Registers a client. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/admin/v1/agents", tag = "agents", request_body = NewAgent, responses((status = 201, description = "Made", body = AgentCreated), (status = 200, description = "There already", body = AgentCreated), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.created", async |session| {
        let new: NewAgent = body(&request, payload).await?;
        let (is_new, agent) = collection::create(session, &new).await?;
        created(is_new, &agent)
    })
    .await
}

/// One client.
#[utoipa::path(get, path = "/admin/v1/agents/{id}", tag = "agents", params(("id" = String, Path)), responses((status = 200, body = Agent), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "agent.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes a client; may widen.
#[utoipa::path(patch, path = "/admin/v1/agents/{id}", tag = "agents", params(("id" = String, Path)), request_body = PatchAgent, responses((status = 200, body = Agent), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.changed", async |session| {
        let patch: PatchAgent = body(&request, payload).await?;
        answer(200, &collection::patch(session, segment(&request, "id")?, &patch).await?)
    })
    .await
}

/// Narrows a client; refuses to widen.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/narrow", tag = "agents", params(("id" = String, Path)), request_body = NarrowAgent, responses((status = 200, body = Agent), Refused))]
pub(super) async fn narrow(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.narrowed", async |session| {
        let to: NarrowAgent = body(&request, payload).await?;
        answer(200, &collection::narrow(session, segment(&request, "id")?, &to).await?)
    })
    .await
}

/// Stops a client and its tokens until it is resumed.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/suspend", tag = "agents", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Agent), Refused))]
pub(super) async fn suspend(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.suspended", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        let id = segment(&request, "id")?;
        answer(200, &collection::set_state(session, id, Verb::Suspend, why.reason.as_deref()).await?)
    })
    .await
}

/// Lets a suspended client go on.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/resume", tag = "agents", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Agent), Refused))]
pub(super) async fn resume(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.resumed", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        let id = segment(&request, "id")?;
        answer(200, &collection::set_state(session, id, Verb::Resume, why.reason.as_deref()).await?)
    })
    .await
}

/// Files a revoked client away.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/retire", tag = "agents", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Agent), Refused))]
pub(super) async fn retire(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.retired", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        let id = segment(&request, "id")?;
        answer(200, &collection::set_state(session, id, Verb::Retire, why.reason.as_deref()).await?)
    })
    .await
}

/// Ends a client for good: its tokens, its credentials, itself.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/revoke", tag = "agents", params(("id" = String, Path)), request_body = RevokeAgent, responses((status = 200, body = Agent), Refused))]
pub(super) async fn revoke(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.revoked", async |session| {
        let how: RevokeAgent = body(&request, payload).await?;
        let (id, verb) = (segment(&request, "id")?, Verb::Revoke(how.severity));
        answer(200, &collection::set_state(session, id, verb, Some(&how.reason)).await?)
    })
    .await
}

/// Clones a client under a new name, with credentials of its own.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/reissue", tag = "agents", params(("id" = String, Path)), request_body = ReissueAgent, responses((status = 201, description = "Made", body = AgentCreated), (status = 200, description = "There already", body = AgentCreated), Refused))]
pub(super) async fn reissue(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.reissued", async |session| {
        let new: ReissueAgent = body(&request, payload).await?;
        let (is_new, agent) = collection::reissue(session, segment(&request, "id")?, &new).await?;
        created(is_new, &agent)
    })
    .await
}

/// Names who answers for a client; one that somebody answers for is offered, and accepted.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/responsible", tag = "agents", params(("id" = String, Path)), request_body = Transfer, responses((status = 200, body = Agent), Refused))]
pub(super) async fn transfer(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.transferred", async |session| {
        let to: Transfer = body(&request, payload).await?;
        answer(200, &collection::transfer(session, segment(&request, "id")?, &to.person).await?)
    })
    .await
}

/// Accepts it: by the person it is offered to, or another admin than who offered it.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/responsible/accept", tag = "agents", params(("id" = String, Path)), responses((status = 200, body = Agent), Refused))]
pub(super) async fn accept(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.transfer_accepted", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::accept(session, segment(&request, "id")?).await?)
    })
    .await
}

/// A person has gone: the clients of the owners that the caller administers which that person
/// answered for are orphans, and suspended after a grace unless somebody else answers for them.
#[utoipa::path(post, path = "/admin/v1/people/departed", tag = "agents", request_body = Departed, responses((status = 200, body = Departure), Refused))]
pub(super) async fn departed(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "person.departed", async |session| {
        let gone: Departed = body(&request, payload).await?;
        answer(200, &collection::departed(session, &gone).await?)
    })
    .await
}

/// Says how risky what an agent does is, for policies that look at it. Told to its services where
/// the level is another than before.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/risk", tag = "agents", params(("id" = String, Path)), request_body = RateAgent, responses((status = 200, body = Agent), Refused))]
pub(super) async fn rate(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.rated", async |session| {
        let wanted: RateAgent = body(&request, payload).await?;
        answer(200, &collection::rate(session, segment(&request, "id")?, Some(&wanted)).await?)
    })
    .await
}

/// Takes away what was said of an agent's risk.
#[utoipa::path(delete, path = "/admin/v1/agents/{id}/risk", tag = "agents", params(("id" = String, Path)), responses((status = 200, body = Agent), Refused))]
pub(super) async fn unrate(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.unrated", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::rate(session, segment(&request, "id")?, None).await?)
    })
    .await
}
