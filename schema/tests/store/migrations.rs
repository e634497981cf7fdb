use crate::ledger::{capture, done, hold, line, make};
use crate::support::*;
use rstest::rstest;
use std::collections::BTreeSet;
use stipend_schema::testing::{TestDatabase, imbalances};
use stipend_schema::*;

/// Columns as `table.column nullable`, in order.
async fn columns(backend: Backend) -> Vec<String> {
    let database = TestDatabase::new(backend).await;
    let sql = match backend {
        Backend::Sqlite => {
            "SELECT m.name || '.' || c.name || ' ' || c.type || \
             CASE c.\"notnull\" WHEN 1 THEN '' ELSE ' NULL' END || ' ' || \
             CASE WHEN c.pk > 0 THEN 'key' ELSE '' END AS value \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
             AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY m.name, c.cid"
        }
        Backend::Postgres => {
            "SELECT c.table_name || '.' || c.column_name || ' ' || upper(c.data_type) || \
             CASE c.is_nullable WHEN 'NO' THEN '' ELSE ' NULL' END || ' ' || \
             CASE WHEN EXISTS (SELECT 1 FROM information_schema.key_column_usage k \
               JOIN information_schema.table_constraints t USING (constraint_name, table_name) \
               WHERE t.constraint_type = 'PRIMARY KEY' AND k.table_name = c.table_name \
               AND k.column_name = c.column_name) THEN 'key' ELSE '' END AS value \
             FROM information_schema.columns c WHERE c.table_schema = 'public' \
             AND left(c.table_name, 2) <> '__' \
             ORDER BY c.table_name COLLATE \"C\", c.ordinal_position"
        }
    };
    let found = database.texts(sql).await.unwrap();
    found.iter().map(|column| column.replace("BYTEA", "BLOB")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_backends_end_in_the_same_tables() {
    let sqlite = columns(Backend::Sqlite).await;
    let postgres = columns(Backend::Postgres).await;
    assert_eq!(sqlite, postgres);
    let tables: BTreeSet<_> = sqlite.iter().filter_map(|column| column.split('.').next()).collect();
    assert_eq!(tables.len(), 49, "{tables:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_backends_end_in_the_same_indexes() {
    let sqlite = TestDatabase::new(Backend::Sqlite).await;
    let postgres = TestDatabase::new(Backend::Postgres).await;
    let of_sqlite = sqlite
        .texts(
            "SELECT name AS value FROM sqlite_master WHERE type = 'index' \
             AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )
        .await
        .unwrap();
    let of_postgres = postgres
        .texts(
            "SELECT indexname::text AS value FROM pg_indexes WHERE schemaname = 'public' \
             AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' \
             ORDER BY indexname COLLATE \"C\"",
        )
        .await
        .unwrap();
    assert_eq!(of_sqlite, of_postgres);
}

/// The versions of all migrations there are, oldest first.
fn versions() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<String> =
        names.map(|name| name.split('_').next().unwrap().chars().filter(char::is_ascii_digit).collect()).collect();
    versions.sort();
    versions
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn migrating_twice_does_nothing_and_pending_says_so(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    assert_eq!(db.backend(), backend);
    assert_eq!(db.pending_migrations().await.unwrap(), Vec::<String>::new());
    assert_eq!(db.migrate().await.unwrap(), Vec::<String>::new());
    database.execute("DELETE FROM __diesel_schema_migrations").await.unwrap();
    let versions = versions();
    assert_eq!(db.pending_migrations().await.unwrap(), versions);
    // Run again over existing tables they fail, whole, and say so.
    assert!(matches!(db.migrate().await, Err(DbError::Migration(_))));
    assert_eq!(db.pending_migrations().await.unwrap(), versions);
}

/// Up and down of the migration that takes the holds' key of their line away.
const LITE: [&str; 2] = [
    include_str!("../../migrations/sqlite/2026-11-21-000004_holds_without_line_key/up.sql"),
    include_str!("../../migrations/sqlite/2026-11-21-000004_holds_without_line_key/down.sql"),
];
const POSTGRES: [&str; 2] = [
    include_str!("../../migrations/postgres/2026-11-21-000004_holds_without_line_key/up.sql"),
    // A later one takes the captures' key of the hold away: it comes back first.
    concat!(
        include_str!("../../migrations/postgres/2026-11-21-000014_lighter_journal/down.sql"),
        include_str!("../../migrations/postgres/2026-11-21-000004_holds_without_line_key/down.sql"),
    ),
];

#[rstest]
#[case(Backend::Sqlite, LITE)]
#[case(Backend::Postgres, POSTGRES)]
#[tokio::test(flavor = "multi_thread")]
async fn holds_lose_their_key_of_the_line_and_get_it_back_with_every_row_in_place(
    #[case] backend: Backend,
    #[case] steps: [&str; 2],
) {
    let [up, down] = steps;
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    make(&node, vec![line("bl_root", None, 100), line("bl_leaf", Some("bl_root"), 50)]).await;
    done(&node, hold("open", &["bl_leaf", "bl_root"], 5, NOW + 60)).await;
    done(&node, hold("over", &["bl_leaf", "bl_root"], 7, NOW + 60)).await;
    done(&node, capture("1", "over", 60, true)).await;
    let rows = "SELECT h.id || h.line_id || h.client_id || coalesce(h.jti, '-') || h.amount || h.captured || h.state \
        || h.path || h.expires_at || h.created_at || coalesce(c.id || c.spent || c.overage || c.refunded || \
        c.created_at || c.overages, '-') AS value FROM budget_holds h \
        LEFT JOIN budget_captures c ON c.hold_id = h.id ORDER BY h.id";
    let before = database.texts(rows).await.unwrap();
    assert_eq!(before.len(), 2);
    assert!(before[1].contains("[15,0]"), "{before:?}");
    let stray = "INSERT INTO budget_holds (id, line_id, client_id, amount, captured, state, path, expires_at, created_at) \
        VALUES ('bh_stray', 'bl_nowhere', 'x', 1, 0, 'open', '[[\"bl_nowhere\",0]]', 0, 0)";
    let unheld = "INSERT INTO budget_captures (id, hold_id, spent, overage, refunded, created_at) \
        VALUES ('bc_stray', 'bh_nowhere', 1, 0, 0, 0)";
    let too_much = "UPDATE budget_holds SET captured = amount + 1";
    for (step, has_key) in [(down, true), (up, false)] {
        in_transaction(&database, step).await;
        assert_eq!(database.texts(rows).await.unwrap(), before);
        assert_eq!(database.execute(stray).await.is_err(), has_key);
        assert!(database.execute(unheld).await.is_err(), "a capture has a hold");
        assert!(database.execute(too_much).await.is_err());
        assert_eq!(imbalances(database.url()).await.unwrap().len(), usize::from(!has_key), "the stray one");
    }
    database.execute("DELETE FROM budget_holds WHERE id = 'bh_stray'").await.unwrap();
    done(&node, capture("2", "open", 5, true)).await;
    assert_eq!(imbalances(database.url()).await.unwrap(), Vec::<String>::new());
}

async fn in_transaction(database: &TestDatabase, sql: &str) {
    database.execute(&format!("BEGIN; {sql}; COMMIT")).await.unwrap();
}

#[rstest]
#[case("sqlite://")]
#[case("sqlite://:memory:")]
#[case("sqlite://file:x?mode=memory")]
#[case("mysql://localhost/x")]
#[case("/tmp/x.db")]
#[case("postgres://h:p:q/")]
#[tokio::test]
async fn urls_that_name_no_durable_database_are_refused(#[case] url: &str) {
    let refused = Db::connect(url, Limits::default()).await;
    assert!(matches!(refused, Err(DbError::Url(_))), "{refused:?}");
}

#[tokio::test]
async fn an_absent_server_is_unavailable_at_once() {
    let began = std::time::Instant::now();
    let refused = Db::connect("postgres://u@127.0.0.1:1/x", Limits::default()).await;
    assert!(matches!(refused, Err(DbError::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(2));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_may_read_the_sqlite_file() {
    use std::os::unix::fs::PermissionsExt;
    let database = TestDatabase::new(Backend::Sqlite).await;
    let db = database.connect().await;
    db.ping().await.unwrap();
    let path = database.url().trim_start_matches("sqlite://");
    for file in [path.to_owned(), format!("{path}-wal"), format!("{path}-shm")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_disable_and_prefer_reach_a_server_without_tls_and_require_does_not() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let url = |mode: &str| format!("{}?sslmode={mode}", database.url());
    for mode in ["disable", "prefer"] {
        let db = Db::connect(&url(mode), Limits::default()).await.unwrap();
        db.ping().await.unwrap();
    }
    for mode in ["require", "verify-full"] {
        let refused = Db::connect(&url(mode), Limits::default()).await;
        assert!(matches!(refused, Err(DbError::Unavailable(_))), "{mode}");
    }
}
