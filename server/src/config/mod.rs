//! Configuration: environment first, then an optional file, then defaults. Read once, at
//! start; every mistake is reported, not only the first.

mod certificates;
mod key_encryption;
mod rates;
mod redis;
mod services;
mod settings;
mod source;
mod telemetry;

pub use certificates::ClientCertificates;
pub use key_encryption::{KekConfig, KekProvider};
pub use services::Services;
pub use settings::{CLIENT_SETTINGS, CONFIG_FILE, OTEL_PREFIX, PREFIX, SETTINGS, Setting};
pub use source::Source;
pub use telemetry::{ScrapeConfig, TelemetryConfig};

use crate::binding::NoncePolicy;
use crate::limits::{MAX_TTL_SECONDS, MAX_UNDER_WAY};
use crate::rates::DefaultRates;
use crate::redis::RedisConfig;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use stipend_keys::{Algorithm, Secret};
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

/// A node's configuration, checked.
#[derive(Debug)]
pub struct Config {
    pub issuer: String,
    pub listen: SocketAddr,
    pub database_url: DatabaseUrl,
    pub database_pool: usize,
    /// Requests of one class that are served at once.
    pub max_under_way: usize,
    /// Redis, where there is one.
    pub redis: Option<RedisConfig>,
    /// How often clients and owners may ask where nothing else is said of them.
    pub rates: DefaultRates,
    pub kek: KekConfig,
    pub bootstrap_secret: Option<Secret<String>>,
    pub tls: Option<TlsFiles>,
    pub client_certificates: ClientCertificates,
    /// What this node serves.
    pub services: Services,
    /// Public URL of the key-release service, where that is not the issuer's.
    pub release_url: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    /// Hosts that the proxy may call by plain http.
    pub upstream_http_hosts: Vec<String>,
    /// Private networks that the proxy may connect to.
    pub upstream_networks: Vec<IpNet>,
    /// Certificates of private upstreams.
    pub upstream_ca: Option<PathBuf>,
    /// Hosts that keys and metadata may be fetched from by plain http.
    pub fetch_http_hosts: Vec<String>,
    /// Private networks that they may be fetched from.
    pub fetch_networks: Vec<IpNet>,
    /// Certificates of such hosts.
    pub fetch_ca: Option<PathBuf>,
    pub signing_alg: Algorithm,
    /// What security events are signed with, where that is not what tokens are.
    pub event_signing_alg: Option<Algorithm>,
    pub key_rotation_seconds: i64,
    /// Whether DPoP proofs must carry a nonce of ours.
    pub dpop_nonce: NoncePolicy,
    /// How long audit records are kept; absent: for ever.
    pub audit_retention_days: Option<i64>,
    pub max_depth: usize,
    /// Most tokens with a budget under one token.
    pub max_children: i64,
    pub workers: Option<usize>,
    /// What is told of this node, and where.
    pub telemetry: TelemetryConfig,
    pub log_json: bool,
    pub log_level: String,
}

/// May hold a password, so it is never shown.
pub struct DatabaseUrl(pub String);

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split("://").next().unwrap_or_default();
        write!(f, "{scheme}://…")
    }
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The algorithms that there are, for whoever names another.
const ALGORITHMS: &str = "ES256, EdDSA, RS256 or PS256";

