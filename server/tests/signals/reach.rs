//! Who is told of what kills descendants: services of other audiences, of foreign subjects, of
//! all that a key has signed.

#[path = "../support/idp.rs"]
mod idp;

use crate::streams::{SESSION_REVOKED, act, allow, make, now};
use crate::world::{ORDERS, World, claims};
use idp::{Idp, Key};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

const LEDGER: &str = "https://ledger.umbrella.example";
const FETCH: [(&str, &str); 2] = [("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];

/// A world in which refunds takes the planner's tokens on to another owner's resource, whose
/// service has a stream.
async fn far(backend: Backend) -> (World, String) {
    let world = World::on(TestServer::start_with(backend, &FETCH).await).await;
    world.server.create_resource("umbrella", LEDGER, &["book"], &[&world.foreign.id]).await;
    let rule = json!({
        "id": "acme.far", "actor": {"client": world.refunds.id}, "subject": {"client": world.planner.id},
        "to_audience": LEDGER, "scopes": [{"scope": "book", "stands_for": "read"}], "mode": "delegation",
    });
    world.server.create("/exchange-rules", rule).await;
    allow(&world, &world.foreign).await;
    let stream = make(&world, &world.foreign, json!({})).await;
    (world, stream)
}

async fn on(world: &World, client: &TestClient, subject: &str, to: &str) -> String {
    let (status, body) = world.server.exchange(client, subject, &[("resource", to)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

async fn told(world: &World, client: &TestClient, stream: &str) -> Vec<Value> {
    let told = now(world, client, stream).await;
    assert!(told.iter().all(|said| said["events"].get(SESSION_REVOKED).is_some()), "{told:?}");
    told
}

#[rstest]
#[tokio::test]
async fn the_service_of_a_child_is_told_of_its_parents_end(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (world, stream) = far(backend).await;
    // Of a parent without a child there it is told nothing.
    world.revoke(&world.token().await).await;
    assert_eq!(told(&world, &world.foreign, &stream).await, Vec::<Value>::new());
    let parent = world.token().await;
    on(&world, &world.refunds, &parent, LEDGER).await;
    world.revoke(&parent).await;
    let told = told(&world, &world.foreign, &stream).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let jti = &claims(&parent)["jti"];
    assert_eq!(told[0]["sub_id"], json!({"format": "jwt_id", "iss": world.server.issuer, "jti": jti}));
}

/// Two steps down, and by the end of a client on the way.
#[rstest]
#[tokio::test]
async fn grandchildren_and_the_clients_on_the_way_count(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (world, stream) = far(backend).await;
    let last = world.server.create_client("umbrella", "clerk", "agent", &[]).await;
    world.server.create_resource("umbrella", "https://books.umbrella.example", &["book"], &[&world.foreign.id]).await;
    let rule = json!({
        "actor": {"client": last.id}, "subject": {"client": world.refunds.id}, "to_audience": "https://books.umbrella.example",
        "scopes": [{"scope": "book", "stands_for": "read"}], "mode": "delegation",
    });
    let rule = world.server.create("/exchange-rules", rule).await["id"].as_str().unwrap().to_owned();
    for owner in ["acme", "umbrella"] {
        act(&world, Method::POST, &format!("/exchange-rules/{rule}/accept"), json!({ "owner": owner })).await;
    }
    let child =
        world.server.exchange(&world.refunds, &world.token().await, &[("resource", ORDERS), ("scope", "read")]).await;
    let child = child.1["access_token"].as_str().unwrap().to_owned();
    on(&world, &last, &child, "https://books.umbrella.example").await;
    // The planner has nothing to do with the books, but what is there began with it.
    act(&world, Method::POST, "/agents/acme.planner/suspend", json!({"reason": "test"})).await;
    let told = told(&world, &world.foreign, &stream).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["sub_id"]["sub"], "agent:acme.planner");
}

#[rstest]
#[tokio::test]
async fn what_was_issued_is_noted_once_for_many_and_swept_when_it_is_over(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (world, stream) = far(backend).await;
    let parent = world.token().await;
    for _ in 0..3 {
        on(&world, &world.refunds, &parent, LEDGER).await;
    }
    let db = world.server.app.store.db();
    let at = world.server.now();
    let jti = claims(&parent)["jti"].as_str().unwrap().to_owned();
    assert_eq!(stipend_schema::signals::reached(db, "token", &jti, at).await.unwrap(), [LEDGER]);
    // Ancestor, two clients: each once.
    assert_eq!(stipend_schema::sweep(db, at + 3 * 3600).await.unwrap().reach, 3);
    assert!(stipend_schema::signals::reached(db, "token", &jti, at).await.unwrap().is_empty());
    world.revoke(&parent).await;
    assert!(told(&world, &world.foreign, &stream).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn the_end_of_a_foreign_subject_and_of_its_issuer_is_told_where_they_went(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (world, stream) = far(backend).await;
    allow(&world, &world.service).await;
    let elsewhere = make(&world, &world.service, json!({})).await;
    let key = Key::new("k1");
    let idp = Idp::start(&[&key]).await;
    let trusted = json!({
        "owner": "acme", "issuer": idp.issuer, "keys": "discovery", "audiences": ["stipend"], "uses": ["subject_token"],
    });
    let issuer = world.server.create("/issuers", trusted).await["id"].as_str().unwrap().to_owned();
    let rule = json!({
        "actor": {"client": world.refunds.id}, "subject": {"issuer": issuer}, "to_audience": LEDGER,
        "scopes": [{"scope": "book"}], "mode": "delegation",
    });
    world.server.create("/exchange-rules", rule).await;
    let token = key.token("JWT", &idp.claims(world.server.now()));
    let kind = "urn:ietf:params:oauth:token-type:id_token";
    let form = [
        ("grant_type", stipend::grant::TOKEN_EXCHANGE),
        ("subject_token", &token),
        ("subject_token_type", kind),
        ("resource", LEDGER),
    ];
    let (status, body) = world.server.form("/oauth2/token", &world.refunds, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let sub = claims(body["access_token"].as_str().unwrap())["sub"].clone();
    let revoke = |kind: &str, value: &Value| json!({"kind": kind, "value": value, "reason": "test", "severity": "low"});
    act(&world, Method::POST, "/revocations", revoke("subject", &sub)).await;
    let said = told(&world, &world.foreign, &stream).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["sub_id"], json!({"format": "iss_sub", "iss": world.server.issuer, "sub": sub}));
    act(&world, Method::POST, &format!("/issuers/{issuer}/disable"), json!({})).await;
    let said = told(&world, &world.foreign, &stream).await;
    assert_eq!(said.len(), 2, "{said:?}");
    let last = said.iter().find(|said| said["sub_id"]["format"] == "uri").unwrap();
    assert_eq!(last["sub_id"]["uri"], idp.issuer.as_str());
    assert_eq!(last["events"][SESSION_REVOKED]["idp"], issuer.as_str());
    assert!(told(&world, &world.service, &elsewhere).await.is_empty(), "no token of theirs was ever there");
}

#[rstest]
#[tokio::test]
async fn everybody_is_told_of_a_signing_key_that_is_trusted_no_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (world, stream) = far(backend).await;
    allow(&world, &world.service).await;
    let elsewhere = make(&world, &world.service, json!({})).await;
    let (_, keys) = world.server.admin(Method::GET, "/signing-keys", None).await;
    let kid = keys["items"][0]["kid"].as_str().unwrap().to_owned();
    act(&world, Method::POST, &format!("/signing-keys/{kid}/distrust"), json!({"reason": "test"})).await;
    // The admin's own token was signed by it.
    world.server.clock.advance(201);
    for (client, stream) in [(&world.foreign, &stream), (&world.service, &elsewhere)] {
        let told = told(&world, client, stream).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["events"][SESSION_REVOKED]["kid"], kid.as_str());
        let uri = format!("{}#{kid}", world.server.url("/oauth2/jwks"));
        assert_eq!(told[0]["sub_id"], json!({"format": "uri", "uri": uri}));
    }
}
