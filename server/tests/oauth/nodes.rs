//! Two nodes on one PostgreSQL: what one revokes or burns holds on the other.

use crate::world::World;
use reqwest::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
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
    let form = [
        ("grant_type", stipend::grant::TOKEN_EXCHANGE),
        ("subject_token", parent.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    let answer = world
        .server
        .http
        .post(format!("{other}/oauth2/token"))
        .basic_auth(&world.refunds.id, Some(&world.refunds.secret))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
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
        let form = [
            ("grant_type", stipend::grant::TOKEN_EXCHANGE),
            ("subject_token", parent.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        let answer = world
            .server
            .http
            .post(&other)
            .basic_auth(&world.refunds.id, Some(&world.refunds.secret))
            .form(&form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    second.stop().await;
}
