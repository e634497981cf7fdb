//! Values that no member may have: refused by name, with nothing made.

use crate::requests::detail;
use crate::world::{World, keyed, with};
use reqwest::Method;
use serde_json::{Value, json};
use stipend_schema::Backend;

/// Bodies for `path`, each with the pointer to what is wrong.
async fn refused(path: &str, cases: impl IntoIterator<Item = (&str, Value)>) {
    let world = World::new(Backend::Sqlite).await;
    for (pointer, body) in cases {
        let reply = world.post(path, body.clone()).await;
        assert!(
            detail(&reply).starts_with(pointer),
            "{path} {body}: {}",
            reply.text
        );
        assert_eq!(reply.body["errors"][0]["pointer"], pointer, "{path} {body}");
    }
    let made = world.get(&format!("{path}?limit=200")).await;
    assert!(
        !made.to_string().contains("\"a\"") && !made.to_string().contains("x.example"),
        "{made}"
    );
}

#[tokio::test]
async fn wrong_values_of_an_owner() {
    let owner = |id: &str, name: &str| json!({"id": id, "name": name});
    let cases = [
        ("/id", owner("Bad", "x")),
        ("/id", owner("-bad", "x")),
        ("/id", owner("a.b", "x")),
        ("/id", owner("", "x")),
        ("/id", owner(&"x".repeat(40), "x")),
        ("/name", owner("a", "")),
        ("/name", owner("a", "a\nb")),
        ("/name", owner("a", &"x".repeat(201))),
    ];
    refused("/owners", cases).await;
}

#[tokio::test]
async fn wrong_values_of_an_agent() {
    let agent = |changes: Value| with(keyed("acme", "a"), changes);
    let access = |scopes: Value, default: Value| {
        agent(
            json!({"access": [{"resource": "https://no.example", "scopes": scopes, "default_scopes": default}]}),
        )
    };
    let cases = [
        ("/name", agent(json!({"name": "a.b"}))),
        ("/purpose", agent(json!({"purpose": "x".repeat(1001)}))),
        ("/ttl_seconds", agent(json!({"ttl_seconds": 0}))),
        ("/ttl_seconds", agent(json!({"ttl_seconds": 3601}))),
        ("/expires_at", agent(json!({"expires_at": 1}))),
        ("/expires_at", agent(json!({"expires_at": i64::MAX}))),
        ("/may_act", agent(json!({"may_act": {}}))),
        (
            "/may_act",
            agent(json!({"may_act": {"sub": "x".repeat(600)}})),
        ),
        ("/may_act/email", agent(json!({"may_act": {"email": "x"}}))),
        ("/may_act/sub", agent(json!({"may_act": {"sub": 1}}))),
        ("/access/0/resource", access(json!(["r"]), json!([]))),
        ("/access/0/scopes", access(json!([]), json!([]))),
        (
            "/access/0/default_scopes",
            access(json!(["r"]), json!(["w"])),
        ),
        ("/roles", agent(json!({"roles": [{"role": "auditor"}]}))),
        (
            "/roles/0/owner",
            agent(json!({"kind": "admin", "roles": [{"role": "owner-admin"}]})),
        ),
        (
            "/roles/0/owner",
            agent(json!({"kind": "admin", "roles": [{"role": "platform-admin", "owner": "acme"}]})),
        ),
        (
            "/roles/0/owner",
            agent(json!({"kind": "admin", "roles": [{"role": "auditor", "owner": "A"}]})),
        ),
        (
            "/jwks",
            agent(json!({"auth_method": "client_secret_basic"})),
        ),
        (
            "/secret_expires_in_seconds",
            agent(json!({"secret_expires_in_seconds": 0})),
        ),
        (
            "/secret_expires_in_seconds",
            agent(json!({"secret_expires_in_seconds": 31_536_001})),
        ),
    ];
    refused("/agents", cases).await;
}

#[tokio::test]
async fn wrong_values_of_a_resource() {
    let resource = |changes: Value| {
        with(
            json!({"owner": "acme", "uri": "https://x.example", "name": "x", "scopes": ["r"]}),
            changes,
        )
    };
    let cases = [
        ("/scopes", resource(json!({"scopes": []}))),
        ("/name", resource(json!({"name": ""}))),
        ("/ttl_seconds", resource(json!({"ttl_seconds": 3601}))),
        (
            "/introspectors/0",
            resource(json!({"introspectors": ["acme.no"]})),
        ),
        (
            "/introspectors/0",
            resource(json!({"introspectors": ["a b"]})),
        ),
        (
            "/introspectors",
            resource(json!({"introspectors": vec!["acme.no"; 33]})),
        ),
    ];
    refused("/resources", cases).await;
}

#[tokio::test]
async fn wrong_values_of_a_revocation() {
    let entry = |changes: Value| {
        with(
            json!({"kind": "client", "reason": "x", "severity": "low"}),
            changes,
        )
    };
    let cases = [
        ("/value", entry(json!({}))),
        ("/value", entry(json!({"value": "a b"}))),
        (
            "/value",
            entry(json!({"kind": "resource", "value": "acme.a"})),
        ),
        ("/reason", entry(json!({"value": "acme.a", "reason": ""}))),
        ("/token", entry(json!({"value": "acme.a", "token": "x"}))),
        ("/token", entry(json!({"kind": "token", "token": "x"}))),
    ];
    refused("/revocations", cases).await;
}

#[tokio::test]
async fn wrong_types_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let access =
        |resource: &str| json!([{"resource": resource, "scopes": ["a"], "default_scopes": []}]);
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
        ("access", access("no uri")),
        ("access", access("https://x.example/#f")),
        (
            "access",
            json!([{"resource": "https://x.example", "scopes": ["a"], "surprise": 1}]),
        ),
        ("scope_ceiling", json!("read write")),
        ("scope_ceiling", json!(["a b"])),
        ("may_act", json!([])),
        ("roles", json!([{"role": "god"}])),
        ("roles", json!([{"role": "auditor", "over": "acme"}])),
        ("jwks", json!([])),
        ("jwks", json!({})),
        ("legacy_assertion_aud", json!("yes")),
        ("expires_at", json!("soon")),
    ];
    for (name, value) in types {
        let reply = world
            .post("/agents", with(keyed("acme", "a"), json!({name: value})))
            .await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{name}: {value}");
    }
    let made = world.platform(Method::GET, "/agents/acme.a", None).await;
    assert_eq!(made.problem(), (404, "not_found"));
}
