//! Request rates over several nodes: the same limit with Redis and without.

use crate::process::shared_redis;
use crate::world::{World, wrong};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

fn settings(with_redis: bool) -> Vec<(&'static str, String)> {
    let redis = with_redis.then(|| ("STIPEND_REDIS_URL", shared_redis()));
    redis.into_iter().collect()
}

async fn world(backend: Backend, nodes: usize, with_redis: bool, rate: (&str, &str)) -> World {
    let mut all = settings(with_redis);
    all.push((if rate.0 == "owner" { "STIPEND_OWNER_RATE" } else { "STIPEND_CLIENT_RATE" }, rate.1.to_owned()));
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::new(backend, nodes, &all).await;
    if with_redis {
        world.until_redis("ok").await;
    }
    world
}

/// A cell comes back every five minutes, so that what is admitted is the burst.
#[rstest]
#[case(Backend::Sqlite, 2, false)]
#[case(Backend::Postgres, 2, false)]
#[case(Backend::Postgres, 3, false)]
#[case(Backend::Sqlite, 2, true)]
#[case(Backend::Postgres, 2, true)]
#[case(Backend::Postgres, 3, true)]
#[tokio::test]
async fn a_small_limit_is_exact_over_all_nodes(
    #[case] backend: Backend,
    #[case] nodes: usize,
    #[case] with_redis: bool,
) {
    let world = world(backend, nodes, with_redis, ("client", "12/3600")).await;
    assert_eq!(world.admitted(40).await, 12);
    assert_eq!(world.admitted(10).await, 0);
    // Another client has a limit of its own.
    let other = world.new_agent("other").await;
    assert_eq!(world.ask(nodes - 1, &other, "192.0.2.1").await.status, StatusCode::OK);
}

/// The published bound of a large limit: never more than the burst where nothing accrues, and no
/// node keeps more than a slab from the others.
#[rstest]
#[tokio::test]
async fn a_large_limit_is_shared_in_slabs(#[values(false, true)] with_redis: bool, #[values(2, 3)] nodes: usize) {
    let world = world(Backend::Postgres, nodes, with_redis, ("client", "160/86400")).await;
    let mut admitted = 0;
    for _ in 0..5 {
        admitted += world.admitted(60).await;
    }
    // A slab is 10: what a node took and did not use within a second is forfeit.
    assert!(admitted <= 160, "{admitted}");
    assert!(admitted > 160 - 10 * nodes, "{admitted}");
}

#[tokio::test]
async fn an_owner_has_a_limit_for_all_its_clients_together() {
    let world = world(Backend::Postgres, 2, true, ("owner", "12/3600")).await;
    let other = world.new_agent("other").await;
    let mut admitted = 0;
    for n in 0..20 {
        let client = if n % 2 == 0 { &world.agent } else { &other };
        admitted += usize::from(world.ask(n % 2, client, "192.0.2.1").await.status == StatusCode::OK);
    }
    assert_eq!(admitted, 12);
}

