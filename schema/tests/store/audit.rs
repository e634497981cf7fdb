use crate::support::*;
use rstest::rstest;
use stipend_schema::audit::{Anchor, verify_chain};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

fn full(index: i64) -> Work {
    let mut work = issue(0);
    work.record.reason = Some("because");
    work.record.owner_id = Some("payments".to_owned());
    work.record.subject_owner_id = Some("billing".to_owned());
    work.record.client_id = Some("payments.refunds".to_owned());
    work.record.jti = Some(format!("t_{index}"));
    work.record.detail.insert("n".to_owned(), index.into());
    work
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_its_members_in_order(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let position = position(node.submit(full(7)).await);
    let page = queries::audit_export(&node.db, &position.writer, 0, 10).await.unwrap();
    assert_eq!((page.len(), position.n), (2, 2));
    assert_eq!(page[0].event, audit::WRITER_STARTED);
    let prev = serde_json::from_str::<serde_json::Value>(&page[1].record).unwrap()["prev"].clone();
    let expected = format!(
        "{{\"v\":1,\"writer\":\"{}\",\"n\":2,\"prev\":{prev},\"at\":{},\"event\":\"issue\",\
         \"outcome\":\"ok\",\"reason\":\"because\",\"owner_id\":\"payments\",\
         \"subject_owner_id\":\"billing\",\"client_id\":\"payments.refunds\",\
         \"jti\":\"t_7\",\"detail\":{{\"n\":7}}}}",
        position.writer, page[1].at
    );
    assert_eq!(page[1].record, expected);
    assert_eq!(page[1].hash, audit::hash(&expected));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn tampering_with_any_column_is_detected(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for index in 0..5 {
        node.submit(full(index)).await;
    }
    let honest = prove(&node.db).await.unwrap();
    assert_eq!(honest.records, 6);
    let original = all_records(&node.db).await;
    let columns = [
        "n = n + 100",
        "at = at + 1",
        "event = 'other'",
        "outcome = 'refused'",
        "owner_id = 'other'",
        "owner_id = NULL",
        "subject_owner_id = NULL",
        "client_id = 'payments.other'",
        "jti = 't_x'",
        "record = replace(record, 'because', 'becausf')",
        "writer = 'w_other'",
    ];
    for column in columns {
        let sql = format!("UPDATE audit_records SET {column} WHERE n = 4");
        database.execute(&sql).await.unwrap();
        // By the records alone: a writer nobody lists would not be read.
        let rows = read_all(&database, &node, original.len()).await;
        let fault = verify_chain(&rows, []).unwrap_err();
        assert!(fault.n >= 4, "{column}: {fault}");
        database.execute("DELETE FROM audit_records").await.unwrap();
        restore(&database, &original).await;
        prove(&node.db).await.unwrap();
    }
    let zeroes = match backend {
        Backend::Sqlite => "zeroblob(32)",
        Backend::Postgres => "decode(repeat('00', 32), 'hex')",
    };
    database.execute(&format!("UPDATE audit_records SET hash = {zeroes} WHERE n = 4")).await.unwrap();
    assert_eq!(prove(&node.db).await.unwrap_err().n, 4);
}

/// All rows in table order by (writer, n), whoever the writer claims to be.
async fn read_all(database: &TestDatabase, node: &Node, count: usize) -> Vec<AuditRow> {
    let writers = database.texts("SELECT DISTINCT writer AS value FROM audit_records ORDER BY 1").await.unwrap();
    let mut rows = Vec::new();
    for writer in writers {
        rows.extend(queries::audit_export(&node.db, &writer, 0, 500).await.unwrap());
    }
    assert_eq!(rows.len(), count);
    rows
}

async fn restore(database: &TestDatabase, rows: &[AuditRow]) {
    for row in rows {
        let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let maybe = |text: &Option<String>| text.as_deref().map_or("NULL".to_owned(), quote);
        let hex: String = row.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let hash =
            if database.url().starts_with("sqlite") { format!("X'{hex}'") } else { format!("decode('{hex}', 'hex')") };
        let sql = format!(
            "INSERT INTO audit_records VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {hash})",
            quote(&row.writer),
            row.n,
            row.at,
            quote(&row.event),
            quote(&row.outcome),
            maybe(&row.owner_id),
            maybe(&row.subject_owner_id),
            maybe(&row.client_id),
            maybe(&row.jti),
            quote(&row.record)
        );
        database.execute(&sql).await.unwrap();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn removed_moved_rewritten_and_cut_records_are_detected(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let first = node(&database).await;
    for index in 0..5 {
        first.submit(full(index)).await;
    }
    let second = node(&database).await;
    second.submit(full(9)).await;
    let (anchors, _) = queries::audit_anchors(&first.db, "").await.unwrap();
    assert_eq!(anchors.len(), 1, "the second writer names the first one's head");
    assert_eq!(anchors[0].n, 6);
    let rows = all_records(&first.db).await;
    let summary = verify_chain(&rows, anchors.clone()).unwrap();
    assert_eq!((summary.records, summary.heads.len(), summary.anchors_met), (8, 2, 1));

    let of_first = |n: i64| rows.iter().position(|row| row.writer == anchors[0].writer && row.n == n).unwrap();
    let mut removed = rows.clone();
    removed.remove(of_first(3));
    assert!(verify_chain(&removed, []).unwrap_err().what.contains("missing"));

    let mut moved = rows.clone();
    moved.swap(of_first(3), of_first(4));
    assert!(verify_chain(&moved, []).is_err());

    let mut repeated = rows.clone();
    repeated.insert(of_first(3), rows[of_first(3)].clone());
    assert!(verify_chain(&repeated, []).unwrap_err().what.contains("fork"));

    // A tail cut off is a good chain by itself: only what was named elsewhere gives it away.
    let mut cut = rows.clone();
    cut.remove(of_first(6));
    assert!(verify_chain(&cut, []).is_ok());
    let fault = verify_chain(&cut, anchors.clone()).unwrap_err();
    assert_eq!((fault.n, fault.writer.as_str()), (6, anchors[0].writer.as_str()));

    // So is a last record written anew, hash and all.
    let mut rewritten = rows.clone();
    let last = &mut rewritten[of_first(6)];
    last.record = last.record.replace("because", "becausf");
    last.hash = audit::hash(&last.record).to_vec();
    assert!(verify_chain(&rewritten, []).is_ok());
    assert!(verify_chain(&rewritten, anchors.clone()).unwrap_err().what.contains("differs"));

    let contradiction = Anchor { hash: [7; 32], ..anchors[0].clone() };
    let both = [anchors[0].clone(), contradiction];
    assert!(verify_chain(&rows, both).is_err());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_search_pages_newest_first_and_keeps_owners_apart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for index in 0..30 {
        let mut work = full(index);
        if index % 3 == 0 {
            work.record.owner_id = Some("other".to_owned());
            work.record.subject_owner_id = None;
        }
        node.submit(work).await;
    }
    let filter = queries::AuditFilter {
        oldest_first: false,
        owners: queries::OwnerFilter::Only(vec!["billing".to_owned()]),
        event: None,
        outcome: None,
        client_id: None,
        jti: None,
        since: None,
        until: None,
    };
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = queries::audit_records(&node.db, &filter, cursor.as_ref(), 7).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(queries::AuditCursor { at: last.at, writer: last.writer.clone(), n: last.n });
        seen.extend(page);
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|row| row.subject_owner_id.as_deref() == Some("billing")));
    assert!(seen.windows(2).all(|pair| (pair[0].at, pair[0].n) > (pair[1].at, pair[1].n)));

    let all = queries::AuditFilter { owners: queries::OwnerFilter::All, ..filter };
    let count =
        async |filter: queries::AuditFilter| queries::audit_records(&node.db, &filter, None, 500).await.unwrap().len();
    assert_eq!(count(all.clone()).await, 31);
    let by = |change: fn(&mut queries::AuditFilter)| {
        let mut filter = all.clone();
        change(&mut filter);
        filter
    };
    assert_eq!(count(by(|f| f.jti = Some("t_4".to_owned()))).await, 1);
    assert_eq!(count(by(|f| f.event = Some("issue".to_owned()))).await, 30);
    assert_eq!(count(by(|f| f.outcome = Some("refused".to_owned()))).await, 0);
    assert_eq!(count(by(|f| f.client_id = Some("payments.refunds".to_owned()))).await, 30);
    assert_eq!(count(by(|f| f.until = Some(NOW * 1_000_000))).await, 0);
    assert_eq!(count(by(|f| f.since = Some(NOW * 1_000_000))).await, 31);
    assert_eq!(count(by(|f| f.owners = queries::OwnerFilter::Only(Vec::new()))).await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_kept_per_writer_and_never_rewritten(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let position = position(node.submit(full(1)).await);
    let checkpoint = |n: i64, jws: &str| {
        insert(Row::AuditCheckpoint(AuditCheckpointRow {
            writer: position.writer.clone(),
            n,
            hash: vec![1; 32],
            at: NOW,
            jws: jws.to_owned(),
        }))
    };
    node.commit(checkpoint(1, "a.b.c")).await;
    node.commit(checkpoint(2, "d.e.f")).await;
    assert_eq!(node.submit(checkpoint(2, "g.h.i")).await, Outcome::Conflict);
    let stored = queries::checkpoints_of(&node.db, &position.writer, 0).await.unwrap();
    assert_eq!(stored.len(), 2);
    let newest = queries::newest_checkpoint(&node.db, &position.writer).await.unwrap();
    assert_eq!(newest.unwrap().jws, "d.e.f");
}
