//! Sinks: every record once it is there, in order, signed, and none lost whatever the receiver does.

use crate::receiver::{Manner, Receiver, verify};
use crate::world::{ALLOWED, World, assert_whole, issued, show};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_keys::sha256;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn every_record_arrives_in_order_signed_and_as_it_was_hashed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let receiver = Receiver::start().await;
    let sink = world.sink(&receiver, json!({})).await;
    let jtis = world.happen(5).await;
    receiver
        .until("all", async |receiver| issued(&receiver.records()).iter().filter(|jti| jtis.contains(jti)).count() == 5)
        .await;
    assert_whole(&receiver.records());
    let order: Vec<String> = issued(&receiver.records()).into_iter().filter(|jti| jtis.contains(jti)).collect();
    assert_eq!(order, jtis);
    for got in receiver.got() {
        verify(&sink.secret, &got);
        assert_eq!(got.headers["content-type"], "application/json");
        let body = got.json();
        assert_eq!((&body["type"], &body["data"]["sink"]), (&json!("stipend.audit.records"), &json!(sink.id)));
        for item in body["data"]["records"].as_array().unwrap() {
            let hash = URL_SAFE_NO_PAD.encode(sha256(item["record"].as_str().unwrap().as_bytes()));
            assert_eq!(item["hash"], json!(hash));
        }
    }
    let mut ids: Vec<String> = receiver.got().iter().map(|got| got.id().to_owned()).collect();
    let sent = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), sent, "each batch by a name of its own");
    receiver.until("nothing behind", async |_| world.show(&sink).await["lag_records"] == 0).await;
    let shown = world.show(&sink).await;
    assert_eq!(shown["lag_seconds"], 0);
    assert!(shown["records"].as_i64().unwrap() >= 5 && shown["failed"] == 0, "{shown}");
    // What the receiver calls its own stays with it.
    assert!(!shown.to_string().contains("canary-in-the-query") && shown["url"].as_str().unwrap().ends_with("/in"));
}

#[rstest]
#[tokio::test]
async fn a_receiver_that_fails_gets_the_same_batch_again_and_nothing_after_it_before(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let receiver = Receiver::start().await;
    receiver.is(Manner::Answers(503));
    let sink = world.sink(&receiver, json!({"owner": "acme", "events": ["token.issued"]})).await;
    let first = world.happen(2).await;
    let manners = [Manner::Redirects, Manner::Dies, Manner::Answers(413), Manner::Answers(500)];
    for (tries, manner) in manners.into_iter().enumerate() {
        receiver
            .until("another try", async |receiver| {
                world.server.clock.advance(5);
                receiver.got().len() > tries
            })
            .await;
        receiver.is(manner);
    }
    let later = world.happen(2).await;
    receiver
        .until("the last of them", async |receiver| {
            world.server.clock.advance(20);
            receiver.got().len() > 4
        })
        .await;
    let tried = receiver.got();
    assert!(tried.iter().all(|got| got.id() == tried[0].id() && got.body == tried[0].body), "the same each time");
    let shown = world.show(&sink).await;
    assert!(shown["failed"].as_i64().unwrap() >= 4 && shown["state"] == "active", "{shown}");
    assert!(shown["lag_records"].as_i64().unwrap() >= 3 && shown["lag_seconds"].as_i64().unwrap() > 0, "{shown}");
    assert!(shown["failure"].as_str().unwrap().starts_with("answered with") && shown["retry_at"].is_i64(), "{shown}");
    receiver.is(Manner::Answers(204));
    receiver
        .until("all", async |receiver| {
            world.server.clock.advance(60);
            issued(&receiver.records()).len() == first.len() + later.len()
        })
        .await;
    assert_eq!(issued(&receiver.records()), [first, later].concat());
    for got in receiver.got() {
        verify(&sink.secret, &got);
    }
}

#[tokio::test]
async fn who_hangs_or_talks_without_end_holds_up_nobody_else() {
    let world = World::new(Backend::Sqlite).await;
    let (hangs, talks, slow, takes) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
    hangs.is(Manner::Hangs);
    talks.is(Manner::Endless);
    slow.is(Manner::Slow(Duration::from_millis(300)));
    for receiver in [&hangs, &talks, &slow, &takes] {
        world.sink(receiver, json!({"owner": "acme", "events": ["token.issued"]})).await;
    }
    let jtis = world.happen(3).await;
    for receiver in [&takes, &talks, &slow] {
        receiver.until("all", async |receiver| issued(&receiver.records()) == jtis).await;
    }
    assert!(hangs.taken().is_empty());
}

#[rstest]
#[tokio::test]
async fn a_receiver_that_is_gone_has_its_sink_paused_and_resumed_it_goes_on_where_it_was(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let receiver = Receiver::start().await;
    receiver.is(Manner::Answers(410));
    let sink = world.sink(&receiver, json!({"owner": "acme", "events": ["token.issued"]})).await;
    let first = world.happen(1).await;
    receiver.until("paused", async |_| world.show(&sink).await["state"] == "paused").await;
    assert!(world.show(&sink).await["state_reason"].as_str().unwrap().contains("410"));
    assert_eq!(world.audit("audit_sink.paused").await.len(), 1);
    receiver.is(Manner::Answers(200));
    let later = world.happen(1).await;
    world.server.clock.advance(600);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(receiver.got().len(), 1, "a paused sink is sent nothing");
    let (status, body) = world.server.admin(Method::POST, &format!("/audit-sinks/{}/resume", sink.id), None).await;
    assert_eq!((status, &body["state"]), (StatusCode::OK, &json!("active")), "{body}");
    receiver.until("all", async |receiver| issued(&receiver.records()).len() == 2).await;
    assert_eq!(issued(&receiver.records()), [first, later].concat());
    assert_eq!(receiver.got()[0].id(), receiver.got()[1].id(), "the batch that was on its way");
}

