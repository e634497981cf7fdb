//! Sinks of the audit: one holder at a time, positions that move with what arrived, and records
//! that are removed only as far as they may.

use crate::support::*;
use rstest::rstest;
use std::collections::BTreeMap;
use stipend_schema::queries::OwnerFilter;
use stipend_schema::sinks::*;
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

const LEASE: i64 = 60_000_000;

fn sink(id: &str) -> AuditSinkRow {
    AuditSinkRow {
        id: id.to_owned(),
        owner_id: None,
        name: "siem".to_owned(),
        state: "active".to_owned(),
        state_reason: None,
        spec: "{}".to_owned(),
        sealed_secret: vec![1],
        created_at: NOW,
        updated_at: NOW,
    }
}

fn everything() -> FeedFilter {
    FeedFilter { owners: OwnerFilter::All, events: Vec::new(), outcome: None, client_id: None, jti: None }
}

fn done(holder: &str, batch: &str, reached: &[(&str, i64)]) -> BatchDone {
    BatchDone {
        sink_id: "asn_a".to_owned(),
        holder: holder.to_owned(),
        batch: batch.to_owned(),
        reached: reached.iter().map(|(writer, n)| ((*writer).to_owned(), *n)).collect(),
        records: 3,
        now: NOW,
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_holder_at_a_time_and_only_the_batch_that_was_sent_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.commit(insert(Row::AuditSink(sink("asn_a")))).await;
    let db = &node.db;
    let delivery = claim(db, "asn_a", "one", LEASE).await.unwrap().expect("free");
    assert!(!delivery.opened && delivery.batch.is_empty());
    assert_eq!(claim(db, "asn_a", "two", LEASE).await.unwrap(), None, "held");
    assert!(claim(db, "asn_a", "one", LEASE).await.unwrap().is_some(), "renewed");
    let begins = BTreeMap::from([("w_a".to_owned(), 4)]);
    assert!(!open_sink(db, "asn_a", "two", begins.clone()).await.unwrap(), "not the holder");
    assert!(open_sink(db, "asn_a", "one", begins.clone()).await.unwrap());
    assert!(!open_sink(db, "asn_a", "one", BTreeMap::new()).await.unwrap(), "once");
    assert_eq!(positions_of(db, "asn_a").await.unwrap(), begins);
    assert!(!start_batch(db, "asn_a", "two", "b1").await.unwrap());
    assert!(start_batch(db, "asn_a", "one", "b1").await.unwrap());
    assert!(!start_batch(db, "asn_a", "one", "b2").await.unwrap(), "one is on its way");
    assert!(note_failure(db, ("asn_a", "one"), "away", (NOW, NOW + 4)).await.unwrap());
    for other in [done("two", "b1", &[("w_a", 9)]), done("one", "b2", &[("w_a", 9)])] {
        assert!(!finish_batch(db, &other).await.unwrap(), "{other:?}");
    }
    assert_eq!(positions_of(db, "asn_a").await.unwrap(), begins, "nothing has moved");
    assert!(finish_batch(db, &done("one", "b1", &[("w_a", 7), ("w_b", 2)])).await.unwrap());
    assert!(!finish_batch(db, &done("one", "b1", &[("w_a", 8)])).await.unwrap(), "done once");
    let moved = BTreeMap::from([("w_a".to_owned(), 7), ("w_b".to_owned(), 2)]);
    assert_eq!(positions_of(db, "asn_a").await.unwrap(), moved);
    let [now] = &deliveries_of(db, &["asn_a".to_owned()]).await.unwrap()[..] else { panic!() };
    assert_eq!((now.records, now.batches, now.failed, now.attempts, now.due_at), (3, 1, 1, 0, 0));
    // Held for no time at all, it is anybody's.
    assert!(claim(db, "asn_a", "one", -1).await.unwrap().is_some());
    assert!(claim(db, "asn_a", "two", LEASE).await.unwrap().is_some());
    // With the sink goes all of it.
    node.commit(Work { writes: vec![Write::Delete(Table::AuditSink, "asn_a".to_owned())], ..issue(0) }).await;
    assert!(positions_of(db, "asn_a").await.unwrap().is_empty());
    assert!(deliveries_of(db, &["asn_a".to_owned()]).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_position_is_read_by_chain_and_filter(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (one, other) = (node(&database).await, node(&database).await);
    for _ in 0..3 {
        one.submit(issue(0)).await;
    }
    let mut theirs = issue(0);
    theirs.record.subject_owner_id = Some("acme".to_owned());
    other.submit(theirs).await;
    // Both may have begun at the same moment.
    let mut heads = chain_heads(&one.db).await.unwrap();
    heads.sort_by_key(|head| -head.n);
    assert_eq!(heads.iter().map(|head| head.n).collect::<Vec<_>>(), [4, 2]);
    let (first, second) = (heads[0].writer.as_str(), heads[1].writer.as_str());
    let numbers = async |writer: &str, after: i64, to: i64, filter: &FeedFilter, limit: i64| {
        let rows = records_between(&one.db, (writer, after, to), filter, limit).await.unwrap();
        rows.iter().map(|row| row.n).collect::<Vec<_>>()
    };
    assert_eq!(numbers(first, 1, 3, &everything(), 10).await, [2, 3]);
    assert_eq!(numbers(first, 0, 4, &everything(), 2).await, [1, 2]);
    let acme = FeedFilter { owners: OwnerFilter::Only(vec!["acme".to_owned()]), ..everything() };
    assert_eq!(numbers(first, 0, 4, &acme, 10).await, [0_i64; 0]);
    assert_eq!(numbers(second, 0, 2, &acme, 10).await, [2]);
    let issues = FeedFilter { events: vec!["issue".to_owned(), "none".to_owned()], ..everything() };
    assert_eq!(numbers(first, 0, 4, &issues, 10).await, [2, 3, 4]);
    let refused = FeedFilter { outcome: Some("refused".to_owned()), ..everything() };
    assert_eq!(numbers(first, 0, 4, &refused, 10).await, [0_i64; 0]);
    // What is older than a time has been had: of a chain that goes on after it, what is before it.
    let third = records_between(&one.db, (first, 2, 3), &everything(), 1).await.unwrap().remove(0);
    let had = positions_since(&one.db, third.at).await.unwrap();
    assert_eq!(had.get(first), Some(&2));
    assert!(positions_since(&one.db, 0).await.unwrap().is_empty());
    let ended = positions_since(&one.db, i64::MAX).await.unwrap();
    assert_eq!((ended[first], ended[second]), (4, 2));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_never_goes_back_and_takes_what_lies_before_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for _ in 0..6 {
        node.submit(issue(0)).await;
    }
    let writer = chain_heads(&node.db).await.unwrap()[0].writer.clone();
    let cut = |n: i64| {
        let row = AuditPruningRow { writer: writer.clone(), n, hash: vec![7; 32], at: NOW, jws: format!("cut {n}") };
        insert(Row::AuditPruning(row))
    };
    node.commit(cut(3)).await;
    node.commit(cut(4)).await;
    for again in [4, 2] {
        assert_eq!(node.submit(Work { basis: node.head().await, ..cut(again) }).await, Outcome::Conflict);
    }
    assert_eq!(pruning_of(&node.db, &writer).await.unwrap().unwrap().jws, "cut 4");
    assert_eq!(delete_pruned(&node.db, &writer, 4).await.unwrap(), 4);
    assert_eq!(delete_pruned(&node.db, &writer, 4).await.unwrap(), 0);
    let (first, _, _) = first_after(&node.db, &writer, 0).await.unwrap().unwrap();
    assert_eq!(first, 5);
    assert!(find_record(&node.db, &writer, 4).await.unwrap().is_none());
    // A sink that nobody has opened needs all; one that has had some needs the rest; one that is
    // paused, nothing.
    assert_eq!(needed_by_sinks(&node.db, &writer).await.unwrap(), None);
    node.commit(insert(Row::AuditSink(sink("asn_a")))).await;
    assert_eq!(needed_by_sinks(&node.db, &writer).await.unwrap(), Some(0));
    claim(&node.db, "asn_a", "one", LEASE).await.unwrap().unwrap();
    open_sink(&node.db, "asn_a", "one", BTreeMap::from([(writer.clone(), 5)])).await.unwrap();
    assert_eq!(needed_by_sinks(&node.db, &writer).await.unwrap(), Some(5));
    node.commit(insert(Row::AuditSink(sink("asn_b")))).await;
    claim(&node.db, "asn_b", "one", LEASE).await.unwrap().unwrap();
    open_sink(&node.db, "asn_b", "one", BTreeMap::new()).await.unwrap();
    assert_eq!(needed_by_sinks(&node.db, &writer).await.unwrap(), Some(0));
    let paused = AuditSinkRow { state: "paused".to_owned(), ..sink("asn_b") };
    node.commit(Work { writes: vec![Write::Update(Row::AuditSink(paused))], ..issue(0) }).await;
    assert_eq!(needed_by_sinks(&node.db, &writer).await.unwrap(), Some(5));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_changes_the_text_of_the_record_that_was_meant(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    node.submit(issue(0)).await;
    let writer = chain_heads(&node.db).await.unwrap()[0].writer.clone();
    let was = find_record(&node.db, &writer, 2).await.unwrap().unwrap();
    let redaction = |row: &AuditRow, text: &str| {
        let left = AuditRow { record: text.to_owned(), client_id: Some("x".to_owned()), ..row.clone() };
        let hash = audit::hash(text).to_vec();
        let row = AuditRedactionRow {
            writer: row.writer.clone(),
            n: row.n,
            redacted_hash: hash,
            at: NOW,
            jws: text.to_owned(),
        };
        insert(Row::AuditRedaction(Box::new(row), Box::new(left)))
    };
    let other = AuditRow { hash: vec![0; 32], ..was.clone() };
    assert_eq!(node.submit(Work { basis: node.head().await, ..redaction(&other, "a") }).await, Outcome::Conflict);
    let missing = AuditRow { n: 99, ..was.clone() };
    assert_eq!(node.submit(Work { basis: node.head().await, ..redaction(&missing, "a") }).await, Outcome::Conflict);
    assert_eq!(find_record(&node.db, &writer, 2).await.unwrap().unwrap(), was);
    for text in ["a", "b"] {
        node.commit(redaction(&was, text)).await;
        let now = find_record(&node.db, &writer, 2).await.unwrap().unwrap();
        assert_eq!((now.record.as_str(), &now.hash, now.client_id.as_deref()), (text, &was.hash, Some("x")));
        let stated = redactions_between(&node.db, &writer, 0, 9).await.unwrap();
        assert_eq!((stated.len(), stated[0].jws.as_str()), (1, text));
    }
}
