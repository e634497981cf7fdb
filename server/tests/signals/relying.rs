//! The relying library on the other end of a stream: what the server tells, it refuses.

use crate::streams::{act, allow, call, make};
use crate::world::{ORDERS, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend_relying::{Options, Received, StatusCheck, Verifier, VerifyError};
use stipend_schema::Backend;

struct Service {
    world: World,
    verifier: Verifier,
    stream: String,
}

impl Service {
    async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        allow(&world, &world.service).await;
        let stream = make(&world, &world.service, json!({})).await;
        let options = Options { status: StatusCheck::Off, ..Options::default() };
        let now = world.server.clock.now();
        let verifier = Verifier::discover(&world.server.issuer, ORDERS, now, options).await.unwrap();
        Self { world, verifier, stream }
    }

    async fn verify(&self, token: &str) -> Result<(), VerifyError> {
        self.verifier.verify(token, self.world.server.clock.now()).await.map(|_| ())
    }

    /// Polls, and hands on what came: how many events there were, and how many revoked something.
    async fn hear(&self) -> (usize, usize) {
        let path = format!("/ssf/poll/{}", self.stream);
        let asked = json!({"returnImmediately": true});
        let (status, body) = call(&self.world, &self.world.service, Method::POST, &path, Some(asked)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let sets: Vec<(&String, &Value)> = body["sets"].as_object().unwrap().iter().collect();
        let mut revoked = 0;
        for (_, set) in &sets {
            let now = self.world.server.clock.now();
            let heard = self.verifier.receive(set.as_str().unwrap(), &self.world.service.id, now).await.unwrap();
            revoked += usize::from(heard == Received::Revoked);
        }
        let ack: Vec<&String> = sets.iter().map(|(jti, _)| *jti).collect();
        call(&self.world, &self.world.service, Method::POST, &path, Some(json!({"ack": ack, "maxEvents": 0}))).await;
        (sets.len(), revoked)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_tells_is_refused_with_what_came_of_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let service = Service::new(backend).await;
    let world = &service.world;
    let (one, other) = (world.token().await, world.token().await);
    let child = world.child(&one).await;
    world.revoke(&one).await;
    for token in [&one, &child] {
        service.verify(token).await.expect("by the keys alone it is good until it ends");
    }
    assert_eq!(service.hear().await, (1, 1));
    for token in [&one, &child] {
        assert_eq!(service.verify(token).await, Err(VerifyError::Revoked));
    }
    service.verify(&other).await.unwrap();
    // Its agent: every token so far, and what others made of them.
    let grandchild = world.child(&other).await;
    let path = format!("/agents/{}/suspend", world.planner.id);
    act(world, Method::POST, &path, json!({"reason": "drill"})).await;
    assert_eq!(service.hear().await, (1, 1));
    for token in [&other, &grandchild] {
        assert_eq!(service.verify(token).await, Err(VerifyError::Revoked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_revokes_nothing_changes_nothing() {
    let service = Service::new(Backend::Sqlite).await;
    let world = &service.world;
    let token = world.token().await;
    let body = json!({"stream_id": service.stream, "state": "x"});
    call(world, &world.service, Method::POST, "/ssf/verify", Some(body)).await;
    world.server.create(&format!("/agents/{}/secrets", world.planner.id), json!({})).await;
    let (events, revoked) = service.hear().await;
    assert!(events >= 1 && revoked == 0, "{events}, {revoked}");
    service.verify(&token).await.unwrap();
    // The whole resource.
    let body = json!({"kind": "resource", "value": ORDERS, "reason": "drill", "severity": "high"});
    act(world, Method::POST, "/revocations", body).await;
    assert_eq!(service.hear().await, (1, 1));
    assert_eq!(service.verify(&token).await, Err(VerifyError::Revoked));
}
