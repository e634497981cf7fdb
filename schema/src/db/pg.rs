//! PostgreSQL: the connection pool and what every connection is told before its first use.
//! Time limits are set on the server side too, so that a node that went away leaves nothing
//! running and no lock held.

use super::{DbError, Limits, PoolUse};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) type PgObject = Object<AsyncPgConnection>;

pub(crate) struct PgPool {
    pool: Pool<AsyncPgConnection>,
    commit_pool: Pool<AsyncPgConnection>,
    target: Arc<Target>,
    wait_timeout: Duration,
}

/// Connections the committer has to itself: one in use, one that replaces it when it broke.
const COMMIT_CONNECTIONS: usize = 2;

/// The committer finds every row by its key. The plan of a prepared statement is made for a list
/// of ten keys, on tables that may be small yet: a scan that compares each row with each of some
/// hundred keys, kept for good. Compiling what is run for a moment only costs.
const COMMIT_SETTINGS: &str = "SET enable_seqscan = off; SET jit = off";

/// Where and how to connect.
struct Target {
    config: Config,
    root_file: Option<String>,
    tls: OnceLock<Option<MakeRustlsConnect>>,
    connect_timeout: Duration,
}

impl PgPool {
    pub(crate) fn new(url: &str, limits: &Limits) -> Result<Self, DbError> {
        let target = Arc::new(Target::parse(url, limits)?);
        let setup = session_settings(limits);
        let commit_setup = format!("{setup}; {COMMIT_SETTINGS}");
        Ok(Self {
            pool: build_pool(&target, &setup.into(), limits.pool_size)?,
            commit_pool: build_pool(&target, &commit_setup.into(), COMMIT_CONNECTIONS)?,
            target,
            wait_timeout: limits.wait_timeout,
        })
    }

    /// A connection for reading.
    pub(crate) async fn take(&self) -> Result<PgObject, DbError> {
        self.take_from(&self.pool).await
    }

    /// A connection for the committer: many slow reads must not keep it waiting.
    pub(crate) async fn take_for_commit(&self) -> Result<PgObject, DbError> {
        self.take_from(&self.commit_pool).await
    }

    async fn take_from(&self, pool: &Pool<AsyncPgConnection>) -> Result<PgObject, DbError> {
        tokio::time::timeout(self.wait_timeout, pool.get())
            .await
            .map_err(DbError::timed_out)?
            .map_err(|error| DbError::Unavailable(error.to_string()))
    }

    pub(crate) fn uses(&self) -> [PoolUse; 2] {
        let used = |name, pool: &Pool<AsyncPgConnection>| {
            let status = pool.status();
            let used = status.size.saturating_sub(status.available);
            PoolUse { name, used, idle: status.available, max: status.max_size, waiting: status.waiting }
        };
        [used("read", &self.pool), used("write", &self.commit_pool)]
    }

    /// A connection outside the pool, without time limits: for migrations.
    pub(crate) async fn establish_unlimited(&self) -> Result<AsyncPgConnection, DbError> {
        self.target.connect().await.map_err(|error| DbError::Unavailable(error.to_string()))
    }
}

fn build_pool(target: &Arc<Target>, setup: &Arc<str>, size: usize) -> Result<Pool<AsyncPgConnection>, DbError> {
    let (target, setup) = (Arc::clone(target), Arc::clone(setup));
    let mut manager = ManagerConfig::default();
    // A closed connection is noticed without asking; anything else shows at first use.
    manager.recycling_method = RecyclingMethod::Fast;
    manager.custom_setup = Box::new(move |_| {
        let (target, setup) = (Arc::clone(&target), Arc::clone(&setup));
        async move {
            let mut conn = target.connect().await?;
            conn.batch_execute(&setup).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(conn)
        }
        .boxed()
    });
    Pool::builder(AsyncDieselConnectionManager::new_with_config("", manager))
        .max_size(size.max(1))
        .build()
        .map_err(|error| DbError::Unavailable(error.to_string()))
}

fn session_settings(limits: &Limits) -> String {
    format!(
        // The fence needs a fresh snapshot per statement. A server set to answer before its
        // log is durable would break what an acknowledged commit promises.
        "SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; \
         SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') = 'off'",
        limits.statement_timeout.as_millis(),
        limits.lock_timeout.as_millis(),
        limits.idle_in_transaction_timeout.as_millis(),
    )
}

impl Target {
    fn parse(url: &str, limits: &Limits) -> Result<Self, DbError> {
        let mut url = url::Url::parse(url).map_err(|_| DbError::Url("not a URL"))?;
        // tokio-postgres knows neither `verify-full` nor `sslrootcert`.
        let mut root_file = None;
        let mut kept = Vec::new();
        for (name, value) in url.query_pairs().into_owned() {
            match (name.as_str(), value.as_str()) {
                ("sslrootcert", _) => root_file = Some(value),
                ("sslmode", "verify-full" | "verify-ca") => {
                    kept.push((name, "require".to_owned()));
                }
                _ => kept.push((name, value)),
            }
        }
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
        let mut config: Config = url.as_str().parse().map_err(|_| DbError::Url("not a PostgreSQL URL"))?;
        config.connect_timeout(limits.wait_timeout);
        config.tcp_user_timeout(limits.answer_timeout.saturating_mul(2));
        config.keepalives_idle(Duration::from_secs(5));
        if config.get_application_name().is_none() {
            config.application_name("stipend");
        }
        Ok(Self { config, root_file, tls: OnceLock::new(), connect_timeout: limits.wait_timeout })
    }

    async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        // The limit covers the handshakes too; `connect_timeout` is per address and TCP only.
        tokio::time::timeout(self.connect_timeout, self.connect_by_mode())
            .await
            .map_err(|_| ConnectionError::BadConnection("no connection in time".to_owned()))?
    }

    async fn connect_by_mode(&self) -> ConnectionResult<AsyncPgConnection> {
        let mode = self.config.get_ssl_mode();
        if mode == SslMode::Disable {
            return connect(&self.config, NoTls).await;
        }
        let Some(tls) = self.tls.get_or_init(|| self.load_tls()) else {
            return Err(ConnectionError::BadConnection("sslrootcert holds no usable certificate".to_owned()));
        };
        let result = connect(&self.config, tls.clone()).await;
        match result {
            // `prefer` promises nothing against an active attacker, as in libpq; a server with
            // a certificate nobody can verify (Debian's default one) must still be usable.
            Err(ConnectionError::CouldntSetupConfiguration(_)) if mode == SslMode::Prefer => {
                let mut plain = self.config.clone();
                plain.ssl_mode(SslMode::Disable);
                connect(&plain, NoTls).await
            }
            result => result,
        }
    }

    fn load_tls(&self) -> Option<MakeRustlsConnect> {
        let mut roots = rustls::RootCertStore::empty();
        match &self.root_file {
            Some(path) => {
                let found = CertificateDer::pem_file_iter(path).ok()?;
                roots.add_parsable_certificates(found.flatten());
                if roots.is_empty() {
                    return None;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Some(MakeRustlsConnect::new(config))
    }
}

async fn connect<T>(config: &Config, tls: T) -> ConnectionResult<AsyncPgConnection>
where
    T: tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>,
    T::Stream: Send + Unpin + 'static,
{
    let (client, connection) = config.connect(tls).await.map_err(|error| {
        // Chiefly so that the caller can tell a TLS failure from a refused connection.
        if error.to_string().contains("TLS") {
            ConnectionError::CouldntSetupConfiguration(diesel::result::Error::QueryBuilderError(error.into()))
        } else {
            ConnectionError::BadConnection(error.to_string())
        }
    })?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}
