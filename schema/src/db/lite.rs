//! SQLite: one connection that writes, a few that read, all used on blocking threads.
//! A connection belongs to the blocking thread while a statement runs, not to the future that
//! waits for it: a request that is dropped midway can't leave a connection half used.
//! Durability: WAL with `synchronous = FULL`, so an acknowledged commit survives power loss.

use super::{DbError, Limits, PoolUse};
use diesel::connection::SimpleConnection;
use diesel::{Connection, QueryResult, SqliteConnection};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pages of the write-ahead log (16 MiB) that are carried over together: a page that many commits
/// changed is then written once.
const WAL_PAGES: u32 = 4096;
/// What is kept of a write-ahead log that once grew longer.
const WAL_KEPT_BYTES: u32 = 64 * 1024 * 1024;

pub(crate) struct LitePools {
    pub(crate) read: LitePool,
    pub(crate) write: LitePool,
}

impl LitePools {
    pub(crate) async fn open(path: &str, limits: &Limits) -> Result<Self, DbError> {
        check_path(path)?;
        create_private(Path::new(path))?;
        let path: Arc<str> = path.into();
        let pools = Self {
            write: LitePool::new(Arc::clone(&path), 1, limits),
            read: LitePool::new(path, limits.read_connections, limits),
        };
        // WAL is a property of the file: set it before anything reads.
        pools.write.run(|conn| conn.batch_execute("PRAGMA journal_mode = WAL")).await?;
        Ok(pools)
    }
}

fn check_path(path: &str) -> Result<(), DbError> {
    if path.is_empty() {
        return Err(DbError::Url("sqlite:// needs the path of a file"));
    }
    // Every connection to `:memory:` is a database of its own, and none of them durable.
    if path.contains(":memory:") || path.contains(['?', '#']) || path.starts_with("file:") {
        return Err(DbError::Url("sqlite:// takes a plain file path only"));
    }
    Ok(())
}

/// The file holds sealed keys and secret hashes: only its owner may read it. SQLite gives its
/// `-wal` and `-shm` files the same mode.
fn create_private(path: &Path) -> Result<(), DbError> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ()).map_err(|error| DbError::Unavailable(format!("the SQLite file: {}", error.kind())))
}

pub(crate) struct LitePool {
    shared: Arc<Shared>,
    free: Arc<Semaphore>,
    max: usize,
    waiting: AtomicUsize,
    wait_timeout: Duration,
}

/// Counts who waits, for as long as they do.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Shared {
    path: Arc<str>,
    busy_timeout: Duration,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl LitePool {
    fn new(path: Arc<str>, size: usize, limits: &Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                path,
                busy_timeout: limits.lock_timeout,
                idle: Mutex::new(Vec::with_capacity(size)),
            }),
            free: Arc::new(Semaphore::new(size.max(1))),
            max: size.max(1),
            waiting: AtomicUsize::new(0),
            wait_timeout: limits.wait_timeout,
        }
    }

    pub(crate) fn used(&self, name: &'static str) -> PoolUse {
        let (max, waiting) = (self.max, self.waiting.load(Ordering::Relaxed));
        let used = max.saturating_sub(self.free.available_permits());
        PoolUse { name, used, idle: self.shared.idle.lock().len(), max, waiting }
    }

    /// Runs `work` with a connection on a blocking thread, to its end even if the caller goes.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> Result<R, DbError> {
        self.run_raw(move |conn| work(conn).map_err(DbError::from_diesel)).await?
    }

    /// As [`Self::run`], for work with a result of its own.
    pub(crate) async fn run_raw<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> R + Send + 'static,
    ) -> Result<R, DbError> {
        let waiting = Waiting::new(&self.waiting);
        let permit = tokio::time::timeout(self.wait_timeout, Arc::clone(&self.free).acquire_owned())
            .await
            .map_err(DbError::timed_out)?
            .map_err(|_| DbError::Unavailable("the pool is closed".to_owned()))?;
        drop(waiting);
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let idle = shared.idle.lock().pop();
            let mut conn = match idle {
                Some(conn) => conn,
                None => shared.establish()?,
            };
            let result = work(&mut conn);
            // A panic in `work` unwinds past this: the connection closes, a new one is made.
            shared.idle.lock().push(conn);
            drop(permit);
            Ok(result)
        })
        .await
        .map_err(|_| DbError::ThreadFailed)?
    }
}

impl Shared {
    fn establish(&self) -> Result<SqliteConnection, DbError> {
        let mut conn =
            SqliteConnection::establish(&self.path).map_err(|error| DbError::Unavailable(error.to_string()))?;
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; \
             PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = {WAL_KEPT_BYTES}; \
             PRAGMA wal_autocheckpoint = {WAL_PAGES}",
            self.busy_timeout.as_millis()
        ))
        .map_err(DbError::from_diesel)?;
        Ok(conn)
    }
}
