use crate::support::*;
use rstest::rstest;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;
use tokio::task::JoinSet;

/// Remembers what it was told.
#[derive(Default)]
pub struct Memory(pub Mutex<Told>);

#[derive(Default)]
pub struct Told {
    seqs: Vec<i64>,
    revoked: Vec<(String, i64)>,
    head: i64,
    pub lost: u32,
}

impl FeedSink for Memory {
    fn apply(&self, changes: &[Change], revocations: &[RevocationRow], head: i64) {
        let mut told = self.0.lock().unwrap();
        told.seqs.extend(changes.iter().map(|change| change.seq));
        told.revoked.extend(revocations.iter().map(|row| (row.value.clone(), row.seq)));
        told.head = head;
    }

    fn lost(&self) {
        self.0.lock().unwrap().lost += 1;
    }
}

pub async fn tailer(db: &Db) -> (TailerHandle, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let handle = Tailer::start(db.clone(), TailerConfig::default(), memory.clone()).await.unwrap();
    (handle, memory)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_has_no_gap_under_concurrent_writers(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let mut writers = JoinSet::new();
    let (tail, memory) = tailer(&database.connect().await).await;
    for writer in 0..8 {
        let node = node(&database).await;
        writers.spawn(async move {
            for round in 0..20_usize {
                let id = format!("payments.{writer}-{round}");
                let mut work = changing(kinds::CLIENT, &id);
                work.changes = vec![Dep::new(kinds::CLIENT, id); 1 + round % 3];
                loop {
                    match node.submit(work.clone()).await {
                        Outcome::Committed { .. } => break,
                        // SQLite's one writer may be busy past its limit with eight of them.
                        Outcome::Unavailable => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            node.committer.shutdown().await;
        });
    }
    writers.join_all().await;
    assert!(tail.catch_up().await);
    let db = database.connect().await;
    let head = feed::load_head(&db).await.unwrap().seq;
    let told = memory.0.lock().unwrap();
    assert_eq!(told.seqs, (1..=head).collect::<Vec<_>>());
    assert_eq!((told.head, tail.position(), told.lost), (head, head, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_seen_its_own_change_when_it_is_answered(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    let memory = Arc::new(Memory::default());
    let config = TailerConfig { interval: Duration::from_secs(3600), ..TailerConfig::default() };
    let tail = Tailer::start(db.clone(), config, memory.clone()).await.unwrap();
    let config = CommitterConfig { tailer: Some(tail.clone()), ..CommitterConfig::default() };
    let committer = Committer::start(db, config, clock()).unwrap();
    for round in 0..5 {
        let outcome = committer.submit(revoking(&format!("rev_{round}"), kinds::JTI, "t_1")).await;
        let Outcome::Committed { head, .. } = outcome else { panic!("{outcome:?}") };
        assert!(tail.position() >= head);
        assert_eq!(memory.0.lock().unwrap().revoked.last().unwrap().1, head);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_learns_all_live_revocations_and_no_expired_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let now = queries::database_time(&node.db).await.unwrap() / 1_000_000;
    let revoked = |index: usize| {
        let expires_at = if index.is_multiple_of(5) { now - 10 } else { now + 600 };
        let (id, value) = (format!("rev_{index}"), format!("t_{index}"));
        Write::Insert(Row::Revocation(revocation(&id, kinds::JTI, &value, expires_at)))
    };
    // More than are read at once, and no work so large that a busy machine gives it up.
    for hundred in 0..25 {
        let mut work = revoking("rev_0", kinds::JTI, "t_0");
        work.writes = (hundred * 100..(hundred + 1) * 100).map(revoked).collect();
        node.commit(work).await;
    }
    let (tail, memory) = tailer(&node.db).await;
    let told = memory.0.lock().unwrap();
    assert_eq!(told.revoked.len(), 2000);
    assert_eq!((told.head, tail.position()), (25, 25));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn freshness_counts_from_the_start_of_a_poll_and_stops_when_the_tailer_does(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (tail, _) = tailer(&database.connect().await).await;
    let asked = Instant::now();
    assert!(tail.catch_up().await);
    let fresh = tail.fresh_since();
    assert!(fresh >= asked && fresh <= Instant::now());
    tail.stop();
    assert!(!tail.catch_up().await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_not_stepped_over_and_a_pruned_feed_starts_anew(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for round in 0..5 {
        node.commit(revoking(&format!("rev_{round}"), kinds::JTI, "t_1")).await;
    }
    let (tail, memory) = tailer(&node.db).await;
    for round in 5..9 {
        node.commit(changing(kinds::CLIENT, &format!("c{round}"))).await;
    }
    assert!(tail.catch_up_to(9).await);

    database
        .execute(
            "INSERT INTO changes (seq, kind, id, at) VALUES (11, 'client', 'late', 0); \
             UPDATE feed_head SET seq = 11",
        )
        .await
        .unwrap();
    assert!(!tail.catch_up_to(11).await);
    assert_eq!(tail.position(), 9);
    database.execute("INSERT INTO changes (seq, kind, id, at) VALUES (10, 'client', 'gap', 0)").await.unwrap();
    assert!(tail.catch_up_to(11).await);
    assert_eq!(memory.0.lock().unwrap().lost, 0);

    database.execute("DELETE FROM changes; UPDATE feed_head SET seq = 20, pruned_to = 15").await.unwrap();
    assert!(tail.catch_up_to(20).await);
    assert_eq!(memory.0.lock().unwrap().lost, 1);
}
