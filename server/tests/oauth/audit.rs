//! The record before the answer: issues, refusals and revocations, and no secret in any.

use crate::world::World;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;
use stipend::testing::TestClient;
use stipend_schema::Backend;

async fn records(world: &World, query: &str) -> Vec<Value> {
    let (_, body) = world.server.admin(Method::GET, &format!("/audit?limit=200&{query}"), None).await;
    body["items"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
}

#[rstest]
#[tokio::test]
async fn every_answer_has_its_record(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let subject = world.subject().await;
    let child = world.delegated(&subject).await;
    world.server.exchange(&world.stranger, &subject, &[]).await;
    world.server.form("/oauth2/revoke", &world.planner, &[("token", &subject)]).await;
    let guesser = TestClient { id: "acme.planner".into(), secret: "canary-wrong-secret".into() };
    for _ in 0..3 {
        world.server.form("/oauth2/token", &guesser, &[("grant_type", "client_credentials")]).await;
    }
    let jti = crate::world::claims(&child)["jti"].as_str().unwrap().to_owned();
    let issued = records(&world, &format!("jti={jti}")).await;
    assert_eq!(issued.len(), 1);
    assert_eq!(issued[0]["detail"]["token"]["act"]["sub"], "agent:acme.refunds");
    assert!(
        records(&world, "outcome=refused&client_id=acme.stranger").await.iter().any(|r| r["reason"] == "not_theirs")
    );
    assert_eq!(records(&world, "event=token.revoked").await.len(), 1);
    let wrong: i64 = records(&world, "event=token.refused")
        .await
        .iter()
        .filter(|r| r["reason"] == "wrong_secret")
        .map(|r| r["detail"]["count"].as_i64().unwrap())
        .sum();
    assert_eq!(wrong, 3, "gathered, and none lost");
    let all = serde_json::to_string(&records(&world, "").await).unwrap();
    for canary in ["canary-wrong-secret", &world.planner.secret, &subject, &child, stipend::testing::ADMIN_SECRET] {
        assert!(!all.contains(canary), "a secret in the audit");
    }
}

/// A path, who asks, the form, and the status and the record's outcome that are due.
type Asked<'a> = (&'a str, &'a TestClient, &'a [(&'a str, &'a str)], u16, &'a str);

/// Whoever was answered finds the record of it: one, refusals too.
#[rstest]
#[tokio::test]
async fn an_answer_names_its_record(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let subject = world.subject().await;
    let asked: [Asked<'_>; 5] = [
        ("/oauth2/token", &world.planner, &[("grant_type", "client_credentials")], 200, "issued"),
        ("/oauth2/token", &world.planner, &[("grant_type", "client_credentials"), ("scope", "no")], 400, "refused"),
        ("/oauth2/revoke", &world.stranger, &[("token", &subject)], 400, "refused"),
        ("/budget/charges", &world.service, &[("token", &subject)], 400, "refused"),
        ("/budget/holds/bh_none/void", &world.service, &[], 404, "refused"),
    ];
    for (path, client, form, status, outcome) in asked {
        let request = world.server.http.post(world.server.url(path)).basic_auth(&client.id, Some(&client.secret));
        let answer = request.form(form).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let id = answer.headers()["stipend-request-id"].to_str().unwrap().to_owned();
        let all = records(&world, "").await;
        let named: Vec<_> = all.iter().filter(|record| record["detail"]["request_id"] == id.as_str()).collect();
        assert_eq!(named.len(), 1, "{path}: {id}");
        assert_eq!(named[0]["outcome"], outcome, "{path}");
        assert_eq!(named[0]["client_id"], client.id.as_str(), "{path}");
    }
}

/// Two headers are two methods: refused before anybody is asked who it is, and on record.
#[rstest]
#[case("/oauth2/token")]
#[case("/oauth2/introspect")]
#[case("/oauth2/revoke")]
#[case("/budget/charges")]
#[tokio::test]
async fn two_authorization_headers_are_refused_on_record(#[case] path: &str) {
    let world = World::new(Backend::Sqlite).await;
    let basic = |client: &TestClient| {
        use base64::Engine;
        let pair = format!("{}:{}", client.id, client.secret);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    let request = world.server.http.post(world.server.url(path)).form(&[("grant_type", "client_credentials")]);
    let request = request.header("authorization", basic(&world.planner)).header("authorization", basic(&world.service));
    assert_eq!(request.send().await.unwrap().status(), 400);
    let refused = records(&world, "outcome=refused").await;
    assert!(refused.iter().any(|record| record["reason"] == "several_auth_methods"), "{refused:?}");
}
