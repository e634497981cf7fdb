//! Token exchange (RFC 8693): delegation, narrowing, and the ten faults that recur in
//! public servers, each with a test that fails when its guard goes.

use crate::world::{LEDGER, ORDERS, World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

#[rstest]
#[tokio::test]
async fn delegation_names_the_actor_and_narrows(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let subject = world.subject().await;
    let actor = world.server.token(&world.refunds, &[]).await;
    let form =
        [("scope", "refund"), ("actor_token", actor.as_str()), ("actor_token_type", ACCESS), ("resource", ORDERS)];
    let (status, body) = world.server.exchange(&world.refunds, &subject, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (&body["issued_token_type"], &body["token_type"], &body["scope"]),
        (&json!(ACCESS), &json!("Bearer"), &json!("refund"))
    );
    assert!(body.get("refresh_token").is_none());
    let (parent, child) = (claims(&subject), claims(body["access_token"].as_str().unwrap()));
    assert_eq!(child["sub"], "agent:acme.planner");
    assert_eq!(child["client_id"], "acme.refunds");
    assert_eq!(child["act"], json!({"sub": "agent:acme.refunds"}));
    assert_eq!(child["lineage"], json!([parent["jti"]]));
    assert_eq!(child["lineage_clients"], json!(["acme.planner"]));
    assert!(child["exp"].as_i64() <= parent["exp"].as_i64());
    assert!(world.active(&subject).await, "an exchange does not use up its inputs");
}

#[tokio::test]
async fn scope_never_widens() {
    let world = World::new(Backend::Sqlite).await;
    let narrow = world.server.token(&world.planner, &[("scope", "read")]).await;
    for (subject, scope) in
        [(world.subject().await, "write"), (world.subject().await, "refund write"), (narrow.clone(), "refund")]
    {
        let (status, body) = world.server.exchange(&world.refunds, &subject, &[("scope", scope)]).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_scope"), "{scope}");
    }
    let (_, body) = world.server.exchange(&world.refunds, &narrow, &[]).await;
    assert_eq!(body["scope"], "read", "left out, it is what remains");
}

#[tokio::test]
async fn life_never_grows_however_often_it_is_exchanged() {
    let world = World::new(Backend::Sqlite).await;
    let mut token = world.subject().await;
    let end = claims(&token)["exp"].as_i64().unwrap();
    for _ in 0..3 {
        world.server.clock.advance(60);
        let (status, body) = world.server.exchange(&world.planner, &token, &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        token = body["access_token"].as_str().unwrap().to_owned();
        assert!(claims(&token)["exp"].as_i64().unwrap() <= end);
    }
    world.server.clock.advance(200);
    let (status, body) = world.server.exchange(&world.planner, &token, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
}

#[tokio::test]
async fn leaving_the_actor_out_does_not_launder_the_chain() {
    let world = World::new(Backend::Sqlite).await;
    let delegated = world.delegated(&world.subject().await).await;
    let (_, body) = world.server.exchange(&world.refunds, &delegated, &[]).await;
    let again = claims(body["access_token"].as_str().unwrap());
    assert_eq!(again["act"], json!({"sub": "agent:acme.refunds"}), "kept, and not doubled");
    world.server.create_rule("acme.stranger", "acme.refunds", ORDERS, &["refund"]).await;
    let (_, body) = world.server.exchange(&world.stranger, &delegated, &[]).await;
    let third = claims(body["access_token"].as_str().unwrap());
    assert_eq!(third["act"], json!({"sub": "agent:acme.stranger", "act": {"sub": "agent:acme.refunds"}}));
    assert_eq!(third["lineage"].as_array().unwrap().len(), 2);
    let seen = world.server.introspect(&world.service, body["access_token"].as_str().unwrap()).await;
    assert_eq!(seen["act"], third["act"], "introspection shows the chain");
}

#[tokio::test]
async fn a_stolen_subject_token_is_of_no_use() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    for client in [&world.stranger, &world.service] {
        let (status, body) = world.server.exchange(client, &subject, &[]).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{}", client.id);
    }
}

#[tokio::test]
async fn the_actor_token_is_the_clients_own() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    let others = world.server.token(&world.stranger, &[]).await;
    let delegated = world.delegated(&subject).await;
    for actor in [others.as_str(), delegated.as_str(), subject.as_str()] {
        let form = [("actor_token", actor), ("actor_token_type", ACCESS)];
        let (status, body) = world.server.exchange(&world.refunds, &subject, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
    }
}

#[tokio::test]
async fn the_audience_moves_only_along_a_rule() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    for (client, form) in [
        (&world.refunds, vec![("resource", LEDGER)]),
        (&world.refunds, vec![("resource", ORDERS), ("audience", LEDGER)]),
        (&world.refunds, vec![("audience", "https://unknown.example")]),
        (&world.planner, vec![("resource", LEDGER)]),
    ] {
        let (status, body) = world.server.exchange(client, &subject, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_target"), "{form:?}");
    }
    let rule = json!({
        "actor": {"client": "acme.refunds"}, "subject": {"client": "acme.planner"}, "from_audience": ORDERS, "to_audience": LEDGER,
        "scopes": [{"scope": "post", "stands_for": "refund"}], "mode": "delegation", "max_ttl_seconds": 30,
    });
    world.server.create("/exchange-rules", rule).await;
    let (status, body) = world.server.exchange(&world.refunds, &subject, &[("resource", LEDGER)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((&body["scope"], &body["expires_in"]), (&json!("post"), &json!(30)));
    let unfit = world.server.token(&world.planner, &[("scope", "read")]).await;
    let (status, body) = world.server.exchange(&world.refunds, &unfit, &[("resource", LEDGER)]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_scope"), "read does not stand for post");
}

#[tokio::test]
async fn a_rule_that_is_switched_off_stops_the_next_exchange() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    world.delegated(&subject).await;
    let (_, rules) = world.server.admin(Method::GET, "/exchange-rules", None).await;
    let id = rules["items"][0]["id"].as_str().unwrap();
    world.server.admin(Method::POST, &format!("/exchange-rules/{id}/disable"), Some(&json!({}))).await;
    let (status, _) = world.server.exchange(&world.refunds, &subject, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    world.server.admin(Method::POST, &format!("/exchange-rules/{id}/enable"), Some(&json!({}))).await;
    world.delegated(&subject).await;
}

#[tokio::test]
async fn chains_end_at_the_depth_cap() {
    let world = World::with(Backend::Sqlite, &[("STIPEND_MAX_DEPTH", "2")]).await;
    world.server.create_rule("acme.stranger", "acme.refunds", ORDERS, &["refund"]).await;
    world.server.create_rule("acme.refunds", "acme.stranger", ORDERS, &["refund"]).await;
    let one = world.delegated(&world.subject().await).await;
    let (status, body) = world.server.exchange(&world.stranger, &one, &[]).await;
    assert_eq!(status, StatusCode::OK);
    let two = body["access_token"].as_str().unwrap();
    let (status, body) = world.server.exchange(&world.refunds, two, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
}

#[tokio::test]
async fn impersonation_is_by_rule_and_recorded_as_such() {
    let world = World::new(Backend::Sqlite).await;
    let rule = json!({
        "actor": {"client": "acme.stranger"}, "subject": {"client": "acme.planner"}, "to_audience": ORDERS,
        "scopes": [{"scope": "read"}], "mode": "impersonation",
    });
    world.server.create("/exchange-rules", rule).await;
    let subject = world.subject().await;
    let (status, body) = world.server.exchange(&world.stranger, &subject, &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let token = claims(body["access_token"].as_str().unwrap());
    assert!(token.get("act").is_none());
    assert_eq!((&token["sub"], &token["client_id"]), (&json!("agent:acme.planner"), &json!("acme.stranger")));
    let (_, audit) = world.server.admin(Method::GET, "/audit?client_id=acme.stranger&outcome=issued", None).await;
    assert_eq!(audit["items"][0]["detail"]["exchange"], "impersonation");
    // Revoking the impersonator kills what it made, although no act names it.
    let (_, next) = world.server.exchange(&world.stranger, body["access_token"].as_str().unwrap(), &[]).await;
    let last = next["access_token"].as_str().unwrap();
    assert!(world.active(last).await);
    world
        .server
        .admin(Method::POST, "/agents/acme.stranger/revoke", Some(&json!({"reason": "test", "severity": "high"})))
        .await;
    assert!(!world.active(last).await);
}

#[tokio::test]
async fn may_act_permits_its_actor_alone() {
    let world = World::new(Backend::Sqlite).await;
    let body = json!({"may_act": {"sub": "agent:acme.stranger"}});
    let (status, answer) = world.server.admin(Method::PATCH, "/agents/acme.planner", Some(&body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let subject = world.subject().await;
    assert_eq!(claims(&subject)["may_act"], json!({"sub": "agent:acme.stranger"}));
    let (status, body) = world.server.exchange(&world.stranger, &subject, &[("scope", "write")]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(claims(body["access_token"].as_str().unwrap()).get("may_act").is_none());
    let (status, body) = world.server.exchange(&world.refunds, &subject, &[]).await;
    assert_eq!(
        (status, error(&body)),
        (StatusCode::BAD_REQUEST, "invalid_request"),
        "a rule does not help against may_act"
    );
}

#[tokio::test]
async fn environments_do_not_mix() {
    let world = World::new(Backend::Sqlite).await;
    let body = json!({
        "owner": "acme", "name": "box", "kind": "agent", "purpose": "test", "environment": "sandbox", "auth_method": "client_secret_basic",
        "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
    });
    let created = world.server.create("/agents", body).await;
    let sandbox = stipend::testing::TestClient {
        id: "acme.box".into(),
        secret: created["client_secret"].as_str().unwrap().into(),
    };
    world.server.create_rule("acme.box", "acme.planner", ORDERS, &["read"]).await;
    let (status, body) = world.server.exchange(&sandbox, &world.subject().await, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
}

#[tokio::test]
async fn the_form_is_read_as_the_rfc_has_it() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    let grant = ("grant_type", stipend::grant::TOKEN_EXCHANGE);
    let typed = [grant, ("subject_token", subject.as_str()), ("subject_token_type", ACCESS)];
    let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![grant], "invalid_request"),
        (vec![grant, ("subject_token", &subject)], "invalid_request"),
        (vec![grant, ("subject_token_type", ACCESS)], "invalid_request"),
        (vec![grant, ("subject_token", ""), ("subject_token_type", ACCESS)], "invalid_request"),
        (vec![grant, ("subject_token", &subject), ("subject_token_type", "urn:x")], "invalid_request"),
        (
            vec![
                grant,
                ("subject_token", &subject),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
            ],
            "invalid_request",
        ),
        (
            vec![grant, ("subject_token", &subject), ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
            "invalid_request",
        ),
        ([&typed[..], &[("actor_token", subject.as_str())]].concat(), "invalid_request"),
        ([&typed[..], &[("actor_token_type", ACCESS)]].concat(), "invalid_request"),
        (
            [&typed[..], &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")]].concat(),
            "invalid_request",
        ),
        ([&typed[..], &[("resource", "https://orders.example#x")]].concat(), "invalid_target"),
        ([&typed[..], &[("authorization_details", "[]")]].concat(), "invalid_authorization_details"),
    ];
    for (form, code) in cases {
        let (status, body) = world.server.form("/oauth2/token", &world.refunds, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, code), "{form:?}");
    }
    let (_, body) = world
        .server
        .exchange(&world.refunds, &subject, &[("requested_token_type", "urn:ietf:params:oauth:token-type:jwt")])
        .await;
    assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:jwt");
}

#[tokio::test]
async fn an_exchange_between_owners_needs_both() {
    let world = World::new(Backend::Sqlite).await;
    world.server.create_owner("globex").await;
    let partner = world.server.create_client("globex", "helper", "agent", &[(ORDERS, &["read"])]).await;
    let admin = json!({
        "owner": "globex", "name": "boss", "kind": "admin", "purpose": "test", "auth_method": "client_secret_basic",
        "access": [{"resource": world.server.app.urls.admin_resource, "scopes": ["admin:read", "admin:write"], "default_scopes": ["admin:read", "admin:write"]}],
        "roles": [{"role": "owner-admin", "owner": "globex"}],
    });
    let created = world.server.create("/agents", admin).await;
    let boss = stipend::testing::TestClient {
        id: "globex.boss".into(),
        secret: created["client_secret"].as_str().unwrap().into(),
    };
    let boss = world.server.token(&boss, &[]).await;
    let rule = json!({
        "actor": {"client": partner.id}, "subject": {"client": "acme.planner"}, "to_audience": ORDERS,
        "scopes": [{"scope": "read"}], "mode": "delegation",
    });
    let (status, rule) = world.server.admin_as(&boss, Method::POST, "/exchange-rules", Some(&rule)).await;
    assert!(status.is_success(), "{rule}");
    let subject = world.subject().await;
    let (status, body) = world.server.exchange(&partner, &subject, &[]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "acme has not accepted");
    let path = format!("/exchange-rules/{}/accept", rule["id"].as_str().unwrap());
    world.server.admin(Method::POST, &path, Some(&json!({}))).await;
    let (status, body) = world.server.exchange(&partner, &subject, &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let seen: Value = world.server.admin_as(&boss, Method::GET, "/audit", None).await.1;
    assert_ne!(seen, Value::Null);
}
