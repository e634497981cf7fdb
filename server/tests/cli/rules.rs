//! `stipend rule`: proposing, accepting, switching.

use crate::terminal::{ORDERS, Terminal, fact, run_in};
use serde_json::json;

const CREATE: &[&str] = &[
    "rule",
    "create",
    "--id",
    "acme.refunding",
    "--actor",
    "acme.refunds",
    "--subject",
    "acme.planner",
    "--to",
    ORDERS,
    "--scopes",
    "refund,write<read",
];

#[tokio::test]
async fn the_same_rule_twice_is_one() {
    let terminal = Terminal::with_company().await;
    let said = terminal.run(CREATE).await.done();
    assert_eq!(fact(&said, "scopes     "), "refund write<read");
    assert_eq!(fact(&said, "accepted by"), "acme");
    let again = terminal.json(CREATE).await;
    assert_eq!(terminal.json(&["rule", "list"]).await, json!([again]));
    let different = [CREATE, &["--ttl", "1m"]].concat();
    assert!(terminal.run(&different).await.refused(1).contains("show"));
}

#[tokio::test]
async fn what_is_written_is_what_the_server_keeps() {
    let terminal = Terminal::with_company().await;
    let more = ["--impersonation", "--ttl", "1m", "--max-depth", "3", "--from", ORDERS, "--json"];
    let rule = terminal.run(&[CREATE, &more].concat()).await.json();
    assert_eq!(
        rule["spec"],
        json!({
            "actor": { "client": "acme.refunds" }, "subject": { "client": "acme.planner" },
            "from_audience": ORDERS, "to_audience": ORDERS,
            "scopes": [{ "scope": "refund" }, { "scope": "write", "stands_for": "read" }],
            "mode": "impersonation", "max_ttl_seconds": 60, "max_depth": 3,
        })
    );
}

#[tokio::test]
async fn a_rule_between_owners_waits_for_the_other() {
    let terminal = Terminal::with_company().await;
    terminal.run(&["owner", "create", "umbrella"]).await.done();
    let access = format!("{ORDERS}=read");
    terminal.run(&["agent", "create", "umbrella.helper", "--access", &access]).await.done();
    let made =
        terminal.json(&["agent", "create", "umbrella.ops", "--kind", "admin", "--role", "owner-admin:umbrella"]).await;
    let vars = [
        ("STIPEND_ISSUER", terminal.server.issuer.as_str()),
        ("STIPEND_CLIENT_ID", "umbrella.ops"),
        ("STIPEND_CLIENT_SECRET", made["client_secret"].as_str().unwrap()),
    ];
    let create = [
        "rule",
        "create",
        "--id",
        "umbrella.helping",
        "--actor",
        "umbrella.helper",
        "--subject",
        "acme",
        "--to",
        ORDERS,
        "--scopes",
        "read",
    ];
    let proposed = run_in(&vars, &create).await;
    assert!(proposed.err.contains("once acme has accepted it"), "{proposed:?}");
    let said = proposed.done();
    assert_eq!((fact(&said, "awaiting   "), fact(&said, "subject    ")), ("acme".to_owned(), "any of acme".to_owned()));
    let table = terminal.run(&["rule", "list"]).await.done();
    assert!(
        table.lines().any(|line| line.contains("umbrella.helping") && line.trim_end().ends_with("acme")),
        "{table}"
    );
    let accepted = terminal.run(&["rule", "accept", "umbrella.helping", "--owner", "acme"]).await;
    assert_eq!(accepted.err, "", "nothing to wait for");
    assert_eq!(fact(&accepted.done(), "accepted by"), "umbrella acme");
}

#[tokio::test]
async fn a_rule_is_switched_off_and_on_and_deleted() {
    let terminal = Terminal::with_company().await;
    terminal.run(CREATE).await.done();
    let off = terminal.run(&["rule", "disable", "acme.refunding"]).await.done();
    assert_eq!(fact(&off, "state      "), "disabled");
    let on = terminal.run(&["rule", "enable", "acme.refunding"]).await.done();
    assert_eq!(fact(&on, "state      "), "active");
    assert_eq!(terminal.run(&["rule", "delete", "acme.refunding"]).await.done(), "acme.refunding is gone.\n");
    terminal.run(&["rule", "show", "acme.refunding"]).await.refused(1);
}
