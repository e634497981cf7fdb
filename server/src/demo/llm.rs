//! A provider of language models to try things with: it answers in the manner of the well-known
//! ones, from the words it is given, and thinks nothing. The demo and the tests call it.
//!
//! It knows one key, which can be changed while it runs, counts its calls, and tells a usage
//! that anyone can check: words read and words written.

mod anthropic;
#[cfg(any(test, feature = "testing"))]
pub mod hostile;
mod openai;
mod prompt;

use actix_web::dev::ServerHandle;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::{StreamExt, stream};
use parking_lot::RwLock;
use serde_json::Value;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stipend_keys::Secret;
use tokio::task::JoinHandle;
use url::Url;

/// Longest request body.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// The model, where a request names none.
const MODEL: &str = "stand-in-1";
/// Every answer was made at this moment: it is the same each time.
const CREATED: i64 = 1_750_000_000;

/// A stand-in that runs, on a free port of this machine over plain http.
#[derive(Debug)]
pub struct Llm {
    address: SocketAddr,
    state: Arc<State>,
    handle: ServerHandle,
    served: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    key: RwLock<Secret<String>>,
    calls: AtomicU64,
    refused: AtomicU64,
    pace: RwLock<Duration>,
}

impl Llm {
    /// # Errors
    /// What the system says where no port can be had.
    #[expect(clippy::disallowed_methods, reason = "owned by what is returned, which stops it")]
    pub fn start(key: Secret<String>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            key: RwLock::new(key),
            calls: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            pace: RwLock::new(Duration::ZERO),
        });
        let data = Data::from(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(PayloadConfig::new(MAX_BODY_BYTES))
                .route("/v1/models", web::get().to(models))
                .route("/v1/chat/completions", web::post().to(openai::chat))
                .route("/v1/responses", web::post().to(openai::responses))
                .route("/v1/messages", web::post().to(anthropic::messages))
        });
        let server = server.workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        let served = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the stand-in provider ended");
            }
        });
        Ok(Self { address, state, handle, served })
    }

    /// Where it is, without a path: `http://127.0.0.1:…/`. None can't be.
    #[must_use]
    pub fn base_url(&self) -> Option<Url> {
        Url::parse(&format!("http://{}/", self.address)).ok()
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this key is right and the one before is wrong.
    pub fn change_key(&self, key: Secret<String>) {
        *self.state.key.write() = key;
    }

    /// Calls that came with the right key.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// Calls that came with none or a wrong one.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }

    /// How long to wait before each event of a stream; not at all, unless this is called.
    pub fn set_pace(&self, pace: Duration) {
        *self.state.pace.write() = pace;
    }

    /// Stops at once; streams under way are cut off.
    pub async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.served.await;
    }
}

impl State {
    /// Counts the call, and says whether it may be made.
    fn admits(&self, presented: Option<&str>) -> bool {
        let right = presented.is_some_and(|presented| presented == self.key.read().expose());
        let counter = if right { &self.calls } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        right
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn api_key(request: &HttpRequest) -> Option<&str> {
    request.headers().get("x-api-key")?.to_str().ok()
}

fn json(status: u16, body: &Value) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body.to_string())
}

/// Events one by one, each after the pace.
fn events(state: &State, events: Vec<String>) -> HttpResponse {
    let pace = *state.pace.read();
    let events = stream::iter(events).then(move |event| async move {
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        Ok::<_, actix_web::Error>(Bytes::from(event))
    });
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/event-stream")).streaming(events)
}

/// The one path where both manners ask: the header says which.
async fn models(request: HttpRequest, state: Data<State>) -> HttpResponse {
    if api_key(&request).is_some() { anthropic::models(&request, &state) } else { openai::models(&request, &state) }
}

#[cfg(test)]
mod tests;