#[tokio::test]
async fn retry_after_is_when_there_is_room_again_and_the_refusal_is_on_record() {
    let world = world(Backend::Sqlite, 1, false, ("client", "2/20")).await;
    let server = world.first();
    for _ in 0..2 {
        assert_eq!(world.ask(0, &world.agent, "192.0.2.1").await.status, StatusCode::OK);
    }
    let held_up = world.ask(0, &world.agent, "192.0.2.1").await;
    assert_eq!(held_up.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds = held_up.retry_after.unwrap();
    assert!((8..=10).contains(&seconds), "{seconds}");
    server.clock.advance(i64::from(seconds));
    assert_eq!(world.ask(0, &world.agent, "192.0.2.1").await.status, StatusCode::OK);
    let (records, count) = world.refused("rate_limited").await;
    assert!(records >= 1 && count >= 1, "{records} records of {count}");
}

/// Every way in for a client is counted, whatever it asks for, and a request once.
#[tokio::test]
async fn every_endpoint_of_a_client_counts() {
    let world = world(Backend::Sqlite, 1, false, ("client", "1/3600")).await;
    let uses = [
        ("/oauth2/token", "grant_type", "client_credentials"),
        ("/oauth2/introspect", "token", "none"),
        ("/oauth2/revoke", "token", "none"),
        ("/oauth2/bc-authorize", "scope", "openid"),
        ("/budget/holds", "token", "none"),
        ("/budget/holds/bh_none/capture", "amount", "1"),
        ("/budget/holds/bh_none/extend", "expires_in", "1"),
        ("/budget/holds/bh_none/void", "x", "1"),
        ("/budget/charges", "token", "none"),
        ("/budget/refunds", "capture", "none"),
        ("/budget/reports", "line", "none"),
        ("/budget/lines/bl_none", "x", "1"),
    ];
    assert_eq!(world.ask(0, &world.agent, "192.0.2.1").await.status, StatusCode::OK);
    for (path, name, value) in uses {
        let answer = world.post(0, path, &world.agent, &[(name, value)], "192.0.2.1").await;
        assert_eq!(
            (answer.status, answer.error.as_str()),
            (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            "{path}"
        );
        assert!(answer.retry_after.is_some_and(|seconds| seconds > 60), "{path}: {:?}", answer.retry_after);
    }
}

#[tokio::test]
async fn the_key_release_service_counts_by_the_client_of_the_token() {
    let world = world(Backend::Sqlite, 1, false, ("client", "off")).await;
    let server = world.first();
    let resource = server.app.urls.credential_resource.clone();
    let scopes: &[&str] = &["credential:release", "credential:use"];
    let agent = server.create_client("acme", "caller", "agent", &[(&resource, scopes)]).await;
    let token = server.token(&agent, &[]).await;
    let path = format!("/agents/{}", agent.id);
    let rate = json!({"settings": {"rate": {"count": 1, "per_s": 3600}}});
    assert_eq!(server.admin(Method::PATCH, &path, Some(&rate)).await.0, StatusCode::OK);
    let call = async |method: Method, path: &str, body: serde_json::Value| {
        let request = server.http.request(method, server.url(path)).bearer_auth(&token);
        let answer = request.json(&body).send().await.unwrap();
        (answer.status(), answer.headers().contains_key("retry-after"))
    };
    let plaintext = json!({"mode": "plaintext"});
    let release = "/credentials/cr_none/release";
    assert_eq!(call(Method::POST, release, plaintext.clone()).await.0, StatusCode::NOT_FOUND);
    for (method, path, body) in [
        (Method::POST, release, plaintext),
        (Method::POST, "/credentials/unwrap", json!({"reference": "none"})),
        (Method::POST, "/proxy/cr_none/v1/models", json!({})),
    ] {
        assert_eq!(call(method, path, body).await, (StatusCode::TOO_MANY_REQUESTS, true), "{path}");
    }
}

/// Who calls a service with junk makes it ask, and must not be able to cut it off.
#[tokio::test]
async fn a_service_is_held_only_to_a_rate_of_its_own() {
    let world = world(Backend::Sqlite, 1, false, ("client", "1/3600")).await;
    let server = world.first();
    let service = server.create_client("acme", "orders", "service", &[]).await;
    for _ in 0..5 {
        assert_eq!(world.ask(0, &service, "192.0.2.1").await.status, StatusCode::OK);
    }
    let rate = json!({"settings": {"rate": {"count": 1, "per_s": 3600}}});
    let path = format!("/agents/{}", service.id);
    assert_eq!(server.admin(Method::PATCH, &path, Some(&rate)).await.0, StatusCode::OK);
    let statuses = [world.ask(0, &service, "192.0.2.1").await.status, world.ask(0, &service, "192.0.2.1").await.status];
    assert_eq!(statuses, [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
}

/// Nobody uses up what is another's: only who proved to be the client counts.
#[tokio::test]
async fn a_stranger_cannot_use_up_a_clients_limit() {
    let world = world(Backend::Postgres, 2, true, ("client", "3/3600")).await;
    for n in 0..10 {
        let answer = world.ask(n % 2, &wrong(&world.agent, n), "198.51.100.7").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.admitted(6).await, 3);
}

#[tokio::test]
async fn a_clients_own_rate_wins_and_only_the_deployment_may_set_one_above_its_own() {
    let world = world(Backend::Sqlite, 1, false, ("client", "5/3600")).await;
    let server = world.first();
    // Within the deployment's an owner's admin may say it, and no more.
    let roles = json!([{"role": "owner-admin", "owner": "acme"}]);
    let admin = server
        .create(
            "/agents",
            json!({"owner": "acme", "name": "boss", "kind": "admin", "purpose": "t",
            "auth_method": "client_secret_basic", "roles": roles,
            "access": [{"resource": server.app.urls.admin_resource, "scopes": ["admin:write", "admin:read"],
                "default_scopes": ["admin:write", "admin:read"]}]}),
        )
        .await;
    let boss = stipend::testing::TestClient {
        id: admin["agent"]["id"].as_str().unwrap().to_owned(),
        secret: admin["client_secret"].as_str().unwrap().to_owned(),
    };
    let token = server.token(&boss, &[]).await;
    let path = format!("/agents/{}", world.agent.id);
    let patch = async |rate| {
        let body = json!({"settings": {"rate": rate}});
        server.admin_as(&token, Method::PATCH, &path, Some(&body)).await
    };
    let (status, body) = patch(json!({"count": 6, "per_s": 3600})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert_eq!(patch(json!({"count": 5, "per_s": 3600, "burst": 6})).await.0, StatusCode::FORBIDDEN);
    assert_eq!(patch(json!({"count": 2, "per_s": 3600})).await.0, StatusCode::OK);
    assert_eq!(world.admitted(8).await, 2);
    // Who runs the deployment may raise it, and then it is what was said.
    assert_eq!(world.patch_rate(json!({"count": 10, "per_s": 3600})).await.0, StatusCode::OK);
    assert_eq!(world.admitted(20).await, 10, "at once");
    for bad in [json!({"count": 0, "per_s": 1}), json!({"count": 1, "per_s": 3600, "burst": 25}), json!({"count": 1})] {
        let (status, body) = world.patch_rate(bad.clone()).await;
        assert!(status.is_client_error(), "{bad}: {status} {body}");
    }
}
