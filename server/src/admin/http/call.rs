//! Around every handler: the token, the body, the answer.

use super::super::api::SCOPE_READ;
use super::super::limits::MAX_BODY_DEPTH;
use super::super::problem::{Code, Refusal};
use super::super::session::Session;
use crate::app::App;
use crate::audit::Origin;
use crate::http::{DPOP, Line, challenges, origin, presentation, presents_twice, read_body, speaks_dpop, tell_nonce};
use crate::limits::{MAX_BODY_BYTES, RETRY_AFTER_SECONDS};
use crate::reason::Reason;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{Payload, Query};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stipend_token::id::is_identifier;
use stipend_token::json::{self, Limits};
use stipend_token::objects;

/// Longest explanation of a malformed body, in characters: it may quote the body.
const MAX_DETAIL_CHARS: usize = 300;

/// Authenticates, then handles; a refusal is recorded before it is answered.
pub(super) async fn serve(
    app: &App,
    request: &HttpRequest,
    scope: &'static str,
    event: &'static str,
    handle: impl AsyncFnOnce(&Session<'_>) -> Result<HttpResponse, Refusal>,
) -> HttpResponse {
    let origin = origin(&app.config, request);
    request.extensions_mut().insert(Line::new(&origin));
    let mut response = open_and_handle(app, request, (scope, event), origin, handle).await;
    if request.headers().contains_key(DPOP) {
        tell_nonce(&mut response, app.binding.nonce(app.clock.now()));
    }
    response
}

async fn open_and_handle(
    app: &App,
    request: &HttpRequest,
    (scope, event): (&'static str, &'static str),
    origin: Origin,
    handle: impl AsyncFnOnce(&Session<'_>) -> Result<HttpResponse, Refusal>,
) -> HttpResponse {
    let shown = presentation(app, request, &app.urls.issuer);
    let opened = match shown {
        _ if presents_twice(request) => Err(Refusal::new(Code::TokenTwice, "send one access token, in one header")),
        Some(shown) => Session::open(app, origin, shown, scope, event).await,
        None => Err(Refusal::new(Code::NoToken, "send an access token for the admin API as a bearer token")),
    };
    let mut session = match opened {
        Ok(session) => session,
        Err(refusal) => return problem_to(request, &refusal, scope),
    };
    session.target = request.match_info().iter().next().map(|(_, value)| value.chars().take(256).collect());
    match handle(&session).await {
        Ok(response) => response,
        Err(refusal) => problem_to(request, &session.refused(refusal).await, scope),
    }
}

/// A part of the path. What is no identifier names nothing.
pub(super) fn segment<'r>(request: &'r HttpRequest, name: &str) -> Result<&'r str, Refusal> {
    request.match_info().get(name).filter(|value| is_identifier(value)).ok_or_else(Refusal::not_found)
}

/// The query, strictly: unknown and repeated parameters are refused.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Refusal> {
    // What no database stores is no value of any parameter.
    if request.query_string().contains("%00") {
        return Err(malformed("a parameter of the query has the character U+0000"));
    }
    let parsed = Query::<T>::from_query(request.query_string());
    parsed.map(Query::into_inner).map_err(|error| malformed(&error.to_string()))
}

/// The JSON body.
pub(super) async fn body<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !["application/json", "application/merge-patch+json"].iter().any(|json| kind.eq_ignore_ascii_case(json)) {
        return Err(Refusal::new(Code::UnsupportedMediaType, "the body must be application/json"));
    }
    parse(&bytes(request, payload).await?)
}

/// The JSON body where all of it may be left out.
pub(super) async fn optional_body<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Refusal> {
    let bytes = bytes(request, payload).await?;
    parse(if bytes.is_empty() { b"{}" } else { &bytes })
}

/// For calls that say all in their path: nothing, or an object with nothing in it. It is read
/// all the same, so that the connection goes on whatever came.
pub(super) async fn no_body(request: &HttpRequest, payload: Payload) -> Result<(), Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let Nothing {} = optional_body(request, payload).await?;
    Ok(())
}

async fn bytes(request: &HttpRequest, payload: Payload) -> Result<actix_web::web::Bytes, Refusal> {
    read_body(request, payload).await.map_err(|reason| match reason {
        Reason::BodyTooLarge => Refusal::new(Code::TooLarge, "the body is larger than 64 KiB"),
        Reason::BodyTooSlow => Refusal::new(Code::TooSlow, "the body did not arrive in time"),
        Reason::Overloaded => Refusal::overloaded(),
        _ => Refusal::new(Code::InvalidRequest, "the body could not be read"),
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let limits = Limits { max_bytes: MAX_BODY_BYTES, max_depth: MAX_BODY_DEPTH };
    let object = json::parse_storable_object(bytes, limits).map_err(|error| malformed(&error.to_string()))?;
    objects::from_value(object.into()).map_err(|error| malformed(&error.to_string()))
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, without_values(detail).chars().take(MAX_DETAIL_CHARS).collect::<String>())
}

/// Says which member is wrong and not what was in it: that may be a secret in the wrong place,
/// and an answer is kept by more than the one who sent it.
fn without_values(detail: &str) -> String {
    for (before, after) in [("unknown variant `", "`, expected"), ("string \"", "\", expected")] {
        if let Some((start, rest)) = detail.split_once(before)
            && let Some((_, end)) = rest.rsplit_once(after)
        {
            return format!("{start}{before}…{after}{end}");
        }
    }
    detail.to_owned()
}

fn build(status: u16) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    builder.insert_header((CACHE_CONTROL, "no-store"));
    builder
}

