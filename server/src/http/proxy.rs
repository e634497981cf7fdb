//! `ANY /proxy/{credential}/{path}`: an agent's call, made with a key that it never sees.
//!
//! The token stands where a provider's own library puts its API key, so that such a library
//! works by its base URL alone. JSON and forms are read whole, because constraints and prices
//! look into them; anything else goes through in chunks.

use super::custody::{answer, next_nonce, stranger};
use super::origin::origin;
use super::present::presented;
use crate::app::App;
use crate::audit::Origin;
use crate::binding::{Presentation, Scheme};
use crate::custody::{Ending, Passing, ProxyCall, begin};
use crate::limits::{BUFFERED_BODY_DEADLINE, BUFFERED_BODY_UNIT};
use crate::proxy::limits::MAX_REQUEST_BYTES;
use crate::proxy::{BodySender, RequestBody, request_body};
use crate::reason::Reason;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::StreamExt;
use std::sync::Arc;
use stipend_token::budget::Amount;
use stipend_token::constraint::{
    Body, CanonicalPath, MAX_BODY_BYTES, Method, Unreadable, is_method_override_header, query_overrides_method,
};
use stipend_token::id::is_identifier;
use tokio::sync::OwnedSemaphorePermit;
use url::form_urlencoded;

const PREFIX: &str = "/proxy/";
/// Where providers' libraries put an API key, besides `Authorization`.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];
/// The most that the caller says its call may cost, in the smallest part of the unit.
const MAX_COST: &str = "agent-budget-max";
const AGENT_BUDGET: HeaderName = HeaderName::from_static("agent-budget");

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let app = app.into_inner();
    let mut response = match pass(&app, &request, payload, &origin).await {
        Ok(passing) => {
            log.jti = Some(passing.jti.clone());
            respond(passing)
        }
        Err(ending) => {
            log.reason = Some(ending.reason);
            answer(&app, &request, &ending)
        }
    };
    next_nonce(&app, &request, &mut response);
    request.extensions_mut().insert(log);
    response
}

async fn pass(app: &Arc<App>, request: &HttpRequest, payload: Payload, origin: &Origin) -> Result<Passing, Ending> {
    let mut call = match read(app, request) {
        Ok(call) => call,
        Err(reason) => return Err(stranger(app, reason, origin).await),
    };
    // Some providers take a key there; ours would go on to the upstream.
    if call.query.as_deref().is_some_and(|query| tells(query, &call.shown.token)) {
        return Err(stranger(app, Reason::TokenInQuery, origin).await);
    }
    // Before anything of a body is kept: strangers upload nothing.
    if app.tokens.verify(&call.shown.token, app.clock.now()).is_err() {
        return Err(stranger(app, Reason::BearerInvalid, origin).await);
    }
    let headers = headers(request);
    let kept = match keep(app, request, payload).await {
        Ok(kept) => kept,
        Err(reason) => return Err(stranger(app, reason, origin).await),
    };
    let (body, permit) = match kept {
        Kept::Whole(bytes, permit) => {
            look_into(&mut call, request, &bytes);
            (RequestBody::Whole(bytes), permit)
        }
        Kept::Chunks(body) => {
            call.body = Body::Unreadable(if is_encoded(request) { Unreadable::Encoded } else { Unreadable::OtherType });
            (body, None)
        }
    };
    // On the store's runtime: an agent that hangs up can't stop it between hold and record.
    let call = Arc::new(call);
    let begun = {
        let (app, call, origin) = (Arc::clone(app), Arc::clone(&call), origin.clone());
        let store = Arc::clone(&app.store);
        store.run(async move { begin(app, &call, &origin).await }).await
    };
    let open = begun.map_err(|_| Ending::from(Reason::Internal))??;
    let passing = open.send(headers, &call, body).await;
    drop(permit);
    passing
}

/// Whether a query has a token in it, as it is or encoded.
fn tells(query: &str, token: &str) -> bool {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    query.contains(token) || pairs.any(|(name, value)| name.contains(token) || value.contains(token))
}

/// What can be read of a call without its body.
fn read(app: &App, request: &HttpRequest) -> Result<ProxyCall, Reason> {
    // The path as it was sent: a router that decodes could read it otherwise than the upstream.
    let raw = request.uri().path().strip_prefix(PREFIX).ok_or(Reason::BadPath)?;
    let (credential, path) = raw.split_at(raw.find('/').unwrap_or(raw.len()));
    if !is_identifier(credential) || credential.contains('%') {
        return Err(Reason::NoSuchCredential);
    }
    let path = CanonicalPath::parse(if path.is_empty() { "/" } else { path }).map_err(|_| Reason::BadPath)?;
    let method = Method::parse(request.method().as_str()).map_err(|_| Reason::BadMethod)?;
    let query = request.uri().query().map(str::to_owned);
    let overridden = request.headers().keys().any(|name| is_method_override_header(name.as_str()))
        || query.as_deref().is_some_and(query_overrides_method);
    Ok(ProxyCall {
        shown: shown(app, request)?,
        credential: credential.to_owned(),
        method,
        method_overridden: overridden,
        path,
        query,
        body: Body::None,
        json: None,
        body_bytes: 0,
        max_cost: max_cost(request)?,
    })
}

