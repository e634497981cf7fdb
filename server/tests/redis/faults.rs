//! Redis dies, hangs, comes back empty, was never there, refuses or is slow: everything goes on,
//! limits hold, it is said, and it is over by itself.

use crate::process::{Redis, SlowWay, free_port};
use crate::world::{ORDERS, World};
use reqwest::StatusCode;
use rstest::rstest;
use std::time::{Duration, Instant};
use stipend_schema::Backend;
use stipend_token::rate::Rate;

/// The promise: without a manual step, from the end of the fault.
const RECOVERY: Duration = Duration::from_secs(5);
/// A cell comes back every five minutes.
const RATE: (&str, &str) = ("STIPEND_CLIENT_RATE", "12/3600");
const BURST: usize = 12;

async fn world(backend: Backend, url: &str) -> World {
    World::new(backend, 2, &[("STIPEND_REDIS_URL", url), RATE]).await
}

/// What must hold while Redis is away: the database counts, so that there is one more burst and
/// never a second; tokens are issued and revoked; only who met it first has waited.
async fn goes_on_without(world: &World) {
    world.until_redis("does not answer").await;
    let rate = Rate::parse("1000/1").unwrap();
    let cells = &world.first().app.rates.cells;
    let began = Instant::now();
    for n in 0..50 {
        cells.take("any", &rate, 1_795_230_000_000_000 + n, 1).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(3), "50 answers took {:?}", began.elapsed());
    let another = world.new_agent("another").await;
    let token = world.first().token(&another, &[("resource", ORDERS)]).await;
    assert_eq!(world.first().introspect(&another, &token).await["active"], true);
    world.first().form("/oauth2/revoke", &another, &[("token", &token)]).await;
    assert_eq!(world.first().introspect(&another, &token).await["active"], false);
}

#[rstest]
#[tokio::test]
async fn killed_and_restarted_empty(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let mut redis = Redis::start();
    let world = world(backend, &redis.url()).await;
    world.until_redis("ok").await;
    let before = world.admitted(8).await;
    redis.kill();
    goes_on_without(&world).await;
    let during = world.admitted(30).await;
    redis.run();
    let took = world.until_redis("ok").await;
    assert!(took < RECOVERY, "{took:?}");
    let after = world.admitted(30).await;
    // The database began empty, and so did the new Redis: a burst each, and no more. That the
    // limit was full a node remembers.
    assert_eq!(before, 8);
    assert!((BURST - 8..=BURST).contains(&during) && after <= BURST, "{during}, {after}");
}

#[tokio::test]
async fn killed_in_the_middle_of_requests() {
    let mut redis = Redis::start();
    let world = world(Backend::Postgres, &redis.url()).await;
    world.until_redis("ok").await;
    let (admitted, ()) = tokio::join!(world.admitted(60), async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        redis.kill();
    });
    assert!((BURST..=2 * BURST).contains(&admitted), "{admitted}: a burst of each at most, and every answer an answer");
    goes_on_without(&world).await;
}

#[rstest]
#[tokio::test]
async fn stopped_in_its_tracks(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let redis = Redis::start();
    let world = world(backend, &redis.url()).await;
    world.until_redis("ok").await;
    assert_eq!(world.admitted(8).await, 8);
    redis.pause();
    // The first to ask waits for one timeout, and nobody after it.
    let (cells, rate) = (&world.first().app.rates.cells, Rate::parse("1000/1").unwrap());
    let began = Instant::now();
    for _ in 0..20 {
        cells.take("any", &rate, 1_795_230_000_000_000, 1).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(2), "20 answers took {:?}", began.elapsed());
    goes_on_without(&world).await;
    let during = world.admitted(30).await;
    assert!((BURST - 8..=BURST).contains(&during), "{during}");
    redis.resume();
    let took = world.until_redis("ok").await;
    assert!(took < RECOVERY, "{took:?}");
    // It has not forgotten; a cell that it gave while nobody waited for the answer is lost.
    let left = world.admitted(30).await;
    assert!(left <= BURST - 8, "{left}");
}

#[tokio::test]
async fn refused_from_the_start() {
    let port = free_port();
    let world = world(Backend::Postgres, &format!("redis://127.0.0.1:{port}")).await;
    goes_on_without(&world).await;
    assert_eq!(world.admitted(30).await, 12);
    let mut redis = Redis::stopped(&[]);
    redis.port = port;
    redis.run();
    let took = world.until_redis("ok").await;
    assert!(took < RECOVERY, "{took:?}");
    assert!(world.admitted(30).await <= BURST);
}

#[tokio::test]
async fn the_password_is_wrong() {
    let mut redis = Redis::start_with(&["--requirepass", "right"]);
    let url = format!("redis://:mistaken@127.0.0.1:{}", redis.port);
    let world = world(Backend::Postgres, &url).await;
    goes_on_without(&world).await;
    assert_eq!(world.admitted(30).await, 12);
    let port = redis.port;
    redis.kill();
    let mut redis = Redis::stopped(&["--requirepass", "mistaken"]);
    redis.port = port;
    redis.run();
    let took = world.until_redis("ok").await;
    assert!(took < RECOVERY, "{took:?}");
}

#[tokio::test]
async fn slow_is_away_and_a_little_slow_is_not() {
    let redis = Redis::start();
    let way = SlowWay::to(redis.port).await;
    let world = world(Backend::Postgres, &way.url()).await;
    world.until_redis("ok").await;
    assert_eq!(world.admitted(8).await, 8);
    way.delay(Duration::from_millis(200));
    goes_on_without(&world).await;
    let during = world.admitted(30).await;
    assert!((BURST - 8..=BURST).contains(&during), "{during}");
    // It stays away, though it does answer in the end: to try it costs nobody anything.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.ready(0).await.1["redis"], "does not answer");
    way.delay(Duration::from_millis(15));
    let took = world.until_redis("ok").await;
    assert!(took < RECOVERY, "{took:?}");
    let left = world.admitted(30).await;
    assert!(left <= BURST - 8, "{left}");
}

/// Redis that runs out of memory refuses to write: the database counts.
#[tokio::test]
async fn full_is_as_good_as_away() {
    let redis = Redis::start_with(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let world = world(Backend::Postgres, &redis.url()).await;
    assert_eq!(world.admitted(30).await, 12);
}

/// Neither Redis nor the database: nothing is unlimited, and nothing is answered that would have
/// to be recorded.
#[tokio::test]
async fn without_both_nothing_is_admitted() {
    let mut redis = Redis::start();
    let database = stipend_schema::testing::TestDatabase::new(Backend::Postgres).await;
    let way = stipend_schema::testing::Proxy::before(database.url()).await;
    let server = stipend::testing::TestServer::start_on(way.url(), &[("STIPEND_REDIS_URL", &redis.url()), RATE]).await;
    server.create_owner("acme").await;
    let agent = server.create_client("acme", "planner", "agent", &[]).await;
    let ask = async || server.form("/oauth2/introspect", &agent, &[("token", "none")]).await.0;
    assert_eq!(ask().await, StatusCode::OK);
    redis.kill();
    way.turn(stipend_schema::testing::Way::Cut);
    for _ in 0..3 {
        assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
    }
    let ready = server.http.get(server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
}