/// Everything wrong with a configuration, a sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Reads the process's environment and the file it names.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every mistake.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::from_source(Source::from_env()?)
    }

    /// # Errors
    /// [`ConfigErrors`] with every mistake.
    pub fn from_source(mut source: Source) -> Result<Self, ConfigErrors> {
        let trusted_proxies = source.list("STIPEND_TRUSTED_PROXIES", "an address or network", network);
        let issuer = source.text("STIPEND_ISSUER");
        if let Err(error) = check_issuer(&issuer, !trusted_proxies.is_empty()) {
            source.fault(format!("STIPEND_ISSUER: {error}"));
        }
        let release_url = release_url(&mut source, !trusted_proxies.is_empty());
        let database_url = database_url(&mut source);
        let kek = KekConfig::read(&mut source, database_url.starts_with("sqlite://"));
        let tls = TlsFiles::read(&mut source);
        let client_certificates = ClientCertificates::read(&mut source, !trusted_proxies.is_empty(), tls.is_some());
        let config = Self {
            listen: source
                .parse("STIPEND_LISTEN", "an address and port", |text| text.parse().ok())
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
            max_under_way: source.within("STIPEND_MAX_UNDER_WAY", 8, 65_536).unwrap_or(MAX_UNDER_WAY),
            database_pool: source.within("STIPEND_DATABASE_POOL", 2, 64).unwrap_or(8),
            redis: redis::read(&mut source),
            rates: rates::read(&mut source),
            kek,
            bootstrap_secret: source.secret("STIPEND_BOOTSTRAP_SECRET"),
            tls,
            client_certificates,
            services: Services::read(&mut source),
            release_url,
            trusted_proxies,
            upstream_http_hosts: source.list("STIPEND_UPSTREAM_HTTP_HOSTS", "a host name or address", host),
            upstream_networks: source.list("STIPEND_UPSTREAM_NETWORKS", "an address or network", network),
            upstream_ca: source.path("STIPEND_UPSTREAM_CA_FILE"),
            fetch_http_hosts: source.list("STIPEND_FETCH_HTTP_HOSTS", "a host name or address", host),
            fetch_networks: source.list("STIPEND_FETCH_NETWORKS", "an address or network", network),
            fetch_ca: source.path("STIPEND_FETCH_CA_FILE"),
            signing_alg: source
                .parse("STIPEND_SIGNING_ALG", ALGORITHMS, |text| text.parse().ok())
                .unwrap_or(Algorithm::Es256),
            event_signing_alg: source.parse("STIPEND_EVENT_SIGNING_ALG", ALGORITHMS, |text| text.parse().ok()),
            key_rotation_seconds: source
                .within("STIPEND_KEY_ROTATION_SECONDS", 2 * MAX_TTL_SECONDS, 31_536_000)
                .unwrap_or(2_592_000),
            max_children: source.within("STIPEND_MAX_CHILDREN", 1, stipend_token::rule::MAX_CHILDREN).unwrap_or(64),
            dpop_nonce: source
                .parse("STIPEND_DPOP_NONCE", "off or required", NoncePolicy::parse)
                .unwrap_or(NoncePolicy::Off),
            audit_retention_days: source.within("STIPEND_AUDIT_RETENTION_DAYS", 1, 36_500),
            max_depth: source.within("STIPEND_MAX_DEPTH", 1, stipend_token::chain::MAX_ACTORS).unwrap_or(4),
            workers: source.within("STIPEND_WORKERS", 1, 256),
            telemetry: telemetry::read(&mut source),
            log_json: log_json(&mut source),
            log_level: log_level(&mut source),
            issuer,
            database_url: DatabaseUrl(database_url),
        };
        if let Some(secret) = &config.bootstrap_secret
            && secret.expose().len() < 32
        {
            source.fault("STIPEND_BOOTSTRAP_SECRET: at least 32 characters, made at random".to_owned());
        }
        source.finish().map(|()| config)
    }

    /// Whether headers from this address are believed.
    #[must_use]
    pub fn trusts_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Whether a client's certificate can be seen here at all.
    #[must_use]
    pub fn takes_certificates(&self) -> bool {
        self.tls.is_some() || self.client_certificates.header.is_some()
    }
}

fn log_json(source: &mut Source) -> bool {
    let named = |text: &str| match text {
        "json" => Some(true),
        "text" => Some(false),
        _ => None,
    };
    source.parse("STIPEND_LOG_FORMAT", "json or text", named).unwrap_or(true)
}

fn log_level(source: &mut Source) -> String {
    let filter = |text: &str| EnvFilter::try_new(text).ok().map(|_| text.to_owned());
    source.parse("STIPEND_LOG_LEVEL", "a tracing filter such as info or stipend=debug", filter).unwrap_or_default()
}

impl TlsFiles {
    fn read(source: &mut Source) -> Option<Self> {
        match (source.path("STIPEND_TLS_CERT_FILE"), source.path("STIPEND_TLS_KEY_FILE")) {
            (Some(cert), Some(key)) => Some(Self { cert, key }),
            (None, None) => None,
            _ => {
                source.fault("STIPEND_TLS_CERT_FILE and STIPEND_TLS_KEY_FILE go together".to_owned());
                None
            }
        }
    }
}

fn database_url(source: &mut Source) -> String {
    let url = source.text("STIPEND_DATABASE_URL");
    let schemes = ["sqlite://", "postgres://", "postgresql://"];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        source.fault("STIPEND_DATABASE_URL: expected sqlite://path or postgres://user@host/database".to_owned());
    }
    url
}

/// Where the key-release service is, if not with the issuer.
fn release_url(source: &mut Source, behind_proxy: bool) -> Option<String> {
    let url = Some(source.text("STIPEND_RELEASE_URL")).filter(|url| !url.is_empty())?;
    if let Err(error) = check_issuer(&url, behind_proxy) {
        source.fault(format!("STIPEND_RELEASE_URL: {error}"));
    }
    Some(url)
}

/// As a URL has it.
fn host(text: &str) -> Option<String> {
    Host::parse(text).ok().map(|host| host.to_string())
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// RFC 8414 section 2: an https URL without query and fragment. Plain http only where no
/// network is crossed unprotected: loopback, or a declared proxy that ends TLS.
fn check_issuer(issuer: &str, behind_proxy: bool) -> Result<(), &'static str> {
    let url = Url::parse(issuer).map_err(|_| "not a URL")?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("an issuer has no query, fragment or user information (RFC 8414 section 2)");
    }
    if issuer.ends_with('/') {
        return Err("leave out the slash at the end: clients compare the issuer byte for byte");
    }
    if url.path() != "/" {
        return Err("an issuer with a path is not supported: give it a host of its own");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("an issuer has a host"),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback || behind_proxy => Ok(()),
        "http" => Err(
            "plain http would send secrets unprotected: use https, or declare the proxy that ends TLS in STIPEND_TRUSTED_PROXIES",
        ),
        _ => Err("use https"),
    }
}

#[cfg(test)]
mod tests;