/// Exactly one token, in one of the places where libraries put an API key. One that is bound to a
/// DPoP key comes as `Authorization: DPoP` and nowhere else: elsewhere it is a bearer token.
fn shown(app: &App, request: &HttpRequest) -> Result<Presentation, Reason> {
    let mut found = None;
    let places = std::iter::once(AUTHORIZATION.as_str()).chain(KEY_HEADERS);
    for (name, value) in places.flat_map(|name| request.headers().get_all(name).map(move |value| (name, value))) {
        let text = value.to_str().map_err(|_| Reason::NoBearer)?;
        let presented = presented(app, request, &app.urls.release);
        let shown = if name == AUTHORIZATION.as_str() {
            Presentation::read(text, presented).ok_or(Reason::NoBearer)?
        } else {
            Presentation { token: text.trim().to_owned(), scheme: Scheme::Bearer, presented }
        };
        if found.replace(shown).is_some() {
            return Err(Reason::TokenTwice);
        }
    }
    found.ok_or(Reason::NoBearer)
}

fn max_cost(request: &HttpRequest) -> Result<Option<Amount>, Reason> {
    let mut values = request.headers().get_all(MAX_COST);
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| second.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let amount = digits.and_then(|text| Amount::new(text.parse().ok()?).ok());
    amount.filter(|amount| *amount > Amount::ZERO).map(Some).ok_or(Reason::BadMaxCost)
}

/// The agent's headers in the types of the engine, which strips what must not cross.
fn headers(request: &HttpRequest) -> http::HeaderMap {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, http::HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    let mut headers = http::HeaderMap::new();
    for (name, value) in request.headers().iter().filter_map(header) {
        headers.append(name, value);
    }
    headers
}

enum Kept {
    Whole(Bytes, Option<OwnedSemaphorePermit>),
    Chunks(RequestBody),
}

fn media_type(request: &HttpRequest) -> String {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(kind: &str) -> bool {
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn is_form(kind: &str) -> bool {
    kind == "application/x-www-form-urlencoded"
}

fn is_encoded(request: &HttpRequest) -> bool {
    let mut codings = request.headers().get_all(CONTENT_ENCODING);
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Keeps a body that is looked into; lets any other pass as it comes.
async fn keep(app: &App, request: &HttpRequest, payload: Payload) -> Result<Kept, Reason> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAX_REQUEST_BYTES) {
        return Err(Reason::BodyTooLarge);
    }
    let kind = media_type(request);
    if is_encoded(request) || !(is_json(&kind) || is_form(&kind) || declared == Some(0) || kind.is_empty()) {
        let (sender, body) = request_body();
        drop(actix_web::rt::spawn(pump(payload, sender)));
        return Ok(Kept::Chunks(body));
    }
    let collected = tokio::time::timeout(BUFFERED_BODY_DEADLINE, collect(app, payload, declared));
    let (bytes, permit) = collected.await.map_err(|_| Reason::BodyTooSlow)??;
    Ok(Kept::Whole(bytes, permit))
}

/// Reads a body whole. What all bodies of a node together may take is bounded: room is taken
/// for what is declared, and otherwise as it comes.
async fn collect(
    app: &App,
    mut payload: Payload,
    declared: Option<u64>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Reason> {
    let mut room = None;
    make_room(app, &mut room, declared.unwrap_or(0))?;
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Reason::BodyUnreadable)?;
        let length = u64::try_from(body.len() + chunk.len()).unwrap_or(u64::MAX);
        if length > MAX_REQUEST_BYTES {
            return Err(Reason::BodyTooLarge);
        }
        make_room(app, &mut room, length)?;
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), room))
}

/// Takes what is missing of the room that so many bytes need.
fn make_room(app: &App, room: &mut Option<OwnedSemaphorePermit>, bytes: u64) -> Result<(), Reason> {
    let wanted = usize::try_from(bytes.div_ceil(BUFFERED_BODY_UNIT)).map_err(|_| Reason::BodyTooLarge)?;
    let missing = wanted.saturating_sub(room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
    let missing = u32::try_from(missing).map_err(|_| Reason::BodyTooLarge)?;
    if missing == 0 {
        return Ok(());
    }
    let more = Arc::clone(&app.buffered).try_acquire_many_owned(missing).map_err(|_| Reason::ProxyBusy)?;
    match room {
        Some(room) => room.merge(more),
        None => *room = Some(more),
    }
    Ok(())
}

async fn pump(mut payload: Payload, sender: BodySender) {
    while let Some(chunk) = payload.next().await {
        // Dropped without an end, the request is cut off: half a body is none.
        let Ok(chunk) = chunk else { return };
        if !sender.send(chunk).await {
            return;
        }
    }
    sender.finish().await;
}

/// What constraints and prices see of a body that was kept.
fn look_into(call: &mut ProxyCall, request: &HttpRequest, bytes: &Bytes) {
    let kind = media_type(request);
    call.body_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if bytes.is_empty() {
        return;
    }
    if is_json(&kind) {
        call.body = Body::parse_json(bytes);
        call.json = match &call.body {
            Body::Json(json) => Some(json.value().clone()),
            // Too long for a selector, and still to be priced by what it says.
            Body::None | Body::Unreadable(_) => {
                (bytes.len() > MAX_BODY_BYTES).then(|| serde_json::from_slice(bytes).ok()).flatten()
            }
        };
        return;
    }
    call.body = Body::Unreadable(Unreadable::OtherType);
    if is_form(&kind) {
        call.method_overridden |= std::str::from_utf8(bytes).map_or(true, query_overrides_method);
    }
}

fn respond(passing: Passing) -> HttpResponse {
    let status = StatusCode::from_u16(passing.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut builder = HttpResponse::build(status);
    let mut length = None;
    for (name, value) in &passing.headers {
        if name == http::header::CONTENT_LENGTH {
            length = value.to_str().ok().and_then(|text| text.parse().ok());
            continue;
        }
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    if let Some((remaining, held)) = passing.budget {
        builder.insert_header((AGENT_BUDGET, format!("remaining={remaining}, held={held}")));
    }
    if let Some(length) = length {
        builder.no_chunking(length);
    }
    builder.streaming(passing.body)
}
