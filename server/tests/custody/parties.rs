//! Who is who: tokens that are something else, places that are only claimed, owners that are
//! switched off, and two owners at one credential.

use crate::world::{KEY, LOCAL, Upstream, World, error};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use stipend::demo::llm::Llm;
use stipend::testing::TestClient;
use stipend_keys::Secret;
use stipend_schema::Backend;

const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

/// What a token gets at release, at unwrap and at the proxy.
async fn everywhere(world: &World, token: &str) -> Vec<StatusCode> {
    let release = world.release(token, "plaintext").await.0;
    let unwrap = world.post("/credentials/unwrap", token, &json!({"reference": "cw_AAAA"})).await.0;
    let proxied = world.proxied(Method::POST, token, "/x").body("").send().await.unwrap().status();
    vec![release, unwrap, proxied]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_access_token_for_this_service_gets_nothing_anywhere() {
    let upstream = Upstream::start(OK).await;
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let server = &world.server;
    let good = world.token(&world.agent).await;
    assert_eq!(everywhere(&world, &good).await, [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::OK]);
    server.checkpoint().await;
    let (_, writers) = world.admin(Method::GET, "/audit/writers", Value::Null).await;
    let writer = writers["items"][0]["writer"].as_str().unwrap();
    let (_, export) = world.admin(Method::GET, &format!("/audit/export?writer={writer}"), Value::Null).await;
    let checkpoint = find_jws(&export["checkpoints"]).unwrap_or_else(|| panic!("no checkpoint in {export}"));
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"none"}"#);
    let retyped = URL_SAFE_NO_PAD
        .encode(String::from_utf8(URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap().replace("at+jwt", "JWT"));
    let assertion = format!(
        "{}.{claims}.{signature}",
        URL_SAFE_NO_PAD.encode(r#"{"typ":"client-authentication+jwt","alg":"ES256"}"#)
    );
    let admin = server.admin_token().await;
    let mut wrong = vec![
        ("an admin's", admin),
        ("a checkpoint of the audit", checkpoint),
        ("a client assertion", assertion),
        ("one without a signature", format!("{unsigned}.{claims}.")),
        ("one of another type", format!("{retyped}.{claims}.{signature}")),
        ("the secret of the client", world.agent.secret.clone()),
        ("the provider's key", KEY.to_owned()),
        ("two of them", format!("{good},{good}")),
    ];
    server.create_resource("acme", "https://orders.example", &["credential:use", "credential:release"], &[]).await;
    let keys = server.url("/credentials");
    let both: &[(&str, &[&str])] =
        &[("https://orders.example", &["credential:use", "credential:release"]), (&keys, &["credential:use"])];
    let elsewhere = server.create_client("acme", "elsewhere", "agent", both).await;
    world.allow(&elsewhere, json!({"modes": ["proxy", "plaintext"]})).await;
    wrong.push(("one for another audience", server.token(&elsewhere, &[("resource", "https://orders.example")]).await));
    for (what, token) in wrong {
        assert_eq!(everywhere(&world, &token).await, [StatusCode::UNAUTHORIZED; 3], "{what}");
    }
    server.clock.advance(400);
    assert_eq!(everywhere(&world, &good).await, [StatusCode::UNAUTHORIZED; 3], "one that has expired");
    assert_eq!(upstream.seen().len(), 1);
}

/// The first text that is a JWS.
fn find_jws(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (text.starts_with("ey") && text.split('.').count() == 3).then(|| text.clone()),
        Value::Array(items) => items.iter().find_map(find_jws),
        Value::Object(members) => members.values().find_map(find_jws),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_where_a_call_came_from_and_not_what_it_says() {
    let upstream = Upstream::start(OK).await;
    let constraints = json!({"constraints": {"source": ["203.0.113.0/24"]}});
    let claims = [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7"), ("x-real-ip", "203.0.113.7")];
    let world = World::calling(Backend::Sqlite, &upstream.base, constraints.clone()).await;
    let token = world.token(&world.agent).await;
    for (name, value) in claims {
        let call = world.proxied(Method::POST, &token, "/x").header(name, value).body("").send().await.unwrap();
        assert_eq!(call.status(), StatusCode::FORBIDDEN, "{name}");
        assert_eq!(call.json::<Value>().await.unwrap()["constraint"], "source");
        let url = world.server.url(&format!("/credentials/{}/release", world.credential));
        let release = world.server.http.post(url).bearer_auth(&token).header(name, value);
        assert_eq!(release.json(&json!({"mode": "plaintext"})).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    assert!(upstream.seen().is_empty());
    // Of a proxy that was declared, it is believed, and only the hop that it added itself.
    let settings = [LOCAL[0], LOCAL[1], ("STIPEND_TRUSTED_PROXIES", "127.0.0.1/32")];
    let world = World::with(Backend::Sqlite, &settings).await;
    let mut patch = constraints;
    patch["base_url"] = json!(upstream.base);
    world.admin(Method::PATCH, &format!("/credentials/{}", world.credential), patch).await;
    let token = world.token(&world.agent).await;
    for (hops, status) in [("203.0.113.7", 200), ("203.0.113.7, 198.51.100.1", 403), ("198.51.100.1, 203.0.113.7", 200)]
    {
        let call = world.proxied(Method::POST, &token, "/x").header("x-forwarded-for", hops).body("");
        assert_eq!(call.send().await.unwrap().status().as_u16(), status, "{hops}");
    }
    assert!(upstream.seen().iter().all(|seen| !seen.contains("203.0.113.7")), "nor is it passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_ahead_of_us_or_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let now = stipend::clock::Clock::now(&*world.server.clock);
    let grant = |expires_at: Value| {
        let body = json!({"credential": world.credential, "agent": world.stranger.id, "modes": ["plaintext"], "expires_at": expires_at});
        world.admin(Method::POST, "/grants", body)
    };
    for bad in [
        json!(i64::MAX),
        json!(i64::MIN),
        json!(0),
        json!(-1),
        json!(now),
        json!(now - 1),
        json!(u64::MAX),
        json!(1e18),
        json!(253_402_300_800_i64),
        json!("2030-01-01"),
        json!(1.5),
        json!([now + 60]),
    ] {
        let (status, body) = grant(bad.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}: {body}");
    }
    let (status, made) = grant(json!(now + 60)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/grants/{}", made["id"].as_str().unwrap());
    for bad in [json!(i64::MAX), json!(i64::MIN), json!(now - 1)] {
        let (status, _) = world.admin(Method::PATCH, &path, json!({"expires_at": bad})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let token = world.token(&world.stranger).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK);
    world.server.clock.advance(61);
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_suspended_in_the_middle_of_a_stream_makes_no_other_call() {
    let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
    llm.set_pace(Duration::from_millis(100));
    let base = llm.base_url().unwrap().to_string();
    let world = World::calling(Backend::Sqlite, &base, json!({})).await;
    let token = world.token(&world.agent).await;
    let mut stream = world.chat(&token, "one two", true).send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    let (status, _) =
        world.admin(Method::POST, &format!("/agents/{}/suspend", world.agent.id), json!({"reason": "test"})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.chat(&token, "again", false).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let rest = stream.text().await.unwrap();
    assert!(rest.ends_with("data: [DONE]\n\n"), "what was allowed and paid for is answered: {rest}");
    assert_eq!(llm.calls(), 1);
}

/// An admin of one owner.
async fn boss(world: &World, owner: &str, of: &[&str]) -> String {
    let roles: Vec<Value> = of.iter().map(|owner| json!({"role": "owner-admin", "owner": owner})).collect();
    let all = ["admin:read", "admin:write", "admin:audit"];
    let name = format!("boss-{}", of.join("-"));
    let body = json!({
        "owner": owner, "name": name, "kind": "admin", "auth_method": "client_secret_basic", "roles": roles,
        "access": [{"resource": world.server.app.urls.admin_resource, "scopes": all, "default_scopes": all}],
    });
    let made = world.server.create("/agents", body).await;
    let client = TestClient {
        id: made["agent"]["id"].as_str().unwrap().to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    world.server.token(&client, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_neither_grants_alone_what_is_the_others() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    server.create_owner("globex").await;
    let theirs = World::agent(server, "globex", "visitor").await;
    let (acme, globex) = (boss(&world, "acme", &["acme"]).await, boss(&world, "globex", &["globex"]).await);
    let both = boss(&world, "acme", &["acme", "globex"]).await;
    let body = json!({"credential": world.credential, "agent": theirs.id, "modes": ["plaintext"]});
    let path = format!("/credentials/{}", world.credential);
    let hidden = server.admin_as(&globex, Method::GET, &path, None).await;
    assert_eq!(hidden, server.admin_as(&globex, Method::GET, "/credentials/acme.none", None).await);
    assert_eq!(hidden.0, StatusCode::NOT_FOUND);
    for (who, token) in [("whose agent it is", &globex), ("whose credential it is", &acme)] {
        let (status, said) = server.admin_as(token, Method::POST, "/grants", Some(&body)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{who}: {said}");
    }
    let token = server.token(&theirs, &[]).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::NOT_FOUND);
    let (status, grant) = server.admin_as(&both, Method::POST, "/grants", Some(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{grant}");
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK);
    for (who, token) in [("whose agent it is", &globex), ("whose credential it is", &acme)] {
        let (status, page) = server.admin_as(token, Method::GET, "/audit?event=credential.released", None).await;
        assert_eq!(status, StatusCode::OK);
        let seen = page["items"].as_array().unwrap();
        assert!(seen.iter().any(|record| record["detail"]["credential"] == json!(world.credential)), "{who}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_owner_is_disabled_is_used_by_nobody() {
    let upstream = Upstream::start(OK).await;
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let server = &world.server;
    server.create_owner("globex").await;
    let theirs = World::agent(server, "globex", "visitor").await;
    world.allow(&theirs, json!({"modes": ["proxy", "plaintext"]})).await;
    let token = server.token(&theirs, &[]).await;
    assert_eq!(everywhere(&world, &token).await, [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::OK]);
    let (status, _) = world.admin(Method::POST, "/owners/acme/disable", json!({"reason": "unpaid"})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = world.release(&token, "plaintext").await;
    assert!(status.is_client_error() && body.get("value").is_none(), "{status} {body}");
    let call = world.proxied(Method::POST, &token, "/x").body("").send().await.unwrap();
    let (status, body) = (call.status(), call.json::<Value>().await.unwrap());
    assert!(status.is_client_error(), "{status} {}", error(&body));
    assert_eq!(upstream.seen().len(), 1);
}
