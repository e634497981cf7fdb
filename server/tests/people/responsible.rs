//! Who answers for an agent: named, transferred with both on record, and what becomes of an
//! agent whose person has gone.

use crate::world::World;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const AGENT: &str = "/agents/desk.refunds";

impl World {
    async fn named(&self, token: &str, person: &str) -> (StatusCode, Value) {
        let body = json!({ "person": person });
        self.server.admin_as(token, Method::POST, &format!("{AGENT}/responsible"), Some(&body)).await
    }

    async fn accepted(&self, token: &str) -> (StatusCode, Value) {
        self.server.admin_as(token, Method::POST, &format!("{AGENT}/responsible/accept"), None).await
    }

    async fn gone(&self, token: &str, body: Value) -> (StatusCode, Value) {
        self.server.admin_as(token, Method::POST, "/people/departed", Some(&body)).await
    }

    async fn agent(&self) -> Value {
        self.server.admin(Method::GET, AGENT, None).await.1
    }
}

#[rstest]
#[tokio::test]
async fn a_transfer_is_offered_accepted_by_another_and_on_record(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &[]).await;
    let (ann, ben) =
        (world.person("desk", "ann", "owner-admin").await, world.person("desk", "ben", "owner-admin").await);
    let (status, body) = world.named(&ann, "ann@desk.example").await;
    assert_eq!((status, &body["responsible"]), (StatusCode::OK, &json!({"person": "ann@desk.example"})), "{body}");
    let (_, body) = world.named(&ann, "ben@desk.example").await;
    assert_eq!(
        body["responsible"],
        json!({"person": "ann@desk.example", "offered_to": "ben@desk.example", "offered_by": "desk.ann"})
    );
    let (status, body) = world.accepted(&ann).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("own_offer")), "{body}");
    let (status, body) = world.accepted(&ben).await;
    assert_eq!((status, &body["responsible"]), (StatusCode::OK, &json!({"person": "ben@desk.example"})), "{body}");
    let (status, body) = world.accepted(&ben).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("invalid_state")), "once");
    let record = world.records("agent.transfer_accepted").await.remove(0);
    let said = |name: &str| record["detail"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(record["outcome"], "refused", "the newest is the refusal: {record}");
    let done = world.records("agent.transfer_accepted").await.into_iter().find(|one| one["outcome"] == "done").unwrap();
    let told = |name: &str| done["detail"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!((said("from"), told("from")), (String::new(), "ann@desk.example".into()));
    assert_eq!((told("to"), told("offered_by")), ("ben@desk.example".into(), "desk.ann".into()));
    assert_eq!(done["client_id"], "desk.ben");
    for bad in ["", "a\nb", &"x".repeat(257)] {
        assert_eq!(world.named(&ann, bad).await.0, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    let eve = world.person("elsewhere", "eve", "owner-admin").await;
    let sue = world.person("desk", "sue", "auditor").await;
    for (token, status) in [(&eve, StatusCode::NOT_FOUND), (&sue, StatusCode::FORBIDDEN)] {
        assert_eq!(world.named(token, "eve").await.0, status);
        assert_eq!(world.accepted(token).await.0, status);
    }
}

#[rstest]
#[tokio::test]
async fn an_orphan_goes_on_for_its_grace_and_no_longer(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &[]).await;
    let (ann, ben) =
        (world.person("desk", "ann", "owner-admin").await, world.person("desk", "ben", "owner-admin").await);
    world.named(&ann, "ann@desk.example").await;
    let (status, left) = world.gone(&ann, json!({"person": "ann@desk.example", "grace_seconds": 3600})).await;
    assert_eq!((status, &left["orphaned"]), (StatusCode::OK, &json!(["desk.refunds"])), "{left}");
    let agent = world.agent().await;
    assert_eq!(agent["readiness"]["warnings"], json!(["orphaned"]), "{agent}");
    assert_eq!(agent["responsible"]["suspend_at"], left["suspend_at"]);
    stipend::orphans::suspend(&world.server.app).await;
    assert_eq!(world.agent().await["state"], "active", "its grace is not over");
    let (_, again) = world.gone(&ann, json!({"person": "ann@desk.example", "grace_seconds": 9000})).await;
    assert_eq!(again["orphaned"], json!([]), "said twice, it lengthens nothing");
    world.server.clock.advance(3600);
    stipend::orphans::suspend(&world.server.app).await;
    let agent = world.agent().await;
    assert_eq!((&agent["state"], &agent["state_reason"]), (&json!("suspended"), &json!("nobody answers for it")));
    assert_eq!(world.records("agent.orphan_suspended").await.len(), 1);
    stipend::orphans::suspend(&world.server.app).await;
    assert_eq!(world.records("agent.orphan_suspended").await.len(), 1, "once");

    let ann = world.person("desk", "ann2", "owner-admin").await;
    let post = async |path: &str| world.server.admin(Method::POST, path, Some(&json!({}))).await;
    let (status, body) = post(&format!("{AGENT}/resume")).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("invalid_state")), "{body}");
    let clone = json!({"name": "refunds-2"});
    let (status, _) = world.server.admin(Method::POST, &format!("{AGENT}/reissue"), Some(&clone)).await;
    assert_eq!(status, StatusCode::CONFLICT, "and no clone gets around it");
    world.named(&ann, "ben@desk.example").await;
    let ben_again = world.person("desk", "ben2", "owner-admin").await;
    assert_eq!(world.accepted(&ben_again).await.0, StatusCode::OK);
    assert_eq!(post(&format!("{AGENT}/resume")).await.0, StatusCode::OK);
    let agent = world.agent().await;
    assert_eq!((&agent["state"], &agent["readiness"]["warnings"]), (&json!("active"), &Value::Null), "{agent}");
    drop(ben);
}

