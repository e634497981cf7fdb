use crate::world::{ALL_MODES, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend_schema::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_agent_may_nothing_and_a_grant_holds_at_once() {
    let world = World::new(Backend::Sqlite).await;
    let path = format!("/agents/{}/grants", world.stranger.id);
    let (status, rule) = world.admin(Method::GET, &path, Value::Null).await;
    assert_eq!((status, rule["items"].as_array().unwrap().len()), (StatusCode::OK, 0), "there, and empty");
    let token = world.token(&world.stranger).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::NOT_FOUND);
    let grant = world.allow(&world.stranger, json!({"modes": ["plaintext"]})).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK, "with the token it had");
    let (_, rule) = world.admin(Method::GET, &path, Value::Null).await;
    assert_eq!(rule["items"][0]["credential"], json!(world.credential));
    let (status, _) =
        world.admin(Method::DELETE, &format!("/grants/{}", grant["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::NOT_FOUND);
    let (status, _) = world.admin(Method::GET, &format!("/credentials/{}", world.credential), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "the credential stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topology_says_what_stands_between_agents_and_credentials() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let edge = || async {
        let (status, page) = world.admin(Method::GET, "/topology", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["items"][0].clone()
    };
    let before = edge().await;
    assert_eq!((&before["status"], &before["exposed"], &before["uses"]), (&json!("active"), &json!(false), &json!(0)));
    assert_eq!(before["modes"], json!(["proxy", "wrapped", "plaintext"]));
    world.release(&token, "plaintext").await;
    stipend::jobs::note_uses(&world.server.app).await;
    let after = edge().await;
    assert_eq!(
        (&after["exposed"], &after["uses"], &after["last_mode"]),
        (&json!(true), &json!(1), &json!("plaintext"))
    );
    for (path, status) in [
        (format!("/grants/{}/disable", world.grant), "disabled"),
        (format!("/grants/{}/enable", world.grant), "active"),
        (format!("/agents/{}/suspend", world.agent.id), "agent_not_ready"),
        (format!("/agents/{}/resume", world.agent.id), "active"),
        (format!("/credentials/{}/disable", world.credential), "credential_not_ready"),
    ] {
        world.admin(Method::POST, &path, json!({"reason": "test"})).await;
        assert_eq!(edge().await["status"], status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_checked_and_the_same_one_twice_is_one() {
    let world = World::new(Backend::Sqlite).await;
    let good = json!({"owner": "acme", "name": "second", "value": {"api_key": {"key": "sk-second-012345"}}, "modes": ALL_MODES});
    for expected in [StatusCode::CREATED, StatusCode::OK] {
        assert_eq!(world.admin(Method::POST, "/credentials", good.clone()).await.0, expected);
    }
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let (status, _) =
        world.admin(Method::POST, "/credentials", with("value", json!({"api_key": {"key": "other-key-1"}}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "another value under the same name");
    for bad in [
        with("name", json!("No Slug")),
        with("value", json!({"api_key": {}})),
        with("value", json!({"api_key": {"key": "x"}, "basic": {"username": "u", "password": "p"}})),
        with("modes", json!([])),
        with("modes", json!(["plaintext", "plaintext"])),
        with("modes", json!(["clear"])),
        with("base_url", json!("http://upstream.example")),
        with("base_url", json!("https://u:p@upstream.example")),
        with("base_url", json!("https://upstream.example/?a=b")),
        with("base_url", json!("file:///etc/passwd")),
        with("header", json!({"name": "Host"})),
        with("header", json!({"name": "transfer-encoding"})),
        with("constraints", json!({"method": ["GET"]})),
        with("constraints", json!({"paths": ["/a/../b"]})),
        with("lease_seconds", json!(0)),
        with("lease_seconds", json!(1e3)),
        with("price", json!({"unit": "USD", "decimals": 2, "amount": 1})),
        with("price", json!({"unit": "USD", "decimals": 6, "amount": -1})),
        with("price", json!({"unit": "USD", "decimals": 6, "amount": 0.5})),
        with("environment", json!("test")),
        with("sealed", json!("x")),
    ] {
        let mut named = bad.clone();
        if named["name"] == json!("second") {
            named["name"] = json!("third");
        }
        let (status, body) = world.admin(Method::POST, "/credentials", named).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}: {body}");
    }
    let (_, page) = world.admin(Method::GET, "/credentials", Value::Null).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2, "nothing was made of the others");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_for_an_agent_of_the_same_environment() {
    let world = World::new(Backend::Sqlite).await;
    let service = world.server.create_client("acme", "api", "service", &[]).await;
    let sandboxed = json!({
        "owner": "acme", "name": "toy", "purpose": "test", "auth_method": "client_secret_basic", "environment": "sandbox",
    });
    world.server.create("/agents", sandboxed).await;
    for (agent, status) in [(service.id.as_str(), 400), ("acme.toy", 400), ("acme.none", 404)] {
        let body = json!({"credential": world.credential, "agent": agent});
        assert_eq!(world.admin(Method::POST, "/grants", body).await.0.as_u16(), status, "{agent}");
    }
    for bad in [
        json!({"modes": []}),
        json!({"modes": ["jwe"]}),
        json!({"modes": ["jwe"], "encryption_jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"task": "a b"}),
        json!({"expires_at": 1}),
        json!({"constraints": {"uses": 0}}),
        json!({"uses": 1}),
    ] {
        let mut body = bad.clone();
        body["credential"] = json!(world.credential);
        body["agent"] = json!(world.stranger.id);
        assert_eq!(world.admin(Method::POST, "/grants", body).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
}
