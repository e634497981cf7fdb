//! The CAEP interoperability profile: events are signed RS256, whatever tokens are signed with.

use crate::push::{ALLOWED, Receiver};
use crate::streams::{allow, call, make, now};
use crate::world::World;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_keys::{Algorithm, TokenKind, Unverified};
use stipend_schema::Backend;

const RS256: (&str, &str) = ("STIPEND_EVENT_SIGNING_ALG", "RS256");

fn alg(jwt: &str) -> Algorithm {
    Unverified::parse(jwt).unwrap().alg()
}

async fn keys(world: &World) -> Vec<Value> {
    let (status, keys) = world.server.admin(Method::GET, "/signing-keys", None).await;
    assert_eq!(status, StatusCode::OK, "{keys}");
    keys["items"].as_array().unwrap().clone()
}

async fn polled(world: &World, stream: &str) -> String {
    let (_, answer) = call(
        world,
        &world.service,
        Method::POST,
        &format!("/ssf/poll/{stream}"),
        Some(json!({"returnImmediately": true})),
    )
    .await;
    answer["sets"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn events_have_a_key_of_their_own_beside_that_of_tokens(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::on(TestServer::start_with(backend, &[RS256]).await).await;
    allow(&world, &world.service).await;
    let stream = make(&world, &world.service, json!({})).await;
    let token = world.token().await;
    assert_eq!(alg(&token), Algorithm::Es256, "tokens are signed as ever");
    world.revoke(&token).await;
    let set = polled(&world, &stream).await;
    assert_eq!(alg(&set), Algorithm::Rs256);
    // The published key verifies it, and is long enough.
    world.verified(&set, TokenKind::SecurityEvent).await;
    let jwks: Value =
        world.server.http.get(world.server.url("/oauth2/jwks")).send().await.unwrap().json().await.unwrap();
    let rsa = jwks["keys"].as_array().unwrap().iter().find(|key| key["kty"] == "RSA").unwrap();
    assert!(rsa["n"].as_str().unwrap().len() >= 342, "2048 bits at least: {rsa}");
    // Only events are: what tokens and answers are signed with says so.
    let url = world.server.url("/.well-known/oauth-authorization-server");
    let metadata: Value = world.server.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["introspection_signing_alg_values_supported"], json!(["ES256"]));
}

/// Each of the two has its successor, and neither takes the other's place.
#[rstest]
#[tokio::test]
async fn both_rotate_and_each_is_distrusted_by_itself(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::on(TestServer::start_with(backend, &[RS256]).await).await;
    allow(&world, &world.service).await;
    let stream = make(&world, &world.service, json!({})).await;
    let of = |keys: &[Value], alg: &str| -> Vec<String> {
        let those = keys.iter().filter(|key| key["alg"] == alg && key["status"] != "distrusted");
        those.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let first = keys(&world).await;
    assert_eq!((of(&first, "RS256").len(), of(&first, "ES256").len()), (1, 1), "{first:?}");
    let path = format!("/signing-keys/{}/distrust", of(&first, "RS256")[0]);
    let (status, body) = world.server.admin(Method::POST, &path, Some(&json!({"reason": "test"}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let second = keys(&world).await;
    assert_eq!(of(&second, "ES256"), of(&first, "ES256"), "tokens go on");
    let told = now(&world, &world.service, &stream).await;
    assert_eq!(told.len(), 1, "signed by the successor at once: {told:?}");
    let set = polled(&world, &stream).await;
    assert_eq!(
        (alg(&set), Unverified::parse(&set).unwrap().kid().unwrap()),
        (Algorithm::Rs256, of(&second, "RS256")[0].as_str())
    );
    world.server.admin(Method::POST, "/signing-keys/rotate", Some(&json!({}))).await;
    let third = keys(&world).await;
    assert_eq!((of(&third, "RS256").len(), of(&third, "ES256").len()), (2, 2), "{third:?}");
    assert_eq!(alg(&world.token().await), Algorithm::Es256);
}

/// A deployment that turns it on later, by a push and with keys that were there before.
#[tokio::test]
async fn it_can_be_turned_on_and_off_later() {
    let server = TestServer::start_with(Backend::Sqlite, &ALLOWED).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    allow(&world, &world.service).await;
    let receiver = Receiver::start().await;
    make(&world, &world.service, json!({"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": receiver.url}}))
        .await;
    let token = world.token().await;
    world.server.stop().await;
    let settings = [ALLOWED[0], ALLOWED[1], RS256, ("STIPEND_ISSUER", &issuer)];
    let again = TestServer::start_on(&url, &settings).await;
    let revoke = again.http.post(format!("http://{}/oauth2/revoke", again.address()));
    let answer = revoke.basic_auth(&world.planner.id, Some(&world.planner.secret)).form(&[("token", &token)]);
    assert_eq!(answer.send().await.unwrap().status(), StatusCode::OK);
    let began = Instant::now();
    while receiver.got.lock().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(alg(&receiver.got.lock()[0].1), Algorithm::Rs256);
    again.stop().await;
    let off = TestServer::start_on(&url, &[ALLOWED[0], ALLOWED[1], ("STIPEND_ISSUER", &issuer)]).await;
    assert!(off.app.ring.keyring().signing_key(off.now()).is_some());
    off.stop().await;
}