/// A JSON answer that no cache may keep.
pub(super) fn answer(status: u16, body: &impl Serialize) -> Result<HttpResponse, Refusal> {
    let body = serde_json::to_string(body).map_err(|_| Refusal::internal())?;
    Ok(build(status).insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// 201 for what is new, 200 for what was there.
pub(super) fn created(is_new: bool, body: &impl Serialize) -> Result<HttpResponse, Refusal> {
    answer(if is_new { 201 } else { 200 }, body)
}

pub(super) fn no_content() -> HttpResponse {
    build(204).finish()
}

fn problem(refusal: &Refusal, scope: &str) -> HttpResponse {
    answer_problem(refusal, scope, false)
}

/// In the words of the scheme that the request used, or should have.
fn problem_to(request: &HttpRequest, refusal: &Refusal, scope: &str) -> HttpResponse {
    let proof = matches!(refusal.code, Code::InvalidProof | Code::UseNonce);
    answer_problem(refusal, scope, proof || speaks_dpop(request, None))
}

fn answer_problem(refusal: &Refusal, scope: &str, speaks_dpop: bool) -> HttpResponse {
    let mut builder = build(refusal.code.status());
    builder.insert_header((CONTENT_TYPE, "application/problem+json"));
    // RFC 6750 section 3: no error code where no token was sent.
    let challenge = match refusal.code {
        Code::NoToken => Some(format!("Bearer realm=\"admin\", scope=\"{scope}\"")),
        Code::TokenTwice => Some(format!("Bearer realm=\"admin\", error=\"invalid_request\", scope=\"{scope}\"")),
        Code::InvalidToken => Some(format!("Bearer realm=\"admin\", error=\"invalid_token\", scope=\"{scope}\"")),
        // RFC 9470 section 3.
        Code::StaleLogin => {
            Some(format!("Bearer realm=\"admin\", error=\"insufficient_user_authentication\", scope=\"{scope}\""))
        }
        Code::InvalidProof | Code::UseNonce => {
            Some(format!("Bearer realm=\"admin\", error=\"{}\", scope=\"{scope}\"", refusal.code.as_str()))
        }
        Code::InsufficientScope | Code::Forbidden => {
            Some(format!("Bearer realm=\"admin\", error=\"insufficient_scope\", scope=\"{scope}\""))
        }
        Code::Unavailable | Code::Overtaken | Code::TooManyStreams => {
            builder.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
            None
        }
        Code::TooSlow => {
            builder.force_close();
            None
        }
        _ => None,
    };
    let status = refusal.code.status();
    for text in challenge.into_iter().flat_map(|text| challenges(&text, speaks_dpop, status)) {
        builder.append_header((WWW_AUTHENTICATE, text));
    }
    match serde_json::to_string(&refusal.problem()) {
        Ok(body) => builder.body(body),
        Err(_) => builder.finish(),
    }
}

pub(super) async fn method_not_allowed(allow: &'static str) -> HttpResponse {
    let mut response = problem(&Refusal::new(Code::MethodNotAllowed, "this method is not allowed here"), SCOPE_READ);
    response.headers_mut().insert(ALLOW, actix_web::http::header::HeaderValue::from_static(allow));
    response
}

/// For a request that found no room, before anything of it was looked at.
pub fn overloaded() -> HttpResponse {
    problem(&Refusal::overloaded(), SCOPE_READ)
}

pub(super) async fn no_such_route() -> HttpResponse {
    problem(&Refusal::not_found(), SCOPE_READ)
}

#[cfg(test)]
mod tests {
    use super::super::super::api::NewOwner;
    use super::*;

    #[test]
    fn a_body_with_an_unknown_or_repeated_member_is_refused_by_its_name() {
        let said = |body: &str| parse::<NewOwner>(body.as_bytes()).unwrap_err().problem().detail;
        assert!(said(r#"{"id":"a","name":"A","nmae":"A"}"#).contains("`nmae`"));
        assert!(said(r#"{"id":"a"}"#).contains("`name`"));
        assert!(said(r#"{"id":"a","id":"b","name":"A"}"#).contains("twice"));
        assert!(said("[]").contains("object"));
        for (detail, said) in [
            (r#"invalid type: string "sk-1\", expected x", expected i64"#, r#"invalid type: string "…", expected i64"#),
            ("unknown variant `sk-1`, expected `a` or `b`", "unknown variant `…`, expected `a` or `b`"),
            ("unknown field `nmae`, expected `name`", "unknown field `nmae`, expected `name`"),
        ] {
            assert_eq!(malformed(detail).problem().detail, said);
        }
        assert!(said(&format!("{{\"{}\":1}}", "x".repeat(5000))).chars().count() <= MAX_DETAIL_CHARS);
    }
}
