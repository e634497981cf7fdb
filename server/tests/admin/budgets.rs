//! `/admin/v1/budgets`: lines of owners and agents.

use crate::world::World;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

fn usd(account: &str, id: &str, amount: Value) -> Value {
    json!({account: id, "unit": "USD", "decimals": 6, "amount": amount})
}

async fn with_agent(backend: Backend) -> World {
    let world = World::new(backend).await;
    world.create_keyed("acme", "planner").await;
    world
}

#[rstest]
#[tokio::test]
async fn an_agents_line_lies_under_its_owners_of_the_same_unit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = with_agent(backend).await;
    let owners = world.post("/budgets", usd("owner", "acme", json!(5_000_000))).await.ok();
    let agents = world.post("/budgets", usd("agent", "acme.planner", json!(2_000_000))).await.ok();
    assert_eq!((&agents["parent"], &agents["owner"]), (&owners["id"], &json!("acme")));
    assert_eq!((&agents["window"], &agents["state"]), (&json!("none"), &json!("active")));
    let calls = json!({"agent": "acme.planner", "unit": "call", "decimals": 0, "amount": 7});
    let calls = world.post("/budgets", calls).await.ok();
    assert!(calls.get("parent").is_none(), "the owner has none in this unit: {calls}");
    let again = world.post("/budgets", usd("agent", "acme.planner", json!(2_000_000))).await;
    assert_eq!((again.status, &again.body["id"]), (200, &agents["id"]));
    let other = world.post("/budgets", usd("agent", "acme.planner", json!(1))).await;
    assert_eq!(other.problem(), (409, "already_exists"));
    let path = format!("/budgets/{}", agents["id"].as_str().unwrap());
    let used = json!({"held": 0, "spent": 0, "carved": 0, "overage": 0, "remaining": 2_000_000, "since": 0});
    assert_eq!(world.get(&path).await["used"], used);
}

#[rstest]
#[tokio::test]
async fn a_change_keeps_what_is_not_named_and_null_takes_away(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = with_agent(backend).await;
    let mut new = usd("agent", "acme.planner", json!(10));
    new["per_call"] = json!(5);
    new["window"] = json!("day@Europe/Berlin");
    let line = world.post("/budgets", new).await.ok();
    let path = format!("/budgets/{}", line["id"].as_str().unwrap());
    let less = world.patch(&path, json!({"amount": 3})).await.ok();
    assert_eq!((&less["amount"], &less["per_call"]), (&json!(3), &json!(5)));
    let free = world.patch(&path, json!({"per_call": null})).await.ok();
    assert!(free.get("per_call").is_none() && free["window"] == "day@Europe/Berlin", "{free}");
    let closed = world.post(&format!("{path}/disable"), json!({"reason": "test"})).await.ok();
    assert_eq!(closed["state"], "disabled");
    assert_eq!(world.post(&format!("{path}/enable"), json!({})).await.ok()["state"], "active");
}

#[tokio::test]
async fn what_is_no_budget_is_refused_and_named() {
    let world = with_agent(Backend::Sqlite).await;
    let amounts = ["-1", "0.5", "5.0", "1e2", "\"5\"", "1000000000000000", "9223372036854775808", "null", "[1]"];
    for amount in amounts {
        let body = format!("{{\"owner\":\"acme\",\"unit\":\"USD\",\"decimals\":6,\"amount\":{amount}}}");
        let reply = world.raw(Method::POST, "/budgets", Some("application/json"), body).await;
        assert_eq!(reply.problem().0, 400, "{amount}: {}", reply.text);
    }
    let twice = "{\"owner\":\"acme\",\"unit\":\"USD\",\"decimals\":6,\"amount\":1,\"amount\":2}";
    assert_eq!(world.raw(Method::POST, "/budgets", Some("application/json"), twice).await.problem().0, 400);
    let wrong = [
        json!({"owner": "acme", "agent": "acme.planner", "unit": "USD", "decimals": 6, "amount": 1}),
        json!({"unit": "USD", "decimals": 6, "amount": 1}),
        json!({"owner": "acme", "unit": "USD", "decimals": 2, "amount": 1}),
        json!({"owner": "acme", "unit": "1", "decimals": 0, "amount": 1}),
        json!({"owner": "acme", "unit": "USD", "decimals": 6, "amount": 1, "window": "day"}),
        json!({"owner": "acme", "unit": "USD", "decimals": 6, "amount": 1, "per_call": -1}),
        json!({"owner": "acme", "unit": "USD", "decimals": 6, "amount": 1, "enforce": "rs"}),
        json!({"agent": "acme.nobody", "unit": "USD", "decimals": 6, "amount": 1}),
    ];
    for body in wrong {
        let reply = world.post("/budgets", body.clone()).await;
        assert_eq!(reply.problem().0, 400, "{body}: {}", reply.text);
    }
    assert_eq!(world.get("/budgets").await, json!({"items": []}), "nothing was made");
}

