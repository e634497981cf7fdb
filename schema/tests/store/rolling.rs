//! A rolling upgrade: while nodes of the previous release still run, the new one has migrated. So
//! each migration leaves every column that there was, as it was, and what it adds to a table that
//! there was need not be given: what the release before it reads and inserts still works.

use rstest::rstest;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

/// Columns by `table.column`: their type, and whether an insert must name them.
async fn columns(database: &TestDatabase, backend: Backend) -> BTreeMap<String, (String, bool)> {
    let sql = match backend {
        Backend::Sqlite => {
            "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || \
             CASE WHEN c.\"notnull\" = 1 AND c.dflt_value IS NULL THEN 'needed' ELSE 'optional' END AS value \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
        Backend::Postgres => {
            "SELECT table_name || '.' || column_name || ' ' || replace(data_type, ' ', '_') || ' ' || \
             CASE WHEN is_nullable = 'NO' AND column_default IS NULL THEN 'needed' ELSE 'optional' END AS value \
             FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    let found = database.texts(sql).await.unwrap();
    let column = |line: String| {
        let mut words = line.split(' ');
        let (name, kind) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        (name, (kind, line.ends_with("needed")))
    };
    found.into_iter().map(column).collect()
}

fn table(column: &str) -> &str {
    column.split_once('.').unwrap().0
}

#[rstest]
#[tokio::test]
async fn a_migration_breaks_nothing_that_the_release_before_it_does(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    let mut steps: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    steps.sort();
    assert!(steps.len() > 10);
    let database = TestDatabase::empty(backend).await;
    let mut before = BTreeMap::new();
    for step in steps {
        database.execute(&fs::read_to_string(step.join("up.sql")).unwrap()).await.unwrap();
        let after = columns(&database, backend).await;
        let step = step.file_name().unwrap().to_string_lossy().into_owned();
        for (name, (kind, needed)) in &before {
            let (new_kind, new_needed) = after.get(name).unwrap_or_else(|| panic!("{step} takes {name} away"));
            assert_eq!(kind, new_kind, "{step} changes {name}");
            assert!(*needed || !new_needed, "{step} makes {name} needed");
        }
        let known = |name: &str| before.keys().any(|other: &String| table(other) == table(name));
        for (name, (_, needed)) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            assert!(!(known(name) && *needed), "{step} adds {name}, which the release before does not insert");
        }
        before = after;
    }
}
