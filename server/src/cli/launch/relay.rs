//! A relay on this machine: what the program sends with the relay's key goes on to the issuer's
//! proxy with the token in its place, and the answer comes back as it arrives.
//!
//! It decides one thing, whether a request has the key. It keeps no body and no answer, and
//! forwards to `<issuer>/proxy/` and the credentials of the run, to nothing else.

use super::keeper::Keeper;
use super::variables::Lent;
use crate::cli::connect::Connection;
use crate::cli::error::CliError;
use crate::limits::{HEAD_DEADLINE, KEEP_ALIVE};
use crate::proxy::{BodySender, RequestBody, request_body};
use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::web::{self, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::StreamExt;
use reqwest::{Body, Client, Response, Url};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use stipend_keys::{Secret, constant_time_eq};
use tokio::task::JoinHandle;

/// Connections of the program at a time.
const MAX_CONNECTIONS: usize = 256;
/// Where libraries put an API key, besides `Authorization`.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];
/// About one connection and no other (RFC 9110 section 7.6.1), and what is made anew.
const HOP: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A relay that runs.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    handle: ServerHandle,
    served: JoinHandle<()>,
}

struct State {
    key: Secret<String>,
    /// Of the credentials.
    ids: Vec<String>,
    /// `<issuer>/proxy`.
    proxy: String,
    http: Client,
    keeper: Arc<Keeper>,
}

impl Relay {
    #[expect(clippy::disallowed_methods, reason = "owned by what is returned, which stops it")]
    pub fn start(
        connection: &Connection,
        key: Secret<String>,
        lent: &[Lent],
        keeper: Arc<Keeper>,
    ) -> Result<Self, CliError> {
        let failed = |error: std::io::Error| CliError::failed("no_relay", format!("the relay can't listen: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let data = Data::new(State {
            key,
            ids: lent.iter().map(|lent| lent.release.identifier().to_owned()).collect(),
            proxy: format!("{}/proxy", connection.issuer),
            http: connection.streaming_http()?,
            keeper,
        });
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(pass)));
        let server = server.workers(1).max_connections(MAX_CONNECTIONS).disable_signals();
        // As long as the server's own: libraries keep a connection and expect to find it.
        let server = server.client_request_timeout(HEAD_DEADLINE).keep_alive(KEEP_ALIVE);
        let server = server.listen(listener).map_err(failed)?.run();
        let handle = server.handle();
        let served = tokio::spawn(async move {
            // It ends when it is stopped, and then there is nobody to tell.
            let _ = server.await;
        });
        Ok(Self { address, handle, served })
    }

    /// Where calls go: `http://127.0.0.1:…`, then the credential and the path.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops at once; calls under way are cut off.
    pub async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.served.await;
    }
}

async fn pass(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    if !state.admits(request.headers()) {
        return refusal(StatusCode::UNAUTHORIZED, "invalid_token", "send the key in STIPEND_PROXY_KEY");
    }
    let target = state.target(request.uri().path(), request.uri().query());
    let (Some(url), Some(token)) = (target, state.keeper.token()) else {
        return refusal(StatusCode::NOT_FOUND, "not_found", "the path is /<credential>/… for a credential of this run");
    };
    let Ok(method) = reqwest::Method::from_bytes(request.method().as_str().as_bytes()) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", "the method is malformed");
    };
    let mut outgoing = state.http.request(method, url).headers(headers(request.headers())).bearer_auth(token.expose());
    if has_body(request.headers()) {
        // The length goes along: the server sets aside what a body may take.
        if let Some(length) = request.headers().get(CONTENT_LENGTH) {
            outgoing = outgoing.header(reqwest::header::CONTENT_LENGTH, length.as_bytes());
        }
        let (sender, body) = request_body();
        drop(actix_web::rt::spawn(pump(payload, sender)));
        outgoing = outgoing.body(match body {
            RequestBody::Whole(bytes) => Body::from(bytes),
            RequestBody::Chunks(chunks) => Body::wrap_stream(chunks),
        });
    }
    match outgoing.send().await {
        Ok(response) => answer(response),
        Err(_) => refusal(StatusCode::BAD_GATEWAY, "bad_gateway", "the issuer can't be reached"),
    }
}

impl State {
    /// Whether the key is in one of the places where libraries put it, and no other in any.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let bearers = headers.get_all(AUTHORIZATION).map(|value| {
            let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        });
        let keys = KEY_HEADERS.iter().flat_map(|name| headers.get_all(*name)).map(|value| value.to_str().ok());
        let mut found = false;
        for key in bearers.chain(keys) {
            if !key.is_some_and(|key| constant_time_eq(key.as_bytes(), self.key.expose().as_bytes())) {
                return false;
            }
            found = true;
        }
        found
    }

    /// The issuer's URL for a path, which must stay as it was written: nothing leads out of the
    /// proxy, or to another credential.
    fn target(&self, path: &str, query: Option<&str>) -> Option<Url> {
        let id = path.strip_prefix('/')?.split('/').next()?;
        if !self.ids.iter().any(|known| known == id) {
            return None;
        }
        let mut url = Url::parse(&format!("{}{path}", self.proxy)).ok()?;
        if url.path() != format!("/proxy{path}") {
            return None;
        }
        url.set_query(query);
        Some(url)
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

/// The program's headers, less the connection's and the keys.
fn headers(from: &HeaderMap) -> reqwest::header::HeaderMap {
    let named: Vec<String> = from
        .get_all(CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in from {
        let known = name.as_str();
        let stays = HOP.contains(&known) || KEY_HEADERS.contains(&known) || named.iter().any(|named| named == known);
        let parsed = (
            reqwest::header::HeaderName::from_bytes(known.as_bytes()),
            reqwest::header::HeaderValue::from_bytes(value.as_bytes()),
        );
        if let (false, false, (Ok(name), Ok(value))) = (stays, name == AUTHORIZATION, parsed) {
            headers.append(name, value);
        }
    }
    headers
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

fn answer(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut builder = HttpResponse::build(status);
    for (name, value) in response.headers() {
        if !HOP.contains(&name.as_str()) {
            builder.append_header((name.as_str(), value.as_bytes()));
        }
    }
    if let Some(length) = response.content_length() {
        builder.no_chunking(length);
    }
    builder.streaming(response.bytes_stream())
}

fn refusal(status: StatusCode, error: &str, description: &str) -> HttpResponse {
    HttpResponse::build(status)
        .json(json!({ "error": error, "error_description": format!("stipend run: {description}") }))
}
