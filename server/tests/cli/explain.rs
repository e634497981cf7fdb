//! `stipend rule explain`: each rule's verdict, the answer, and 1 where it is no.

use crate::terminal::{ORDERS, Terminal, fact};

const IMAGINED: &[&str] = &[
    "rule",
    "explain",
    "--actor",
    "acme.refunds",
    "--subject",
    "acme.planner",
    "--subject-audience",
    ORDERS,
    "--subject-scope",
    "read,refund",
];

async fn with_rule() -> Terminal {
    let terminal = Terminal::with_company().await;
    let create = [
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
        "refund",
    ];
    terminal.run(&create).await.done();
    terminal
}

#[tokio::test]
async fn what_would_be_allowed_is_shown_with_its_rule() {
    let terminal = with_rule().await;
    let said = terminal.run(&[IMAGINED, &["--scope", "refund"]].concat()).await.done();
    assert!(said.contains("acme.refunding") && said.contains("allows refund"), "{said}");
    assert_eq!((fact(&said, "answer    "), fact(&said, "scope     ")), ("ok".to_owned(), "refund".to_owned()));
    assert_eq!(fact(&said, "rules     "), "acme.refunding");
}

#[tokio::test]
async fn what_would_be_refused_ends_with_1_and_what_would_change_it() {
    let terminal = with_rule().await;
    let asked = [IMAGINED, &["--scope", "read"]].concat();
    let ran = terminal.run(&asked).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("does not let these scopes through"), "{ran:?}");
    assert_eq!(
        (fact(&ran.out, "answer"), fact(&ran.out, "error ")),
        ("refused".to_owned(), "invalid_scope".to_owned())
    );
    assert!(
        ran.err.starts_with("error: the exchange would be refused: ") && ran.err.contains("fewer scopes"),
        "{ran:?}"
    );
    let ran = terminal.run(&[&asked, &["--json"][..]].concat()).await;
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, &answer["allowed"]), (1, &serde_json::json!(false)));
    assert_eq!(answer["error"], error["error"]["code"]);
}

#[tokio::test]
async fn a_rule_that_is_off_is_named_with_the_command_that_switches_it_on() {
    let terminal = with_rule().await;
    terminal.run(&["rule", "disable", "acme.refunding"]).await.done();
    let ran = terminal.run(IMAGINED).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("is disabled"), "{ran:?}");
    assert!(ran.err.contains("stipend rule enable acme.refunding"), "{ran:?}");
}

#[tokio::test]
async fn a_real_token_may_come_from_standard_input() {
    let terminal = with_rule().await;
    let token = terminal.server.token(&terminal.planner().await, &[]).await;
    let asked = ["rule", "explain", "--actor", "acme.refunds", "--subject-token", "-", "--scope", "refund"];
    let said = terminal.run_with_input(&format!("{token}\n"), &asked).await.done();
    assert_eq!(fact(&said, "answer    "), "ok");
    assert!(!said.contains(&token));
    let ran = terminal.run_with_input("no token", &asked).await;
    assert_eq!((ran.code, fact(&ran.out, "answer")), (1, "refused".to_owned()));
    assert!(ran.out.contains("No rule was weighed.") && ran.err.contains("subject token alive"), "{ran:?}");
}

#[tokio::test]
async fn a_policy_that_would_refuse_is_named() {
    let terminal = Terminal::new().await;
    for line in [
        "owner create acme",
        "resource create https://orders.example --owner acme --scopes read",
        "agent create acme.planner --access https://orders.example=read",
        "agent create acme.refunds --access https://orders.example=read",
        "rule create --actor acme.refunds --subject acme.planner --to https://orders.example --scopes read",
    ] {
        terminal.run(&line.split(' ').collect::<Vec<_>>()).await.done();
    }
    let inside = "forbid (principal, action, resource)\nunless { context has source && context.source.isInRange(ip(\"10.0.0.0/8\")) };\n";
    let file = terminal.file("inside.cedar", inside);
    let added = terminal.json(&["policy", "add", "inside", "--owner", "acme", "--file", &file]).await;
    let id = added["id"].as_str().unwrap();
    let explain = async |source: &str| {
        let words = format!(
            "rule explain --actor acme.refunds --subject acme.planner --subject-audience https://orders.example --subject-scope read --scope read --source {source}"
        );
        terminal.run(&words.split(' ').collect::<Vec<_>>()).await
    };
    let said = explain("192.0.2.1").await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains(&format!("{id} version 1, statement 1")), "{said:?}");
    assert!(said.err.contains(&format!("`stipend policy show {id}`")), "{said:?}");
    explain("10.1.2.3").await.done();
}
