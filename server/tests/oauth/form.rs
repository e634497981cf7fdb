//! What a token request must look like (RFC 6749 sections 3.2, 5.2, appendix B).

use crate::world::{World, error};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use stipend::testing::TestClient;
use stipend_schema::Backend;

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(
    world: &World,
    client: &TestClient,
    kind: &str,
    body: impl Into<reqwest::Body>,
) -> (StatusCode, Value, String) {
    let answer = world
        .server
        .http
        .post(world.server.url("/oauth2/token"))
        .basic_auth(&client.id, Some(&client.secret))
        .header(CONTENT_TYPE, kind)
        .body(body)
        .send()
        .await
        .unwrap();
    let cache = answer.headers().get("cache-control").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null), cache)
}

#[tokio::test]
async fn malformed_requests_get_their_error_as_json_and_change_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let big = format!("grant_type=client_credentials&x={}", "y".repeat(70_000));
    let many: String = (0..80).map(|n| format!("&p{n}=1")).collect();
    let many = format!("grant_type=client_credentials{many}");
    let cases: Vec<(&str, &str, &str, u16, &str)> = vec![
        ("no grant type", FORM, "scope=read", 400, "invalid_request"),
        ("empty grant type", FORM, "grant_type=", 400, "invalid_request"),
        ("unknown grant type", FORM, "grant_type=password", 400, "unsupported_grant_type"),
        ("implicit", FORM, "grant_type=implicit", 400, "unsupported_grant_type"),
        (
            "repeated grant type",
            FORM,
            "grant_type=client_credentials&grant_type=client_credentials",
            400,
            "invalid_request",
        ),
        ("repeated scope", FORM, "grant_type=client_credentials&scope=read&scope=read", 400, "invalid_request"),
        ("repeated unknown", FORM, "grant_type=client_credentials&foo=1&foo=2", 400, "invalid_request"),
        ("bad percent", FORM, "grant_type=client_credentials&scope=%zz", 400, "invalid_request"),
        ("bad utf-8", FORM, "grant_type=client_credentials&scope=%ff", 400, "invalid_request"),
        ("json", "application/json", r#"{"grant_type":"client_credentials"}"#, 400, "invalid_request"),
        ("multipart", "multipart/form-data; boundary=x", "--x--", 400, "invalid_request"),
        ("no type", "", "grant_type=client_credentials", 400, "invalid_request"),
        ("too large", FORM, &big, 413, "invalid_request"),
        ("too many", FORM, &many, 400, "invalid_request"),
    ];
    for (what, kind, body, status, code) in cases {
        let (got, answer, cache) = post(&world, &world.planner, kind, body.to_owned()).await;
        assert_eq!((got.as_u16(), error(&answer)), (status, code), "{what}: {answer}");
        assert_eq!(cache, "no-store", "{what}");
        assert!(answer.get("access_token").is_none(), "{what}");
    }
}

#[tokio::test]
async fn unknown_and_empty_parameters_are_ignored_and_a_charset_is_tolerated() {
    let world = World::new(Backend::Sqlite).await;
    let body = "grant_type=client_credentials&foo=bar&scope=&resource=";
    let (status, answer, cache) =
        post(&world, &world.planner, "application/x-www-form-urlencoded; charset=UTF-8", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(cache, "no-store");
}

#[tokio::test]
async fn only_post_and_never_the_query() {
    let world = World::new(Backend::Sqlite).await;
    let url = world.server.url("/oauth2/token?grant_type=client_credentials");
    for method in ["GET", "PUT", "HEAD", "DELETE", "PATCH"] {
        let answer = world
            .server
            .http
            .request(method.parse().unwrap(), &url)
            .basic_auth(&world.planner.id, Some(&world.planner.secret))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.headers()["allow"], "POST");
    }
    let answer = world
        .server
        .http
        .post(&url)
        .basic_auth(&world.planner.id, Some(&world.planner.secret))
        .header(CONTENT_TYPE, FORM)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400, "grant_type in the query is not there");
}

#[tokio::test]
async fn nothing_hostile_is_echoed() {
    let world = World::new(Backend::Sqlite).await;
    let hostile = "%3Cscript%3E%22%5C%0D%0ASet-Cookie%3A+x%F0%9F%92%A5";
    for name in ["grant_type", "scope", "resource", "client_id", "subject_token_type", "requested_token_type"] {
        let body = format!("grant_type=client_credentials&{name}={hostile}")
            .replace("grant_type=client_credentials&grant_type", "grant_type");
        let answer = world
            .server
            .http
            .post(world.server.url("/oauth2/token"))
            .basic_auth(&world.planner.id, Some(&world.planner.secret))
            .header(CONTENT_TYPE, FORM)
            .body(body)
            .send()
            .await
            .unwrap();
        assert!(answer.headers().get("set-cookie").is_none());
        let text = answer.text().await.unwrap();
        assert!(!text.contains("script>") && !text.contains("Cookie"), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_head_of_absurd_size_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let answer = world
        .server
        .http
        .get(world.server.url("/healthz"))
        .header("x-filler", "y".repeat(20_000))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 431);
    assert_eq!(world.server.http.get(world.server.url("/nowhere")).send().await.unwrap().status(), 404);
}
