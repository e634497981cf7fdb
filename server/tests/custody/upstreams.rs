//! Upstreams that misbehave, seen from the agent and from the books.

use crate::world::{Upstream, World, prices};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use stipend::demo::llm::Llm;
use stipend::demo::llm::hostile::Hostile;
use stipend_keys::Secret;
use stipend_schema::Backend;

const HELD: i64 = 40;

/// A metered world whose provider misbehaves by path.
async fn hostile() -> (Hostile, World, String) {
    let hostile = Hostile::start().await.unwrap();
    let base = format!("http://{}", hostile.address());
    let metering = json!({"metering": {"prices": prices(), "max_cost": HELD}});
    let world = World::calling(Backend::Sqlite, &base, metering).await;
    let line = world.budget(&world.agent, 1000).await;
    (hostile, world, line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_nobody_anywhere() {
    let (_hostile, world, line) = hostile().await;
    let elsewhere = Upstream::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let leading: &'static str = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        elsewhere.base
    )
    .leak();
    let upstream = Upstream::start(leading).await;
    let token = world.token(&world.agent).await;
    let careful = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let call = || async {
        let url = world.server.url(&format!("/proxy/{}/redirect", world.credential));
        careful.post(url).bearer_auth(&token).json(&json!({"a": 1})).send().await.unwrap()
    };
    let answer = call().await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert!(!answer.headers().contains_key("location"), "{:?}", answer.headers());
    assert_eq!(world.used(&line).await, (0, 0));
    let (status, _) = world
        .admin(Method::PATCH, &format!("/credentials/{}", world.credential), json!({"base_url": upstream.base}))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(call().await.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!((upstream.seen().len(), elsewhere.seen().len()), (1, 0), "nothing is followed, with the key or without");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_talks_nonsense_is_a_502_and_costs_nothing() {
    let (_hostile, world, line) = hostile().await;
    let token = world.token(&world.agent).await;
    for (path, fault) in [("/garbage", "protocol"), ("/gzip", "encoded"), ("/endless-head", "head_too_large")] {
        let answer = world.proxied(Method::POST, &token, path).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{path}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("ESMTP") && !text.contains("and more"), "{path}: nothing of it is passed on: {text}");
        assert_eq!(world.used(&line).await, (0, 0), "{path}");
        assert_eq!(world.record("credential.call_ended").await["detail"]["fault"], fault, "{path}");
    }
    let answer = world.proxied(Method::GET, &token, "/nothing").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "and the next call goes well");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_shorter_than_it_says_is_cut_off_and_one_that_is_longer_ends_there() {
    let (_hostile, world, line) = hostile().await;
    let token = world.token(&world.agent).await;
    let short = world.proxied(Method::POST, &token, "/short").json(&json!({})).send().await.unwrap();
    assert_eq!(short.status(), StatusCode::OK);
    assert!(short.bytes().await.is_err(), "half an answer is not taken for a whole one");
    world.used(&line).await;
    let long = world.proxied(Method::POST, &token, "/long").json(&json!({})).send().await.unwrap();
    assert_eq!(long.text().await.unwrap(), "{}", "what comes after is not this answer");
    let again = world.proxied(Method::GET, &token, "/nothing").send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_FOUND, "nor the next one");
    world.used(&line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_hangs_holds_only_while_the_agent_waits() {
    let (_hostile, world, line) = hostile().await;
    let token = world.token(&world.agent).await;
    let room = world.server.app.upstreams.room();
    for path in ["/hang", "/hang-body"] {
        let brief = Duration::from_millis(400);
        let call = world.proxied(Method::POST, &token, path).json(&json!({})).timeout(brief).send().await;
        let body = match call {
            Ok(answer) => answer.bytes().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(body.unwrap_err().is_timeout(), "{path}");
        world.used(&line).await;
        assert_eq!(settled(&world, room).await, room, "{path}: room for the next call");
    }
}

/// The room for calls, once it is what it was.
async fn settled(world: &World, room: usize) -> usize {
    for _ in 0..100 {
        if world.server.app.upstreams.room() == room {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    world.server.app.upstreams.room()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_closes_in_the_middle_of_a_stream_ends_the_hold() {
    let breaking = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n1a\r\ndata: {\"choices\":[{\"a\":1}]\n\r\n";
    let upstream = Upstream::start(breaking).await;
    let metering = json!({"metering": {"prices": prices(), "max_cost": HELD}});
    let world = World::calling(Backend::Sqlite, &upstream.base, metering).await;
    let line = world.budget(&world.agent, 100).await;
    let token = world.token(&world.agent).await;
    let answer = world.chat(&token, "one", true).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err(), "a stream that broke off does not look whole");
    let (held, _) = world.used(&line).await;
    assert_eq!(held, 0);
    let record = world.record("credential.call_ended").await;
    assert_eq!(record["detail"]["hold"].as_str().map(|id| &id[..3]), Some("bh_"), "{record}");
}

/// A provider that tells its use at the end of a stream has done the work by then: whoever
/// leaves just before must not get it for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_before_a_stream_tells_its_use_has_used_what_was_held() {
    let llm = Llm::start(Secret::new(crate::world::KEY.to_owned())).unwrap();
    llm.set_pace(Duration::from_millis(150));
    let base = llm.base_url().unwrap().to_string();
    let metering = json!({"metering": {"prices": prices(), "max_cost": HELD}});
    let world = World::calling(Backend::Sqlite, &base, metering).await;
    let line = world.budget(&world.agent, 100).await;
    let token = world.token(&world.agent).await;
    let mut answer = world.chat(&token, "one two three four", true).send().await.unwrap();
    let mut words = String::new();
    while !words.contains("three") {
        words.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    drop(answer);
    assert_eq!(world.used(&line).await, (0, HELD), "all five words were read: {words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_hundred_streams_that_are_left_free_all_they_held() {
    const STREAMS: usize = 300;
    let llm = Llm::start(Secret::new(crate::world::KEY.to_owned())).unwrap();
    llm.set_pace(Duration::from_secs(5));
    let base = llm.base_url().unwrap().to_string();
    let metering = json!({"metering": {"prices": prices(), "max_cost": HELD}});
    let world = World::calling(Backend::Sqlite, &base, metering).await;
    let line = world.budget(&world.agent, 1_000_000).await;
    let token = world.token(&world.agent).await;
    let (room, kept) = (world.server.app.upstreams.room(), world.server.app.buffered.available_permits());
    let opened = (0..STREAMS).map(|_| async { world.chat(&token, "one", true).send().await.unwrap() });
    let streams = futures_util::future::join_all(opened).await;
    assert!(streams.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(world.server.app.upstreams.room(), room - STREAMS, "all of them are under way");
    let (_, shown) = world.admin(Method::GET, &format!("/budgets/{line}"), Value::Null).await;
    assert_eq!(shown["used"]["held"], json!(STREAMS as i64 * HELD));
    drop(streams);
    assert_eq!(settled(&world, room).await, room);
    assert_eq!(world.server.app.buffered.available_permits(), kept);
    assert_eq!(world.used(&line).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_says_at_its_beginning_is_not_what_it_used() {
    let llm = Llm::start(Secret::new(crate::world::KEY.to_owned())).unwrap();
    llm.set_pace(Duration::from_millis(100));
    let base = llm.base_url().unwrap().to_string();
    let settings = json!({"template": "anthropic", "metering": {"prices": prices(), "max_cost": HELD}});
    let world = World::calling(Backend::Sqlite, &base, settings).await;
    let line = world.budget(&world.agent, 100).await;
    let token = world.token(&world.agent).await;
    let body = json!({"model": "stand-in-1", "max_tokens": 5, "stream": true, "messages": [{"role": "user", "content": "one two three four"}]});
    let mut spent = 0;
    for (until, cost) in [("three", HELD), ("message_delta", 14)] {
        let mut answer = world.proxied(Method::POST, &token, "/v1/messages").json(&body).send().await.unwrap();
        let mut words = String::new();
        while !words.contains(until) {
            words.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
        drop(answer);
        spent += cost;
        assert_eq!(world.used(&line).await, (0, spent), "left at {until}: {words}");
    }
}
