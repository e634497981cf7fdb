//! Status lists, against a real server and by the crate that services embed.

use crate::world::{ORDERS, World, claims};
use reqwest::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::HashSet;
use stipend::clock::Clock;
use stipend::testing::TestServer;
use stipend_keys::TokenKind;
use stipend_relying::{Options, Verifier, VerifyError};
use stipend_schema::Backend;
use stipend_token::{Status, StatusList};

/// Where a token says its status is: the list's address and the place.
fn reference(token: &str) -> (String, i64) {
    let status = &claims(token)["status"]["status_list"];
    (status["uri"].as_str().unwrap().to_owned(), status["idx"].as_i64().unwrap())
}

/// The status of a token as its list says, verified, from a node (whatever its issuer says).
async fn status_at(world: &World, address: &str, token: &str) -> Option<Status> {
    let (uri, idx) = reference(token);
    let path = uri.strip_prefix(&world.server.issuer).unwrap();
    let answer = world.server.http.get(format!("http://{address}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let said = world.verified(&answer.text().await.unwrap(), TokenKind::StatusList).await;
    assert_eq!(said["sub"], uri.as_str());
    let list = StatusList::from_json(said["status_list"].as_object().unwrap(), 1 << 16).unwrap();
    list.find(idx)
}

async fn status(world: &World, token: &str) -> Status {
    status_at(world, &world.server.address(), token).await.unwrap()
}

/// A second later: a list is made once a second.
async fn next_status(world: &World, token: &str) -> Status {
    world.server.clock.advance(1);
    status(world, token).await
}

async fn act(world: &World, method: Method, path: &str, body: Value) {
    let (status, answer) = world.server.admin(method, path, Some(&body)).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
}

#[rstest]
#[tokio::test]
async fn only_tokens_of_resources_that_ask_for_it_have_a_place(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    assert!(claims(&world.token().await).get("status").is_none());
    world.list_status().await;
    let token = world.token().await;
    let child = world.child(&token).await;
    let (uri, idx) = reference(&token);
    assert!(uri.starts_with(&world.server.url("/status/sl_")), "{uri}");
    assert!((0..8192).contains(&idx));
    assert_ne!(reference(&child), (uri.clone(), idx));
    let answer = world.server.http.get(&uri).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/statuslist+jwt");
    assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=1");
    assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let etag = answer.headers()[ETAG].clone();
    let jwt = answer.text().await.unwrap();
    let said = world.verified(&jwt, TokenKind::StatusList).await;
    let now = world.server.clock.now();
    assert_eq!(said.keys().collect::<Vec<_>>(), ["iss", "sub", "iat", "exp", "ttl", "status_list"]);
    assert_eq!((&said["sub"], &said["ttl"]), (&json!(uri), &json!(5)));
    assert!(said["iat"].as_i64().unwrap() <= now && said["exp"].as_i64().unwrap() > now);
    assert_eq!(said["status_list"]["bits"], 2);
    let again = world.server.http.get(&uri).header(IF_NONE_MATCH, etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!((status(&world, &token).await, status(&world, &child).await), (Status::Valid, Status::Valid));
}

#[tokio::test]
async fn what_is_no_list_is_not_found_and_the_past_is_not_kept() {
    let world = World::new(Backend::Sqlite).await;
    world.list_status().await;
    let (uri, _) = reference(&world.token().await);
    let unknown = format!("{}x", &uri[..uri.len() - 1]);
    let gone = [world.server.url("/status/x"), world.server.url("/status/sl_"), format!("{uri}0"), unknown];
    for url in gone {
        assert_eq!(world.server.http.get(&url).send().await.unwrap().status(), StatusCode::NOT_FOUND, "{url}");
    }
    let past = world.server.http.get(format!("{uri}?time=1686925000")).send().await.unwrap();
    assert_eq!(past.status(), StatusCode::NOT_IMPLEMENTED);
    let posted = world.server.http.post(&uri).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// The verifier that services embed, and the next list, agree on every way to end a token.
#[rstest]
#[case::token("token")]
#[case::parent("parent")]
#[case::own_client("own_client")]
#[case::client("client")]
#[case::suspension("suspension")]
#[case::owner("owner")]
#[case::subject("subject")]
#[case::resource("resource")]
#[case::resource_revoked("resource_revoked")]
#[case::key("key")]
#[case::ended("ended")]
#[tokio::test]
async fn every_way_to_end_a_token_shows_within_a_second(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] how: &str,
) {
    let world = World::new(backend).await;
    world.list_status().await;
    let resource = world.resource().await;
    let parent = world.token().await;
    let token = world.child(&parent).await;
    let now = world.server.clock.now();
    let verifier = Verifier::discover(&world.server.issuer, ORDERS, now, Options::default()).await.unwrap();
    verifier.verify(&token, now).await.unwrap();
    assert_eq!(status(&world, &token).await, Status::Valid);
    let (planner, refunds) = (&world.planner.id, &world.refunds.id);
    let jti = claims(&token)["jti"].clone();
    let revoke = |kind: &str, value: Value| json!({"kind": kind, "value": value, "reason": "test", "severity": "high"});
    let post = Method::POST;
    let expected = match how {
        "token" => {
            act(&world, post, "/revocations", revoke("token", jti)).await;
            Status::Invalid
        }
        "parent" => {
            world.revoke(&parent).await;
            Status::Invalid
        }
        "own_client" => {
            act(&world, post, &format!("/agents/{refunds}/revoke"), json!({"reason": "test", "severity": "high"}))
                .await;
            Status::Invalid
        }
        "client" => {
            act(&world, post, &format!("/agents/{planner}/revoke"), json!({"reason": "test", "severity": "high"}))
                .await;
            Status::Invalid
        }
        "suspension" => {
            act(&world, post, &format!("/agents/{planner}/suspend"), json!({"reason": "test"})).await;
            Status::Suspended
        }
        "owner" => {
            act(&world, post, "/owners/acme/disable", json!({"reason": "test"})).await;
            Status::Invalid
        }
        "subject" => {
            act(&world, post, "/revocations", revoke("subject", claims(&token)["sub"].clone())).await;
            Status::Invalid
        }
        "resource" => {
            act(&world, post, &format!("/resources/{resource}/disable"), json!({"reason": "test"})).await;
            Status::Suspended
        }
        "resource_revoked" => {
            act(&world, post, "/revocations", revoke("resource", json!(ORDERS))).await;
            Status::Invalid
        }
        "key" => {
            let listed = world.server.admin(Method::GET, "/signing-keys", None).await.1;
            let kid = listed["items"][0]["kid"].as_str().unwrap().to_owned();
            act(&world, post, &format!("/signing-keys/{kid}/distrust"), json!({"reason": "test"})).await;
            Status::Invalid
        }
        "ended" => {
            let ends = json!({"expires_at": world.server.clock.now() + 2});
            act(&world, Method::PATCH, &format!("/agents/{planner}"), ends).await;
            world.server.clock.advance(2);
            Status::Suspended
        }
        other => panic!("{other}"),
    };
    assert_eq!(next_status(&world, &token).await, expected, "{how}");
    // After the list's `ttl`, and where another key signs it, the cool-down of the keys.
    let wait = if how == "key" { 10 } else { 5 };
    world.server.clock.advance(wait);
    let refused = verifier.verify(&token, world.server.clock.now()).await.unwrap_err();
    let words = if expected == Status::Invalid { VerifyError::Revoked } else { VerifyError::Suspended };
    assert_eq!(refused, words, "{how}");
}

#[rstest]
#[tokio::test]
async fn a_pause_that_is_over_is_over(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.list_status().await;
    let token = world.token().await;
    assert_eq!(status(&world, &token).await, Status::Valid);
    let planner = &world.planner.id;
    act(&world, Method::POST, &format!("/agents/{planner}/suspend"), json!({"reason": "test"})).await;
    assert_eq!(next_status(&world, &token).await, Status::Suspended);
    act(&world, Method::POST, &format!("/agents/{planner}/resume"), json!({"reason": "test"})).await;
    assert_eq!(next_status(&world, &token).await, Status::Valid);
}

#[tokio::test]
async fn another_nodes_revocation_shows_within_a_second() {
    let server = TestServer::start(Backend::Postgres).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    world.list_status().await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let token = world.token().await;
    let other = second.address();
    assert_eq!(status_at(&world, &other, &token).await, Some(Status::Valid), "a node serves the lists of all");
    world.revoke(&token).await;
    let revoked = std::time::Instant::now();
    loop {
        // Its clock stands on its own.
        second.clock.advance(1);
        if status_at(&world, &other, &token).await == Some(Status::Invalid) {
            break;
        }
        assert!(revoked.elapsed() < std::time::Duration::from_secs(1), "a second is over");
    }
    second.stop().await;
}

/// Two nodes and a restart: a place is one token's.
#[rstest]
#[tokio::test]
async fn places_are_given_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    world.list_status().await;
    let mut places = HashSet::new();
    for _ in 0..34 {
        assert!(places.insert(reference(&world.token().await)));
    }
    for _ in 0..2 {
        let node = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
        let token_url = format!("http://{}/oauth2/token", node.address());
        for _ in 0..33 {
            let request = world.server.http.post(&token_url).basic_auth(&world.planner.id, Some(&world.planner.secret));
            let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
            let body: Value = answer.json().await.unwrap();
            assert!(places.insert(reference(body["access_token"].as_str().unwrap())), "{places:?}");
        }
        node.stop().await;
    }
    assert_eq!(places.len(), 100);
}

#[rstest]
#[tokio::test]
async fn a_retry_with_its_key_has_the_same_place(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.list_status().await;
    let ask = async || {
        let request = world.server.http.post(world.server.url("/oauth2/token"));
        let request =
            request.basic_auth(&world.planner.id, Some(&world.planner.secret)).header("Idempotency-Key", "k1");
        let body: Value =
            request.form(&[("grant_type", "client_credentials")]).send().await.unwrap().json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!(reference(&first), reference(&again));
    assert_eq!(claims(&first)["jti"], claims(&again)["jti"]);
    assert_eq!(status(&world, &first).await, Status::Valid);
    world.revoke(&first).await;
    assert_eq!(next_status(&world, &again).await, Status::Invalid);
}

#[rstest]
#[tokio::test]
async fn entries_go_when_their_tokens_are_over(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.list_status().await;
    let token = world.token().await;
    let (uri, _) = reference(&token);
    let db = world.server.app.store.db();
    let exp = claims(&token)["exp"].as_i64().unwrap();
    assert_eq!(stipend_schema::sweep(db, exp + 60).await.unwrap().places, 0);
    assert_eq!(stipend_schema::sweep(db, exp + 61).await.unwrap().places, 1);
    assert_eq!(world.server.http.get(&uri).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_the_database_there_is_no_list_rather_than_an_old_one() {
    let world = World::new(Backend::Sqlite).await;
    world.list_status().await;
    let (uri, _) = reference(&world.token().await);
    world.server.execute("ALTER TABLE status_entries RENAME TO away").await;
    let answer = world.server.http.get(&uri).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status, body) =
        world.server.form("/oauth2/token", &world.planner, &[("grant_type", "client_credentials")]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "and no token whose place is not stored: {body}");
}
