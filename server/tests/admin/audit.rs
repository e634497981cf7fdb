//! The audit: a record of every change and every refusal, for whom it concerns.

use crate::routes::{Kind, Things, operations};
use crate::world::World;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

/// The newest record, which no question adds to.
async fn newest(world: &World) -> Value {
    world.get("/audit?limit=1").await["items"][0].clone()
}

#[rstest]
#[tokio::test]
async fn every_change_leaves_its_record(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let boss = world.admin_client("globex", "chief", json!([{"role": "platform-admin"}]), &[]).await;
    let mut changes: Vec<String> = operations(&world).await;
    // Each finds what it needs: what deletes comes last, and rotating finds its successor made.
    // What only asks, as `explain` does, changes nothing.
    let left_out = ["/explain", "/validate", "/dry-run", "/rotate"];
    changes.retain(|operation| {
        !operation.starts_with("GET") && !left_out.iter().any(|ending| operation.ends_with(ending))
    });
    changes.sort_by_key(|operation| operation.starts_with("DELETE"));
    assert!(changes.len() > 25);
    for operation in changes {
        // Switching acme off leaves this admin, of globex, where it is.
        let token = world.server.token(&boss, &[]).await;
        let case = things.case(&operation);
        let reply = world.send(Some(&token), case.method, &case.path, case.body.as_ref()).await;
        assert!((200..300).contains(&reply.status), "{operation}: {}", reply.text);
        let record = newest_of(&world, case.event).await;
        assert_eq!((&record["outcome"], &record["client_id"]), (&json!("done"), &json!("globex.chief")), "{operation}");
        let owner = match case.kind {
            Kind::Owned => Some("acme"),
            _ if operation.ends_with("/owners") => Some("mine-owner"),
            _ => Some("globex"),
        };
        assert_eq!(record["owner_id"].as_str(), owner, "{operation}: {record}");
        assert!(record["detail"]["request_id"].is_string() && record["detail"]["source"].is_string(), "{record}");
        // What is the deployment's has no name.
        if let Some(named) =
            case.path.split('/').nth(2).filter(|named| !["rewrap", "departed", "redactions"].contains(named))
        {
            assert!(record["detail"].to_string().contains(named), "{operation} names {named}: {record}");
        }
    }
}

async fn newest_of(world: &World, event: &str) -> Value {
    let page = world.get(&format!("/audit?limit=1&event={event}&client_id=globex.chief")).await;
    page["items"].get(0).unwrap_or_else(|| panic!("no record of {event}")).clone()
}

#[rstest]
#[tokio::test]
async fn every_refusal_after_authentication_leaves_its_record(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let rival = world.boss("globex").await;
    let mut refused = 0;
    for operation in operations(&world).await {
        let case = things.case(&operation);
        let reply = world.send(Some(&rival), case.method, &case.path, case.body.as_ref()).await;
        if reply.status < 400 {
            assert!([Kind::List, Kind::Open].contains(&case.kind), "{operation}");
            continue;
        }
        let record = newest(&world).await;
        assert_eq!(record["event"], case.event, "{operation}");
        assert_eq!((&record["outcome"], &record["reason"]), (&json!("refused"), &reply.body["code"]), "{operation}");
        assert_eq!(
            (&record["client_id"], &record["owner_id"]),
            (&json!("globex.boss"), &json!("globex")),
            "{operation}"
        );
        refused += 1;
    }
    assert!(refused > 30, "{refused}");
    let audit =
        world.send(Some(&world.boss("acme").await), Method::GET, "/audit?outcome=refused&limit=200", None).await;
    assert_eq!(audit.ok()["items"], json!([]), "nor does acme learn who looked");
}

#[rstest]
#[tokio::test]
async fn other_refusals_are_recorded_with_their_code(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.create_keyed("acme", "signer").await;
    let read = world.server.token(&world.server.admin_client(), &[("scope", "admin:read")]).await;
    let cases = [
        (world.post("/owners", json!({"id": "acme", "name": "Other"})).await, "already_exists"),
        (world.post("/owners", json!({"id": "A", "name": "x"})).await, "invalid_request"),
        (world.post("/agents/acme.signer/narrow", json!({"ttl_seconds": 301})).await, "not_narrower"),
        (world.post("/agents/acme.signer/retire", json!({})).await, "invalid_state"),
        (world.post("/owners/stipend/disable", json!({})).await, "built_in"),
        (world.post("/agents/stipend.admin/suspend", json!({})).await, "own_client"),
        (world.raw(Method::POST, "/owners", None, "{}").await, "unsupported_media_type"),
        (world.raw(Method::POST, "/owners", Some("application/json"), vec![b' '; 70_000]).await, "too_large"),
        (world.send(Some(&read), Method::POST, "/owners", Some(&json!({}))).await, "insufficient_scope"),
    ];
    let records = world.records("outcome=refused&client_id=stipend.admin").await;
    assert_eq!(records.len(), cases.len());
    for ((reply, code), record) in cases.iter().rev().zip(&records) {
        assert_eq!(reply.problem().1, *code);
        assert_eq!(record["reason"], *code, "newest first");
    }
}

#[rstest]
#[tokio::test]
async fn an_auditor_sees_what_concerns_its_owner(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let acme = Things::new(&world, "acme", "ours").await;
    let globex = Things::new(&world, "globex", "theirs").await;
    let between = json!({
        "actor": {"client": acme.agent}, "subject": {"client": globex.agent}, "to_audience": globex.uri,
        "scopes": [{"scope": "read"}], "mode": "delegation", "id": "acme.between",
    });
    world.post("/exchange-rules", between).await.ok();
    let auditor = async |owner: &str| world.admin(owner, "watch", json!([{"role": "auditor", "owner": owner}])).await;
    let (ours, theirs) = (auditor("acme").await, auditor("globex").await);
    let seen =
        async |token: &str| world.send(Some(token), Method::GET, "/audit?limit=200&outcome=done", None).await.ok();
    let (ours, theirs) = (seen(&ours).await["items"].clone(), seen(&theirs).await["items"].clone());
    let concerns = |items: &Value, owner: &str| {
        items.as_array().unwrap().iter().all(|item| item["owner_id"] == owner || item["subject_owner_id"] == owner)
    };
    assert!(concerns(&ours, "acme") && concerns(&theirs, "globex"));
    let made = |items: &Value| {
        let named = |item: &&Value| item["event"] == "rule.created" && item["detail"]["target"] == "acme.between";
        items.as_array().unwrap().iter().filter(named).count()
    };
    assert_eq!((made(&ours), made(&theirs)), (1, 1), "what concerns both is seen by both");
    assert!(!ours.to_string().contains("globex.theirs-doomed") && !theirs.to_string().contains("acme.ours-doomed"));
}
