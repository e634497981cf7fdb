//! Starting and stopping a node.

mod key_encryption;
mod secrets;
mod tls;

use crate::admission::Admission;
use crate::app::{App, Urls};
use crate::binding::Binding;
use crate::bootstrap::{BootstrapError, bootstrap};
use crate::certificate::Authorities;
use crate::client::{Failures, Marks, Proofs};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::custody::{Safe, UpstreamTokens, Uses};
use crate::documents::Documents;
use crate::export::Exports;
use crate::federation::{FetchConfig, Fetcher, IssuerKeys};
use crate::gather::Gatherer;
use crate::limits::{
    BUFFERED_BODY_UNITS, HEAD_DEADLINE, JWKS_MAX_AGE_SECONDS, KEEP_ALIVE, LEEWAY_SECONDS, MAX_CONNECTIONS_PER_WORKER,
    MAX_SCRAPES, MAX_TTL_SECONDS, SHUTDOWN_SECONDS,
};
use crate::live::Live;
use crate::proxy::{UpstreamConfig, Upstreams};
use crate::rates::{Rates, SharedCells};
use crate::records::Records;
use crate::redis::Redis;
use crate::ring::{Ring, RingError};
use crate::status::StatusLists;
use crate::store::Store;
use crate::telemetry::{MeasuredSink, Telemetry};
use crate::tokens::Tokens;
use crate::{admin, http, jobs};
use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App as HttpApp, HttpServer};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use stipend_keys::{KeyEncryption, ProcessMac, RotationPolicy, Sealer, Secret, SecretWorker};
use stipend_schema::{Committer, CommitterConfig, Db, DbError, FeedSink, Limits, Tailer, TailerConfig, TailerHandle};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Why a node did not start, in a sentence that helps.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the database can't be used: {0}")]
    Db(#[from] DbError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("first start: {0}")]
    Bootstrap(#[from] BootstrapError),
    #[error("{0}")]
    Kek(String),
    #[error("STIPEND_UPSTREAM_CA_FILE: {0}")]
    Upstreams(String),
    #[error("STIPEND_CLIENT_CA_FILE: {0}")]
    Authorities(String),
    #[error("STIPEND_FETCH_CA_FILE: {0}")]
    Fetches(String),
    #[error("telemetry: {0}")]
    Telemetry(String),
    #[error("STIPEND_REDIS_URL: {0}")]
    Redis(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
    #[error("the issuer can't be set: {0}")]
    Issuer(String),
}

/// A node that serves.
#[derive(Debug)]
pub struct Running {
    pub app: Arc<App>,
    pub address: SocketAddr,
    /// Where `/metrics` is.
    pub metrics_address: Option<SocketAddr>,
    /// The first admin's secret, when this start made it.
    pub first_secret: Option<Secret<String>>,
    server: ServerHandle,
    served: JoinHandle<()>,
    metrics: Option<ServerHandle>,
    jobs: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops: requests under way are answered, what waits is committed.
    pub async fn stop(self) {
        // Who follows the audit would follow it until the deadline.
        self.app.exports.stop();
        self.server.stop(true).await;
        for job in &self.jobs {
            job.abort();
        }
        // Checkpoint what this writer recorded before it goes for good.
        jobs::checkpoint(&self.app).await;
        self.app.committer.shutdown().await;
        self.app.tailer.stop();
        let _ = self.served.await;
        if let Some(metrics) = self.metrics {
            metrics.stop(false).await;
        }
        self.app.telemetry.stop().await;
    }

    /// Returns when the server has ended by itself.
    pub async fn ended(&mut self) {
        let _ = (&mut self.served).await;
    }
}

/// Starts a node with the system's clock.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Arc::new(SystemClock)).await
}

/// Starts a node. With port 0 a free one is taken; an issuer on port 0 then follows it.
///
/// # Errors
/// [`StartError`].
pub async fn start_with(mut config: Config, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    let (listener, address) = listen(config.listen)?;
    if let Some(base) = config.issuer.strip_suffix(":0") {
        config.issuer = format!("{base}:{}", address.port());
    }
    let scrape = config.telemetry.scrape.as_ref().map(|scrape| listen(scrape.listen)).transpose()?;
    let tls = config.tls.as_ref().map(tls::load).transpose().map_err(StartError::Tls)?;
    let app = Arc::new(assemble(config, clock).await?);
    app.telemetry.observe(&app);
    let first_secret = bootstrap(&app).await?;
    let jobs = jobs::start(&app);
    let data = Data::from(Arc::clone(&app));
    let services = app.config.services;
    let server = HttpServer::new(move || {
        HttpApp::new()
            .app_data(data.clone())
            .wrap(from_fn(http::admit))
            .wrap(from_fn(http::guard))
            .wrap(from_fn(http::request_log))
            .wrap(from_fn(http::observe))
            .configure(|config| http::routes(config, services))
            .configure(admin::routes)
            .default_service(web::to(http::not_found))
    })
    .client_request_timeout(HEAD_DEADLINE)
    .keep_alive(KEEP_ALIVE)
    // Who closes the connection has gone: what waits for an upstream on its behalf is ended.
    .h1_allow_half_closed(false)
    .max_connections(MAX_CONNECTIONS_PER_WORKER)
    .on_connect(http::keep_certificate)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals();
    let server = match app.config.workers {
        Some(workers) => server.workers(workers),
        None => server,
    };
    let bound = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = bound.map_err(|e| StartError::Listen(address, e))?.run();
    let handle = server.handle();
    let served = app.store.background(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    let metrics_address = scrape.as_ref().map(|(_, address)| *address);
    let metrics = scrape.map(|scrape| serve_metrics(&app, scrape)).transpose()?;
    Ok(Running { app, address, metrics_address, first_secret, server: handle, served, metrics, jobs })
}

fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = TcpListener::bind(at).map_err(|e| StartError::Listen(at, e))?;
    let address = listener.local_addr().map_err(|e| StartError::Listen(at, e))?;
    Ok((listener, address))
}

/// Answers `/metrics` where the configuration says.
fn serve_metrics(app: &Arc<App>, (listener, address): (TcpListener, SocketAddr)) -> Result<ServerHandle, StartError> {
    let data = Data::from(Arc::clone(app));
    let scrape = app.config.telemetry.scrape.clone();
    let server = HttpServer::new(move || {
        let scrape = scrape.clone();
        HttpApp::new()
            .app_data(data.clone())
            .wrap(from_fn(http::guard))
            .configure(|config| http::metrics_routes(config, scrape))
    });
    let server = server
        .workers(1)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .max_connections(MAX_SCRAPES)
        .disable_signals()
        .listen(listener)
        .map_err(|e| StartError::Listen(address, e))?
        .run();
    let handle = server.handle();
    drop(app.store.background(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the server of the metrics ended");
        }
    }));
    Ok(handle)
}

