//! Limits that are kept in the database: one statement does what the law says, and two nodes
//! never share a cell.

use rstest::rstest;
use stipend_schema::testing::TestDatabase;
use stipend_schema::{Backend, rates, sweep};
use stipend_token::rate::{Rate, SLACK_MICROS, Taken};

const NOW: i64 = 1_795_230_000_000_000;

/// Numbers that look like none, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_statement_grants_what_the_law_says(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    let mut numbers = Numbers(7);
    for (n, text) in ["20/60", "600/60/100", "7/1", "1/86400/1", "1000000/1", "5/3/40"].into_iter().enumerate() {
        let (rate, key) = (Rate::parse(text).unwrap(), format!("client:{n}"));
        let (mut tat, mut now) = (None, NOW);
        for _ in 0..80 {
            // Mostly onwards, now and then another node's clock, once a clock that was very wrong.
            let pause = numbers.below(u64::try_from(rate.interval()).unwrap() * 4 + 1);
            now += i64::try_from(pause).unwrap() - if numbers.below(5) == 0 { rate.interval() } else { 0 };
            if numbers.below(40) == 0 {
                now -= 3_600_000_000;
            }
            let want = u32::try_from(numbers.below(12)).unwrap();
            let expected = rate.take(tat, now, want);
            assert_eq!(rates::take_cells(&db, &key, &rate, now, want).await.unwrap(), expected, "{text}");
            tat = Some(expected.tat);
            assert_eq!(rates::arrivals(&db, std::slice::from_ref(&key)).await.unwrap(), [tat]);
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_take_at_the_same_time_never_share_a_cell(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (one, other) = (database.connect().await, database.connect().await);
    let rate = Rate::new(40, 3600, 40).unwrap();
    let takes = (0..90).map(|n| {
        let db = if n % 2 == 0 { one.clone() } else { other.clone() };
        tokio::spawn(async move { rates::take_cells(&db, "client:a", &rate, NOW, 1).await.unwrap() })
    });
    let taken: Vec<Taken> = futures_util::future::join_all(takes).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().map(|taken| taken.granted).sum::<u32>(), 40);
    assert!(taken.iter().all(|taken| (taken.granted == 0) == (taken.wait == rate.interval())));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn arrivals_come_in_the_order_they_are_asked_for(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    let rate = Rate::parse("1/1").unwrap();
    rates::take_cells(&db, "b", &rate, NOW, 1).await.unwrap();
    let keys = ["a", "b", "a"].map(str::to_owned);
    assert_eq!(rates::arrivals(&db, &keys).await.unwrap(), [None, Some(NOW + 1_000_000), None]);
    let many = vec![String::new(); rates::MAX_KEYS + 1];
    assert!(rates::arrivals(&db, &many).await.is_err());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_proved_secret_is_known_for_its_time_and_can_be_forgotten(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (one, other) = (database.connect().await, database.connect().await);
    assert!(!rates::is_proved(&one, "m", 100).await.unwrap());
    rates::mark_proved(&one, "m", 200).await.unwrap();
    rates::mark_proved(&one, "m", 300).await.unwrap();
    assert!(rates::is_proved(&other, "m", 299).await.unwrap());
    assert!(!rates::is_proved(&other, "m", 300).await.unwrap());
    assert!(!rates::is_proved(&other, "n", 100).await.unwrap());
    rates::forget_proved(&other, "m").await.unwrap();
    assert!(!rates::is_proved(&one, "m", 100).await.unwrap());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_empty_again_are_swept(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    let rate = Rate::parse("20/60").unwrap();
    rates::take_cells(&db, "full", &rate, NOW, 20).await.unwrap();
    rates::mark_proved(&db, "m", NOW / 1_000_000).await.unwrap();
    let seconds = NOW / 1_000_000;
    let swept = sweep(&db, seconds).await.unwrap();
    assert_eq!((swept.cells, swept.marks), (0, 0), "whatever the clocks say");
    // Long after it is empty.
    let late = seconds + 60 + 3 * SLACK_MICROS / 1_000_000 + 1;
    let swept = sweep(&db, late).await.unwrap();
    assert_eq!((swept.cells, swept.marks), (1, 1));
    assert_eq!(rates::arrivals(&db, &["full".to_owned()]).await.unwrap(), [None]);
}
