//! Requests that are wrong in themselves: refused by name, with nothing changed.

use crate::routes::{Things, operations};
use crate::world::{Reply, World, keyed, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const JSON: Option<&str> = Some("application/json");

pub fn detail(reply: &Reply) -> &str {
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
async fn an_array_of_its_members_is_no_object() {
    let world = World::new(Backend::Sqlite).await;
    let agent = |access: Value| with(keyed("acme", "a"), json!({"access": [access]}));
    let entry = |budget: Value| json!({"resource": "https://no.example", "scopes": ["read"], "default_scopes": [], "default_budget": [budget]});
    let rule = |scope: Value| {
        json!({
            "actor": {"client": "acme.a"}, "subject": {"client": "acme.b"}, "to_audience": "https://no.example",
            "scopes": [scope], "mode": "delegation",
        })
    };
    for (path, body) in [
        ("/agents", agent(json!(["https://no.example", ["read"], [], null]))),
        ("/agents", agent(entry(json!(["USD", 6, 5, null])))),
        ("/exchange-rules", rule(json!(["read", null]))),
    ] {
        let reply = world.post(path, body.clone()).await;
        assert!(detail(&reply).contains("expected an object"), "{body}: {}", reply.text);
    }
    // As objects they are read, and refused for what they say.
    for (path, body) in [
        ("/agents", agent(entry(json!({"unit": "USD", "decimals": 6, "amount": 5})))),
        ("/exchange-rules", rule(json!({"scope": "read"}))),
    ] {
        let reply = world.post(path, body).await;
        assert!(!reply.text.contains("expected an object"), "{}", reply.text);
    }
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
