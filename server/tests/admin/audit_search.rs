//! The audit is searched, read in pages, and exported so that it can be proved elsewhere.

use crate::routes::Things;
use crate::world::{World, claims, keyed};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_keys::sha256;
use stipend_schema::Backend;

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
    let jti = claims(&token)["jti"].as_str().unwrap().to_owned();
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
