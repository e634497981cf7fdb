//! What the script in Redis grants is what the law says.

use crate::process::shared_redis;
use crate::world::World;
use stipend_schema::Backend;
use stipend_token::rate::{Rate, Taken};

/// Redis ends its keys by its own clock, so times are near it.
fn now() -> i64 {
    use stipend::clock::{Clock, SystemClock};
    SystemClock.micros()
}

#[tokio::test]
async fn the_script_grants_what_the_law_says() {
    let url = shared_redis();
    let world = World::new(Backend::Sqlite, 1, &[("STIPEND_REDIS_URL", &url)]).await;
    world.until_redis("ok").await;
    let cells = &world.first().app.rates.cells;
    let mut number = 7_u64;
    let mut below = |bound: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % bound
    };
    for text in ["20/60", "600/60/100", "7/1", "1/86400/1", "1000000/1", "5/3/40"] {
        let rate = Rate::parse(text).unwrap();
        let (mut tat, mut at, key) = (None, now(), vec![format!("law:{text}")]);
        for _ in 0..150 {
            let pause = i64::try_from(below(u64::try_from(rate.interval()).unwrap() * 3 + 1)).unwrap();
            at += pause - if below(4) == 0 { rate.interval() } else { 0 };
            let want = u32::try_from(below(12)).unwrap();
            let expected = rate.take(tat, at, want);
            assert_eq!(cells.take(&key[0], &rate, at, want).await.unwrap(), expected, "{text}");
            tat = Some(expected.tat);
            assert_eq!(cells.arrivals(&key).await.unwrap(), [tat]);
        }
    }
    assert_eq!(world.until_redis("ok").await.as_secs(), 0, "and all that time it was Redis that counted");
    let db = world.first().app.store.db();
    assert_eq!(stipend_schema::rates::arrivals(db, &["law:20/60".to_owned()]).await.unwrap(), [None]);
}

/// Nobody but us should write there; whoever does holds nobody up for long, and breaks nothing.
#[tokio::test]
async fn nonsense_in_redis_does_no_harm() {
    let url = shared_redis();
    let world = World::new(Backend::Sqlite, 1, &[("STIPEND_REDIS_URL", &url)]).await;
    world.until_redis("ok").await;
    let app = &world.first().app;
    let client = ::redis::Client::open(url.as_str()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let rate = Rate::parse("20/60").unwrap();
    let key = format!("stipend:{}:nonsense", app.config.issuer);
    for text in ["", "x", "99999999999999999999999999", "-1", "1e300", "{}"] {
        ::redis::cmd("SET").arg(&key).arg(text).exec_async(&mut raw).await.unwrap();
        let taken = app.rates.cells.take("nonsense", &rate, now(), 1).await.unwrap();
        assert!(taken.granted == 1 || taken.wait <= 63_000_000, "{text}: {taken:?}");
    }
    // Of another type: Redis refuses, and the database counts.
    ::redis::cmd("DEL").arg(&key).exec_async(&mut raw).await.unwrap();
    ::redis::cmd("LPUSH").arg(&key).arg("x").exec_async(&mut raw).await.unwrap();
    let taken: Taken = app.rates.cells.take("nonsense", &rate, now(), 30).await.unwrap();
    assert_eq!(taken.granted, 20);
}

#[tokio::test]
async fn keys_in_redis_expire_when_their_limit_is_empty() {
    let url = shared_redis();
    let world = World::new(Backend::Sqlite, 1, &[("STIPEND_REDIS_URL", &url)]).await;
    world.until_redis("ok").await;
    let app = &world.first().app;
    let rate = Rate::parse("20/60").unwrap();
    app.rates.cells.take("expires", &rate, now(), 5).await.unwrap();
    let client = ::redis::Client::open(url.as_str()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("stipend:{}:expires", app.config.issuer);
    let left: i64 = ::redis::cmd("PTTL").arg(&key).query_async(&mut raw).await.unwrap();
    assert!((10_000..=16_100).contains(&left), "five cells are 15 s: {left} ms");
    let pattern = format!("stipend:{}:*", app.config.issuer);
    let keys: Vec<String> = ::redis::cmd("KEYS").arg(pattern).query_async(&mut raw).await.unwrap();
    assert_eq!(keys, [key], "and there is nothing else");
}