#[tokio::test]
async fn an_account_has_budgets_in_so_many_units_and_no_more() {
    let world = World::new(Backend::Sqlite).await;
    let unit = |n: usize| json!({"owner": "acme", "unit": format!("unit{n}"), "decimals": 0, "amount": 1});
    for n in 0..32 {
        world.post("/budgets", unit(n)).await.ok();
    }
    assert_eq!(world.post("/budgets", unit(32)).await.problem(), (409, "too_many_budgets"));
    assert_eq!(world.post("/budgets", unit(0)).await.status, 200, "what is there is there");
}

#[rstest]
#[tokio::test]
async fn budgets_are_their_owners_alone(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = with_agent(backend).await;
    world.post("/budgets", usd("owner", "acme", json!(1))).await.ok();
    let globex = world.boss("globex").await;
    let body = usd("owner", "acme", json!(9));
    let theirs = world.send(Some(&globex), Method::POST, "/budgets", Some(&body)).await;
    let nowhere = usd("owner", "nowhere", json!(9));
    let missing = world.send(Some(&globex), Method::POST, "/budgets", Some(&nowhere)).await;
    assert_eq!((theirs.problem(), missing.problem()), ((404, "not_found"), (404, "not_found")));
    let keeper = world.admin("acme", "keeper", json!([{"role": "budget-admin", "owner": "acme"}])).await;
    let body = usd("agent", "acme.planner", json!(1));
    let made = world.send(Some(&keeper), Method::POST, "/budgets", Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[rstest]
#[tokio::test]
async fn tasks_and_increases_are_named_and_bounded(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = with_agent(backend).await;
    let line = world.post("/budgets", usd("agent", "acme.planner", json!(10))).await.ok();
    let mut task = usd("agent", "acme.planner", json!(4));
    task["task"] = json!("nightly");
    let made = world.post("/budgets", task.clone()).await.ok();
    assert_eq!((&made["agent"], &made["task"]), (&json!("acme.planner"), &json!("nightly")));
    assert_eq!(made["parent"], line["id"]);
    for bad in ["", "a/b", "a b", &"x".repeat(65)] {
        task["task"] = json!(bad);
        assert_eq!(world.post("/budgets", task.clone()).await.problem(), (400, "invalid_request"), "{bad}");
    }
    let mut owners = usd("owner", "acme", json!(4));
    owners["task"] = json!("nightly");
    assert_eq!(world.post("/budgets", owners).await.problem(), (400, "invalid_request"), "an owner has no tasks");
    let path = format!("/budgets/{}/increase", line["id"].as_str().unwrap());
    let more = world.post(&path, json!({"amount": 5, "seconds": 60, "reason": "month end"})).await.ok();
    assert_eq!((&more["amount"], &more["increase"]), (&json!(10), &json!(5)));
    let seen = world.get(&format!("/budgets/{}", line["id"].as_str().unwrap())).await;
    assert_eq!(seen["used"]["remaining"], 15);
    for bad in [
        json!({"amount": 5, "seconds": 0}),
        json!({"amount": 5, "seconds": 31_622_401}),
        json!({"amount": -5, "seconds": 60}),
        json!({"amount": 5.5, "seconds": 60}),
        json!({"amount": 5}),
    ] {
        assert_eq!(world.post(&path, bad.clone()).await.problem(), (400, "invalid_request"), "{bad}");
    }
    let ended = world.post(&path, json!({"amount": 0, "seconds": 1})).await.ok();
    assert!(ended.get("increase").is_none(), "{ended}");
}
