//! Agents whose risk somebody outside judges: what policies see of it, under every grant, and
//! who may say it.

use crate::world::{ACCESS, FILES, ID_TOKEN, World, error, issued};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

const TOO_RISKY: &str =
    "forbid (principal, action, resource) when { context has risk_level && context.risk_level == \"high\" };";

async fn forbid(world: &World) {
    let policy = json!({"owner": "acme", "name": "no-risk", "text": TOO_RISKY});
    world.server.create("/policies", policy).await;
}

async fn rate(world: &World, agent: &str, level: &str) {
    world.admin(Method::POST, &format!("/agents/{agent}/risk"), json!({"level": level, "reason": "odd hours"})).await;
}

/// An exchange that waits for people: asked before they are, and again when it is fetched.
#[rstest]
#[tokio::test]
async fn who_became_too_risky_gets_nothing_of_what_people_approved(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    forbid(&world).await;
    rate(&world, "acme.desk", "high").await;
    let subject = world.planners().await;
    assert_eq!(error(&world.ask(&subject, ACCESS).await), (400, "invalid_request"), "nobody is asked for it");
    assert_eq!(world.record("approval.requested").await["reason"], "policy_denied");
    rate(&world, "acme.desk", "medium").await;
    let handle = world.approved(&subject, ACCESS).await;
    rate(&world, "acme.desk", "high").await;
    assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_grant"));
    let refused = world.record("token.refused").await;
    assert_eq!(
        (&refused["detail"]["because"], &refused["detail"]["policies_denied"]),
        (&json!("policy_denied"), &json!(1))
    );
    rate(&world, "acme.desk", "low").await;
    issued(&world.poll(&handle, &[]).await);
    assert_eq!(world.record("token.issued").await["detail"]["risk_level"], "low");
}

#[rstest]
#[tokio::test]
async fn an_exchange_for_a_foreign_user_and_an_assertion_see_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    forbid(&world).await;
    let (subject, grant) = (world.id_token(json!({})), world.grant(json!({"jti": "g"})));
    rate(&world, "acme.desk", "high").await;
    assert_eq!(error(&world.exchange(&subject, ID_TOKEN, &[]).await), (400, "invalid_request"));
    assert_eq!(world.record("token.refused").await["reason"], "policy_denied");
    assert_eq!(error(&world.present(&grant, &[]).await), (400, "invalid_request"));
    assert_eq!(world.record("token.refused").await["reason"], "policy_denied");
    world.admin(Method::DELETE, "/agents/acme.desk/risk", Value::Null).await;
    issued(&world.exchange(&subject, ID_TOKEN, &[]).await);
    issued(&world.present(&grant, &[]).await);
}

/// Or who is too risky would have a colleague ask.
#[rstest]
#[tokio::test]
async fn the_riskiest_of_those_that_a_token_comes_through_counts(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    forbid(&world).await;
    let subject = world.planners().await;
    rate(&world, "acme.desk", "low").await;
    issued(&world.exchange(&subject, ACCESS, &[]).await);
    rate(&world, "acme.planner", "high").await;
    assert_eq!(error(&world.exchange(&subject, ACCESS, &[]).await), (400, "invalid_request"));
    let form = [("grant_type", "client_credentials"), ("resource", FILES)];
    let own = world.server.form("/oauth2/token", &world.planner, &form).await;
    assert_eq!(error(&own), (400, "invalid_request"));
}

#[rstest]
#[tokio::test]
async fn a_judgement_ends_and_a_dry_run_sees_what_was_seen(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let quiet = "forbid (principal == Agent::\"acme.nobody\", action, resource);";
    world.server.create("/policies", json!({"owner": "acme", "name": "quiet", "text": quiet})).await;
    let body = json!({"level": "high", "expires_in_seconds": 100});
    let rated = world.admin(Method::POST, "/agents/acme.planner/risk", body).await;
    let risk = &rated["settings"]["risk"];
    assert_eq!((&risk["level"], &risk["by"]), (&json!("high"), &json!("stipend.admin")), "{risk}");
    assert!(risk["expires_at"].as_i64().unwrap() - world.server.now() <= 100);
    world.planners().await;
    let tried = json!({"owner": "acme", "text": TOO_RISKY});
    let dry = world.admin(Method::POST, "/policies/dry-run", tried.clone()).await;
    assert_eq!(dry["would_refuse"], 1, "{dry}");
    world.server.clock.advance(101);
    forbid(&world).await;
    world.planners().await;
    let dry = world.admin(Method::POST, "/policies/dry-run", tried).await;
    assert_eq!(dry["would_refuse"], 1, "what was issued since was not risky: {dry}");
}

