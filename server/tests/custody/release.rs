use crate::world::{KEY, World, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_granted_agent_gets_the_value_and_it_is_on_record(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.token(&world.agent).await;
    let (status, body) = world.release(&token, "plaintext").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["value"], json!({"api_key": {"key": KEY}}));
    assert_eq!((&body["version"], &body["mode"], &body["kind"]), (&json!(1), &json!("plaintext"), &json!("api_key")));
    let record = world.record("credential.released").await;
    assert_eq!(record["outcome"], "done");
    assert_eq!(record["detail"]["lease"], body["lease"], "{record}");
    let (_, shown) = world.admin(Method::GET, &format!("/credentials/{}", world.credential), Value::Null).await;
    assert_eq!(shown["versions"][0]["exposed_to"][0]["agent"], json!(world.agent.id));
    assert!(!shown.to_string().contains(KEY), "a value never comes out of the admin API");
    let everything = world.records().await;
    assert!(!json!(everything).to_string().contains(KEY), "nor is it in the audit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_does_not_exist() {
    let world = World::new(Backend::Sqlite).await;
    let (own, other) = (world.token(&world.agent).await, world.token(&world.stranger).await);
    let ungranted = world.release(&other, "plaintext").await;
    let unknown = world.post("/credentials/acme.none/release", &own, &json!({"mode": "plaintext"})).await;
    assert_eq!(ungranted.0, StatusCode::NOT_FOUND);
    assert_eq!(ungranted, unknown, "byte for byte");
    for (path, body) in [("disable", json!({})), ("enable", json!({}))] {
        world.admin(Method::POST, &format!("/grants/{}/{path}", world.grant), body).await;
        let (status, body) = world.release(&own, "plaintext").await;
        let expected = if path == "disable" { unknown.clone() } else { (StatusCode::OK, body.clone()) };
        assert_eq!((status, body), expected, "{path}");
    }
    let reasons: Vec<String> =
        world.records().await.iter().filter_map(|record| record["reason"].as_str().map(str::to_owned)).collect();
    for reason in ["credential_not_granted", "no_such_credential", "grant_ended"] {
        assert!(reasons.iter().any(|found| found == reason), "{reason} in {reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_is_needed_token_scope_grant_mode_and_state() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    let keys = server.url("/credentials");
    let use_only = server.create_client("acme", "caller", "agent", &[(&keys, &["credential:use"])]).await;
    world.allow(&use_only, json!({"modes": ["plaintext"]})).await;
    let (status, body) = world.release(&world.token(&use_only).await, "plaintext").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "insufficient_scope"));

    let token = world.token(&world.agent).await;
    let (status, body) = world.release(&token, "jwe").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "access_denied"), "not granted in this mode");
    let (status, body) = world.release(&token, "proxy").await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));

    let path = format!("/credentials/{}", world.credential);
    let (status, _) = world.admin(Method::PATCH, &path, json!({"modes": ["proxy"]})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = world.release(&token, "plaintext").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "access_denied"), "the credential must allow it too");
    world.admin(Method::PATCH, &path, json!({"modes": ["proxy", "plaintext"]})).await;
    world.admin(Method::POST, &format!("{path}/disable"), json!({"reason": "test"})).await;
    let (status, body) = world.release(&token, "plaintext").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "access_denied"), "switched off");
    world.admin(Method::POST, &format!("{path}/enable"), json!({})).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_service_or_none_is_challenged_with_the_metadata() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    server.create_resource("acme", "https://orders.example", &["credential:release"], &[]).await;
    let keys = server.url("/credentials");
    let both: &[(&str, &[&str])] =
        &[("https://orders.example", &["credential:release"]), (&keys, &["credential:release"])];
    let agent = server.create_client("acme", "two", "agent", both).await;
    world.allow(&agent, json!({"modes": ["plaintext"]})).await;
    let elsewhere = server.token(&agent, &[]).await;
    let twofold = server.token(&agent, &[("resource", "https://orders.example"), ("resource", &keys)]).await;
    let good = server.token(&agent, &[("resource", &keys)]).await;
    assert_eq!(world.release(&good, "plaintext").await.0, StatusCode::OK);
    let url = server.url(&format!("/credentials/{}/release", world.credential));
    let metadata = server.url("/.well-known/oauth-protected-resource/credentials");
    let admin = server.admin_token().await;
    for (token, told) in [
        (None, String::new()),
        (Some(elsewhere.as_str()), "error=\"invalid_token\", ".to_owned()),
        (Some(twofold.as_str()), "error=\"invalid_token\", ".to_owned()),
        (Some(admin.as_str()), "error=\"invalid_token\", ".to_owned()),
        (Some("x.y.z"), "error=\"invalid_token\", ".to_owned()),
    ] {
        let request = server.http.post(&url).json(&json!({"mode": "plaintext"}));
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token:?}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(challenge, format!("Bearer {told}resource_metadata=\"{metadata}\""));
    }
    let document: Value = server.http.get(&metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["resource"], json!(keys));
    assert_eq!(document["authorization_servers"], json!([server.issuer]));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_change_nothing_and_are_recorded() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let url = world.server.url(&format!("/credentials/{}/release", world.credential));
    for (kind, body) in [
        ("application/json", ""),
        ("application/json", "[]"),
        ("application/json", "{\"mode\":\"plaintext\",\"mode\":\"plaintext\"}"),
        ("application/json", "{\"mode\":\"clear\"}"),
        ("application/json", "{\"mode\":\"plaintext\",\"dry_run\":1}"),
        ("application/json", "{\"mode\":\"plaintext\",\"x\":1}"),
        ("text/plain", "{\"mode\":\"plaintext\"}"),
    ] {
        let sent = world.server.http.post(&url).bearer_auth(&token).header("content-type", kind).body(body);
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let doubled =
        world.server.http.post(&url).bearer_auth(&token).bearer_auth(&token).json(&json!({"mode": "plaintext"}));
    assert_eq!(doubled.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let released = world.records().await.iter().filter(|record| record["event"] == "credential.released").count();
    assert_eq!(released, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_decides_and_releases_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let path = format!("/credentials/{}/release", world.credential);
    let dry = json!({"mode": "plaintext", "dry_run": true});
    let (status, body) = world.post(&path, &world.token(&world.agent).await, &dry).await;
    assert_eq!((status, &body["dry_run"]), (StatusCode::OK, &json!(true)));
    assert!(body.get("value").is_none() && body.get("lease").is_none(), "{body}");
    assert_eq!(world.post(&path, &world.token(&world.stranger).await, &dry).await.0, StatusCode::NOT_FOUND);
    let (_, shown) = world.admin(Method::GET, &format!("/credentials/{}", world.credential), Value::Null).await;
    assert!(shown["versions"][0].get("exposed_to").is_none(), "nothing was seen");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn uses_and_rates_are_exact_over_nodes(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let agent = World::agent(&world.server, "acme", "limited").await;
    world
        .allow(&agent, json!({"modes": ["plaintext"], "constraints": {"uses": 7, "rate": {"count": 5, "per_s": 60}}}))
        .await;
    let token = world.token(&agent).await;
    let storm = || async {
        let calls = (0..24).map(|_| world.release(&token, "plaintext"));
        let answers = futures_util::future::join_all(calls).await;
        answers.iter().map(|(status, _)| status.as_u16()).collect::<Vec<_>>()
    };
    let first = storm().await;
    assert_eq!(first.iter().filter(|status| **status == 200).count(), 5, "{first:?}");
    assert!(first.iter().all(|status| [200, 429].contains(status)), "{first:?}");
    world.server.clock.advance(130);
    let second = storm().await;
    assert_eq!(second.iter().filter(|status| **status == 200).count(), 2, "{second:?}");
    assert!(second.contains(&403), "used up: {second:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_price_is_charged_with_the_release_and_a_retry_is_free(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let path = format!("/credentials/{}", world.credential);
    let price = json!({"price": {"unit": "call", "decimals": 0, "amount": 2}});
    assert_eq!(world.admin(Method::PATCH, &path, price).await.0, StatusCode::OK);
    let without = world.token(&world.agent).await;
    let (status, body) = world.release(&without, "plaintext").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "insufficient_budget"), "it names no budget");
    world.server.create("/budgets", json!({"agent": world.agent.id, "unit": "call", "decimals": 0, "amount": 5})).await;
    let token = world.token(&world.agent).await;
    let send = |key: &'static str| {
        let url = world.server.url(&format!("/credentials/{}/release", world.credential));
        let request = world.server.http.post(url).bearer_auth(&token).header("idempotency-key", key);
        request.json(&json!({"mode": "plaintext"})).send()
    };
    let first = send("k1").await.unwrap();
    assert_eq!(first.headers()["agent-budget"], "remaining=3, cost=2");
    let first: Value = first.json().await.unwrap();
    let again: Value = send("k1").await.unwrap().json().await.unwrap();
    assert_eq!(first, again, "the same lease, and nothing charged");
    assert_eq!(send("k2").await.unwrap().status(), StatusCode::OK);
    let refused = send("k3").await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!((error(&refused), &refused["remaining"]), ("insufficient_budget", &json!(1)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_the_agent_or_its_token_ends_it_at_once() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK);
    let (status, _) = world.server.form("/oauth2/revoke", &world.agent, &[("token", &token)]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::UNAUTHORIZED);
    let token = world.token(&world.agent).await;
    let how = json!({"reason": "stolen", "severity": "critical"});
    world.admin(Method::POST, &format!("/agents/{}/revoke", world.agent.id), how).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::UNAUTHORIZED);
}

/// RFC 6750 section 3: what a client that steps up is to ask for, all of it and nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_names_the_scope_that_is_needed() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    let keys = server.url("/credentials");
    for (has, lacks, path) in [
        ("credential:use", "credential:release", format!("/credentials/{}/release", world.credential)),
        ("credential:release", "credential:use", format!("/proxy/{}/v1/chat", world.credential)),
    ] {
        let name = has.replace(':', "-");
        let agent = server.create_client("acme", &name, "agent", &[(&keys, &[has])]).await;
        let token = world.token(&agent).await;
        let request = server.http.post(server.url(&path)).bearer_auth(&token).json(&json!({"mode": "plaintext"}));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        let metadata = &server.app.urls.credential_metadata;
        let expected =
            format!("Bearer error=\"insufficient_scope\", scope=\"{lacks}\", resource_metadata=\"{metadata}\"");
        assert_eq!(challenge, expected);
    }
}
