//! Requests that are wrong in themselves: refused by name, with nothing changed.

use crate::routes::{Things, operations};
use crate::world::{Reply, World, keyed, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const JSON: Option<&str> = Some("application/json");

fn detail(reply: &Reply) -> &str {
    assert_eq!(reply.problem(), (400, "invalid_request"), "{}", reply.text);
    reply.body["detail"].as_str().unwrap()
}

#[rstest]
#[tokio::test]
async fn every_body_refuses_a_member_it_does_not_know(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let mut tried = 0;
    for operation in operations(&world).await {
        let case = things.case(&operation);
        let bodyless = ["/enable", "/disable"].iter().any(|end| case.path.ends_with(end))
            && case.path.contains("/exchange-rules/");
        let Some(body) = case.body.filter(|_| !bodyless && !case.path.ends_with("/rotate")) else {
            continue;
        };
        let odd = with(body, json!({"surprise": 1}));
        let reply = world.platform(case.method, &case.path, Some(&odd)).await;
        assert!(detail(&reply).contains("`surprise`"), "{operation}: {}", reply.text);
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}

#[tokio::test]
async fn queries_refuse_what_they_do_not_know() {
    let world = World::new(Backend::Sqlite).await;
    let long = "x".repeat(600);
    for list in ["owners", "agents", "resources", "exchange-rules", "revocations", "audit"] {
        for query in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=1&limit=2",
            "surprise=1",
            "after=%00",
            "offset=3",
        ] {
            let reply = world.platform(Method::GET, &format!("/{list}?{query}"), None).await;
            assert_eq!(reply.problem(), (400, "invalid_request"), "{list}?{query}");
        }
        let reply = world.platform(Method::GET, &format!("/{list}?after={long}"), None).await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{list}");
    }
    for path in [
        "/audit?after=x",
        "/audit?since=x",
        "/audit/export",
        "/audit/export?writer=",
        "/audit/export?writer=a&after=x",
        "/audit?event=",
    ] {
        let reply = world.platform(Method::GET, path, None).await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{path}");
    }
}

#[tokio::test]
async fn wrong_values_are_refused_and_named() {
    let world = World::new(Backend::Sqlite).await;
    let long = "x".repeat(2000);
    let cases = [
        ("/owners", json!({"id": "Bad", "name": "x"}), "/id"),
        ("/owners", json!({"id": "-bad", "name": "x"}), "/id"),
        ("/owners", json!({"id": "x".repeat(40), "name": "x"}), "/id"),
        ("/owners", json!({"id": "good", "name": ""}), "/name"),
        ("/owners", json!({"id": "good", "name": "a\nb"}), "/name"),
        ("/owners", json!({"id": "good", "name": long}), "/name"),
        ("/agents", with(keyed("acme", "a.b"), json!({})), "/name"),
        ("/agents", with(keyed("acme", "a"), json!({"purpose": long})), "/purpose"),
        ("/agents", with(keyed("acme", "a"), json!({"ttl_seconds": 0})), "/ttl_seconds"),
        ("/agents", with(keyed("acme", "a"), json!({"ttl_seconds": 3601})), "/ttl_seconds"),
        ("/agents", with(keyed("acme", "a"), json!({"expires_at": 1})), "/expires_at"),
        ("/agents", with(keyed("acme", "a"), json!({"may_act": {}})), "/may_act"),
        ("/agents", with(keyed("acme", "a"), json!({"may_act": {"email": "x"}})), "/may_act/email"),
        ("/agents", with(keyed("acme", "a"), json!({"may_act": {"sub": 1}})), "/may_act/sub"),
        (
            "/agents",
            with(
                keyed("acme", "a"),
                json!({"access": [{"resource": "https://no.example", "scopes": ["r"], "default_scopes": []}]}),
            ),
            "/access/0/resource",
        ),
        (
            "/agents",
            with(
                keyed("acme", "a"),
                json!({"access": [{"resource": "https://no.example", "scopes": [], "default_scopes": []}]}),
            ),
            "/access/0/scopes",
        ),
        ("/agents", with(keyed("acme", "a"), json!({"roles": [{"role": "auditor"}]})), "/roles"),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"kind": "admin", "roles": [{"role": "owner-admin"}]})),
            "/roles/0/owner",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"kind": "admin", "roles": [{"role": "platform-admin", "owner": "acme"}]})),
            "/roles/0/owner",
        ),
        ("/agents", with(keyed("acme", "a"), json!({"auth_method": "client_secret_basic"})), "/jwks"),
        ("/agents", with(keyed("acme", "a"), json!({"secret_expires_in_seconds": 0})), "/secret_expires_in_seconds"),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"secret_expires_in_seconds": 31_536_001})),
            "/secret_expires_in_seconds",
        ),
        ("/resources", json!({"owner": "acme", "uri": "https://x.example", "name": "x", "scopes": []}), "/scopes"),
        ("/resources", json!({"owner": "acme", "uri": "https://x.example", "name": "", "scopes": ["a"]}), "/name"),
        (
            "/resources",
            json!({"owner": "acme", "uri": "https://x.example", "name": "x", "scopes": ["a"], "introspectors": ["acme.no"]}),
            "/introspectors/0",
        ),
        ("/revocations", json!({"kind": "client", "reason": "x", "severity": "low"}), "/value"),
        ("/revocations", json!({"kind": "client", "value": "acme.a", "reason": "", "severity": "low"}), "/reason"),
        (
            "/revocations",
            json!({"kind": "client", "value": "acme.a", "token": "x", "reason": "x", "severity": "low"}),
            "/token",
        ),
    ];
    for (path, body, pointer) in cases {
        let reply = world.post(path, body.clone()).await;
        assert!(detail(&reply).starts_with(pointer), "{path} {body}: {}", reply.text);
        assert_eq!(reply.body["errors"][0]["pointer"], pointer, "{path} {body}");
    }
    assert_eq!(world.get("/agents").await["items"].as_array().unwrap().len(), 1, "nothing was made");
}

