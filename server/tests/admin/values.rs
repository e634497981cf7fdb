//! Values that no member may have: refused by name, with nothing made.

use crate::requests::detail;
use crate::world::{World, keyed, with};
use reqwest::Method;
use serde_json::{Value, json};
use stipend_schema::Backend;

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
        (
            "/agents",
            with(keyed("acme", "a"), json!({"purpose": long})),
            "/purpose",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"ttl_seconds": 0})),
            "/ttl_seconds",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"ttl_seconds": 3601})),
            "/ttl_seconds",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"expires_at": 1})),
            "/expires_at",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"may_act": {}})),
            "/may_act",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"may_act": {"email": "x"}})),
            "/may_act/email",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"may_act": {"sub": 1}})),
            "/may_act/sub",
        ),
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
        (
            "/agents",
            with(keyed("acme", "a"), json!({"roles": [{"role": "auditor"}]})),
            "/roles",
        ),
        (
            "/agents",
            with(
                keyed("acme", "a"),
                json!({"kind": "admin", "roles": [{"role": "owner-admin"}]}),
            ),
            "/roles/0/owner",
        ),
        (
            "/agents",
            with(
                keyed("acme", "a"),
                json!({"kind": "admin", "roles": [{"role": "platform-admin", "owner": "acme"}]}),
            ),
            "/roles/0/owner",
        ),
        (
            "/agents",
            with(
                keyed("acme", "a"),
                json!({"auth_method": "client_secret_basic"}),
            ),
            "/jwks",
        ),
        (
            "/agents",
            with(keyed("acme", "a"), json!({"secret_expires_in_seconds": 0})),
            "/secret_expires_in_seconds",
        ),
        (
            "/agents",
            with(
                keyed("acme", "a"),
                json!({"secret_expires_in_seconds": 31_536_001}),
            ),
            "/secret_expires_in_seconds",
        ),
        (
            "/resources",
            json!({"owner": "acme", "uri": "https://x.example", "name": "x", "scopes": []}),
            "/scopes",
        ),
        (
            "/resources",
            json!({"owner": "acme", "uri": "https://x.example", "name": "", "scopes": ["a"]}),
            "/name",
        ),
        (
            "/resources",
            json!({"owner": "acme", "uri": "https://x.example", "name": "x", "scopes": ["a"], "introspectors": ["acme.no"]}),
            "/introspectors/0",
        ),
        (
            "/revocations",
            json!({"kind": "client", "reason": "x", "severity": "low"}),
            "/value",
        ),
        (
            "/revocations",
            json!({"kind": "client", "value": "acme.a", "reason": "", "severity": "low"}),
            "/reason",
        ),
        (
            "/revocations",
            json!({"kind": "client", "value": "acme.a", "token": "x", "reason": "x", "severity": "low"}),
            "/token",
        ),
    ];
    for (path, body, pointer) in cases {
        let reply = world.post(path, body.clone()).await;
        assert!(
            detail(&reply).starts_with(pointer),
            "{path} {body}: {}",
            reply.text
        );
        assert_eq!(reply.body["errors"][0]["pointer"], pointer, "{path} {body}");
    }
    assert_eq!(
        world.get("/agents").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "nothing was made"
    );
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
        (
            "access",
            json!([{"resource": "no uri", "scopes": ["a"], "default_scopes": []}]),
        ),
        (
            "access",
            json!([{"resource": "https://x.example/#f", "scopes": ["a"], "default_scopes": []}]),
        ),
        (
            "access",
            json!([{"resource": "https://x.example", "scopes": ["a"], "surprise": 1}]),
        ),
    ];
    for (name, value) in types {
        let reply = world
            .post("/agents", with(keyed("acme", "a"), json!({name: value})))
            .await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{name}: {value}");
    }
    assert_eq!(
        world
            .platform(Method::GET, "/agents/acme.a", None)
            .await
            .problem(),
        (404, "not_found")
    );
}
