//! What an agent is told where a request can't be right as it is, or can't be right yet.

use crate::world::World;
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::json;
use stipend_schema::Backend;

async fn send(world: &World, method: Method, path: &str, tokens: &[&str]) -> (StatusCode, HeaderMap) {
    let mut request = world.server.http.request(method, world.server.url(path)).json(&json!({"mode": "plaintext"}));
    for token in tokens {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.headers().clone())
}

/// RFC 6750 section 3.1: more than one way to present a token is `invalid_request`, and none of
/// them is taken.
#[tokio::test]
async fn two_authorization_headers_are_a_malformed_request() {
    let world = World::new(Backend::Sqlite).await;
    let (token, admin) = (world.token(&world.agent).await, world.server.admin_token().await);
    let release = format!("/credentials/{}/release", world.credential);
    let proxy = format!("/proxy/{}/v1/models", world.credential);
    for (method, path, token, challenged) in [
        (Method::POST, release.as_str(), &token, true),
        (Method::POST, "/credentials/unwrap", &token, true),
        (Method::GET, &proxy, &token, true),
        (Method::GET, "/admin/v1/owners", &admin, true),
        (Method::GET, "/ssf/stream", &token, false),
    ] {
        for tokens in [[token.as_str(), token], [token, "x"], ["x", token]] {
            let (status, headers) = send(&world, method.clone(), path, &tokens).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
            let challenges: Vec<&str> =
                headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap()).collect();
            let named =
                challenges.iter().any(|text| text.starts_with("Bearer ") && text.contains("error=\"invalid_request\""));
            assert_eq!(named, challenged, "{path}: {challenges:?}");
        }
    }
    assert_eq!(send(&world, Method::POST, &release, &[&token]).await.0, StatusCode::OK);
    assert_eq!(send(&world, Method::GET, "/admin/v1/owners", &[&admin]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back() {
    let world = World::new(Backend::Sqlite).await;
    for (name, count, per_s, after) in [("daily", 1, 86_400, "86400"), ("minutely", 4, 60, "15")] {
        let agent = World::agent(&world.server, "acme", name).await;
        let constraints = json!({"rate": {"count": count, "per_s": per_s}});
        world.allow(&agent, json!({"modes": ["plaintext"], "constraints": constraints})).await;
        let token = world.token(&agent).await;
        let release = format!("/credentials/{}/release", world.credential);
        for _ in 0..count {
            assert_eq!(send(&world, Method::POST, &release, &[&token]).await.0, StatusCode::OK, "{name}");
        }
        let (status, headers) = send(&world, Method::POST, &release, &[&token]).await;
        assert_eq!((status, headers[RETRY_AFTER].to_str().unwrap()), (StatusCode::TOO_MANY_REQUESTS, after), "{name}");
    }
}
