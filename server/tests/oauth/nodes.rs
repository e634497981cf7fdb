//! Two nodes on one PostgreSQL: what one revokes or burns holds on the other.

use crate::world::{ORDERS, World, header};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_relying::{Options, Verifier};
use stipend_schema::Backend;

#[tokio::test]
async fn a_revocation_closes_on_every_node_within_a_second() {
    let server = TestServer::start(Backend::Postgres).await;
    let issuer = server.issuer.clone();
    let url = server.database_url.clone();
    let world = World::on(server).await;
    // A node behind the same name: it has the same issuer and another address.
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let other = format!("http://{}", second.address());
    let parent = world.subject().await;
    let child = world.delegated(&parent).await;
    let seen = |token: String| {
        let (http, url, service) = (&world.server.http, format!("{other}/oauth2/introspect"), &world.service);
        async move {
            let answer = http
                .post(url)
                .basic_auth(&service.id, Some(&service.secret))
                .form(&[("token", token)])
                .send()
                .await
                .unwrap();
            answer.json::<serde_json::Value>().await.unwrap()
        }
    };
    assert_eq!(seen(child.clone()).await["active"], true);
    world.server.form("/oauth2/revoke", &world.planner, &[("token", &parent)]).await;
    let revoked = Instant::now();
    while seen(child.clone()).await != json!({"active": false}) {
        assert!(revoked.elapsed() < Duration::from_secs(1), "a second is over and the other node still says active");
    }
    let token_endpoint = format!("{other}/oauth2/token");
    assert_eq!(exchange_at(&world, &token_endpoint, &parent).await, StatusCode::BAD_REQUEST);
    second.stop().await;
}

#[tokio::test]
async fn what_commits_on_one_node_is_exact_against_a_revocation_on_the_other() {
    let server = TestServer::start(Backend::Postgres).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let other = format!("http://{}/oauth2/token", second.address());
    for _ in 0..10 {
        let parent = world.subject().await;
        world.server.form("/oauth2/revoke", &world.planner, &[("token", &parent)]).await;
        // No wait: the other node may not have heard of it, and must not issue all the same.
        assert_eq!(exchange_at(&world, &other, &parent).await, StatusCode::BAD_REQUEST);
    }
    second.stop().await;
}

/// RFC 7517 section 5 says nothing of clusters; a relying service must never meet a token of a
/// key that the document it was given lacks.
#[tokio::test]
async fn two_nodes_sign_with_the_same_new_key_and_one_verifier_takes_both() {
    let server = TestServer::start(Backend::Postgres).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let listed = world.server.admin(Method::GET, "/signing-keys", None).await.1;
    let kid = listed["items"][0]["kid"].as_str().unwrap().to_owned();
    let reason = json!({"reason": "test"});
    world.server.admin(Method::POST, &format!("/signing-keys/{kid}/distrust"), Some(&reason)).await;
    let other = format!("http://{}/oauth2/token", second.address());
    // No wait: the other node may not have heard of it, and what it records leans on the key.
    let theirs = token_at(&world, &other).await;
    assert_ne!(header(&theirs)["kid"], kid.as_str(), "a distrusted key signs nothing more");
    let ours = world.subject().await;
    assert_eq!(header(&ours)["kid"], header(&theirs)["kid"]);
    let now = stipend::clock::Clock::now(&*world.server.clock);
    let verifier = Verifier::discover(&issuer, ORDERS, now, Options::default()).await.unwrap();
    for token in [&ours, &theirs] {
        verifier.verify(token, now).await.unwrap();
        assert!(world.active(token).await);
    }
    second.stop().await;
}

/// What a node answers to an exchange of `parent` by refunds.
async fn exchange_at(world: &World, url: &str, parent: &str) -> StatusCode {
    let form = [
        ("grant_type", stipend::grant::TOKEN_EXCHANGE),
        ("subject_token", parent),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    let request = world.server.http.post(url).basic_auth(&world.refunds.id, Some(&world.refunds.secret));
    request.form(&form).send().await.unwrap().status()
}

async fn token_at(world: &World, url: &str) -> String {
    let request = world.server.http.post(url).basic_auth(&world.planner.id, Some(&world.planner.secret));
    let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
    let body: serde_json::Value = answer.json().await.unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}
