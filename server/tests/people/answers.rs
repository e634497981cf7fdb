//! Answering: who may, for whom, and how much of it.

use crate::world::{World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

impl World {
    async fn answer_as(&self, token: &str, id: &str, verb: &str, body: &Value) -> (StatusCode, Value) {
        self.server.admin_as(token, Method::POST, &format!("/approvals/{id}/{verb}"), Some(body)).await
    }
}

#[rstest]
#[tokio::test]
async fn every_owner_that_the_rule_names_must_say_yes(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner", "target_owner"]).await;
    let (shop, bank) =
        (world.person("shop", "ann", "owner-admin").await, world.person("bank", "bob", "owner-admin").await);
    let asked = world.waiting().await;
    let (status, body) = world.answer_as(&shop, &asked.id, "approve", &json!({})).await;
    assert_eq!(
        (status, &body["status"], &body["awaiting"]),
        (StatusCode::OK, &json!("pending"), &json!(["bank"])),
        "{body}"
    );
    assert_eq!(world.polled(&asked.handle).await, "authorization_pending");
    let (status, again) = world.answer_as(&shop, &asked.id, "approve", &json!({})).await;
    assert_eq!((status, &again["decisions"]), (StatusCode::OK, &body["decisions"]), "a yes twice is one yes");
    let (status, body) = world.answer_as(&bank, &asked.id, "approve", &json!({"reason": "ticket 12"})).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("approved")), "{body}");
    let by: Vec<&Value> = body["decisions"].as_array().unwrap().iter().map(|one| &one["by"]).collect();
    assert_eq!(by, [&json!("shop.ann"), &json!("bank.bob")]);
    assert_eq!(world.poll(&asked.handle).await.0, StatusCode::OK);
    let asked = world.waiting().await;
    world.answer_as(&shop, &asked.id, "approve", &json!({})).await;
    let (status, _) = world.answer_as(&bank, &asked.id, "refuse", &json!({"reason": "no"})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.polled(&asked.handle).await, "access_denied", "one no is enough");
    let (status, _) = world.answer_as(&shop, &asked.id, "approve", &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[rstest]
#[tokio::test]
async fn who_has_no_part_in_it_sees_nothing_of_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let asked = world.waiting().await;
    let (elsewhere, desk) =
        (world.person("elsewhere", "eve", "owner-admin").await, world.person("desk", "dan", "owner-admin").await);
    let auditor = world.person("shop", "sue", "auditor").await;
    let path = format!("/approvals/{}", asked.id);
    let (status, hidden) = world.server.admin_as(&elsewhere, Method::GET, &path, None).await;
    let (_, unknown) = world.server.admin_as(&elsewhere, Method::GET, "/approvals/apr_unknown", None).await;
    assert_eq!((status, &hidden), (StatusCode::NOT_FOUND, &unknown));
    for (verb, body) in [("approve", json!({})), ("refuse", json!({"reason": "no"}))] {
        assert_eq!(world.answer_as(&elsewhere, &asked.id, verb, &body).await.0, StatusCode::NOT_FOUND);
        // They may look at it, and it is not theirs to answer.
        assert_eq!(world.answer_as(&desk, &asked.id, verb, &body).await.0, StatusCode::FORBIDDEN);
        assert_eq!(world.answer_as(&auditor, &asked.id, verb, &body).await.0, StatusCode::FORBIDDEN);
    }
    for (token, seen) in [(&elsewhere, 0), (&desk, 1), (&auditor, 1)] {
        let (_, page) = world.server.admin_as(token, Method::GET, "/approvals", None).await;
        assert_eq!(page["items"].as_array().unwrap().len(), seen);
    }
    let (status, _) = world.server.admin_as("", Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.polled(&asked.handle).await, "authorization_pending");
}

