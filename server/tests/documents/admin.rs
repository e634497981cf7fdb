//! `/admin/v1/client-documents`: what may be admitted, by whom, and what of it shows.

use crate::world::{DOCUMENTS, ORDERS, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

impl World {
    async fn try_admit(&self, body: &Value) -> (StatusCode, Value) {
        self.server.admin(Method::POST, DOCUMENTS, Some(body)).await
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_made() {
    let world = World::new(Backend::Sqlite).await;
    let url = "https://tools.example/agent.json";
    let access = json!([{"resource": ORDERS, "scopes": ["read"]}]);
    let template = |changes: Value| json!({"template": crate::world::with(json!({"access": access}), changes)});
    let cases = [
        (json!({"url": "https://tools.example"}), "/url"),
        (json!({"url": "https://tools.example/"}), "/url"),
        (json!({"url": "https://tools.example/a/../b"}), "/url"),
        (json!({"url": "https://tools.example/x?y"}), "/url"),
        (json!({"url": "not a url"}), "/url"),
        (json!({"url": "https://tools.example/x", "covers": "prefix"}), "/url"),
        (json!({"name": ""}), "/name"),
        (json!({"max_clients": 0}), "/max_clients"),
        (json!({"max_clients": 251}), "/max_clients"),
        (template(json!({"access": []})), "/template/access"),
        (
            template(json!({"access": [{"resource": "https://unknown.example", "scopes": ["x"]}]})),
            "/template/access/0/resource",
        ),
        (template(json!({"grant_types": ["authorization_code"]})), "/template/grant_types"),
        (template(json!({"ttl_seconds": 4000})), "/template/ttl_seconds"),
        (template(json!({"settings": {"jwks_uri": "https://a.example/"}})), "/template/settings"),
    ];
    for (changes, pointer) in cases {
        let (status, body) = world.try_admit(&world.entry(url, changes.clone())).await;
        assert_eq!(
            (status, &body["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!(pointer)),
            "{changes}: {body}"
        );
    }
    for changes in
        [json!({"roles": []}), template(json!({"auth_methods": ["client_secret_basic"]})), json!({"covers": "all"})]
    {
        let (status, _) = world.try_admit(&world.entry(url, changes)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let (_, page) = world.server.admin(Method::GET, DOCUMENTS, None).await;
    assert_eq!(page["items"], json!([]));
}

#[rstest]
#[tokio::test]
async fn a_url_is_of_one_owner(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_owner("other").await;
    world.admit("https://tools.example/a/", json!({"covers": "prefix"})).await;
    let other = |url: &str, covers: &str| world.entry(url, json!({"owner": "other", "covers": covers}));
    let taken = [
        other("https://tools.example/a/", "prefix"),
        other("https://tools.example/a/b/", "prefix"),
        other("https://tools.example/", "prefix"),
        other("https://tools.example/a/x.json", "one"),
        world.entry("https://tools.example/a/", json!({"covers": "prefix"})),
    ];
    for body in taken {
        let (status, answer) = world.try_admit(&body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("already_exists")), "{body}: {answer}");
        assert!(!answer.to_string().contains("acme"), "{answer}");
    }
    // Beside it there is room, and for the owner itself within.
    for free in [other("https://tools.example/ab/", "prefix"), other("https://tools.example/a", "one")] {
        assert_eq!(world.try_admit(&free).await.0, StatusCode::CREATED);
    }
    world.admit("https://tools.example/a/x.json", json!({})).await;
}

#[rstest]
#[tokio::test]
async fn of_two_owners_that_admit_one_url_at_once_one_does(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let node = TestServer::start_on(&world.server.database_url, crate::world::LOCAL).await;
    for n in 0..4 {
        world.server.create_owner(&format!("o{n}")).await;
    }
    let bodies: Vec<Value> = (0..4)
        .map(|n| {
            let prefix = if n % 2 == 0 { "https://tools.example/" } else { "https://tools.example/a/" };
            world.entry(prefix, json!({"owner": format!("o{n}"), "covers": "prefix"}))
        })
        .collect();
    let asks = bodies.iter().enumerate().map(|(n, body)| {
        let server = if n < 2 { &world.server } else { &node };
        server.admin(Method::POST, DOCUMENTS, Some(body))
    });
    let answers = futures_util::future::join_all(asks).await;
    let made = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    assert_eq!(made, 1, "{answers:?}");
}

#[tokio::test]
async fn an_owners_admin_sees_and_admits_its_own_alone() {
    let world = World::new(Backend::Sqlite).await;
    world.server.create_owner("other").await;
    let id = world.admit("https://tools.example/a.json", json!({})).await;
    let admin = json!({
        "owner": "other", "name": "boss", "kind": "admin", "auth_method": "client_secret_basic", "purpose": "test",
        "access": [{"resource": format!("{}/admin", world.server.issuer), "scopes": ["admin:read", "admin:write"],
            "default_scopes": ["admin:read", "admin:write"]}],
        "roles": [{"role": "owner-admin", "owner": "other"}],
    });
    let made = world.server.create("/agents", admin).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let boss = stipend::testing::TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
    let token = world.server.token(&boss, &[]).await;
    let (_, page) = world.server.admin_as(&token, Method::GET, DOCUMENTS, None).await;
    assert_eq!(page["items"], json!([]));
    for (method, path) in [
        (Method::GET, format!("{DOCUMENTS}/{id}")),
        (Method::POST, format!("{DOCUMENTS}/{id}/suspend")),
        (Method::POST, format!("{DOCUMENTS}/{id}/resume")),
        (Method::POST, format!("{DOCUMENTS}/{id}/revoke")),
    ] {
        let (status, _) = world.server.admin_as(&token, method, &path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    // Not for another owner, and not with another owner's resource.
    let body = world.entry("https://b.example/a.json", json!({}));
    let (status, _) = world.server.admin_as(&token, Method::POST, DOCUMENTS, Some(&body)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let body = world.entry("https://b.example/a.json", json!({"owner": "other"}));
    let (status, answer) = world.server.admin_as(&token, Method::POST, DOCUMENTS, Some(&body)).await;
    assert_eq!(
        (status, &answer["errors"][0]["pointer"]),
        (StatusCode::BAD_REQUEST, &json!("/template/access/0/resource"))
    );
    assert_eq!(world.admin(Method::GET, &format!("{DOCUMENTS}/{id}"), None).await["state"], "active");
}
