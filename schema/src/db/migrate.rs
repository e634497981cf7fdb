//! Schema migrations, embedded in the binary: the only code that changes tables.
//! On PostgreSQL a session lock lets one node at a time migrate, SQLite has a single writer.
//! Never runs by itself: the server decides when.

use super::{Db, DbError, LitePools, PgPool, Pools};
use diesel::SqliteConnection;
use diesel::migration::Migration;
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The PostgreSQL advisory lock held while migrating ("stipendM").
const MIGRATION_LOCK: i64 = 0x7374_6970_656e_644d;
/// Longest wait for another node's migration.
const LOCK_WAIT_SECONDS: u32 = 60;

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Db {
    /// Runs what is pending and answers the versions run, oldest first.
    pub async fn migrate(&self) -> Result<Vec<String>, DbError> {
        match &*self.pools {
            Pools::Pg(pool) => on_postgres(pool, migrate_postgres).await,
            Pools::Lite(pools) => on_sqlite(pools, migrate_sqlite).await,
        }
    }

    /// The versions that [`Self::migrate`] would run.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, DbError> {
        match &*self.pools {
            Pools::Pg(pool) => on_postgres(pool, |harness| names(&harness.pending_migrations(POSTGRES)?)).await,
            Pools::Lite(pools) => on_sqlite(pools, |conn| names(&conn.pending_migrations(SQLITE)?)).await,
        }
    }
}

fn migrate_postgres(harness: &mut PgHarness) -> Result<Vec<String>, Failure> {
    let run = harness.run_pending_migrations(POSTGRES)?;
    Ok(run.iter().map(ToString::to_string).collect())
}

fn migrate_sqlite(conn: &mut SqliteConnection) -> Result<Vec<String>, Failure> {
    conn.immediate_transaction(|conn| {
        let pending = conn.pending_migrations(SQLITE)?;
        for migration in &pending {
            conn.run_migration(migration)?;
        }
        names(&pending)
    })
}

fn names<DB: diesel::backend::Backend>(migrations: &[Box<dyn Migration<DB>>]) -> Result<Vec<String>, Failure> {
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

type PgHarness = AsyncMigrationHarness<diesel_async::AsyncPgConnection>;

async fn on_postgres<R: Send + 'static>(
    pool: &PgPool,
    work: impl FnOnce(&mut PgHarness) -> Result<R, Failure> + Send + 'static,
) -> Result<R, DbError> {
    let mut conn = pool.establish_unlimited().await?;
    // The lock goes with the session, which is used for nothing else.
    conn.batch_execute(&format!(
        "SET lock_timeout = '{LOCK_WAIT_SECONDS}s'; SELECT pg_advisory_lock({MIGRATION_LOCK})"
    ))
    .await
    .map_err(DbError::from_diesel)?;
    finish(tokio::task::spawn_blocking(move || work(&mut AsyncMigrationHarness::new(conn))).await)
}

async fn on_sqlite<R: Send + 'static>(
    pools: &LitePools,
    work: impl FnOnce(&mut SqliteConnection) -> Result<R, Failure> + Send + 'static,
) -> Result<R, DbError> {
    let result = pools.write.run_raw(move |conn| work(conn)).await?;
    result.map_err(|error| DbError::Migration(error.to_string()))
}

fn finish<R>(joined: Result<Result<R, Failure>, tokio::task::JoinError>) -> Result<R, DbError> {
    joined.map_err(|_| DbError::ThreadFailed)?.map_err(|error| DbError::Migration(error.to_string()))
}
