use crate::support::*;
use rstest::rstest;
use stipend_schema::queries::{OwnerFilter, Page};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

fn only(owners: &[&str]) -> OwnerFilter {
    OwnerFilter::Only(owners.iter().map(|owner| (*owner).to_owned()).collect())
}

fn first(limit: i64) -> Page {
    Page { after: None, limit }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn lists_page_by_id_and_show_only_the_owners_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for owner_id in ["alpha", "beta", "gamma"] {
        for index in 0..5 {
            node.with_client(owner_id, &format!("agent-{index}")).await;
        }
        let uri = format!("https://{owner_id}.example");
        node.commit(insert(Row::Resource(resource(owner_id, owner_id, &uri)))).await;
    }
    node.commit(insert(Row::ExchangeRule(rule("rule_1", "alpha", None, "beta")))).await;
    node.commit(insert(Row::ExchangeRule(rule("rule_2", "beta", Some("gamma"), "beta")))).await;
    let mut work = revoking("rev_1", kinds::CLIENT, "alpha.agent-1");
    if let Write::Insert(Row::Revocation(row)) = &mut work.writes[0] {
        row.owner_id = Some("alpha".to_owned());
    }
    node.commit(work).await;
    node.commit(revoking("rev_2", kinds::JTI, "t_1")).await;

    let db = &node.db;
    let mut seen = Vec::new();
    let mut page = first(4);
    loop {
        let rows = queries::list_clients(db, &only(&["alpha", "gamma"]), &page).await.unwrap();
        let Some(last) = rows.last() else { break };
        assert!(rows.len() <= 4);
        page.after = Some(last.id.clone());
        seen.extend(rows.into_iter().map(|row| row.id));
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.is_sorted() && !seen.iter().any(|id| id.starts_with("beta")));
    assert_eq!(queries::list_clients(db, &OwnerFilter::All, &first(200)).await.unwrap().len(), 15);
    assert_eq!(queries::list_clients(db, &only(&[]), &first(200)).await.unwrap(), []);
    assert_eq!(queries::list_owners(db, &only(&["beta"]), &first(9)).await.unwrap().len(), 1);
    assert_eq!(queries::list_owners(db, &OwnerFilter::All, &first(9)).await.unwrap().len(), 3);
    assert_eq!(queries::list_resources(db, &only(&["beta"]), &first(9)).await.unwrap().len(), 1);

    let rules = async |owner: &str| {
        let rows = queries::list_exchange_rules(db, &only(&[owner]), &first(9)).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(rules("alpha").await, ["rule_1"]);
    assert_eq!(rules("beta").await, ["rule_1", "rule_2"]);
    assert_eq!(rules("gamma").await, ["rule_2"]);

    let mine = queries::list_revocations(db, &only(&["alpha"]), &first(9)).await.unwrap();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].id, "rev_1");
    assert_eq!(queries::list_revocations(db, &only(&["beta"]), &first(9)).await.unwrap(), []);
    assert_eq!(queries::list_revocations(db, &OwnerFilter::All, &first(9)).await.unwrap().len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_none(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    assert_eq!(queries::find_owner(&db, "x").await.unwrap(), None);
    assert_eq!(queries::find_client_bundle(&db, "x").await.unwrap(), None);
    assert_eq!(queries::find_resource(&db, "x").await.unwrap(), None);
    assert_eq!(queries::find_resource_by_uri(&db, "https://x").await.unwrap(), None);
    assert_eq!(queries::find_exchange_rule(&db, "x").await.unwrap(), None);
    assert_eq!(queries::exchange_rules_of_actor(&db, "x").await.unwrap(), []);
    assert_eq!(queries::signing_keys(&db).await.unwrap(), []);
    assert_eq!(queries::audit_writers(&db, "").await.unwrap(), []);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_database_tells_the_time(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    let micros = queries::database_time(&db).await.unwrap();
    let here = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((micros - here).abs() < 5_000_000, "{micros} {here}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_dropped_midway_leave_the_pool_usable(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.with_client("payments", "refunds").await;
    for round in 0..200 {
        let read = queries::find_client_bundle(&node.db, "payments.refunds");
        let _ = tokio::time::timeout(std::time::Duration::from_micros(round * 5), read).await;
    }
    let found = queries::find_client_bundle(&node.db, "payments.refunds").await.unwrap();
    assert!(found.is_some());
}
