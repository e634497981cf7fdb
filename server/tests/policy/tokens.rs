//! Policies at the token endpoint.

use crate::world::{ORDERS, VAULT, World, assert_refused, when};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_policy_stops_a_token_and_only_the_record_says_which(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.token(&world.planner, ORDERS).await;
    let before = world.record("token.issued").await;
    assert!(before["detail"].get("policy_sets").is_none(), "nothing was asked: {before}");
    let text = format!(
        "forbid (principal == Agent::\"acme.nobody\", action, resource);\n{}",
        when("token:issue", "context.scope.contains(\"write\")")
    );
    let id = world.forbid(Some("acme"), "no-writing", &text).await;
    assert_refused(&world.issue(&world.planner, ORDERS).await);
    let record = world.record("token.refused").await;
    assert_eq!(record["reason"], "policy_denied", "{record}");
    assert_eq!(record["detail"]["policies"], json!([{"id": id, "version": 1, "statement": 2}]));
    assert_eq!(record["detail"]["wanted"]["aud"], json!([ORDERS]), "{record}");
    assert_eq!((&record["owner_id"], &record["client_id"]), (&json!("acme"), &json!("acme.planner")));
    // Rows decide first: what they refuse is not put to a policy, and nothing of it is told.
    let (_, body) = world.issue(&world.helper, VAULT).await;
    assert_eq!(body["error"], "invalid_target", "{body}");
    // Who asks for less is allowed it, and the record names what was asked.
    world.token(&world.helper, ORDERS).await;
    let record = world.record("token.issued").await;
    assert_eq!(record["detail"]["policy_sets"]["acme"].as_str().unwrap().len(), 43, "{record}");
}

#[rstest]
#[tokio::test]
async fn time_and_source_are_seen(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let night = world.forbid_when("night", "token:issue", "context.now.hour < 4").await;
    world.wait_for_hour(3);
    assert_refused(&world.issue(&world.planner, ORDERS).await);
    world.server.clock.advance(3600);
    world.token(&world.planner, ORDERS).await;
    world.remove(&night).await;
    let weekend = (world.server.clock.now() / 86_400 + 3) % 7 + 1;
    let day = format!("context.now.day_of_week == {weekend}");
    let day = world.forbid_when("day", "token:issue", &day).await;
    assert_refused(&world.issue(&world.planner, ORDERS).await);
    world.server.clock.advance(86_400);
    world.token(&world.planner, ORDERS).await;
    world.remove(&day).await;
    let inside = "!(context has source && context.source.isInRange(ip(\"10.0.0.0/8\")))";
    world.forbid_when("inside", "token:issue", inside).await;
    let from = async |address| world.issue_from(&world.planner, ORDERS, address).await;
    assert_eq!(from("10.255.0.1").await.0, StatusCode::OK);
    assert_eq!(from("::ffff:10.255.0.1").await.0, StatusCode::OK, "an IPv4 address is one however it is written");
    for address in ["11.0.0.1", "192.0.2.1", "2001:db8::1"] {
        assert_refused(&from(address).await);
    }
}

#[rstest]
#[tokio::test]
async fn how_the_user_authenticated_is_seen_at_an_exchange(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let now = world.server.clock.now();
    let plain = world.token(&world.planner, ORDERS).await;
    let strong = world.with_user(json!({"acr": "urn:strong", "amr": ["pwd", "mfa"], "auth_time": now - 100})).await;
    let weak = world.with_user(json!({"acr": "urn:weak", "amr": ["pwd"], "auth_time": now - 5000})).await;
    for (name, condition) in [
        ("acr", "!(context has acr && context.acr == \"urn:strong\")"),
        ("amr", "!context.amr.contains(\"mfa\")"),
        ("age", "!(context has auth_age && context.auth_age < 3600)"),
    ] {
        let policy = world.forbid_when(name, "token:exchange", condition).await;
        assert_eq!(world.exchange(&strong).await.0, StatusCode::OK, "{name}");
        assert_refused(&world.exchange(&weak).await);
        assert_refused(&world.exchange(&plain).await);
        world.remove(&policy).await;
    }
    assert_eq!(world.exchange(&plain).await.0, StatusCode::OK, "once they are gone");
    // Only the current actor is seen.
    let actor =
        world.forbid_when("actor", "token:exchange", "context has actor && context.actor == \"agent:acme.helper\"");
    let actor = actor.await;
    assert_refused(&world.exchange(&plain).await);
    world.remove(&actor).await;
    // A policy on issuing says nothing of exchanging.
    world.forbid_when("issue", "token:issue", "true").await;
    assert_eq!(world.exchange(&plain).await.0, StatusCode::OK);
    assert_refused(&world.issue(&world.helper, ORDERS).await);
}

