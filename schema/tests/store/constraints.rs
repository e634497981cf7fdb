use crate::support::*;
use rstest::rstest;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

/// What a work that is refused leaves behind: nothing, whatever came before it in the work.
async fn leaves_nothing(database: &TestDatabase, node: &Node, mut work: Work) -> Outcome {
    // A good write, a burn and a change before the bad write must go with it.
    work.writes.insert(0, Write::Insert(Row::Owner(owner("never-stored"))));
    work.changes.push(Dep::new(kinds::OWNER, "never-stored"));
    work.burn = burning(0, 99).burn;
    work.basis = node.head().await;
    let before = counts(database).await;
    let head = node.head().await;
    let outcome = node.submit(work).await;
    assert_eq!(counts(database).await, before);
    assert_eq!(node.head().await, head);
    outcome
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_writes_nothing(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let id = node.with_client("payments", "refunds").await;
    node.commit(insert(Row::ClientKey(client_key("key_1", &id, "a")))).await;
    let uri = "https://api.example";
    node.commit(insert(Row::Resource(resource("res_1", "payments", uri)))).await;
    node.commit(insert(Row::SigningKey(signing_key("k1")))).await;
    node.commit(revoking("rev_1", kinds::JTI, "t_1")).await;

    let mut missing = client("payments", "absent");
    missing.state = "suspended".to_owned();
    let conflicts = [
        Write::Insert(Row::Owner(owner("payments"))),
        Write::Insert(Row::Client(client("payments", "refunds"))),
        Write::Insert(Row::Client(client("nobody", "agent"))),
        Write::Insert(Row::ClientSecret(secret("sec_1", "payments.absent"))),
        Write::Insert(Row::ClientKey(client_key("key_2", &id, "a"))),
        Write::Insert(Row::Resource(resource("res_2", "payments", uri))),
        Write::Insert(Row::ExchangeRule(rule("rule_1", "payments", None, "nobody"))),
        Write::Insert(Row::SigningKey(signing_key("k1"))),
        Write::Insert(Row::Revocation(revocation("rev_1", "jti", "t_1", NOW))),
        Write::Update(Row::Client(missing)),
        Write::Update(Row::Owner(owner("absent"))),
        Write::Delete(Table::Client, "payments.absent".to_owned()),
        // Still referred to.
        Write::Delete(Table::Owner, "payments".to_owned()),
        Write::Delete(Table::Client, id.clone()),
    ];
    for conflict in conflicts {
        let outcome = leaves_nothing(&database, &node, writing(conflict.clone())).await;
        assert_eq!(outcome, Outcome::Conflict, "{conflict:?}");
    }
    prove(&node.db).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_no_table_admits_is_invalid_and_writes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.with_client("payments", "refunds").await;
    let mut bad_state = owner("other");
    bad_state.state = "asleep".to_owned();
    let mut bad_kind = client("payments", "other");
    bad_kind.kind = "robot".to_owned();
    let mut bad_life = client("payments", "other");
    bad_life.max_ttl_seconds = 0;
    let mut bad_environment = resource("res_9", "payments", "https://nine.example");
    bad_environment.environment = Some("staging".to_owned());
    let mut nul = owner("other");
    nul.name = "a\0b".to_owned();
    let invalid = [
        Write::Insert(Row::Owner(bad_state)),
        Write::Insert(Row::Client(bad_kind)),
        Write::Insert(Row::Client(bad_life)),
        Write::Insert(Row::Resource(bad_environment)),
        Write::Insert(Row::Owner(nul)),
        Write::Delete(Table::Owner, "a\0b".to_owned()),
        Write::Update(Row::Revocation(revocation("rev_1", "jti", "t_1", NOW))),
    ];
    for write in invalid {
        let outcome = leaves_nothing(&database, &node, writing(write.clone())).await;
        assert!(matches!(outcome, Outcome::Invalid(_)), "{write:?}: {outcome:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn texts_with_nul_and_oversized_records_are_refused_before_the_queue(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let mut nul = issue(0);
    nul.record.jti = Some("t_\0".to_owned());
    assert!(matches!(node.submit(nul).await, Outcome::Invalid(_)));
    assert!(matches!(node.submit(changing(kinds::CLIENT, "a\0")).await, Outcome::Invalid(_)));
    let mut long = issue(0);
    long.record.detail.insert("text".to_owned(), "x".repeat(40_000).into());
    assert!(matches!(node.submit(long).await, Outcome::Invalid(_)));
    let mut silent = revoking("rev_1", kinds::JTI, "t_1");
    silent.changes.clear();
    assert!(matches!(node.submit(silent).await, Outcome::Invalid(_)));
    // In a detail it is only an escape within JSON, and attackers' texts must be recordable.
    let mut detail = issue(0);
    detail.record.detail.insert("text".to_owned(), "a\0\"\\\u{7}é".into());
    assert!(committed(&node.submit(detail).await));
    prove(&node.db).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_row_comes_back_as_written(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let id = node.with_client("payments", "refunds").await;
    let mut full = client("payments", "refunds");
    full.state = "suspended".to_owned();
    full.state_reason = Some("on leave — «ü»".to_owned());
    full.legacy_assertion_aud = true;
    full.scope_ceiling = Some("[\"a\"]".to_owned());
    full.expires_at = Some(i64::MAX);
    node.commit(writing(Write::Update(Row::Client(full.clone())))).await;
    node.commit(insert(Row::ClientSecret(secret("sec_1", &id)))).await;
    node.commit(insert(Row::ClientKey(client_key("key_1", &id, "a")))).await;
    let bundle = queries::find_client_bundle(&node.db, &id).await.unwrap().unwrap();
    assert_eq!(bundle.client, full);
    assert_eq!(bundle.owner, owner("payments"));
    assert_eq!(bundle.secrets, [secret("sec_1", &id)]);
    assert_eq!(bundle.keys, [client_key("key_1", &id, "a")]);

    // An update to null is an update.
    full.state_reason = None;
    node.commit(writing(Write::Update(Row::Client(full.clone())))).await;
    assert_eq!(queries::find_client(&node.db, &id).await.unwrap(), Some(full));

    let mut key = signing_key("k1");
    node.commit(insert(Row::SigningKey(key.clone()))).await;
    key.distrusted_at = Some(NOW);
    key.retire_at = Some(NOW + 1);
    node.commit(writing(Write::Update(Row::SigningKey(key.clone())))).await;
    assert_eq!(queries::signing_keys(&node.db).await.unwrap(), [key]);

    node.commit(writing(Write::Delete(Table::ClientSecret, "sec_1".to_owned()))).await;
    assert_eq!(queries::find_client_secrets(&node.db, &id).await.unwrap(), []);

    let head = node.commit(revoking("rev_1", kinds::JTI, "t_1")).await;
    let stored = queries::find_revocation(&node.db, "rev_1").await.unwrap().unwrap();
    assert_eq!(stored.seq, head);
}
