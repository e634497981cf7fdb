//! `stipend revocation` and `stipend keys`: what takes tokens away.

use crate::terminal::{ORDERS, Terminal, fact};
use serde_json::json;
use stipend::testing::TestClient;

async fn lives(terminal: &Terminal, planner: &TestClient, token: &str) -> bool {
    terminal.server.introspect(planner, token).await["active"] == json!(true)
}

#[tokio::test]
async fn a_token_from_standard_input_is_dead_afterwards() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let token = terminal.server.token(&planner, &[]).await;
    let other = terminal.server.token(&planner, &[]).await;
    let create = ["revocation", "create", "--kind", "token", "--token", "-", "--reason", "in a log"];
    let said = terminal.run_with_input(&format!("{token}\n"), &create).await.done();
    assert_eq!(fact(&said, "dead      "), "whenever issued");
    assert_eq!(fact(&said, "severity  "), "medium");
    assert!(!said.contains(&token), "{said}");
    assert!(!lives(&terminal, &planner, &token).await && lives(&terminal, &planner, &other).await);
    let table = terminal.run(&["revocation", "list"]).await.done();
    assert!(table.contains(&fact(&said, "value     ")) && table.contains("in a log"), "{table}");
}

#[tokio::test]
async fn what_was_issued_until_now_is_dead() {
    let targets =
        [("client", "acme.planner"), ("subject", "agent:acme.planner"), ("resource", ORDERS), ("owner", "acme")];
    for (kind, value) in targets {
        let terminal = Terminal::with_company().await;
        let planner = terminal.planner().await;
        let token = terminal.server.token(&planner, &[]).await;
        assert!(lives(&terminal, &planner, &token).await, "{kind}");
        let create =
            ["revocation", "create", "--kind", kind, "--value", value, "--reason", "test", "--severity", "high"];
        let said = terminal.run(&create).await.done();
        assert!(fact(&said, "dead      ").starts_with("issued until 2"), "{said}");
        assert!(!lives(&terminal, &planner, &token).await, "{kind}");
        let listed = terminal.json(&["revocation", "list"]).await;
        let found = (&listed[0]["kind"], &listed[0]["value"], &listed[0]["severity"]);
        assert_eq!(found, (&json!(kind), &json!(value), &json!("high")));
    }
}

#[tokio::test]
async fn the_next_key_is_published_and_a_stolen_one_is_gone() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let token = terminal.server.token(&planner, &[]).await;
    let first = terminal.json(&["keys", "list"]).await;
    assert_eq!((&first[0]["status"], first.as_array().unwrap().len()), (&json!("active"), 1));
    let rotated = terminal.run(&["keys", "rotate"]).await.done();
    assert!(rotated.contains("published") && rotated.contains("active"), "{rotated}");
    assert_eq!(
        terminal.run(&["keys", "rotate"]).await.done().lines().count(),
        rotated.lines().count(),
        "one is enough"
    );
    let kid = first[0]["kid"].as_str().unwrap();
    let distrusted = terminal.run(&["keys", "distrust", kid, "--reason", "in a backup"]).await.done();
    let row = distrusted.lines().find(|line| line.contains(kid)).unwrap();
    assert!(row.contains("distrusted"), "{distrusted}");
    assert!(!lives(&terminal, &planner, &token).await);
    let again = terminal.json(&["keys", "distrust", kid, "--reason", "in a backup"]).await;
    assert!(again["items"].is_array(), "twice is once: {again}");
}