#[rstest]
#[tokio::test]
async fn two_nodes_deliver_one_batch_after_the_other(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let issuer = world.server.issuer.clone();
    let settings = [("STIPEND_ISSUER", issuer.as_str()), ALLOWED[0], ALLOWED[1]];
    let other = TestServer::start_on(&world.server.database_url, &settings).await;
    let receiver = Receiver::start().await;
    receiver.is(Manner::Slow(Duration::from_millis(100)));
    let sink = world.sink(&receiver, json!({})).await;
    let mut jtis = world.happen(10).await;
    // The other node has a chain of its own.
    let address = other.address();
    for _ in 0..5 {
        let asked = other.http.post(format!("http://{address}/oauth2/token"));
        let asked = asked.basic_auth(&world.planner.id, Some(&world.planner.secret));
        let answer = asked.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        let claims = stipend_keys::Unverified::parse(&token).unwrap().claims().clone();
        jtis.push(claims["jti"].as_str().unwrap().to_owned());
    }
    jtis.extend(world.happen(5).await);
    receiver
        .until("all", async |receiver| {
            let had = issued(&receiver.records());
            jtis.iter().all(|jti| had.contains(jti))
        })
        .await;
    assert_eq!(receiver.most_at_once(), 1);
    assert_whole(&receiver.records());
    // One goes, the other takes over.
    world.server.stop().await;
    let asked = other.http.post(format!("http://{address}/oauth2/token"));
    let asked = asked.basic_auth(&world.planner.id, Some(&world.planner.secret));
    assert!(asked.form(&[("grant_type", "client_credentials")]).send().await.unwrap().status().is_success());
    let had = issued(&receiver.records()).len();
    receiver.until("more", async |receiver| issued(&receiver.records()).len() > had).await;
    assert_whole(&receiver.records());
    assert_eq!(receiver.most_at_once(), 1);
    assert!(stipend_schema::sinks::find_sink(other.app.store.db(), &sink.id).await.unwrap().is_some());
    other.stop().await;
}

#[rstest]
#[tokio::test]
async fn more_than_a_batch_comes_in_several_and_what_was_before_only_if_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let before = world.happen(230).await;
    world.server.clock.advance(1);
    let (later, whole) = (Receiver::start().await, Receiver::start().await);
    world.sink(&later, json!({"owner": "acme", "events": ["token.issued"]})).await;
    world.sink(&whole, json!({"owner": "acme", "events": ["token.issued"], "since": 0})).await;
    let after = world.happen(2).await;
    whole.until("all", async |receiver| issued(&receiver.records()).len() >= 232).await;
    assert_eq!(issued(&whole.records()), [before, after.clone()].concat());
    assert!(whole.taken().len() >= 2 && whole.taken().iter().all(|got| got.records().len() <= 200));
    later.until("two", async |receiver| issued(&receiver.records()).len() >= 2).await;
    assert_eq!(issued(&later.records()), after);
}

#[tokio::test]
async fn a_test_says_whether_anything_arrives_and_moves_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let receiver = Receiver::start().await;
    let sink = world.sink(&receiver, json!({"events": ["no.such_event"]})).await;
    let path = format!("/audit-sinks/{}/test", sink.id);
    let (status, body) = world.server.admin(Method::POST, &path, None).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"arrived": true})));
    let got = receiver.got().remove(0);
    verify(&sink.secret, &got);
    assert_eq!(got.json()["type"], "stipend.audit.test");
    receiver.is(Manner::Answers(401));
    let (status, body) = world.server.admin(Method::POST, &path, None).await;
    assert_eq!((status, &body["arrived"]), (StatusCode::OK, &json!(false)));
    assert!(body["failure"].as_str().unwrap().contains("may not be told"), "{body}");
    assert_eq!(world.show(&sink).await["records"], 0);
    assert_eq!(world.audit("audit_sink.tested").await.len(), 2);
}

#[tokio::test]
async fn a_sink_far_behind_is_said_so_where_readiness_is_asked() {
    let world = World::new(Backend::Sqlite).await;
    let receiver = Receiver::start().await;
    receiver.is(Manner::Answers(500));
    let sink = world.sink(&receiver, json!({})).await;
    world.happen(1).await;
    let ready = async || world.server.http.get(world.server.url("/readyz")).send().await.unwrap();
    assert!(ready().await.json::<Value>().await.unwrap().get("audit_sinks").is_none());
    // Only the clock by which ages are told moves: as much as makes it late.
    receiver.until("a first failure", async |receiver| !receiver.got().is_empty()).await;
    world.server.execute("UPDATE audit_records SET at = at - 400000000").await;
    receiver.until("late", async |_| ready().await.json::<Value>().await.unwrap()["audit_sinks"] == "behind").await;
    let answer = ready().await;
    assert_eq!(answer.status(), StatusCode::OK, "what waits is kept: nothing is refused");
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], "degraded");
    let numbers = stipend::export::numbers(&world.server.app).await.unwrap();
    assert_eq!(numbers.len(), 1);
    assert!(numbers[0].sink == sink.id && numbers[0].lag.seconds > 300 && numbers[0].lag.records > 0, "{numbers:?}");
    assert!(show(&world.server, &sink.id).await["lag_seconds"].as_i64().unwrap() > 300);
    // What the gauges of `/metrics` read.
    let behind = world.server.app.exports.behind();
    assert!(behind.seconds > 300 && behind.records > 0, "{behind:?}");
}