fn upstreams(config: &Config) -> Result<Upstreams, String> {
    let ca_pem = config.upstream_ca.as_ref().map(std::fs::read).transpose().map_err(|error| error.to_string())?;
    let config = UpstreamConfig {
        allow_networks: config.upstream_networks.clone(),
        allow_http_hosts: config.upstream_http_hosts.clone(),
        ca_pem,
        ..UpstreamConfig::default()
    };
    Upstreams::new(config).map_err(|error| error.to_string())
}

fn fetcher(config: &Config) -> Result<Fetcher, String> {
    let ca_pem = config.fetch_ca.as_ref().map(std::fs::read).transpose().map_err(|error| error.to_string())?;
    let networks = config.fetch_networks.clone();
    let config = FetchConfig { networks, http_hosts: config.fetch_http_hosts.clone(), ca_pem };
    Fetcher::new(config).map_err(|error| error.to_string())
}

/// What nodes count together: in Redis, where there is one.
async fn cells(
    config: &Config,
    store: &Arc<Store>,
    tailer: &TailerHandle,
    heads: watch::Receiver<i64>,
) -> Result<SharedCells, StartError> {
    let redis = match &config.redis {
        Some(redis) => Some(Redis::start(redis, &config.issuer, store, tailer.clone(), heads).await),
        None => None,
    };
    Ok(SharedCells::new(redis.transpose().map_err(StartError::Redis)?, Arc::clone(store)))
}

/// The providers of key encryption, made where blocking is allowed.
async fn providers(store: &Store, config: Config) -> Result<(Config, Arc<dyn KeyEncryption>), StartError> {
    let made = store.blocking(move || key_encryption::providers(&config).map(|kek| (config, kek))).await;
    made.map_err(|error| StartError::Kek(error.to_string()))?.map_err(StartError::Kek)
}

/// How signing keys follow one another.
fn rotation(config: &Config) -> RotationPolicy {
    RotationPolicy {
        algorithm: config.signing_alg,
        period_seconds: config.key_rotation_seconds,
        // Every cache of the document has turned over twice by then.
        publish_ahead_seconds: 2 * JWKS_MAX_AGE_SECONDS,
        retire_after_seconds: MAX_TTL_SECONDS + 2 * LEEWAY_SECONDS,
    }
}

