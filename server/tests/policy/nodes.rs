//! Two nodes on one database: a policy holds everywhere from the moment it is stored.

use crate::world::{ORDERS, SETTINGS, World, assert_refused, when};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_one_node_stops_what_another_is_about_to_commit() {
    let server = TestServer::start_with(Backend::Postgres, &SETTINGS).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let other = format!("http://{}/oauth2/token", second.address());
    let issue = async || {
        let sent = world.server.http.post(&other).basic_auth(&world.planner.id, Some(&world.planner.secret));
        let answer = sent.form(&[("grant_type", "client_credentials"), ("resource", ORDERS)]).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let id = world.forbid_when("closed", "token:issue", "true").await;
    for round in 0..10 {
        // No wait: the other node may not have heard of it, and must decide by it all the same.
        assert_refused(&issue().await);
        let off = format!("/policies/{id}/disable");
        assert_eq!(world.server.admin(Method::POST, &off, Some(&json!({}))).await.0, StatusCode::OK);
        assert_eq!(issue().await.0, StatusCode::OK, "{round}");
        // By a new text, and by switching it on.
        let text = json!({"text": when("token:issue", &format!("{round} == {round}"))});
        let path = format!("/policies/{id}");
        assert_eq!(world.server.admin(Method::PATCH, &path, Some(&text)).await.0, StatusCode::OK);
        let on = format!("/policies/{id}/enable");
        assert_eq!(world.server.admin(Method::POST, &on, Some(&json!({}))).await.0, StatusCode::OK);
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_issued_after_the_answer_to_a_new_policy_however_many_ask() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::new(backend).await;
        world.token(&world.planner, ORDERS).await;
        let ask = || async {
            let mut issued = Vec::new();
            for _ in 0..20 {
                if world.issue(&world.planner, ORDERS).await.0 == StatusCode::OK {
                    issued.push(std::time::Instant::now());
                }
            }
            issued
        };
        let close = async {
            world.forbid_when("closed", "token:issue", "true").await;
            std::time::Instant::now()
        };
        let (closed, _) =
            futures_util::future::join(close, futures_util::future::join_all((0..8).map(|_| ask()))).await;
        let _ = closed;
        assert_refused(&world.issue(&world.planner, ORDERS).await);
        // By the audit's own order: after the policy's record there is no token.
        let (_, page) = world.server.admin(Method::GET, "/audit?limit=200", None).await;
        let records = page["items"].as_array().unwrap();
        let made = records.iter().find(|record| record["event"] == "policy.created").unwrap()["n"].as_i64().unwrap();
        let late = |record: &&Value| record["event"] == "token.issued" && record["client_id"] == "acme.planner";
        for record in records.iter().filter(late) {
            assert!(record["n"].as_i64().unwrap() < made, "{record}");
        }
    }
}
