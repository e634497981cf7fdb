//! Asking at the backchannel authentication endpoint (OpenID CIBA Core section 7).

use crate::world::{LEDGER, ORDERS, World, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

const BAD: StatusCode = StatusCode::BAD_REQUEST;

#[rstest]
#[tokio::test]
async fn an_exchange_that_waits_for_people_is_no_plain_exchange(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &["subject_owner"]).await;
    let subject = world.subject().await;
    let (status, body) = world.server.exchange(&world.refunds, &subject, &[("resource", LEDGER)]).await;
    assert_eq!((status, error(&body)), (BAD, "interaction_required"), "{body}");
    assert!(body["error_description"].as_str().unwrap().contains("backchannel_authentication_endpoint"));
    let refused = &world.records("token.refused").await[0];
    assert_eq!(refused["reason"], "approval_needed", "{refused}");
    assert_eq!(refused["detail"]["approvers"], json!(["shop"]), "{refused}");

    let (status, body) = world.ask(&subject, &[("scope", "post"), ("binding_message", "refund for order 17")]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["interval"].as_i64(), Some(5), "{body}");
    // The clock goes on while the test runs.
    assert!((280..=300).contains(&body["expires_in"].as_i64().unwrap()), "{body}");
    assert!(body["auth_req_id"].as_str().unwrap().len() > 27, "160 bits at least");
    assert!(body.get("access_token").is_none());
    let (_, page) = world.server.admin(Method::GET, "/approvals", None).await;
    let request = &page["items"][0];
    assert_eq!((&request["status"], &request["awaiting"]), (&json!("pending"), &json!(["shop"])), "{request}");
    assert_eq!(request["binding_message"], "refund for order 17");
    assert_eq!(request["offer"]["scope"], json!(["post"]));
    assert_eq!((&request["offer"]["resource"], &request["offer"]["ttl_seconds"]), (&json!(LEDGER), &json!(120)));
    assert_eq!(request["offer"]["act"], json!({"sub": "agent:desk.refunds"}));
    let asked = &world.records("approval.requested").await[0];
    assert_eq!(asked["detail"]["approval"]["id"], request["id"], "{asked}");
}

#[tokio::test]
async fn neither_the_handle_nor_a_token_is_in_any_row_or_record() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asked = world.waiting_with(&subject, &[]).await;
    let _ = world.poll(&asked.handle).await;
    let shown = format!("{}{:?}", world.shown(&asked.id).await, world.records("approval.requested").await);
    let refused = format!("{:?}", world.records("token.refused").await);
    let file = std::fs::read(world.server.database_url.trim_start_matches("sqlite://")).unwrap();
    let log =
        std::fs::read(format!("{}-wal", world.server.database_url.trim_start_matches("sqlite://"))).unwrap_or_default();
    let stored = [file, log].concat();
    let signature = subject.rsplit('.').next().unwrap();
    for secret in [asked.handle.as_str(), signature] {
        assert!(!shown.contains(secret) && !refused.contains(secret));
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    let needle = asked.id.as_bytes();
    assert!(stored.windows(needle.len()).any(|part| part == needle), "the search does find what is there");
}

#[tokio::test]
async fn what_needs_no_approval_or_could_not_be_issued_does_not_wait() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let subject = world.subject().await;
    let (status, body) = world.ask_as(&world.clerk, &subject, &[("resource", ORDERS)]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_request"), "{body}");
    assert!(body["error_description"].as_str().unwrap().contains("token endpoint"));
    for (form, expected) in [
        (vec![("scope", "write")], "invalid_scope"),
        (vec![("resource", "https://unknown.example")], "invalid_target"),
        (vec![("resource", LEDGER), ("audience", ORDERS)], "invalid_target"),
        (vec![("login_hint", "ann")], "invalid_request"),
        (vec![("id_token_hint", "x.y.z")], "invalid_request"),
        (vec![("binding_message", "pay\u{202e}01")], "invalid_binding_message"),
        (vec![("binding_message", "two\nlines")], "invalid_binding_message"),
        (vec![("requested_expiry", "0")], "invalid_request"),
        (vec![("requested_expiry", "-1")], "invalid_request"),
        (vec![("requested_expiry", "+5")], "invalid_request"),
        (vec![("requested_expiry", "9999999999999")], "invalid_request"),
        (vec![("authorization_details", "[]")], "invalid_authorization_details"),
    ] {
        let (status, body) = world.ask(&subject, &form).await;
        assert_eq!((status, error(&body)), (BAD, expected), "{form:?} {body}");
    }
    let long = "x".repeat(257);
    let (_, body) = world.ask(&subject, &[("binding_message", &long)]).await;
    assert_eq!(error(&body), "invalid_binding_message");
    let (_, body) = world.ask("not.a.token", &[]).await;
    assert_eq!(error(&body), "invalid_request");
    let (_, body) = world.ask_as(&world.clerk, &subject, &[]).await;
    assert_eq!(error(&body), "invalid_target", "the clerk has no rule to the ledger");
    let (status, _) = world.server.form("/oauth2/bc-authorize", &world.server.admin_client(), &[]).await;
    assert_eq!(status, BAD);
    let (_, page) = world.server.admin(Method::GET, "/approvals", None).await;
    assert_eq!(page["items"], json!([]), "nothing waits");
    let (status, _) = world.server.form("/oauth2/bc-authorize", &world.bad_secret(), &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

impl World {
    fn bad_secret(&self) -> stipend::testing::TestClient {
        stipend::testing::TestClient { secret: "wrong".into(), ..self.refunds.clone() }
    }
}

#[tokio::test]
async fn a_request_lives_no_longer_than_its_tokens_and_than_it_may() {
    let world = World::new(Backend::Sqlite, &["subject_owner"]).await;
    let subject = world.subject().await;
    for (asked, given) in [("30", 30), ("900000", 300)] {
        let (_, body) = world.ask(&subject, &[("requested_expiry", asked)]).await;
        let said = body["expires_in"].as_i64().unwrap();
        assert!((given - 20..=given).contains(&said), "the subject token lives 300 seconds: {body}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_so_many_requests_open_and_no_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &["subject_owner"]).await;
    let subject = world.subject().await;
    let asks = (0..20).map(|_| world.ask(&subject, &[]));
    let answers = futures_util::future::join_all(asks).await;
    let taken = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!(taken, 16, "{answers:?}");
    let late = answers.iter().filter(|(_, body)| error(body) == "too_many_requests").count();
    assert_eq!(late, 4, "{answers:?}");
    let (_, page) = world.server.admin(Method::GET, "/approvals", None).await;
    let id = page["items"][0]["id"].as_str().unwrap();
    let (status, _) = world.answer(id, "refuse", &json!({"reason": "no"})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.ask(&subject, &[]).await.0, StatusCode::OK, "one has ended: there is room");
    assert_eq!(world.ask(&subject, &[]).await.0, StatusCode::TOO_MANY_REQUESTS);
    world.server.clock.advance(301);
    let subject = world.subject().await;
    assert_eq!(world.ask(&subject, &[]).await.0, StatusCode::OK, "those have expired");
}