#[rstest]
#[tokio::test]
async fn a_risk_engine_says_it_and_changes_nothing_else(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let engine = admin(&world, "engine", json!([{"role": "risk-admin", "owner": "acme"}])).await;
    let stranger = admin(&world, "stranger", json!([{"role": "risk-admin", "owner": "mail"}])).await;
    let auditor = admin(&world, "auditor", json!([{"role": "auditor", "owner": "acme"}])).await;
    let path = "/agents/acme.desk/risk";
    let level = json!({"level": "medium"});
    let as_ = async |token: &str, method: Method, path: &str, body: &Value| {
        let (status, body) = world.server.admin_as(token, method, path, Some(body)).await;
        (status.as_u16(), body)
    };
    let (status, rated) = as_(&engine, Method::POST, path, &level).await;
    assert_eq!((status, &rated["settings"]["risk"]["by"]), (200, &json!("acme.engine")), "{rated}");
    assert_eq!(as_(&stranger, Method::POST, path, &level).await.0, 404);
    assert_eq!(as_(&auditor, Method::POST, path, &level).await.0, 403);
    let patch = json!({"purpose": "mine"});
    assert_eq!(as_(&engine, Method::PATCH, "/agents/acme.desk", &patch).await.0, 403);
    assert_eq!(as_(&engine, Method::POST, "/agents/acme.desk/suspend", &json!({})).await.0, 403);
    // Settings are replaced whole, and the judgement is no part of them.
    let boss = world.server.admin_token().await;
    let settings = json!({"settings": {"dpop_bound_access_tokens": true}});
    let (status, patched) = as_(&boss, Method::PATCH, "/agents/acme.desk", &settings).await;
    assert_eq!((status, &patched["settings"]["risk"]["level"]), (200, &json!("medium")), "{patched}");
    let back = json!({"settings": patched["settings"]});
    assert_eq!(as_(&boss, Method::PATCH, "/agents/acme.desk", &back).await.0, 200, "what was read can be sent back");
    let mut forged = patched["settings"].clone();
    forged["risk"]["level"] = json!("low");
    let (status, refused) = as_(&boss, Method::PATCH, "/agents/acme.desk", &json!({"settings": forged})).await;
    assert_eq!((status, &refused["errors"][0]["pointer"]), (400, &json!("/settings/risk")), "{refused}");
    for bad in [
        json!({"level": "extreme"}),
        json!({}),
        json!({"level": "low", "expires_in_seconds": 0}),
        json!({"level": "low", "expires_in_seconds": 31_536_001}),
        json!({"level": "low", "reason": ""}),
        json!({"level": "low", "reason": "x".repeat(501)}),
        json!({"level": "low", "score": 1}),
    ] {
        assert_eq!(as_(&engine, Method::POST, path, &bad).await.0, 400, "{bad}");
    }
    // Of an admin nothing is judged, and nothing is told of one that does not exist.
    let own = as_(&boss, Method::POST, "/agents/acme.auditor/risk", &level).await;
    assert_eq!(own.0, 409, "{}", own.1);
    assert_eq!(as_(&boss, Method::POST, "/agents/acme.none/risk", &level).await.0, 404);
}

async fn admin(world: &World, name: &str, roles: Value) -> String {
    let all = ["admin:read", "admin:write"];
    let body = json!({
        "owner": "acme", "name": name, "kind": "admin", "auth_method": "client_secret_basic", "roles": roles,
        "access": [{"resource": world.server.app.urls.admin_resource, "scopes": all, "default_scopes": all}],
    });
    let made = world.server.create("/agents", body).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let client = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
    world.server.token(&client, &[]).await
}

/// CAEP section 3.8: only where the level is another than before.
#[rstest]
#[tokio::test]
async fn its_services_are_told_when_the_level_changes(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let service = world.server.create_client("acme", "files-api", "service", &[]).await;
    let ssf = world.server.url("/ssf");
    let access = json!({"access": [{"resource": ssf, "scopes": ["ssf.manage"], "default_scopes": ["ssf.manage"]}]});
    world.admin(Method::PATCH, &format!("/agents/{}", service.id), access).await;
    let (_, listed) = world.server.admin(Method::GET, "/resources", None).await;
    let files = listed["items"].as_array().unwrap().iter().find(|item| item["uri"] == FILES).unwrap()["id"].clone();
    let path = format!("/resources/{}", files.as_str().unwrap());
    world.admin(Method::PATCH, &path, json!({"introspectors": [service.id]})).await;
    let token = world.server.token(&service, &[]).await;
    let http = &world.server.http;
    let made: Value = http
        .post(format!("{ssf}/stream"))
        .bearer_auth(&token)
        .json(&json!({}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for level in ["medium", "medium", "high"] {
        rate(&world, "acme.planner", level).await;
    }
    world.admin(Method::POST, "/agents/acme.planner/risk", json!({"level": "high", "reason": "another"})).await;
    world.admin(Method::DELETE, "/agents/acme.planner/risk", Value::Null).await;
    let poll = http.post(format!("{ssf}/poll/{}", made["stream_id"].as_str().unwrap())).bearer_auth(&token);
    let polled = poll.json(&json!({"returnImmediately": true})).send().await.unwrap();
    assert_eq!(polled.status(), StatusCode::OK);
    let polled: Value = polled.json().await.unwrap();
    let mut told: Vec<(Value, Value)> = Vec::new();
    for set in polled["sets"].as_object().unwrap().values() {
        let set = stipend_keys::Unverified::parse(set.as_str().unwrap()).unwrap();
        let event = &set.claims()["events"]["https://schemas.openid.net/secevent/caep/event-type/risk-level-change"];
        assert_eq!(set.claims()["sub_id"]["sub"], "agent:acme.planner");
        assert!(!event.to_string().contains("odd hours"), "an admin's words stay in the audit");
        told.push((event["previous_level"].clone(), event["current_level"].clone()));
    }
    told.sort_by_key(|pair| format!("{pair:?}"));
    let expected = [(Value::Null, json!("MEDIUM")), (json!("HIGH"), json!("LOW")), (json!("MEDIUM"), json!("HIGH"))];
    assert_eq!(told, expected);
}