#[rstest]
#[tokio::test]
async fn a_transfer_within_the_grace_keeps_it_running(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &[]).await;
    let (ann, ben) =
        (world.person("desk", "ann", "owner-admin").await, world.person("desk", "ben", "owner-admin").await);
    world.named(&ann, "ann@desk.example").await;
    world.named(&ann, "eve@desk.example").await;
    let (_, left) = world.gone(&ben, json!({"person": "eve@desk.example"})).await;
    assert_eq!((&left["withdrawn"], &left["orphaned"]), (&json!(["desk.refunds"]), &json!([])), "{left}");
    assert_eq!(world.accepted(&ben).await.0, StatusCode::CONFLICT, "who has gone gets nothing");
    world.gone(&ben, json!({"person": "ann@desk.example", "grace_seconds": 0})).await;
    world.named(&ann, "ben@desk.example").await;
    assert_eq!(world.accepted(&ben).await.0, StatusCode::OK);
    stipend::orphans::suspend(&world.server.app).await;
    assert_eq!(world.agent().await["state"], "active");
    let clone = json!({"name": "refunds-2"});
    let (status, made) = world.server.admin(Method::POST, &format!("{AGENT}/reissue"), Some(&clone)).await;
    assert_eq!((status, &made["agent"]["responsible"]["person"]), (StatusCode::CREATED, &json!("ben@desk.example")));
}

#[rstest]
#[tokio::test]
async fn each_says_who_has_gone_for_its_own_owners(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend, &[]).await;
    let shop = world.person("shop", "sam", "owner-admin").await;
    let desk = world.person("desk", "ann", "owner-admin").await;
    let both = json!({"person": "ann@example"});
    world.named(&desk, "ann@example").await;
    world.server.admin(Method::POST, "/agents/shop.planner/responsible", Some(&both)).await;
    let (_, left) = world.gone(&shop, both.clone()).await;
    assert_eq!(left["orphaned"], json!(["shop.planner"]));
    assert_eq!(world.agent().await["responsible"]["orphaned_at"], Value::Null);
    let auditor = world.person("desk", "sue", "auditor").await;
    assert_eq!(world.gone(&auditor, both.clone()).await.0, StatusCode::FORBIDDEN);
    for bad in [json!({"person": "x", "grace_seconds": -1}), json!({"person": "x", "grace_seconds": 7_776_001})] {
        assert_eq!(world.gone(&desk, bad).await.0, StatusCode::BAD_REQUEST);
    }
    let (_, left) = world.server.admin(Method::POST, "/people/departed", Some(&both)).await;
    assert_eq!(left["orphaned"], json!(["desk.refunds"]), "the rest, by who administers all");
    let (status, _) = world.gone(&desk, json!({"person": "nobody@example"})).await;
    assert_eq!(status, StatusCode::OK);
    let newest = world.records("person.departed").await.remove(0);
    assert_eq!(newest["detail"]["person"], "nobody@example", "that it was said is on record");
}
