//! Nobody gets more than it was given: an owner-admin makes no admins, changes none, and
//! gives its agents nothing that is not its own to give.

use crate::routes::{Things, operations};
use crate::world::{ORDERS, World, client_of, jwk, keyed, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn an_owner_admin_cannot_touch_an_admin_of_its_own_owner(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let boss = world.boss("acme").await;
    let chief = with(keyed("acme", "chief"), json!({"kind": "admin", "roles": [{"role": "platform-admin"}]}));
    let chief = world.post("/agents", chief).await.ok();
    let idle = with(keyed("acme", "idle"), json!({"kind": "admin"}));
    world.post("/agents", idle).await.ok();
    let mut things = Things::missing();
    things.key = chief["agent"]["keys"][0]["id"].as_str().unwrap().to_owned();
    for id in ["acme.chief", "acme.idle"] {
        for name in [&mut things.agent, &mut things.keyed, &mut things.doomed, &mut things.ended] {
            *name = id.to_owned();
        }
        let before = world.get(&format!("/agents/{id}")).await;
        let mut tried = 0;
        for operation in operations(&world).await {
            let case = things.case(&operation);
            if case.method == Method::GET || !operation.contains("/agents/{id}") {
                continue;
            }
            let reply = world.send(Some(&boss), case.method, &case.path, case.body.as_ref()).await;
            assert_eq!(reply.problem(), (403, "forbidden"), "{operation} {id}");
            tried += 1;
        }
        assert!(tried >= 11, "{tried}");
        assert_eq!(world.get(&format!("/agents/{id}")).await, before);
    }
}

#[rstest]
#[tokio::test]
async fn an_owner_admin_makes_no_admin(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let boss = world.boss("acme").await;
    world.create_keyed("acme", "agent").await;
    let own = json!([{"role": "owner-admin", "owner": "acme"}]);
    for extra in [json!({"kind": "admin"}), json!({"kind": "admin", "roles": own}), json!({"roles": own})] {
        let body = with(keyed("acme", "more"), extra);
        let reply = world.send(Some(&boss), Method::POST, "/agents", Some(&body)).await;
        assert_eq!(reply.problem(), (403, "forbidden"), "{body}");
    }
    for (path, code) in [("/agents/acme.agent", "forbidden"), ("/agents/acme.boss", "forbidden")] {
        let reply = world.send(Some(&boss), Method::PATCH, path, Some(&json!({"roles": own}))).await;
        assert_eq!(reply.problem(), (403, code), "{path}");
    }
    let made = world.platform(Method::GET, "/agents/acme.more", None).await;
    assert_eq!(made.problem(), (404, "not_found"));
}

#[rstest]
#[tokio::test]
async fn only_a_resources_owner_gives_access_to_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
    let (acme, globex) = (world.boss("acme").await, world.boss("globex").await);
    let audience = world.server.app.urls.admin_resource.clone();
    let access = |uri: &str, scope: &str| json!([{"resource": uri, "scopes": [scope], "default_scopes": []}]);
    for (token, owner, uri, scope) in [
        (&acme, "acme", audience.as_str(), "admin:read"),
        (&globex, "globex", audience.as_str(), "admin:write"),
        (&globex, "globex", ORDERS, "read"),
    ] {
        let body = with(keyed(owner, "agent"), json!({"access": access(uri, scope)}));
        let reply = world.send(Some(token), Method::POST, "/agents", Some(&body)).await;
        assert_eq!(reply.body["errors"][0]["pointer"], "/access/0/resource", "{body}");
        assert_eq!(reply.body["errors"][0]["detail"], "no such resource");
    }
    let given = with(keyed("globex", "agent"), json!({"access": access(ORDERS, "read")}));
    world.post("/agents", given.clone()).await.ok();
    let path = "/agents/globex.agent";
    let patch = async |body: Value| world.send(Some(&globex), Method::PATCH, path, Some(&body)).await;
    assert_eq!(patch(json!({"access": access(ORDERS, "read")})).await.status, 200, "what it has it may keep");
    let wider = patch(json!({"access": access(ORDERS, "write")})).await;
    assert_eq!(wider.body["errors"][0]["pointer"], "/access/0/resource");
    let more = json!([{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}]);
    let more = patch(json!({"access": more})).await;
    assert_eq!(more.body["errors"][0]["pointer"], "/access/0/resource", "not even by default");
    assert_eq!(world.get(path).await["access"], given["access"]);
    assert_eq!(patch(json!({"access": []})).await.status, 200, "it may give up");
    assert_eq!(patch(json!({"access": access(ORDERS, "read")})).await.problem(), (400, "invalid_request"), "for good");
}

#[rstest]
#[tokio::test]
async fn reissuing_gives_no_more_than_the_original_has(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
    let access = json!([{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}]);
    let body = with(keyed("acme", "agent"), json!({"access": access, "scope_ceiling": ["read"], "ttl_seconds": 60}));
    let original = world.post("/agents", body).await.ok()["agent"].clone();
    let clone = json!({"name": "clone", "jwks": {"keys": [jwk()]}});
    let clone = world.post("/agents/acme.agent/reissue", clone).await.ok()["agent"].clone();
    for name in ["access", "scope_ceiling", "ttl_seconds", "environment", "owner", "kind", "auth_method", "roles"] {
        assert_eq!(clone[name], original[name], "{name}");
    }
    assert_ne!(clone["keys"][0]["kid"], original["keys"][0]["kid"], "its key is its own");
    let bare = world.post("/agents/acme.agent/reissue", json!({"name": "bare"})).await.ok();
    assert_eq!(bare["agent"]["readiness"]["reasons"], json!(["no_key"]));
}

#[rstest]
#[tokio::test]
async fn an_admin_without_roles_can_do_nothing_but_ask_who_it_is(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let all = ["admin:read", "admin:write", "admin:audit"];
    let access = json!([{"resource": world.server.app.urls.admin_resource, "scopes": all, "default_scopes": all}]);
    let service = json!({
        "owner": "acme", "name": "service", "kind": "service", "auth_method": "client_secret_basic", "access": access,
    });
    let service = client_of(&world.post("/agents", service).await.ok());
    let token = world.server.token(&service, &[]).await;
    let mut answered = Vec::new();
    for operation in operations(&world).await {
        let case = things.case(&operation);
        let reply = world.send(Some(&token), case.method, &case.path, case.body.as_ref()).await;
        if reply.status == 200 {
            let is_anybodys = ["/policies/schema", "/policies/validate", "/whoami"].contains(&case.path.as_str());
            assert!(is_anybodys || reply.body == json!({"items": []}), "{operation}: {}", reply.text);
            answered.push(case.path);
        }
    }
    let expected = [
        "/agents",
        "/approvals",
        "/audit-sinks",
        "/budgets",
        "/client-documents",
        "/credentials",
        "/exchange-rules",
        "/grants",
        "/issuers",
        "/owners",
        "/policies",
        "/policies/schema",
        "/policies/validate",
        "/registration-tokens",
        "/resources",
        "/revocations",
        "/streams",
        "/topology",
        "/whoami",
    ];
    assert_eq!(answered, expected, "a token for the API is no right in it");
}
