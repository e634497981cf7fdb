//! RFC 9701.

use crate::world::{World, claims};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use reqwest::{Response, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend::clock::Clock;
use stipend::testing::TestClient;
use stipend_keys::{TokenKind, Unverified};
use stipend_schema::Backend;

const SIGNED: &str = "application/token-introspection+jwt";

async fn ask(world: &World, client: &TestClient, token: &str, accept: &str) -> Response {
    let request = world.server.http.post(world.server.url("/oauth2/introspect")).header(ACCEPT, accept);
    request.basic_auth(&client.id, Some(&client.secret)).form(&[("token", token)]).send().await.unwrap()
}

#[rstest]
#[tokio::test]
async fn the_answer_is_a_jwt_of_its_own_kind_for_whoever_asks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.child(&world.token().await).await;
    let before = world.server.clock.now();
    let answer = ask(&world, &world.service, &token, SIGNED).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], SIGNED);
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
    let jwt = answer.text().await.unwrap();
    let said = world.verified(&jwt, TokenKind::Introspection).await;
    assert_eq!(said.keys().collect::<Vec<_>>(), ["iss", "aud", "iat", "token_introspection"], "and nothing beside");
    assert_eq!(said["iss"], world.server.issuer.as_str());
    assert_eq!(said["aud"], world.service.id.as_str());
    assert!((before..=world.server.clock.now()).contains(&said["iat"].as_i64().unwrap()), "{said:?}");
    let plain = world.server.introspect(&world.service, &token).await;
    assert_eq!(said["token_introspection"], plain, "the same answer, signed");
    assert_eq!(said["token_introspection"]["jti"], claims(&token)["jti"]);
    assert_eq!(Unverified::parse(&jwt).unwrap().typ(), Some("token-introspection+jwt"));
}

#[tokio::test]
async fn a_signed_answer_is_no_access_token_and_an_access_token_no_signed_answer() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token().await;
    let jwt = ask(&world, &world.service, &token, SIGNED).await.text().await.unwrap();
    assert_eq!(world.server.introspect(&world.service, &jwt).await, json!({"active": false}));
    let (status, _) = world.server.exchange(&world.refunds, &jwt, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[rstest]
#[tokio::test]
async fn what_the_caller_may_not_know_or_is_dead_is_inactive_and_nothing_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.token().await;
    let dead = world.token().await;
    world.revoke(&dead).await;
    for (client, token) in [(&world.foreign, token.as_str()), (&world.service, &dead), (&world.service, "x")] {
        let answer = ask(&world, client, token, SIGNED).await;
        let said = world.verified(&answer.text().await.unwrap(), TokenKind::Introspection).await;
        assert_eq!(said["token_introspection"], json!({"active": false}), "{}", client.id);
        assert_eq!(said["aud"], client.id.as_str());
    }
}

#[rstest]
#[tokio::test]
async fn it_is_on_record_before_it_is_signed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let token = world.token().await;
    ask(&world, &world.service, &token, "application/json").await;
    assert!(world.audit("token.introspected").await.is_empty(), "a plain answer is not signed, and not recorded");
    ask(&world, &world.service, &token, SIGNED).await;
    ask(&world, &world.foreign, &token, SIGNED).await;
    let records = world.audit("token.introspected").await;
    let told: Vec<_> =
        records.iter().map(|record| (&record["client_id"], &record["detail"]["active"], &record["jti"])).collect();
    let (service, foreign) = (json!(world.service.id), json!(world.foreign.id));
    let jti = claims(&token)["jti"].clone();
    assert!(told.contains(&(&service, &json!(true), &jti)), "{records:?}");
    assert!(told.contains(&(&foreign, &json!(false), &json!(null))), "{records:?}");
    // Whatever can't be recorded is not signed.
    world.server.execute("DROP TABLE audit_records").await;
    let refused = ask(&world, &world.service, &token, SIGNED).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn only_who_asks_for_it_gets_it_and_errors_stay_json() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token().await;
    for accept in ["*/*", "application/json", "application/token-introspection+jwt;q=0.1, application/json"] {
        let answer = ask(&world, &world.service, &token, accept).await;
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json", "{accept}");
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["active"], true);
    }
    let stranger = TestClient { secret: "sk_wrong".to_owned(), ..world.service.clone() };
    let refused = ask(&world, &stranger, &token, SIGNED).await;
    assert_eq!(
        (refused.status(), &refused.headers()[CONTENT_TYPE]),
        (StatusCode::UNAUTHORIZED, &"application/json".parse().unwrap())
    );
    let request = world.server.http.post(world.server.url("/oauth2/introspect")).header(ACCEPT, SIGNED);
    let refused = request.basic_auth(&world.service.id, Some(&world.service.secret)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_metadata_says_which_algorithms_sign_it() {
    let world = World::new(Backend::Sqlite).await;
    let url = world.server.url("/.well-known/oauth-authorization-server");
    let metadata: serde_json::Value = world.server.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["introspection_signing_alg_values_supported"], json!(["ES256"]));
}