#[rstest]
#[tokio::test]
async fn a_yes_may_leave_less_and_never_more(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &["subject_owner"]).await;
    let asked = world.waiting().await;
    for wider in [
        json!({"scope": ["post", "read", "refund"]}),
        json!({"scope": []}),
        json!({"ttl_seconds": 121}),
        json!({"ttl_seconds": -1}),
        json!({"budget": [{"unit": "call", "decimals": 0, "amount": 1}]}),
    ] {
        let (status, body) = world.answer(&asked.id, "approve", &json!({ "narrowing": wider })).await;
        assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("not_narrower")), "{wider} {body}");
    }
    for odd in [json!({"scopes": ["post"]}), json!({"narrowing": {"scope": "post", "x": 1}})] {
        assert_eq!(world.answer(&asked.id, "approve", &odd).await.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(world.answer(&asked.id, "refuse", &json!({"reason": ""})).await.0, StatusCode::BAD_REQUEST);
    let narrowing = json!({"narrowing": {"scope": ["read"], "ttl_seconds": 30}});
    let (status, body) = world.answer(&asked.id, "approve", &narrowing).await;
    assert_eq!((status, &body["approved"]["scope"]), (StatusCode::OK, &json!(["read"])), "{body}");
    let (_, body) = world.poll(&asked.handle).await;
    let said = claims(&body);
    assert_eq!(said["scope"], "read");
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 30);
}

#[rstest]
#[tokio::test]
async fn the_budget_that_was_approved_is_the_most_there_is(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &["subject_owner"]).await;
    world
        .server
        .create("/budgets", json!({"agent": "shop.planner", "unit": "call", "decimals": 0, "amount": 100}))
        .await;
    let subject = world.subject().await;
    let want = r#"[{"type":"budget","unit":"call","decimals":0,"amount":40}]"#;
    let asked = world.waiting_with(&subject, &[("authorization_details", want)]).await;
    assert_eq!(world.shown(&asked.id).await["offer"]["budget"][0]["amount"], 40);
    let cap = |amount: i64| json!({"narrowing": {"budget": [{"unit": "call", "decimals": 0, "amount": amount, "per_call": amount}]}});
    assert_eq!(world.answer(&asked.id, "approve", &cap(41)).await.0, StatusCode::CONFLICT);
    assert_eq!(world.answer(&asked.id, "approve", &cap(7)).await.0, StatusCode::OK);
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["authorization_details"][0]["amount"], 7, "{body}");
    let asked = world.waiting_with(&subject, &[("authorization_details", want)]).await;
    world.answer(&asked.id, "approve", &json!({"narrowing": {"budget": []}})).await;
    let (status, body) = world.poll(&asked.handle).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.get("authorization_details").is_none(), "none of it was approved: {body}");
}

#[tokio::test]
async fn nobody_approves_what_it_asks_for_itself() {
    let world = World::new(Backend::Sqlite, &["actor_owner"]).await;
    let asked = world.waiting().await;
    // What the admin API never gives an agent, it is given here: roles, and a token for the API.
    let roles = r#"[{"role":"owner-admin","owner":"desk"}]"#;
    let access = format!(
        r#"[{{"resource":"{}/admin","scopes":["admin:read","admin:write"],"default_scopes":["admin:read","admin:write"]}}]"#,
        world.server.issuer
    );
    world
        .server
        .execute(&format!("UPDATE clients SET roles = '{roles}', access = '{access}' WHERE id = 'desk.refunds'"))
        .await;
    world.server.execute("UPDATE feed_head SET seq = seq + 1").await;
    world
        .server
        .execute("INSERT INTO changes (seq, kind, id, at) SELECT seq, 'client', 'desk.refunds', 0 FROM feed_head")
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let token = world.server.token(&world.refunds, &[]).await;
    let (status, body) = world.answer_as(&token, &asked.id, "approve", &json!({})).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("own_client")), "{body}");
    assert_eq!(world.polled(&asked.handle).await, "authorization_pending");
    assert_eq!(error(&body), "");
}
