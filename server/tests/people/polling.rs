//! Polling (OpenID CIBA Core sections 10.1 and 11): every state there is.

use crate::world::{LEDGER, World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn what_was_approved_is_issued_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let asked = world.waiting().await;
    assert_eq!(world.polled(&asked.handle).await, "authorization_pending");
    world.approve(&asked.id).await;
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let said = claims(&body);
    assert_eq!(
        (&said["sub"], &said["act"], &said["aud"], &said["scope"]),
        (&json!("agent:shop.planner"), &json!({"sub": "agent:desk.refunds"}), &json!(LEDGER), &json!("post read"))
    );
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 120);
    assert_eq!(world.polled(&asked.handle).await, "invalid_grant", "used up");
    let shown = world.shown(&asked.id).await;
    assert_eq!((&shown["status"], &shown["jti"]), (&json!("consumed"), &said["jti"]));
    let issued = &world.records("token.issued").await[0];
    assert_eq!(issued["detail"]["approval"]["id"], json!(asked.id), "{issued}");
    assert_eq!(issued["detail"]["approval"]["approved_by"], json!(["shop"]));
    let approved = &world.records("approval.approved").await[0];
    assert_eq!((&approved["client_id"], &approved["detail"]["target"]), (&json!("stipend.admin"), &json!(asked.id)));
}

#[rstest]
#[tokio::test]
async fn who_polls_faster_than_it_may_waits_longer(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let asked = world.waiting().await;
    assert_eq!(world.polled(&asked.handle).await, "authorization_pending");
    assert_eq!(world.polled(&asked.handle).await, "slow_down");
    // More than five seconds, and less than ten however slow the machine is.
    world.server.clock.advance(6);
    assert_eq!(world.polled(&asked.handle).await, "slow_down", "ten seconds now");
    world.server.clock.advance(15);
    assert_eq!(world.polled(&asked.handle).await, "authorization_pending");
    world.server.clock.advance(11);
    assert_eq!(world.polled(&asked.handle).await, "slow_down", "and fifteen from then on");
    world.approve(&asked.id).await;
    assert_eq!(world.poll(&asked.handle).await.0, StatusCode::OK, "what is there need not wait");
}

#[rstest]
#[tokio::test]
async fn a_no_and_the_end_of_its_time_are_told_apart(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let (refused, expired, late) = (world.waiting().await, world.waiting().await, world.waiting().await);
    let (status, body) = world.answer(&refused.id, "refuse", &json!({"reason": "not today"})).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("refused")), "{body}");
    let (status, body) = world.poll(&refused.handle).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "access_denied"));
    world.approve(&late.id).await;
    world.server.clock.advance(300);
    assert_eq!(world.polled(&expired.handle).await, "expired_token");
    assert_eq!(world.polled(&late.handle).await, "expired_token", "approved, and not fetched in time");
    assert_eq!(world.polled(&refused.handle).await, "access_denied");
    assert_eq!(world.shown(&expired.id).await["status"], "expired");
    let (status, _) = world.answer(&expired.id, "approve", &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "too late");
}

#[rstest]
#[tokio::test]
async fn a_handle_is_its_clients_own(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let asked = world.waiting().await;
    world.approve(&asked.id).await;
    for client in [&world.clerk, &world.planner] {
        let (status, body) = world.poll_as(client, &asked.handle).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_grant"), "{body}");
    }
    let (_, unknown) = world.poll("ar_unknown").await;
    let (_, others) = world.poll_as(&world.clerk, &asked.handle).await;
    assert_eq!(unknown, others, "no telling whether it is somebody's");
    let (_, body) = world.poll(&"x".repeat(5000)).await;
    assert_eq!(error(&body), "invalid_grant");
    let (_, body) = world.poll(&asked.id).await;
    assert_eq!(error(&body), "invalid_grant", "people's id is no handle");
    let form = [("grant_type", stipend::grant::CIBA)];
    let (_, body) = world.server.form("/oauth2/token", &world.refunds, &form).await;
    assert_eq!(error(&body), "invalid_request");
    assert_eq!(world.poll(&asked.handle).await.0, StatusCode::OK, "none of that used it up");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_polls_at_once_one_gets_the_token(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let asked = world.waiting().await;
    world.approve(&asked.id).await;
    let polls = (0..32).map(|_| world.poll(&asked.handle));
    let answers = futures_util::future::join_all(polls).await;
    let issued: Vec<_> = answers.iter().filter(|(status, _)| *status == StatusCode::OK).collect();
    assert_eq!(issued.len(), 1, "{answers:?}");
    let others = answers.iter().filter(|(status, _)| *status != StatusCode::OK);
    for (status, body) in others {
        assert_eq!((*status, error(body)), (StatusCode::BAD_REQUEST, "invalid_grant"), "{body}");
    }
    let issues = world.records("token.issued").await;
    let by_approval = issues.iter().filter(|record| record["detail"]["approval"]["id"] == json!(asked.id)).count();
    assert_eq!(by_approval, 1);
}

#[tokio::test]
async fn two_nodes_issue_it_once_between_them() {
    let world = World::new(Backend::Postgres, &["subject_owner"]).await;
    let asked = world.waiting().await;
    let other = stipend::testing::TestServer::start_on(
        &world.server.database_url,
        &[("STIPEND_ISSUER", world.server.issuer.as_str())],
    )
    .await;
    world.approve(&asked.id).await;
    let url = format!("http://{}/oauth2/token", other.address());
    let form = [("grant_type", stipend::grant::CIBA), ("auth_req_id", asked.handle.as_str())];
    let there = (0..8).map(|_| {
        let request =
            world.server.http.post(&url).basic_auth(&world.refunds.id, Some(&world.refunds.secret)).form(&form);
        async move { request.send().await.unwrap().status() }
    });
    let here = (0..8).map(|_| async { world.poll(&asked.handle).await.0 });
    let (here, there) = tokio::join!(futures_util::future::join_all(here), futures_util::future::join_all(there));
    let issued = here.into_iter().chain(there).filter(|status| *status == StatusCode::OK).count();
    assert_eq!(issued, 1);
}

#[tokio::test]
async fn the_metadata_says_that_it_polls_and_where() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let url = world.server.url("/.well-known/openid-configuration");
    let said: serde_json::Value =
        world.server.http.request(Method::GET, url).send().await.unwrap().json().await.unwrap();
    assert_eq!(said["backchannel_authentication_endpoint"], json!(world.server.url("/oauth2/bc-authorize")));
    assert_eq!(said["backchannel_token_delivery_modes_supported"], json!(["poll"]));
    assert!(said["grant_types_supported"].as_array().unwrap().contains(&json!(stipend::grant::CIBA)));
}
