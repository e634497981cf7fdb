//! Databases for tests: each test has its own, migrated, named at random and removed at the
//! end. On PostgreSQL it is a copy of a template made once per set of migrations.
//! Only behind the feature `testing`; nothing here may be called by the server.

mod books;
mod proxy;

pub use books::imbalances;
pub use proxy::{Proxy, Way};

use crate::db::{Backend, Db, DbError, Limits};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ring::rand::SecureRandom;
use std::path::PathBuf;

/// The variable that names a maintenance database, as a user that may create databases.
pub const POSTGRES_VARIABLE: &str = "STIPEND_TEST_POSTGRES_URL";

/// Held while the template is made or copied ("stipendT").
const TEMPLATE_LOCK: i64 = 0x7374_6970_656e_6454;

/// A migrated database of one test. Dropping it removes it.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Postgres { maintenance: url::Url, name: String },
}

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

/// How often or how much, by a variable for those who have more time than a test run has.
#[must_use]
pub fn sized(variable: &str, otherwise: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "for tests: how much of them is run")]
    let said = std::env::var(variable).ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(otherwise)
}

impl TestDatabase {
    /// Makes a migrated database. The PostgreSQL one needs [`POSTGRES_VARIABLE`].
    pub async fn new(backend: Backend) -> Self {
        let made = match backend {
            Backend::Sqlite => new_file().await,
            Backend::Postgres => new_postgres().await,
        };
        #[expect(clippy::expect_used, reason = "for tests: without a database they must fail")]
        made.expect("a database for the test")
    }

    /// One without tables, for tests of migrations.
    pub async fn empty(backend: Backend) -> Self {
        let made = match backend {
            Backend::Sqlite => unmigrated_file(),
            Backend::Postgres => unmigrated_postgres().await,
        };
        #[expect(clippy::expect_used, reason = "for tests: without a database they must fail")]
        made.expect("an empty database for the test")
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A handle of its own pools, as another node would have.
    pub async fn connect(&self) -> Db {
        self.connect_with(Limits::default()).await
    }

    pub async fn connect_with(&self, limits: Limits) -> Db {
        let db = Db::connect(&self.url, limits).await;
        #[expect(clippy::expect_used, reason = "for tests")]
        db.expect("a connection to the test's database")
    }

    /// Runs SQL past every guard: to tamper, to inject faults.
    pub async fn execute(&self, sql: &str) -> Result<(), DbError> {
        match &self.place {
            Place::Postgres { .. } => batch(&self.url, sql).await,
            Place::File(_) => {
                let sql = sql.to_owned();
                self.on_file(move |conn| diesel::connection::SimpleConnection::batch_execute(conn, &sql)).await
            }
        }
    }

    /// The number that a query answers as its column `value`.
    pub async fn number(&self, sql: &str) -> Result<i64, DbError> {
        let query = diesel::sql_query(sql.to_owned());
        let row: Number = match &self.place {
            Place::Postgres { .. } => {
                let mut conn = establish(&self.url).await?;
                query.get_result(&mut conn).await.map_err(DbError::from_diesel)?
            }
            Place::File(_) => self.on_file(|conn| diesel::RunQueryDsl::get_result(query, conn)).await?,
        };
        Ok(row.value)
    }

    /// The texts that a query answers as its column `value`.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>, DbError> {
        let query = diesel::sql_query(sql.to_owned());
        let rows: Vec<Line> = match &self.place {
            Place::Postgres { .. } => {
                let mut conn = establish(&self.url).await?;
                query.load(&mut conn).await.map_err(DbError::from_diesel)?
            }
            Place::File(_) => self.on_file(|conn| diesel::RunQueryDsl::load(query, conn)).await?,
        };
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// A copy as it is now: what a backup would hold. Sessions on a PostgreSQL database are ended.
    #[expect(clippy::expect_used, reason = "for tests: without the copy they must fail")]
    pub async fn copy(&self) -> Self {
        let name = random_name();
        let (url, place, source, sql) = match &self.place {
            Place::File(_) => {
                let directory = std::env::temp_dir().join(&name);
                std::fs::create_dir(&directory).expect("a directory for the copy");
                let file = directory.join("stipend.db");
                let sql = format!("VACUUM INTO '{}'", file.display());
                (format!("sqlite://{}", file.display()), Place::File(directory), None, sql)
            }
            Place::Postgres { maintenance, name: of } => {
                self.cut_connections().await.expect("nobody is connected");
                let sql = format!("CREATE DATABASE {name} TEMPLATE {of}");
                let place = Place::Postgres { maintenance: maintenance.clone(), name: name.clone() };
                (with_database(maintenance, &name), place, Some(maintenance.clone()), sql)
            }
        };
        match source {
            Some(maintenance) => batch(maintenance.as_str(), &sql).await,
            None => self.execute(&sql).await,
        }
        .expect("a copy of the database");
        Self { url, place }
    }

    /// Ends every other session on the database, as a crash of it would; PostgreSQL only.
    pub async fn cut_connections(&self) -> Result<(), DbError> {
        match &self.place {
            Place::File(_) => Ok(()),
            Place::Postgres { maintenance, name } => {
                let sql = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = '{name}'"
                );
                batch(maintenance.as_str(), &sql).await
            }
        }
    }

