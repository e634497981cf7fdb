//! The database handle: one of two backends behind one type, with its limits.
//! Owns connection set-up (time limits, durability, TLS) and the translation of driver errors.
//! It must never hand a connection out of this crate, and never wait without a limit.

mod error;
mod lite;
mod migrate;
mod pg;

pub use error::DbError;
pub(crate) use error::{brief, lost_connection};
pub(crate) use lite::LitePools;
pub(crate) use pg::{PgObject, PgPool};

use std::sync::Arc;
use std::time::Duration;

/// Which database a [`Db`] speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Bounds on what one node asks of its database.
#[derive(Debug, Clone)]
pub struct Limits {
    /// PostgreSQL connections per node, besides the committer's own.
    pub pool_size: usize,
    /// SQLite connections for reading; writing always uses exactly one.
    pub read_connections: usize,
    /// Longest wait for a free connection, and for a new one to be made.
    pub wait_timeout: Duration,
    /// PostgreSQL `statement_timeout`.
    pub statement_timeout: Duration,
    /// PostgreSQL `lock_timeout`, SQLite `busy_timeout`.
    pub lock_timeout: Duration,
    /// PostgreSQL `idle_in_transaction_session_timeout`: a node that was paused inside a
    /// transaction must not keep the feed's lock from the others.
    pub idle_in_transaction_timeout: Duration,
    /// Longest wait for any answer, measured here: a hung server sends no error.
    pub answer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: 8,
            read_connections: 4,
            wait_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_millis(1500),
            lock_timeout: Duration::from_secs(1),
            idle_in_transaction_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_millis(1700),
        }
    }
}

impl Limits {
    /// For reading much at once, when no request waits for it.
    #[must_use]
    pub fn for_reports() -> Self {
        let patience = Duration::from_secs(60);
        Self {
            pool_size: 2,
            statement_timeout: patience,
            idle_in_transaction_timeout: patience,
            answer_timeout: patience,
            ..Self::default()
        }
    }
}

/// A handle on the database; cloning it shares the pools.
#[derive(Clone)]
pub struct Db {
    pub(crate) pools: Arc<Pools>,
    pub(crate) limits: Arc<Limits>,
}

pub(crate) enum Pools {
    Pg(PgPool),
    Lite(LitePools),
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_tuple("Db").field(&self.backend()).finish()
    }
}

impl Db {
    /// Opens `sqlite://path` (a file, made if absent) or `postgres://…`, and proves that it
    /// answers. PostgreSQL `sslmode` may be `disable`, `prefer` (default), `require` or
    /// `verify-full`; TLS always verifies the server's certificate, against the system's roots
    /// or the PEM file named by `sslrootcert`.
    pub async fn connect(url: &str, limits: Limits) -> Result<Self, DbError> {
        let pools = if let Some(path) = url.strip_prefix("sqlite://") {
            Pools::Lite(LitePools::open(path, &limits).await?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Pools::Pg(PgPool::new(url, &limits)?)
        } else {
            return Err(DbError::Url("expected sqlite:// or postgres://"));
        };
        let db = Self { pools: Arc::new(pools), limits: Arc::new(limits) };
        db.ping().await?;
        Ok(db)
    }

    pub fn backend(&self) -> Backend {
        match *self.pools {
            Pools::Pg(_) => Backend::Postgres,
            Pools::Lite(_) => Backend::Sqlite,
        }
    }

    /// Proves that the database answers a statement.
    pub async fn ping(&self) -> Result<(), DbError> {
        crate::queries::database_time(self).await.map(|_| ())
    }

    /// How its pools are used now.
    #[must_use]
    pub fn pools(&self) -> [PoolUse; 2] {
        match &*self.pools {
            Pools::Pg(pool) => pool.uses(),
            Pools::Lite(pools) => [pools.read.used("read"), pools.write.used("write")],
        }
    }
}

/// The connections of one pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolUse {
    pub name: &'static str,
    pub used: usize,
    /// Open, and free.
    pub idle: usize,
    pub max: usize,
    /// Who waits for one.
    pub waiting: usize,
}

/// Runs one query on whichever backend `$db` is: `read!(db, get_results::<OwnerRow>, query)`.
/// The query is expanded once per backend, so its arguments must be owned.
macro_rules! read {
    ($db:expr, $method:ident::<$row:ty>, $query:expr) => {{
        let db: &$crate::db::Db = $db;
        match &*db.pools {
            $crate::db::Pools::Pg(pool) => {
                #[allow(dead_code)]
                type B = diesel::pg::Pg;
                let answer = async {
                    let mut conn = pool.take().await?;
                    let conn: &mut diesel_async::AsyncPgConnection = &mut conn;
                    diesel_async::RunQueryDsl::$method::<$row>($query, conn)
                        .await
                        .map_err($crate::db::DbError::from_diesel)
                };
                tokio::time::timeout(db.limits.answer_timeout, answer)
                    .await
                    .map_err($crate::db::DbError::timed_out)
                    .and_then(|answer| answer)
            }
            $crate::db::Pools::Lite(pools) => {
                #[allow(dead_code)]
                type B = diesel::sqlite::Sqlite;
                pools.read.run(move |conn| diesel::RunQueryDsl::$method::<$row>($query, conn)).await
            }
        }
    }};
}
pub(crate) use read;
