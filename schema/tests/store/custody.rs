//! Counters and notes: exact with the commit, on both databases, over nodes.

use crate::ledger::{books, charge, line, make, spend};
use crate::support::*;
use rstest::rstest;
use stipend_schema::custody::{
    Count, CredentialExposureRow, CredentialGrantRow, CredentialRow, CredentialUseRow, CredentialVersionRow,
};
use stipend_schema::ledger::{Answer, Spend, SpendKey};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use stipend_token::constraint::{Mode, Span};
use tokio::task::JoinSet;

fn count(key: &str, span: Span, limit: u64) -> Count {
    let reason = if span == Span::Ever { "uses_exhausted" } else { "rate_exceeded" };
    Count { key: key.into(), span, limit, mode: Mode::Enforce, reason, expires_at: NOW + 10_000 }
}

fn counting(counts: Vec<Count>) -> Work {
    Work { counts, ..issue(0) }
}

pub fn credential(owner: &str, name: &str) -> CredentialRow {
    CredentialRow {
        id: format!("{owner}.{name}"),
        owner_id: owner.into(),
        name: name.into(),
        kind: "api_key".into(),
        environment: "live".into(),
        state: "active".into(),
        spec: "{}".into(),
        created_by: "stipend.admin".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub fn version(credential: &str, number: i64, state: &str) -> CredentialVersionRow {
    CredentialVersionRow {
        id: format!("cv_{credential}_{number}"),
        credential_id: credential.into(),
        number,
        state: state.into(),
        sealed: (state != "destroyed").then(|| vec![1, 2, 3]),
        kek_id: (state != "destroyed").then(|| "kek".into()),
        fingerprint: "fp".into(),
        created_at: NOW,
        activated_at: None,
        retire_at: (state == "retiring").then_some(NOW + 10),
        destroyed_at: None,
        compromised_at: None,
    }
}

fn grant(id: &str, credential: &str, agent: &str) -> CredentialGrantRow {
    CredentialGrantRow {
        id: id.into(),
        credential_id: credential.into(),
        agent_id: agent.into(),
        owner_id: "payments".into(),
        state: "active".into(),
        spec: "{}".into(),
        expires_at: None,
        created_by: "stipend.admin".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_had_by_one_over_all_nodes(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    const LIMIT: usize = 50;
    let database = TestDatabase::new(backend).await;
    let nodes = match backend {
        Backend::Postgres => vec![node(&database).await, node(&database).await],
        Backend::Sqlite => vec![node(&database).await],
    };
    let mut tasks = JoinSet::new();
    for task in 0..400 {
        let committer = nodes[task % nodes.len()].committer.clone();
        // Each batch counts on two counters that others take in another order.
        let mut counts = vec![count("grant:a", Span::Ever, LIMIT as u64), count("grant:b", Span::Seconds(60), 1000)];
        if task % 2 == 0 {
            counts.reverse();
        }
        tasks.spawn(async move { committer.submit(counting(counts)).await });
    }
    let outcomes = tasks.join_all().await;
    let done = outcomes.iter().filter(|outcome| committed(outcome)).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Exceeded { .. })).count();
    assert_eq!((done, refused), (LIMIT, 400 - LIMIT));
    let refusals = "SELECT count(*) AS value FROM audit_records WHERE outcome = 'refused'";
    assert_eq!(database.number(refusals).await.unwrap(), (400 - LIMIT) as i64, "each refusal is on record");
    let states = database.texts("SELECT key || ' ' || state AS value FROM counters ORDER BY key").await.unwrap();
    assert_eq!(states[0], "grant:a [[0,50]]");
    assert!(states[1].starts_with("grant:b [[") && states[1].ends_with(",50]]"), "{states:?}: none for a refusal");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_refuses_is_not_counted_and_what_the_count_refuses_is_not_charged(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    make(&node, vec![line("bl_a", None, 5)]).await;
    let order = |id: &str, amount: i64, key: Option<u8>| {
        let key = key.map(|key| SpendKey { key_hash: [key; 32], digest: [0; 32], expires_at: NOW + 100, keep: None });
        let spend = Spend { key, ..spend(charge(id, &["bl_a"], amount)) };
        Work { spend: Some(spend), ..counting(vec![count("grant:a", Span::Ever, 2)]) }
    };
    let declined = node.submit(order("1", 6, None)).await;
    assert!(
        matches!(&declined, Outcome::Settled { settled, .. } if matches!(settled.answer, Answer::Declined(_))),
        "{declined:?}"
    );
    let state = || async { database.texts("SELECT state AS value FROM counters").await.unwrap() };
    assert_eq!(state().await, ["[]"]);
    for (id, repeated) in [("2", false), ("2b", true)] {
        let done = node.submit(order(id, 1, Some(7))).await;
        assert!(matches!(&done, Outcome::Settled { settled, .. } if settled.repeated == repeated), "{done:?}");
    }
    assert_eq!(state().await, ["[[0,1]]"], "a retry is not counted");
    assert!(matches!(node.submit(order("3", 1, None)).await, Outcome::Settled { .. }));
    assert!(matches!(node.submit(order("4", 1, None)).await, Outcome::Exceeded { count: 0, .. }));
    assert!(matches!(node.submit(order("5", 1, Some(7))).await, Outcome::Settled { .. }), "nor is it refused");
    assert_eq!(books(&database, "bl_a").await, (0, 2, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_observed_count_stops_nothing_and_is_told(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let observed = || counting(vec![Count { mode: Mode::Observe, ..count("grant:a", Span::Seconds(1), 1) }]);
    assert!(committed(&node.submit(observed()).await) && committed(&node.submit(observed()).await));
    let told = "SELECT count(*) AS value FROM audit_records WHERE record LIKE '%\"would_exceed\":[\"rate_exceeded\"]%'";
    assert_eq!(database.number(told).await.unwrap(), 1);
    prove(&node.db).await.unwrap();
    assert_eq!(sweep(&node.db, NOW + 20_000).await.unwrap().counters, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_active_version_and_one_grant_for_each_pair(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let agent = node.with_client("payments", "refunds").await;
    node.commit(insert(Row::Credential(credential("payments", "llm")))).await;
    node.commit(insert(Row::CredentialVersion(version("payments.llm", 1, "active")))).await;
    node.commit(insert(Row::CredentialGrant(grant("cg_1", "payments.llm", &agent)))).await;
    for conflict in [
        Write::Insert(Row::CredentialVersion(version("payments.llm", 2, "active"))),
        Write::Insert(Row::CredentialVersion(version("payments.llm", 1, "pending"))),
        Write::Insert(Row::CredentialVersion(version("payments.other", 1, "pending"))),
        Write::Insert(Row::CredentialGrant(grant("cg_2", "payments.llm", &agent))),
        Write::Insert(Row::CredentialGrant(grant("cg_2", "payments.llm", "payments.nobody"))),
        Write::Delete(Table::CredentialGrant, "cg_2".into()),
    ] {
        assert_eq!(node.submit(writing(conflict.clone())).await, Outcome::Conflict, "{conflict:?}");
    }
    // Destroyed is what has no value, and nothing else.
    for (state, sealed) in [("destroyed", Some(vec![1])), ("retired", None)] {
        let kek_id = sealed.as_ref().map(|_| "kek".into());
        let row = CredentialVersionRow { sealed, kek_id, ..version("payments.llm", 3, state) };
        assert!(matches!(node.submit(insert(Row::CredentialVersion(row))).await, Outcome::Invalid(_)), "{state}");
    }
    node.commit(insert(Row::CredentialVersion(version("payments.llm", 2, "retiring")))).await;
    let due = |now| queries::due_versions(&node.db, now);
    assert!(due(NOW + 9).await.unwrap().is_empty());
    assert_eq!(due(NOW + 10).await.unwrap()[0].number, 2);
    assert_eq!(queries::active_version(&node.db, "payments.llm").await.unwrap().unwrap().number, 1);
    assert_eq!(queries::credential_versions(&node.db, "payments.llm").await.unwrap().len(), 2);
    let page = queries::Page { after: None, limit: 9 };
    let only = queries::OwnerFilter::Only(vec!["other".into()]);
    assert!(queries::list_credentials(&node.db, &only, &page).await.unwrap().is_empty());
    assert!(queries::list_grants(&node.db, &only, (None, None), &page).await.unwrap().is_empty());
    let all = queries::OwnerFilter::All;
    assert_eq!(queries::list_credentials(&node.db, &all, &page).await.unwrap().len(), 1);
    assert_eq!(
        queries::list_grants(&node.db, &all, (Some("payments.llm"), Some(&agent)), &page).await.unwrap().len(),
        1
    );
    assert!(queries::list_grants(&node.db, &all, (None, Some("payments.other")), &page).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn notes_are_added_up_by_many_at_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let mut tasks = JoinSet::new();
    for task in 0..60i64 {
        let exposure = CredentialExposureRow {
            version_id: format!("cv_{}", task % 3),
            agent_id: "payments.refunds".into(),
            credential_id: "payments.llm".into(),
            mode: "plaintext".into(),
            first_at: NOW + task,
            last_at: NOW + task,
        };
        let used = CredentialUseRow {
            grant_id: "cg_1".into(),
            version_id: "cv_1".into(),
            mode: "proxy".into(),
            uses: 2,
            last_at: NOW,
        };
        let writes = vec![Write::Note(Note::Exposure(exposure)), Write::Note(Note::Use(used))];
        let committer = node.committer.clone();
        tasks.spawn(async move { committer.submit(Work { writes, ..issue(0) }).await });
    }
    assert!(tasks.join_all().await.iter().all(committed));
    assert_eq!(queries::exposures_of_credential(&node.db, "payments.llm").await.unwrap().len(), 3);
    assert_eq!(queries::exposures_of_agent(&node.db, "payments.refunds").await.unwrap().len(), 3);
    assert_eq!(queries::grant_uses(&node.db, &["cg_1".into()]).await.unwrap()[0].uses, 120);
}
