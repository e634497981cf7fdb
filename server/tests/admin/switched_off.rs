//! What switching an owner or a resource off does to the OAuth endpoints, and to tokens that
//! were issued before.

use crate::standing::Running;
use crate::world::ORDERS;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_disabled_owner_stops_its_agents_and_old_tokens_stay_dead(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let boss = run.world.boss("acme").await;
    let tokens = run.tokens().await;
    run.world
        .post("/owners/acme/disable", json!({"reason": "unpaid"}))
        .await
        .ok();
    assert_eq!(run.world.get("/owners/acme").await["state"], "disabled");
    assert_eq!(
        run.world.get("/agents/acme.planner").await["readiness"]["reasons"],
        json!(["owner_disabled"])
    );
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(
        run.credentials(&run.planner).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        run.exchanged(&tokens[0]).await,
        (400, json!("invalid_request"))
    );
    assert_eq!(
        run.world
            .send(Some(&boss), Method::GET, "/whoami", None)
            .await
            .problem(),
        (401, "invalid_token")
    );
    run.world.post("/owners/acme/enable", json!({})).await.ok();
    assert_eq!(
        run.world.get("/agents/acme.planner").await["readiness"]["ready"],
        true
    );
    assert_eq!(
        run.standing(&tokens).await,
        [false, false],
        "what was issued until then stays dead"
    );
    run.world.server.clock.advance(1);
    let fresh = run.tokens().await;
    assert_eq!(run.standing(&fresh).await, [true, true]);
    assert_eq!(run.standing(&tokens).await, [false, false]);
}

#[rstest]
#[tokio::test]
async fn a_disabled_resource_owner_stops_tokens_for_its_resources(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    run.world
        .post("/owners/globex/disable", json!({}))
        .await
        .ok();
    assert_eq!(
        run.credentials(&run.service).await.0,
        401,
        "its introspector as well"
    );
    assert_eq!(run.exchanged(&tokens[0]).await.0, 401);
    let (status, error) = run.credentials(&run.planner).await;
    assert_eq!(
        (status, error),
        (400, json!("invalid_target")),
        "nobody gets a token for what is switched off"
    );
}

#[rstest]
#[tokio::test]
async fn a_disabled_resource_takes_no_tokens_until_it_is_enabled(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let list = run.world.get("/resources").await;
    let item = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["uri"] == ORDERS)
        .unwrap()
        .clone();
    let path = format!("/resources/{}", item["id"].as_str().unwrap());
    assert_eq!(
        run.world
            .post(&format!("{path}/disable"), json!({"reason": "moved"}))
            .await
            .ok()["state"],
        "disabled"
    );
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(
        run.credentials(&run.planner).await,
        (400, json!("invalid_target"))
    );
    assert_eq!(run.exchanged(&tokens[0]).await.0, 400);
    assert_eq!(
        run.world
            .post(&format!("{path}/enable"), json!({}))
            .await
            .ok()["state"],
        "active"
    );
    assert_eq!(run.standing(&tokens).await, [true, true]);
    assert_eq!(run.credentials(&run.planner).await.0, 200);
}
