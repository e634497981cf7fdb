//! Push delivery to a receiver that takes, refuses, fails, or is not there.

use crate::streams::{SESSION_REVOKED, VERIFICATION, allow, call, make};
use crate::world::World;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_keys::TokenKind;
use stipend_schema::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub const ALLOWED: [(&str, &str); 2] =
    [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];

/// A receiver on loopback that answers with a status and keeps what it got.
pub struct Receiver {
    pub url: String,
    pub status: Arc<Mutex<u16>>,
    pub got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let (status, got) = (Arc::new(Mutex::new(202)), Arc::new(Mutex::new(Vec::new())));
        let (answers, keeps) = (Arc::clone(&status), Arc::clone(&got));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answers, keeps) = (Arc::clone(&answers), Arc::clone(&keeps));
                tokio::spawn(async move {
                    let mut text = Vec::new();
                    let mut buffer = [0; 4096];
                    loop {
                        match stream.read(&mut buffer).await {
                            Ok(0) | Err(_) => return,
                            Ok(read) => text.extend_from_slice(&buffer[..read]),
                        }
                        let so_far = String::from_utf8_lossy(&text).into_owned();
                        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
                        let length = head.to_lowercase().split("content-length: ").nth(1).unwrap_or("0").to_owned();
                        let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                        if body.len() >= length {
                            keeps.lock().push((head.to_owned(), body.to_owned()));
                            break;
                        }
                    }
                    let status = *answers.lock();
                    let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, status, got }
    }

    fn answers(&self, status: u16) {
        *self.status.lock() = status;
    }

    fn got(&self) -> Vec<(String, String)> {
        self.got.lock().clone()
    }

    /// Waits until it has got so many; time goes on meanwhile, for the pauses between tries.
    async fn wait(&self, world: &World, count: usize, step: i64) {
        let began = Instant::now();
        while self.got().len() < count {
            assert!(began.elapsed() < Duration::from_secs(20), "{} of {count}", self.got().len());
            world.server.clock.advance(step);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn world(backend: Backend) -> World {
    let world = World::on(TestServer::start_with(backend, &ALLOWED).await).await;
    allow(&world, &world.service).await;
    world
}

fn pushed_to(receiver: &Receiver) -> Value {
    json!({"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url, "authorization_header": "Bearer canary-of-the-receiver"}})
}

async fn waiting(world: &World, id: &str) -> i64 {
    stipend_schema::signals::outbox_len(world.server.app.store.db(), id).await.unwrap()
}

async fn gone(world: &World, id: &str) {
    let began = Instant::now();
    while waiting(world, id).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[rstest]
#[tokio::test]
async fn an_event_is_pushed_once_it_happened_and_then_gone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = world(backend).await;
    let receiver = Receiver::start().await;
    let id = make(&world, &world.service, pushed_to(&receiver)).await;
    let (_, shown) = call(&world, &world.service, Method::GET, &format!("/ssf/stream?stream_id={id}"), None).await;
    assert_eq!(shown["delivery"], json!({"method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url}));
    world.revoke(&world.token().await).await;
    receiver.wait(&world, 1, 0).await;
    let (head, body) = receiver.got().remove(0);
    let head = head.to_lowercase();
    assert!(head.starts_with("post /events http/1.1"), "{head}");
    assert!(head.contains("content-type: application/secevent+jwt"), "{head}");
    assert!(head.contains("accept: application/json"), "{head}");
    assert!(head.contains("authorization: bearer canary-of-the-receiver"), "{head}");
    let said = world.verified(&body, TokenKind::SecurityEvent).await;
    assert!(said["events"].get(SESSION_REVOKED).is_some());
    gone(&world, &id).await;
    // What is pushed is not polled.
    let (status, _) = call(&world, &world.service, Method::POST, &format!("/ssf/poll/{id}"), Some(json!({}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // What is sent to the receiver is nowhere in clear.
    let listed = world.server.admin(Method::GET, "/audit?limit=200", None).await.1.to_string();
    assert!(!listed.contains("canary-of-the-receiver"));
}

#[rstest]
#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_with_the_same_event(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = world(backend).await;
    let receiver = Receiver::start().await;
    receiver.answers(503);
    let id = make(&world, &world.service, pushed_to(&receiver)).await;
    world.revoke(&world.token().await).await;
    receiver.wait(&world, 1, 0).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(receiver.got().len(), 1, "not before its pause is over");
    receiver.wait(&world, 3, 2).await;
    receiver.answers(202);
    let tried = receiver.got().len();
    receiver.wait(&world, tried + 1, 5).await;
    gone(&world, &id).await;
    let mut jtis = Vec::new();
    for (_, body) in receiver.got() {
        jtis.push(world.verified(&body, TokenKind::SecurityEvent).await["jti"].clone());
    }
    jtis.dedup();
    assert_eq!(jtis.len(), 1, "by the same id each time");
}

#[tokio::test]
async fn what_a_receiver_refuses_is_not_sent_again() {
    let world = world(Backend::Sqlite).await;
    let receiver = Receiver::start().await;
    receiver.answers(400);
    let id = make(&world, &world.service, pushed_to(&receiver)).await;
    world.revoke(&world.token().await).await;
    receiver.wait(&world, 1, 0).await;
    gone(&world, &id).await;
    assert_eq!(receiver.got().len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_stream_whose_receiver_is_away_is_paused_and_loses_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = world(backend).await;
    let receiver = Receiver::start().await;
    receiver.answers(500);
    let id = make(&world, &world.service, pushed_to(&receiver)).await;
    world.revoke(&world.token().await).await;
    let began = Instant::now();
    let status =
        async || call(&world, &world.service, Method::GET, &format!("/ssf/status?stream_id={id}"), None).await.1;
    while status().await["status"] != "paused" {
        assert!(began.elapsed() < Duration::from_secs(30), "{} tries", receiver.got().len());
        world.server.clock.advance(100);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status().await["reason"], "events could not be delivered");
    assert!(!world.audit("stream.paused").await.is_empty());
    let tried = receiver.got().len();
    receiver.answers(202);
    world.server.clock.advance(60);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(receiver.got().len(), tried, "a paused stream is sent nothing");
    let enable = json!({"stream_id": id, "status": "enabled"});
    assert_eq!(call(&world, &world.service, Method::POST, "/ssf/status", Some(enable)).await.0, StatusCode::OK);
    receiver.wait(&world, tried + 2, 1).await;
    gone(&world, &id).await;
    let mut kinds = Vec::new();
    for (_, body) in receiver.got().into_iter().skip(tried) {
        let said = world.verified(&body, TokenKind::SecurityEvent).await;
        kinds.extend(said["events"].as_object().unwrap().keys().cloned());
    }
    kinds.sort();
    assert_eq!(kinds, [SESSION_REVOKED, "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"]);
}

/// Killed between the revocation and the delivery: another process delivers.
#[rstest]
#[tokio::test]
async fn what_one_process_did_not_deliver_another_does(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = world(backend).await;
    let receiver = Receiver::start().await;
    receiver.answers(503);
    make(&world, &world.service, pushed_to(&receiver)).await;
    let token = world.token().await;
    world.revoke(&token).await;
    receiver.wait(&world, 1, 0).await;
    let (issuer, url) = (world.server.issuer.clone(), world.server.database_url.clone());
    world.server.stop().await;
    receiver.answers(202);
    let settings = [("STIPEND_ISSUER", issuer.as_str()), ALLOWED[0], ALLOWED[1]];
    let again = TestServer::start_on(&url, &settings).await;
    let began = Instant::now();
    let tried = receiver.got().len();
    while receiver.got().len() == tried {
        assert!(began.elapsed() < Duration::from_secs(20));
        again.clock.advance(10);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    again.stop().await;
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called() {
    let server = TestServer::start_with(Backend::Sqlite, &[("STIPEND_UPSTREAM_HTTP_HOSTS", "localhost")]).await;
    let world = World::on(server).await;
    allow(&world, &world.service).await;
    let receiver = Receiver::start().await;
    let inside = receiver.url.replace("127.0.0.1", "localhost");
    make(&world, &world.service, json!({"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": inside}})).await;
    world.revoke(&world.token().await).await;
    for _ in 0..15 {
        world.server.clock.advance(2);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn verification_is_pushed_like_any_other_event() {
    let world = world(Backend::Sqlite).await;
    let receiver = Receiver::start().await;
    let id = make(&world, &world.service, pushed_to(&receiver)).await;
    let asked = json!({"stream_id": id, "state": "s"});
    assert_eq!(call(&world, &world.service, Method::POST, "/ssf/verify", Some(asked)).await.0, StatusCode::NO_CONTENT);
    receiver.wait(&world, 1, 0).await;
    let said = world.verified(&receiver.got()[0].1, TokenKind::SecurityEvent).await;
    assert_eq!(said["events"][VERIFICATION]["state"], "s");
}
