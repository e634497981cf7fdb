//! Revocations by hand: each kind kills what it names, at once and for good.

use crate::standing::Running;
use crate::world::{ORDERS, claims, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

fn entry(kind: &str, value: &str) -> Value {
    json!({"kind": kind, "value": value, "reason": "test", "severity": "medium"})
}

#[rstest]
#[case::client("client", "acme.planner", [false, false], Some("acme"))]
#[case::the_clients_child("client", "globex.refunds", [true, false], Some("globex"))]
#[case::subject("subject", "agent:acme.planner", [false, false], Some("acme"))]
#[case::somebody_elses_subject("subject", "user:42", [true, true], None)]
#[case::resource("resource", ORDERS, [false, false], Some("globex"))]
#[case::owner("owner", "acme", [false, false], Some("acme"))]
#[tokio::test]
async fn each_kind_kills_what_it_names(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] kind: &str,
    #[case] value: &str,
    #[case] standing: [bool; 2],
    #[case] owner: Option<&str>,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let made = run.world.post("/revocations", entry(kind, value)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(run.standing(&tokens).await, standing);
    assert_eq!(made.body["owner"].as_str(), owner);
    for (name, said) in [("kind", kind), ("value", value), ("severity", "medium"), ("revoked_by", "stipend.admin")] {
        assert_eq!(made.body[name], said);
    }
    assert_eq!(run.world.get("/revocations").await["items"], json!([made.body]));
    run.world.server.clock.advance(1);
    let fresh = run.tokens().await;
    assert_eq!(run.standing(&fresh).await, [true, true], "what comes after is alive");
    assert_eq!(run.standing(&tokens).await, standing);
}

#[rstest]
#[tokio::test]
async fn a_token_is_revoked_with_its_children(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let run = Running::new(backend).await;
    let (tokens, others) = (run.tokens().await, run.tokens().await);
    let boss = run.world.boss("acme").await;
    let base = json!({"kind": "token", "reason": "test", "severity": "low"});
    let body = with(base.clone(), json!({"token": tokens[0]}));
    let made = run.world.send(Some(&boss), Method::POST, "/revocations", Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let claimed = claims(&tokens[0]);
    assert_eq!(made.body["value"], claimed["jti"]);
    assert!(made.body.get("issued_before").is_none());
    assert_eq!(made.body["expires_at"].as_i64(), claimed["exp"].as_i64().map(|exp| exp + 60));
    assert!(!made.text.contains(&tokens[0]), "the token itself is not kept");
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(run.standing(&others).await, [true, true]);
    let jti = claims(&others[1])["jti"].as_str().unwrap().to_owned();
    let by_id = with(base, json!({"value": jti}));
    let reply = run.world.send(Some(&boss), Method::POST, "/revocations", Some(&by_id)).await;
    assert_eq!(reply.problem(), (403, "forbidden"), "whose it is can't be told from its id");
    assert_eq!(run.world.post("/revocations", by_id).await.status, 201);
    assert_eq!(run.standing(&others).await, [true, false], "a child, and not its parent");
}

#[rstest]
#[tokio::test]
async fn an_expired_token_needs_no_revocation(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let run = Running::new(backend).await;
    let [token, _] = run.tokens().await;
    run.world.server.clock.advance(301);
    let body = json!({"kind": "token", "token": token, "reason": "test", "severity": "low"});
    let reply = run.world.post("/revocations", body).await;
    assert_eq!(reply.problem(), (400, "invalid_request"));
    assert_eq!(reply.body["errors"][0]["pointer"], "/token");
    assert_eq!(run.world.get("/revocations").await, json!({"items": []}));
}