/// Follows the feed; measured only where somebody measures.
async fn tailer(db: &Db, live: &Arc<Live>, telemetry: &Telemetry) -> Result<TailerHandle, DbError> {
    let live: Arc<dyn FeedSink> = Arc::<Live>::clone(live);
    if !telemetry.is_on() {
        return Tailer::start(db.clone(), TailerConfig::default(), live).await;
    }
    let sink = Arc::new(MeasuredSink::new(live, telemetry.clone()));
    let follower: Arc<dyn FeedSink> = Arc::<MeasuredSink>::clone(&sink);
    let tailer = Tailer::start(db.clone(), TailerConfig::default(), follower).await?;
    sink.follow(tailer.clone());
    Ok(tailer)
}

async fn assemble(config: Config, clock: Arc<dyn Clock>) -> Result<App, StartError> {
    let limits = Limits { pool_size: config.database_pool, ..Limits::default() };
    let db = Db::connect(&config.database_url.0, limits).await?;
    db.migrate().await?;
    let urls = Urls::new(&config.issuer, config.release_url.as_deref());
    let store = Arc::new(Store::new(db.clone(), Handle::current()));
    let live = Arc::new(Live::default());
    let telemetry = Telemetry::start(&config.telemetry, &store).map_err(StartError::Telemetry)?;
    let tailer = tailer(&db, &live, &telemetry).await?;
    let micros = Arc::clone(&clock);
    let (published, heads) = watch::channel(tailer.position());
    let committer = Committer::start(
        db.clone(),
        CommitterConfig {
            tailer: Some(tailer.clone()),
            published: Some(Arc::new(published)),
            watch: telemetry.commit_watch(),
            ..CommitterConfig::default()
        },
        Arc::new(move || micros.micros()),
    )?;
    let policy = rotation(&config);
    let cells = cells(&config, &store, &tailer, heads).await?;
    let (config, kek) = providers(&store, config).await?;
    secrets::check_keks(&db, &*kek, clock.now()).await?;
    let sealer = Sealer::new(Arc::clone(&kek));
    let own = secrets::secrets(&store, &committer, &sealer, &*clock).await?;
    let safe = Safe::new(kek, &own.fingerprints, own.wraps, Arc::clone(&store));
    let ring = Arc::new(Ring::open(Arc::clone(&store), sealer, (policy, config.event_signing_alg), clock.now()).await?);
    let records = Arc::new(Records::new(Arc::clone(&live), Arc::clone(&store)));
    let authorities = config.client_certificates.authorities.as_deref().map(Authorities::from_file).transpose();
    let authorities = authorities.map_err(StartError::Authorities)?;
    let upstreams = upstreams(&config).map_err(StartError::Upstreams)?;
    let fetcher = Arc::new(fetcher(&config).map_err(StartError::Fetches)?.measured(telemetry.clone()));
    Ok(App {
        admission: Admission::new(config.max_under_way),
        tokens: Tokens::new(&urls.issuer, Arc::clone(&ring), Arc::clone(&live), Arc::clone(&records)),
        status: StatusLists::default(),
        exports: Exports::default(),
        long_polls: Semaphore::new(crate::limits::MAX_LONG_POLLS),
        refusals: Gatherer::new(committer.clone(), Arc::clone(&clock), Arc::clone(&store)),
        rates: Rates::new(cells, config.rates, telemetry.clone()),
        failures: Failures::default(),
        marks: Marks::new(&own.nonces, Arc::clone(&store)),
        proofs: Proofs::default(),
        secrets: SecretWorker::start().map_err(StartError::Thread)?,
        mac: ProcessMac::new(),
        binding: Binding::new(config.dpop_nonce, &own.nonces),
        safe: safe.map_err(|error| StartError::Kek(error.to_string()))?,
        uses: Uses::default(),
        authorities,
        upstreams,
        upstream_tokens: UpstreamTokens::default(),
        documents: Documents::new(Arc::clone(&fetcher), Arc::clone(&store)),
        issuer_keys: IssuerKeys::new(Arc::clone(&fetcher), Arc::clone(&store)),
        fetcher,
        buffered: Arc::new(Semaphore::new(BUFFERED_BODY_UNITS)),
        turns: admin::Turns::default(),
        config,
        urls,
        clock,
        store,
        telemetry,
        committer,
        tailer,
        live,
        records,
        ring,
    })
}