    async fn on_file<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut diesel::SqliteConnection) -> diesel::QueryResult<R> + Send + 'static,
    ) -> Result<R, DbError> {
        let path = self.url.trim_start_matches("sqlite://");
        let pools = crate::db::LitePools::open(path, &Limits::default()).await?;
        pools.write.run(work).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        match &self.place {
            Place::File(directory) => {
                let _ = std::fs::remove_dir_all(directory);
            }
            Place::Postgres { maintenance, name } => {
                let maintenance = maintenance.clone();
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                // Drop may run inside a runtime, where waiting is not allowed: use another thread.
                let dropped = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                    runtime.block_on(batch(maintenance.as_str(), &sql)).ok()
                });
                let _ = dropped.join();
            }
        }
    }
}

async fn new_file() -> Result<TestDatabase, DbError> {
    let database = unmigrated_file()?;
    let db = Db::connect(&database.url, Limits::default()).await?;
    db.migrate().await?;
    Ok(database)
}

fn unmigrated_file() -> Result<TestDatabase, DbError> {
    let directory = std::env::temp_dir().join(random_name());
    std::fs::create_dir(&directory).map_err(|error| DbError::Unavailable(error.to_string()))?;
    let url = format!("sqlite://{}", directory.join("stipend.db").display());
    Ok(TestDatabase { url, place: Place::File(directory) })
}

fn maintenance_url() -> Result<url::Url, DbError> {
    #[expect(clippy::disallowed_methods, reason = "for tests: the one variable they read")]
    let maintenance = std::env::var(POSTGRES_VARIABLE)
        .map_err(|_| DbError::Url("set STIPEND_TEST_POSTGRES_URL or run scripts/test"))?;
    url::Url::parse(&maintenance).map_err(|_| DbError::Url("STIPEND_TEST_POSTGRES_URL is not a URL"))
}

async fn unmigrated_postgres() -> Result<TestDatabase, DbError> {
    let (maintenance, name) = (maintenance_url()?, random_name());
    run(&mut establish(maintenance.as_str()).await?, &format!("CREATE DATABASE {name}")).await?;
    let url = with_database(&maintenance, &name);
    Ok(TestDatabase { url, place: Place::Postgres { maintenance, name } })
}

async fn new_postgres() -> Result<TestDatabase, DbError> {
    let maintenance = maintenance_url()?;
    let name = random_name();
    let mut conn = establish(maintenance.as_str()).await?;
    // Goes with the session, at the end of this function.
    run(&mut conn, &format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await?;
    let template = template(&mut conn, &maintenance).await?;
    run(&mut conn, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
    let url = with_database(&maintenance, &name);
    let place = Place::Postgres { maintenance, name };
    Ok(TestDatabase { url, place })
}

/// Makes the template unless it is there; it is marked as one only when it is complete.
async fn template(conn: &mut AsyncPgConnection, maintenance: &url::Url) -> Result<String, DbError> {
    let hash = URL_SAFE_NO_PAD.encode(crate::audit::hash(&migration_texts()?));
    let name: String = hash.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    let name = format!("stipend_template_{}", name.to_ascii_lowercase());
    let found: Number = diesel::sql_query(format!(
        "SELECT count(*) AS value FROM pg_database WHERE datname = '{name}' AND datistemplate"
    ))
    .get_result(conn)
    .await
    .map_err(DbError::from_diesel)?;
    if found.value == 0 {
        run(conn, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        run(conn, &format!("CREATE DATABASE {name}")).await?;
        let db = Db::connect(&with_database(maintenance, &name), Limits::default()).await?;
        db.migrate().await?;
        drop(db);
        // A template can't be copied while anyone is connected to it.
        run(
            conn,
            &format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                 WHERE datname = '{name}'"
            ),
        )
        .await?;
        run(conn, &format!("ALTER DATABASE {name} IS_TEMPLATE true")).await?;
    }
    Ok(name)
}

/// Every migration's text: a template is only good for the set it was made with.
fn migration_texts() -> Result<String, DbError> {
    let failed = |error: std::io::Error| DbError::Migration(error.to_string());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    paths.iter().try_fold(String::new(), |texts, path| {
        let text = std::fs::read_to_string(path.join("up.sql")).map_err(failed)?;
        Ok(texts + &path.to_string_lossy() + &text)
    })
}

fn with_database(maintenance: &url::Url, name: &str) -> String {
    let mut url = maintenance.clone();
    url.set_path(name);
    url.into()
}

async fn establish(url: &str) -> Result<AsyncPgConnection, DbError> {
    AsyncPgConnection::establish(url).await.map_err(|error| DbError::Unavailable(error.to_string()))
}

async fn batch(url: &str, sql: &str) -> Result<(), DbError> {
    run(&mut establish(url).await?, sql).await
}

async fn run(conn: &mut AsyncPgConnection, sql: &str) -> Result<(), DbError> {
    conn.batch_execute(sql).await.map_err(DbError::from_diesel)
}

fn random_name() -> String {
    let mut bytes = [0_u8; 12];
    #[expect(clippy::expect_used, reason = "for tests")]
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("random bytes");
    bytes.iter().fold("stipend_test_".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}