#[tokio::test]
async fn wrong_types_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let types = [
        ("name", json!(1)),
        ("owner", Value::Null),
        ("kind", json!("robot")),
        ("environment", json!("test")),
        ("auth_method", json!("none")),
        ("ttl_seconds", json!("300")),
        ("ttl_seconds", json!(1.5)),
        ("ttl_seconds", json!(9e99)),
        ("access", json!({})),
        ("access", json!([1])),
        ("scope_ceiling", json!("read write")),
        ("scope_ceiling", json!(["a b"])),
        ("may_act", json!([])),
        ("roles", json!([{"role": "god"}])),
        ("roles", json!([{"role": "auditor", "over": "acme"}])),
        ("jwks", json!([])),
        ("jwks", json!({})),
        ("legacy_assertion_aud", json!("yes")),
        ("expires_at", json!("soon")),
        ("access", json!([{"resource": "no uri", "scopes": ["a"], "default_scopes": []}])),
        ("access", json!([{"resource": "https://x.example/#f", "scopes": ["a"], "default_scopes": []}])),
        ("access", json!([{"resource": "https://x.example", "scopes": ["a"], "surprise": 1}])),
    ];
    for (name, value) in types {
        let reply = world.post("/agents", with(keyed("acme", "a"), json!({name: value}))).await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{name}: {value}");
    }
    assert_eq!(world.platform(Method::GET, "/agents/acme.a", None).await.problem(), (404, "not_found"));
}

#[rstest]
#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    for body in [
        "",
        " ",
        "[]",
        "null",
        "\"x\"",
        "{",
        "{}{}",
        "{\"id\":\"a\",\"id\":\"b\",\"name\":\"x\"}",
        "{'id':'a'}",
        &deep,
        "\u{feff}{}",
    ] {
        let reply = world.raw(Method::POST, "/owners", JSON, body).await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{body}");
    }
    let reply = world.raw(Method::POST, "/owners", JSON, b"{\"id\":\"\xff\",\"name\":\"x\"}".to_vec()).await;
    assert_eq!(reply.problem(), (400, "invalid_request"), "not UTF-8");
    let large = format!("{{\"id\":\"a\",\"name\":\"{}\"}}", "x".repeat(64 * 1024));
    assert_eq!(world.raw(Method::POST, "/owners", JSON, large).await.problem(), (413, "too_large"));
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx"), Some("")]
    {
        let reply = world.raw(Method::POST, "/owners", kind, r#"{"id":"a","name":"x"}"#).await;
        assert_eq!(reply.problem(), (415, "unsupported_media_type"), "{kind:?}");
    }
    let reply =
        world.raw(Method::POST, "/owners", Some("Application/JSON; charset=utf-8"), r#"{"id":"a","name":"x"}"#).await;
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn a_body_may_be_left_out_where_all_of_it_is_optional() {
    let world = World::new(Backend::Sqlite).await;
    world.create_keyed("acme", "signer").await;
    for verb in ["suspend", "resume"] {
        let reply = world.raw(Method::POST, &format!("/agents/acme.signer/{verb}"), None, "").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let reply = world.raw(Method::POST, "/agents/acme.signer/revoke", JSON, "").await;
    assert_eq!(reply.problem(), (400, "invalid_request"), "a revocation needs its reason");
}

#[tokio::test]
async fn what_has_no_route_is_a_problem_too() {
    let world = World::new(Backend::Sqlite).await;
    for path in ["", "/", "/nothing", "/owners/acme/nothing", "/agents/acme.a/secrets/x/y", "/owners/", "//owners"] {
        let reply = world.platform(Method::GET, path, None).await;
        assert_eq!(reply.problem(), (404, "not_found"), "{path}");
    }
    for id in ["%00", "a%2Fb", "%F0%9F%92%A9", "..%2f..", &"x".repeat(200), "%"] {
        let reply = world.platform(Method::GET, &format!("/agents/{id}"), None).await;
        assert_eq!(reply.problem(), (404, "not_found"), "{id}");
    }
    let answer = world.server.http.post(world.server.url("/openapi.json")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET"));
}