#[rstest]
#[tokio::test]
async fn an_absent_risk_is_absent_and_not_zero(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let high = world.forbid_when("high", "token:issue", "context has risk && context.risk >= 0").await;
    world.token(&world.planner, ORDERS).await;
    world.remove(&high).await;
    world.forbid_when("unknown", "token:issue", "!(context has risk && context.risk < 50)").await;
    assert_refused(&world.issue(&world.planner, ORDERS).await);
}

#[rstest]
#[tokio::test]
async fn environments_and_amounts_are_seen(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let body = json!({
        "owner": "acme", "name": "tester", "auth_method": "client_secret_basic", "environment": "sandbox",
        "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
    });
    let made = world.server.create("/agents", body).await;
    let tester = stipend::testing::TestClient {
        id: "acme.tester".to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    let sandbox = world.forbid_when("sandbox", "token:issue", "context.environment == \"sandbox\"").await;
    assert_refused(&world.issue(&tester, ORDERS).await);
    world.token(&world.planner, ORDERS).await;
    world.remove(&sandbox).await;
    for (unit, decimals) in [("USD", 6), ("call", 0)] {
        let line = json!({"agent": world.planner.id, "unit": unit, "decimals": decimals, "amount": 10_000_000});
        world.server.create("/budgets", line).await;
    }
    let limit = "context has amount && context.amount.unit == \"USD\" && context.amount.value > 1000000";
    world.forbid_when("limit", "token:issue", limit).await;
    let asking = async |details: Value| {
        let details = details.to_string();
        let form =
            [("grant_type", "client_credentials"), ("resource", ORDERS), ("authorization_details", details.as_str())];
        world.server.form("/oauth2/token", &world.planner, &form).await
    };
    let budget = |unit: &str, decimals: i64, amount: i64| json!({"type": "budget", "unit": unit, "decimals": decimals, "amount": amount});
    let (status, body) = asking(json!([budget("USD", 6, 1_000_000)])).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let record = world.record("token.issued").await;
    assert_eq!(record["detail"]["amounts"], json!([{"unit": "USD", "decimals": 6, "value": 1_000_000}]), "{record}");
    assert_refused(&asking(json!([budget("USD", 6, 1_000_001)])).await);
    // Each unit is asked about: the one that is too much refuses the whole.
    assert_refused(&asking(json!([budget("call", 0, 5), budget("USD", 6, 1_000_001)])).await);
    assert_eq!(asking(json!([budget("call", 0, 5_000_000)])).await.0, StatusCode::OK);
    // Nothing asked for is by default all there is: it is no way around.
    assert_refused(&world.issue(&world.planner, ORDERS).await);
}

#[rstest]
#[tokio::test]
async fn policies_apply_to_their_owners_agents_and_resources_and_to_no_others(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let all = world.forbid(Some("globex"), "all", "forbid (principal, action, resource);").await;
    assert_refused(&world.issue(&world.rival, VAULT).await);
    world.token(&world.planner, ORDERS).await;
    let refused = world.issue(&world.planner, VAULT).await;
    assert_refused(&refused);
    world.remove(&all).await;
    world.token(&world.planner, VAULT).await;
    // An owner's policy goes with its agents wherever they go, and with its tokens.
    let subject = world.token(&world.planner, VAULT).await;
    let rule = json!({
        "actor": {"client": world.rival.id}, "subject": {"client": world.planner.id}, "to_audience": VAULT,
        "scopes": [{"scope": "read"}], "mode": "delegation",
    });
    world.server.create("/exchange-rules", rule).await;
    let form: [(&str, &str); 1] = [("scope", "read")];
    let (status, body) = world.server.exchange(&world.rival, &subject, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let text = "forbid (principal in Owner::\"globex\", action, resource);";
    let mine = world.forbid(Some("acme"), "not-globex", text).await;
    assert_refused(&world.server.exchange(&world.rival, &subject, &form).await);
    assert_eq!(world.issue(&world.rival, VAULT).await.0, StatusCode::OK, "without acme's token it is none of acme's");
    world.remove(&mine).await;
    // The deployment's are everybody's.
    let text = format!("forbid (principal, action, resource == Resource::\"{VAULT}\");");
    world.forbid(None, "closed", &text).await;
    assert_refused(&world.issue(&world.rival, VAULT).await);
    assert_refused(&world.issue(&world.planner, VAULT).await);
    world.token(&world.planner, ORDERS).await;
}

#[rstest]
#[tokio::test]
async fn every_resource_of_a_token_is_asked_about(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let both = [("grant_type", "client_credentials"), ("resource", VAULT), ("resource", ORDERS), ("scope", "read")];
    let (status, body) = world.server.form("/oauth2/token", &world.planner, &both).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    for closed in [ORDERS, VAULT] {
        let text = format!("forbid (principal, action, resource == Resource::\"{closed}\");");
        let policy = world.forbid(Some("acme"), "closed", &text).await;
        assert_refused(&world.server.form("/oauth2/token", &world.planner, &both).await);
        world.remove(&policy).await;
    }
}

#[rstest]
#[tokio::test]
async fn an_administrator_is_never_locked_out(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let all = world.forbid(None, "all", "forbid (principal, action, resource);").await;
    assert_refused(&world.issue(&world.planner, ORDERS).await);
    let boss = world.server.token(&world.server.admin_client(), &[]).await;
    let (status, _) =
        world.server.admin_as(&boss, Method::POST, &format!("/policies/{all}/disable"), Some(&json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    world.token(&world.planner, ORDERS).await;
}

#[rstest]
#[tokio::test]
async fn what_can_not_be_evaluated_or_read_denies(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let overflow = "context.now.epoch * 9223372036854775807 == 0";
    let policy = world.forbid_when("overflow", "token:issue", overflow).await;
    assert_refused(&world.issue(&world.planner, ORDERS).await);
    let record = world.record("token.refused").await;
    let cited = json!([{"id": policy, "version": 1, "statement": 1, "failed": true}]);
    assert_eq!(record["detail"]["policies"], cited, "{record}");
    world.remove(&policy).await;
    world.token(&world.planner, ORDERS).await;
    // What an older or a newer version of the server may have stored.
    for text in [
        "forbid (principal, action, resource) when { context.nothing == 1 };",
        "forbid (principal, action, resource) when { context.acr == \"x\" };",
        "forbid (principal == ?principal, action, resource);",
        "this is no policy",
    ] {
        let id = world.forbid_when("old", "token:issue", "false").await;
        let off = format!("/policies/{id}/disable");
        assert_eq!(world.server.admin(Method::POST, &off, Some(&json!({}))).await.0, StatusCode::OK);
        world.server.execute(&format!("UPDATE policies SET text = '{text}' WHERE id = '{id}'")).await;
        world.token(&world.planner, ORDERS).await;
        let on = format!("/policies/{id}/enable");
        assert_eq!(world.server.admin(Method::POST, &on, Some(&json!({}))).await.0, StatusCode::OK);
        assert_refused(&world.issue(&world.planner, ORDERS).await);
        let record = world.record("token.refused").await;
        assert_eq!(record["detail"]["policies"][0]["failed"], true, "{text}: {record}");
        world.remove(&id).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_retry_of_what_was_issued_is_asked_again(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let send = async || {
        let sent = world.server.http.post(world.server.url("/oauth2/token")).header("idempotency-key", "once");
        let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
        let answer = sent.basic_auth(&world.planner.id, Some(&world.planner.secret)).form(&form).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(send().await.0, StatusCode::OK);
    world.forbid_when("closed", "token:issue", "true").await;
    assert_refused(&send().await);
}

#[rstest]
#[tokio::test]
async fn explaining_an_exchange_says_what_policies_would_say(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let question = json!({
        "actor": world.helper.id, "audience": [ORDERS], "scope": "read",
        "subject": {"client_id": world.planner.id, "audience": [ORDERS], "scope": "read"},
    });
    let explain = async || world.server.create("/exchange-rules/explain", question.clone()).await;
    assert_eq!(explain().await["allowed"], true);
    let id = world.forbid_when("closed", "token:exchange", "context.scope.contains(\"read\")").await;
    let said = explain().await;
    assert_eq!((&said["allowed"], &said["reason"]), (&json!(false), &json!("policy_denied")), "{said}");
    assert_eq!(said["policies"], json!([{"policy": id, "version": 1, "statement": 1}]), "{said}");
    // Whoever may not see a policy is told that there is one, and not which.
    world.remove(&id).await;
    world.forbid(None, "secret", &when("token:exchange", "true")).await;
    let boss = world.boss("acme", "owner-admin").await;
    let (_, said) = world.server.admin_as(&boss, Method::POST, "/exchange-rules/explain", Some(&question)).await;
    assert_eq!((&said["allowed"], &said["reason"]), (&json!(false), &json!("policy_denied")), "{said}");
    assert!(said.get("policies").is_none(), "{said}");
}

#[rstest]
#[tokio::test]
async fn who_trusts_an_issuer_has_a_say_in_what_its_users_are_good_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let issuer = json!({
        "owner": "globex", "issuer": "https://login.globex.example", "keys": "discovery", "audiences": ["stipend"],
        "uses": ["subject_token"],
    });
    let idp = world.server.create("/issuers", issuer).await["id"].clone();
    let theirs = world.with_user(json!({"idp": idp, "amr": ["pwd"]})).await;
    let ours = world.with_user(json!({"amr": ["pwd"]})).await;
    let text = when("token:exchange", "!context.amr.contains(\"mfa\")");
    world.forbid(Some("globex"), "mfa", &text).await;
    // Its own tokens a client may narrow without a rule.
    let narrow = async |token: &str| world.server.exchange(&world.planner, token, &[("scope", "read")]).await;
    assert_refused(&narrow(&theirs).await);
    assert_eq!(narrow(&ours).await.0, StatusCode::OK, "users of others are none of globex's");
    let record = world.record("token.issued").await;
    assert!(record["detail"].get("policy_sets").is_none(), "{record}");
}
