//! The audit: a record of every change and every refusal, found again, and provable elsewhere.

use crate::routes::{Kind, Things, operations};
use crate::world::{World, keyed};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_keys::sha256;
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
    changes.retain(|operation| {
        !operation.starts_with("GET") && !operation.ends_with("/explain") && !operation.ends_with("/rotate")
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
        if let Some(named) = case.path.split('/').nth(2) {
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
async fn what_is_searched_for_is_found(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.create_keyed("acme", "signer").await;
    world.patch("/agents/acme.signer", json!({"purpose": "a"})).await.ok();
    world.server.clock.advance(100);
    let token = world.server.admin_token().await;
    let middle = world.get("/owners/acme").await["created_at"].as_i64().unwrap() + 100;
    world.patch("/agents/acme.signer", json!({"purpose": "b"})).await.ok();
    world.post("/owners", json!({"id": "acme", "name": "Other"})).await;
    let count = async |query: &str| world.records(query).await.len();
    assert_eq!(count("event=agent.changed").await, 2);
    assert_eq!(count(&format!("event=agent.changed&since={middle}")).await, 1, "since is included");
    assert_eq!(count(&format!("event=agent.changed&until={middle}")).await, 1, "until is not");
    assert_eq!(count(&format!("event=agent.changed&since={middle}&until={middle}")).await, 0);
    assert_eq!(count("outcome=refused").await, 1);
    assert_eq!(count("outcome=refused&event=agent.changed").await, 0, "filters are all to be met");
    assert_eq!(count("client_id=stipend.admin&event=owner.created&outcome=done").await, 2);
    assert_eq!(count("client_id=nobody").await, 0);
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let jti = serde_json::from_slice::<Value>(&payload).unwrap()["jti"].as_str().unwrap().to_owned();
    let issued = world.records(&format!("jti={jti}")).await;
    assert_eq!((issued.len(), &issued[0]["outcome"]), (1, &json!("issued")));
    assert_eq!(count("event=%25").await, 0, "a filter is no pattern");
}

#[rstest]
#[tokio::test]
async fn the_audit_comes_in_pages_newest_first(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    for index in 0..5 {
        world.post("/agents", keyed("acme", &format!("a{index}"))).await.ok();
    }
    let query = "client_id=stipend.admin&event=agent.created";
    let whole = world.records(query).await;
    assert_eq!(whole.len(), 5);
    let order: Vec<(i64, i64)> =
        whole.iter().map(|record| (record["at"].as_i64().unwrap(), record["n"].as_i64().unwrap())).collect();
    assert!(order.is_sorted_by(|newer, older| newer > older), "{order:?}");
    for limit in [1, 2, 4, 5] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("/audit?{query}&limit={limit}{after}")).await;
            seen.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page.get("next") else { break };
            after = format!("&after={}", next.as_str().unwrap());
        }
        assert_eq!(seen, whole, "pages of {limit}");
    }
}

/// One writer's records as they were hashed, over all pages.
async fn export(world: &World, writer: &str) -> Vec<(String, String)> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = world.get(&format!("/audit/export?writer={writer}&after={after}")).await;
        for record in page["records"].as_array().unwrap() {
            all.push((record["record"].as_str().unwrap().to_owned(), record["hash"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page.get("next") else {
            return all;
        };
        after = next.as_i64().unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn the_export_proves_itself(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    Things::new(&world, "acme", "mine").await;
    world.post("/owners", json!({"id": "ünïcode", "name": "x"})).await;
    let writers = world.get("/audit/writers").await["items"].as_array().unwrap().clone();
    assert_eq!(writers.len(), 1, "one process, one writer");
    let writer = writers[0]["writer"].as_str().unwrap();
    let records = export(&world, writer).await;
    assert!(records.len() > 10);
    let mut prev = URL_SAFE_NO_PAD.encode([0; 32]);
    for (n, (text, hash)) in (1..).zip(&records) {
        let record: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&record["writer"], &record["n"]), (&json!(writer), &json!(n)), "no gap");
        assert_eq!(record["prev"], prev, "each names the one before");
        prev = URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()));
        assert_eq!(&prev, hash);
    }
    assert_eq!(writers[0]["n"].as_u64(), Some(records.len() as u64));
    assert_eq!(writers[0]["hash"], prev, "the head is the last record's hash");
    for item in world.records("outcome=done").await {
        let text = records.iter().find(|(_, hash)| item["hash"] == hash.as_str()).map(|(text, _)| text).unwrap();
        let mut shown = item.clone();
        shown.as_object_mut().unwrap().remove("hash");
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), shown, "what is searched is what was hashed");
    }
    let nobody = world.platform(Method::GET, "/audit/export?writer=w_none", None).await;
    assert_eq!(nobody.problem(), (404, "not_found"));
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
