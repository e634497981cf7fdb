//! Requests for approvals: found by their hash, counted while they are open, swept afterwards.

use crate::support::*;
use rstest::rstest;
use stipend_schema::queries::{
    OwnerFilter, Page, find_approval, find_approval_by_handle, list_approvals, open_approvals_of_client,
    open_approvals_of_owner,
};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

fn request(id: &str, state: &str) -> ApprovalRequestRow {
    ApprovalRequestRow {
        id: id.into(),
        handle_hash: id.as_bytes().to_vec(),
        client_id: "desk.refunds".into(),
        owner_id: "desk".into(),
        subject_owner_id: Some("shop".into()),
        target_owner_id: "bank".into(),
        state: state.into(),
        asked: "{}".into(),
        offered: "{}".into(),
        approvers: "[]".into(),
        decisions: "[]".into(),
        binding_message: None,
        jti: (state == "consumed").then(|| "t_1".into()),
        polled_at: None,
        interval_seconds: 5,
        expires_at: NOW + 300,
        created_at: NOW,
        updated_at: NOW,
    }
}

async fn seeded(database: &TestDatabase) -> Node {
    let node = node(database).await;
    for (owner, name) in [("desk", "refunds"), ("shop", "planner"), ("bank", "ledger"), ("elsewhere", "x")] {
        node.with_client(owner, name).await;
    }
    for (id, state) in [("a1", "pending"), ("a2", "approved"), ("a3", "refused"), ("a4", "consumed")] {
        node.commit(insert(Row::ApprovalRequest(request(id, state)))).await;
    }
    node
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_found_counted_and_listed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = seeded(&database).await;
    let db = &node.db;
    assert_eq!(find_approval(db, "a1").await.unwrap(), Some(request("a1", "pending")));
    assert_eq!(find_approval_by_handle(db, b"a2").await.unwrap(), Some(request("a2", "approved")));
    assert_eq!(find_approval_by_handle(db, b"none").await.unwrap(), None);
    assert_eq!(open_approvals_of_client(db, "desk.refunds", NOW + 299).await.unwrap(), 2, "pending and approved");
    assert_eq!(open_approvals_of_client(db, "desk.refunds", NOW + 300).await.unwrap(), 0, "their time is over");
    for (owner, open) in [("desk", 2), ("shop", 2), ("bank", 2), ("elsewhere", 0)] {
        assert_eq!(open_approvals_of_owner(db, owner, NOW).await.unwrap(), open, "{owner}");
    }
    let listed = async |owners: OwnerFilter, state: Option<&str>, after: Option<&str>| {
        let page = Page { after: after.map(str::to_owned), limit: 3 };
        let rows = list_approvals(db, &owners, state, &page).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let of = |owner: &str| OwnerFilter::Only(vec![owner.to_owned()]);
    assert_eq!(listed(OwnerFilter::All, None, None).await, ["a1", "a2", "a3"]);
    for owner in ["desk", "shop", "bank"] {
        assert_eq!(listed(of(owner), None, Some("a3")).await, ["a4"]);
        assert_eq!(listed(of(owner), Some("refused"), None).await, ["a3"]);
    }
    assert_eq!(listed(of("elsewhere"), None, None).await, Vec::<String>::new());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_does_not_admit_is_not_stored(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = seeded(&database).await;
    let twice = ApprovalRequestRow { handle_hash: b"a1".to_vec(), ..request("b1", "pending") };
    assert_eq!(node.submit(insert(Row::ApprovalRequest(twice))).await, Outcome::Conflict, "a handle is one request's");
    for bad in [
        ApprovalRequestRow { jti: Some("t_2".into()), ..request("b2", "pending") },
        ApprovalRequestRow { jti: None, ..request("b3", "consumed") },
        ApprovalRequestRow { state: "odd".into(), ..request("b4", "pending") },
    ] {
        let outcome = node.submit(insert(Row::ApprovalRequest(bad))).await;
        assert!(matches!(outcome, Outcome::Invalid(_)), "{outcome:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn polls_are_noted_and_what_is_long_over_is_swept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = seeded(&database).await;
    let polled = |id: &str| Write::Note(Note::Polled(Polled { id: id.into(), at: NOW + 7, interval_seconds: 10 }));
    let notes = Work { writes: vec![polled("a2"), polled("a1"), polled("gone")], ..issue(0) };
    assert!(matches!(node.submit(notes).await, Outcome::Committed { .. }), "one that is gone hinders nobody");
    let row = find_approval(&node.db, "a1").await.unwrap().unwrap();
    assert_eq!((row.polled_at, row.interval_seconds, row.updated_at), (Some(NOW + 7), 10, NOW));
    assert_eq!(find_approval(&node.db, "a3").await.unwrap().unwrap().polled_at, None);
    const DAY: i64 = 86_400;
    assert_eq!(sweep(&node.db, NOW + 300 + DAY).await.unwrap().approvals, 0);
    assert_eq!(sweep(&node.db, NOW + 301 + DAY).await.unwrap().approvals, 4);
    assert_eq!(find_approval(&node.db, "a1").await.unwrap(), None);
}
