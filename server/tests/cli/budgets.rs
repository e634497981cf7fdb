//! `stipend budget verify` finds what was changed behind the ledger's back.

use crate::terminal::run_in;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

const ORDERS: &str = "https://orders.example";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A ledger in which something of every kind has happened.
async fn ledger(backend: Backend) -> TestServer {
    let server = TestServer::start(backend).await;
    server.create_owner("acme").await;
    let service = server.create_client("acme", "api", "service", &[]).await;
    server.create_resource("acme", ORDERS, &["read"], &[&service.id]).await;
    let agent = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read"])]).await;
    for (account, id, amount) in [("owner", "acme", 900), ("agent", agent.id.as_str(), 500)] {
        server.create("/budgets", json!({account: id, "unit": "call", "decimals": 0, "amount": amount})).await;
    }
    let carved = json!([{"type": "budget", "unit": "call", "decimals": 0, "amount": 5, "enforce": "rs"}]).to_string();
    let token = server.token(&agent, &[("authorization_details", &carved)]).await;
    let line = claims(&token)["budget"][0]["id"].as_str().unwrap().to_owned();
    let token = server.token(&agent, &[]).await;
    let post = async |path: &str, form: &[(&str, &str)]| -> Value {
        let (status, body) = server.form(path, &service, form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    post("/budget/reports", &[("line", &line), ("spent", "6"), ("final", "true")]).await;
    let order = |amount: &'static str| [("token", token.as_str()), ("unit", "call"), ("amount", amount)];
    let charged = post("/budget/charges", &order("30")).await;
    let capture = charged["capture"].as_str().unwrap();
    post("/budget/refunds", &[("capture", capture), ("amount", "10")]).await;
    post("/budget/holds", &order("40")).await;
    let held = post("/budget/holds", &order("400")).await;
    let path = format!("/budget/holds/{}/capture", held["hold"].as_str().unwrap());
    post(&path, &[("amount", "460"), ("final", "true")]).await;
    server
}

#[rstest]
#[tokio::test]
async fn a_ledger_that_was_changed_is_found(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let server = ledger(backend).await;
    let vars = [("STIPEND_DATABASE_URL", server.database_url.as_str()), ("STIPEND_KEK", &"0123456789abcdef".repeat(4))];
    let proof = run_in(&vars, &["budget", "verify", "--json"]).await.json();
    assert_eq!(proof, json!({"holds": 3, "captures": 2, "carves": 1, "periods": 4}));
    let said = run_in(&vars, &["budget", "verify"]).await.done();
    assert!(said.contains("adds up: 3 holds, 2 captures"), "{said}");
    let frauds = [
        ("UPDATE budget_uses SET spent = spent - 1", "UPDATE budget_uses SET spent = spent + 1"),
        (
            "UPDATE budget_holds SET captured = captured + 1 WHERE state = 'open'",
            "UPDATE budget_holds SET captured = captured - 1 WHERE state = 'open'",
        ),
        ("UPDATE budget_captures SET refunded = refunded + 1", "UPDATE budget_captures SET refunded = refunded - 1"),
        (
            "UPDATE budget_holds SET state = 'voided' WHERE state = 'open'",
            "UPDATE budget_holds SET state = 'open' WHERE state = 'voided'",
        ),
    ];
    for (fraud, back) in frauds {
        server.execute(fraud).await;
        let ran = run_in(&vars, &["budget", "verify"]).await;
        assert!(
            ran.code == 1 && (ran.err.contains("its journal") || ran.err.contains("its captures")),
            "{fraud}: {ran:?}"
        );
        server.execute(back).await;
    }
    run_in(&vars, &["budget", "verify"]).await.done();
}
