//! Signing keys change while two nodes are restarted one after the other, and a relying service
//! that keeps the published keys for as long as it is told verifies every token of either.

use crate::world::{ORDERS, World};
use reqwest::{Method, StatusCode};
use std::collections::BTreeSet;
use stipend::jobs::own_origin;
use stipend::ring::{KeyOrder, order};
use stipend::testing::{TestClient, TestServer};
use stipend_relying::{Options, Verifier};
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

/// Steps of a rotation: a new key signs 600 s after it is published.
const STEP_SECONDS: i64 = 101;
const STEPS: usize = 8;
const TOKENS_AT_ONCE: usize = 6;

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A place where a node is started again and again, by one name.
struct Seat {
    database: String,
    issuer: String,
    listen: String,
    node: Option<TestServer>,
    shift: i64,
}

impl Seat {
    async fn start(&mut self) {
        let settings = [("STIPEND_ISSUER", self.issuer.as_str()), ("STIPEND_LISTEN", self.listen.as_str())];
        let node = TestServer::start_on(&self.database, &settings).await;
        node.clock.advance(self.shift);
        self.node = Some(node);
    }

    async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
    }

    fn advance(&mut self, seconds: i64) {
        self.shift += seconds;
        if let Some(node) = &self.node {
            node.clock.advance(seconds);
        }
    }
}

/// Tokens of a node, as its agent gets them.
async fn tokens(http: &reqwest::Client, base: &str, agent: &TestClient) -> Vec<String> {
    let one = || async {
        let form = [("grant_type", "client_credentials")];
        let request = http.post(format!("{base}/oauth2/token")).basic_auth(&agent.id, Some(&agent.secret)).form(&form);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body: serde_json::Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    };
    futures_util::future::join_all((0..TOKENS_AT_ONCE).map(|_| one())).await
}

fn kid(token: &str) -> String {
    use base64::Engine;
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head).unwrap();
    head["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_during_a_rolling_restart_and_no_token_fails_to_verify() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let address = format!("127.0.0.1:{}", free_port());
    let issuer = format!("http://{address}");
    let other = format!("127.0.0.1:{}", free_port());
    let seat = |listen: &str| Seat {
        database: database.url().to_owned(),
        issuer: issuer.clone(),
        listen: listen.to_owned(),
        node: None,
        shift: 0,
    };
    let mut seats = [seat(&address), seat(&other)];
    let agent = {
        let settings = [("STIPEND_ISSUER", issuer.as_str()), ("STIPEND_LISTEN", address.as_str())];
        let world = World::on(TestServer::start_on(database.url(), &settings).await).await;
        world.server.stop().await;
        world.agent
    };
    for seat in &mut seats {
        seat.start().await;
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let now = |seats: &[Seat; 2]| seats.iter().find_map(|seat| seat.node.as_ref()).unwrap().now();
    // It lives through all of it, with its cache.
    let verifier = Verifier::discover(&issuer, ORDERS, now(&seats), Options::default()).await.unwrap();
    let (status, _) =
        seats[0].node.as_ref().unwrap().admin(Method::POST, "/signing-keys/rotate", Some(&serde_json::json!({}))).await;
    assert!(status.is_success(), "{status}");
    let (mut verified, mut kids) = (0, BTreeSet::new());
    for step in 0..STEPS {
        // One of the two is away for every other step.
        if step % 2 == 1 {
            seats[step / 2 % 2].stop().await;
        }
        for place in 0..2 {
            if seats[place].node.is_none() {
                continue;
            }
            let base = format!("http://{}", seats[place].listen);
            for token in tokens(&http, &base, &agent).await {
                if let Err(error) = verifier.verify(&token, now(&seats)).await {
                    panic!("step {step}, key {}: {error:?}", kid(&token));
                }
                kids.insert(kid(&token));
                verified += 1;
            }
        }
        for seat in &mut seats {
            if seat.node.is_none() {
                seat.start().await;
            }
            seat.advance(STEP_SECONDS);
            // Its keyring looks at the time by a job; here it is told.
            let app = &seat.node.as_ref().unwrap().app;
            let _ = order(app, &KeyOrder::Schedule, &own_origin(), None).await;
        }
    }
    assert!(verified >= TOKENS_AT_ONCE * (STEPS + STEPS / 2), "{verified}");
    assert_eq!(kids.len(), 2, "the old key and the new one have signed: {kids:?}");
    for seat in &mut seats {
        seat.stop().await;
    }
}
