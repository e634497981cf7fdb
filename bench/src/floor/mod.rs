//! The floor: the same HTTP library, the same signatures and answers of the same size as the
//! server's, and nothing else. No record, no rule, no revocation, no log, no database: what a
//! token endpoint cannot do without, so that the rest of the server has a price.
//! It must never be more clever than plain use of its libraries, nor less: signers, verifiers and
//! MAC keys are made once.

mod answers;
mod crypto;

use crate::error::BenchError;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use answers::{Claims, TokenAnswer, json};
use crypto::Crypto;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// As the server's (`server/src/limits.rs`).
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS_PER_WORKER: usize = 4096;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What the floor says when it serves: where, and as whom it may be asked.
#[derive(Debug, Deserialize, Serialize)]
pub struct Announced {
    pub address: String,
    pub client_id: String,
    pub client_secret: String,
    /// The private key of the client, as a JWK: the floor has its public part.
    pub client_key: serde_json::Value,
}

/// Serves until the process ends; `announce` is told when it does.
///
/// # Errors
/// [`BenchError`], where it can't be started.
pub async fn serve(
    listen: SocketAddr,
    workers: usize,
    announce: impl FnOnce(&Announced) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    let io = BenchError::io("the floor's listener");
    let listener = TcpListener::bind(listen).map_err(io)?;
    let address = listener.local_addr().map_err(BenchError::io("the floor's listener"))?;
    let (crypto, announced) = Crypto::new(address)?;
    let crypto = Data::from(Arc::new(crypto));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(crypto.clone())
            .route("/oauth2/token", web::post().to(token))
            .route("/oauth2/introspect", web::post().to(introspect))
            .route("/plain", web::post().to(plain))
            .route("/bearer", web::post().to(bearer))
    })
    .client_request_timeout(HEAD_DEADLINE)
    .keep_alive(KEEP_ALIVE)
    .h1_allow_half_closed(false)
    .max_connections(MAX_CONNECTIONS_PER_WORKER)
    .workers(workers)
    .listen(listener)
    .map_err(BenchError::io("the floor's listener"))?
    .run();
    announce(&announced)?;
    server.await.map_err(BenchError::io("the floor"))
}

struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    fn parse(body: &'a [u8]) -> Self {
        Self(url::form_urlencoded::parse(body).collect())
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_ref())
    }
}

/// Who asks: by the MAC of a secret, or by the signature of an assertion.
fn client(crypto: &Crypto, request: &HttpRequest, form: &Form<'_>) -> Option<String> {
    if let Some(assertion) = form.one("client_assertion") {
        return crypto.read_assertion(assertion);
    }
    let given = request.headers().get("authorization")?.to_str().ok()?;
    crypto.prove_secret(given.strip_prefix("Basic ")?)
}

fn refused() -> HttpResponse {
    json(401, &serde_json::json!({"error": "invalid_client"}))
}

async fn token(crypto: Data<Crypto>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let form = Form::parse(&body);
    let Some(client) = client(&crypto, &request, &form) else { return refused() };
    let mut claims = Claims::new(&crypto, &client);
    let exchanged = form.one("grant_type") == Some(EXCHANGE);
    if exchanged {
        let Some(subject) = form.one("subject_token").and_then(|token| crypto.read_token(token)) else {
            return refused();
        };
        if let Some(actor) = form.one("actor_token")
            && crypto.read_token(actor).is_none()
        {
            return refused();
        }
        claims.act_for(subject, &client);
    }
    let Some(access_token) = serde_json::to_vec(&claims).ok().and_then(|payload| crypto.sign(&payload)) else {
        return HttpResponse::InternalServerError().finish();
    };
    json(200, &TokenAnswer::new(access_token, exchanged))
}

/// Every token's signature is verified, each time.
async fn introspect(crypto: Data<Crypto>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let form = Form::parse(&body);
    if client(&crypto, &request, &form).is_none() {
        return refused();
    }
    match form.one("token").and_then(|token| crypto.read_token(token)) {
        Some(claims) => json(200, &claims.introspected()),
        None => json(200, &serde_json::json!({"active": false})),
    }
}

/// What any endpoint of forms can't do without: a client, and an answer the size of a receipt.
async fn plain(crypto: Data<Crypto>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let form = Form::parse(&body);
    if client(&crypto, &request, &form).is_none() {
        return refused();
    }
    json(200, &answers::receipt(&crypto))
}

/// The same where a token is the credential: its signature is verified, each time.
async fn bearer(crypto: Data<Crypto>, request: HttpRequest, _read: Bytes) -> HttpResponse {
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    match given.and_then(|given| given.strip_prefix("Bearer ")).and_then(|token| crypto.read_token(token)) {
        Some(_) => json(200, &answers::receipt(&crypto)),
        None => refused(),
    }
}
