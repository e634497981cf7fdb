//! Wake-ups make a node look earlier, and can do nothing else.

use crate::process::{Redis, shared_redis};
use crate::world::{ORDERS, World};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use stipend_schema::Backend;

async fn with(url: &str, backend: Backend) -> World {
    let world = World::new(backend, 2, &[("STIPEND_REDIS_URL", url)]).await;
    world.until_redis("ok").await;
    world
}

/// How often a node looks at the feed within a time, while somebody publishes these as fast as
/// Redis takes them.
async fn looks(world: &World, url: &str, within: Duration, messages: &[&str]) -> usize {
    let client = ::redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let channel = format!("stipend:{}:wake", world.first().app.config.issuer);
    let mut pipe = ::redis::pipe();
    for _ in 0..20 {
        for message in messages {
            pipe.cmd("PUBLISH").arg(&channel).arg(*message).ignore();
        }
    }
    let flood = tokio::spawn(async move { while pipe.exec_async(&mut connection).await.is_ok() {} });
    let tailer = &world.nodes[1].app.tailer;
    let (began, mut seen) = (Instant::now(), BTreeSet::new());
    while began.elapsed() < within {
        seen.insert(tailer.fresh_since());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    flood.abort();
    seen.len()
}

/// Times from a revocation's answer on one node until another has it.
async fn lags(world: &World, times: usize) -> Vec<Duration> {
    let mut lags = Vec::new();
    for _ in 0..times {
        let token = world.first().token(&world.agent, &[("resource", ORDERS)]).await;
        world.first().form("/oauth2/revoke", &world.agent, &[("token", &token)]).await;
        let (head, began) = (world.first().app.tailer.position(), Instant::now());
        while world.nodes[1].app.tailer.position() < head {
            tokio::time::sleep(Duration::from_micros(200)).await;
            assert!(began.elapsed() < Duration::from_secs(1), "a revocation closes within a second");
        }
        lags.push(began.elapsed());
    }
    lags.sort();
    lags
}

#[tokio::test]
async fn a_change_on_one_node_wakes_the_others() {
    let url = shared_redis();
    let world = with(&url, Backend::Postgres).await;
    let woken = lags(&world, 15).await;
    // By itself a node looks every 100 ms, and the middle of what it misses is half of that.
    assert!(woken[7] < Duration::from_millis(35), "{woken:?}");
}

#[tokio::test]
async fn a_node_whose_channel_is_silent_looks_by_itself() {
    let mut redis = Redis::start();
    let world = with(&redis.url(), Backend::Postgres).await;
    redis.kill();
    assert!(lags(&world, 5).await[4] < Duration::from_secs(1));
    redis.run();
    world.until_redis("ok").await;
    let woken = lags(&world, 15).await;
    assert!(woken[7] < Duration::from_millis(35), "after it came back: {woken:?}");
}

/// Heads that are no news, and what is no head, wake nobody.
#[tokio::test]
async fn what_is_no_news_wakes_nobody() {
    let url = shared_redis();
    let world = with(&url, Backend::Sqlite).await;
    let news = ["0", "-1", "1", "", "x", "99999999999999999999", "\u{0}\u{1}"];
    let count = looks(&world, &url, Duration::from_secs(1), &news).await;
    assert!(count <= 14, "{count} looks in a second, where it looks ten times by itself");
}

/// Whoever lies on the channel, as often as it likes, makes a node look at most every 10 ms; it
/// applies nothing that is not in the feed, and answers as before.
#[tokio::test]
async fn a_flood_of_lies_makes_a_node_look_and_nothing_else() {
    let url = shared_redis();
    let world = with(&url, Backend::Sqlite).await;
    let position = world.nodes[1].app.tailer.position();
    let lie = i64::MAX.to_string();
    let count = looks(&world, &url, Duration::from_secs(2), &[&lie]).await;
    assert!(count <= 220, "{count} looks in two seconds");
    assert!(count > 30, "{count} looks: they do wake");
    assert_eq!(world.nodes[1].app.tailer.position(), position, "nothing was learnt from a lie");
    assert_eq!(world.ask(1, &world.agent, "192.0.2.1").await.status, 200);
    lags(&world, 3).await;
}
