//! `stipend token`: an agent's day by hand.

use crate::terminal::{ORDERS, Terminal};
use serde_json::json;
use stipend::testing::TestClient;

#[tokio::test]
async fn a_token_goes_to_standard_output_alone_and_is_read_from_standard_input() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let got = terminal.run_as(&planner, &["token", "get", "--scope", "read"]).await;
    assert_eq!((got.code, got.out.trim().split('.').count()), (0, 3), "{got:?}");
    assert!(got.err.contains("for 300 s, scope read"), "{got:?}");
    let shown = terminal.run_with_input(&got.out, &["token", "show", "-"]).await;
    assert!(shown.out.contains("agent:acme.planner"), "{shown:?}");
    let token = got.out.trim();
    terminal.run(&["token", "verify", token, "--audience", ORDERS, "--scope", "read"]).await.done();
    terminal.run(&["token", "verify", token, "--audience", "https://else.example"]).await.refused(1);
    terminal.run(&["token", "verify", token, "--audience", ORDERS, "--scope", "refund"]).await.refused(1);
    terminal.run(&["token", "show", "x.y.z"]).await.refused(1);
}

#[tokio::test]
async fn an_exchange_a_revocation_and_an_introspection() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let rule =
        ["rule", "create", "--actor", "acme.refunds", "--subject", "acme.planner", "--to", ORDERS, "--scopes", "read"];
    terminal.run(&rule).await.done();
    let made = terminal.json(&["agent", "secret", "add", "acme.refunds"]).await;
    let refunds =
        TestClient { id: "acme.refunds".to_owned(), secret: made["client_secret"].as_str().unwrap().to_owned() };
    let subject = terminal.run_as(&planner, &["token", "get"]).await.done();
    let actor = terminal.run_as(&refunds, &["token", "get", "--scope", "read"]).await.done();
    let exchange = ["token", "exchange", subject.trim(), "--actor-token", actor.trim(), "--scope", "read"];
    let child = terminal.run_as(&refunds, &exchange).await.done();
    let seen = terminal.run_as(&refunds, &["token", "introspect", child.trim(), "--json"]).await.json();
    assert_eq!(seen["act"]["sub"], "agent:acme.refunds");
    let wider = ["token", "exchange", subject.trim(), "--actor-token", actor.trim(), "--scope", "refund"];
    let said = terminal.run_as(&refunds, &wider).await.refused(1);
    assert!(said.contains("invalid_scope") && said.contains("rule explain"), "{said}");
    terminal.run_as(&planner, &["token", "revoke", subject.trim()]).await.done();
    let dead = terminal.run_as(&refunds, &["token", "introspect", child.trim()]).await;
    assert_eq!(dead.code, 1, "{dead:?}");
    assert!(dead.out.contains("false"), "{dead:?}");
}

#[tokio::test]
async fn a_budget_is_asked_for_and_handed_on() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    terminal.run(&["resource", "update", ORDERS, "--budget-capable", "true"]).await.done();
    terminal.run(&["budget", "create", "--agent", "acme.planner", "--unit", "call", "--amount", "100"]).await.done();
    let rule = ["rule", "create", "--actor", "acme.refunds", "--subject", "acme.planner", "--to", ORDERS, "--scopes"];
    let made = terminal.json(&[&rule[..], &["read", "--budget", "call=20/5", "--max-children", "3"]].concat()).await;
    assert_eq!(made["spec"]["budget_ceiling"][0]["per_call"], 5, "{made}");
    let shown = terminal.run(&["rule", "show", made["id"].as_str().unwrap()]).await.done();
    assert!(shown.contains("20 of call, 5 a call") && shown.contains("3 at most"), "{shown}");
    let made = terminal.json(&["agent", "secret", "add", "acme.refunds"]).await;
    let refunds =
        TestClient { id: "acme.refunds".to_owned(), secret: made["client_secret"].as_str().unwrap().to_owned() };
    let subject = terminal.run_as(&planner, &["token", "get", "--budget", "call=60", "--json"]).await.json();
    assert_eq!(subject["budget"][0]["amount"], 60, "{subject}");
    let subject = subject["access_token"].as_str().unwrap();
    let exchange = ["token", "exchange", subject, "--scope", "read", "--budget", "call=50"];
    let child = terminal.run_as(&refunds, &exchange).await;
    assert!(child.code == 0 && child.err.contains("\"amount\":20"), "{child:?}");
    let carved = terminal.run_as(&planner, &["token", "get", "--budget", "call=7", "--carved", "--json"]).await.json();
    assert_eq!(carved["budget"][0]["enforce"], "rs");
    for bad in ["call", "call=x", "call=-1", "gpu=5", "USD:2=5"] {
        assert_eq!(terminal.run_as(&planner, &["token", "get", "--budget", bad]).await.code, 2, "{bad}");
    }
}

#[tokio::test]
async fn a_token_for_some_credentials_is_asked_for_handed_on_and_shown() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let details = r#"[{"type":"credential_release","identifier":"mail","actions":["proxy"],"constraints":{"uses":5}}]"#;
    let get = ["token", "get", "--credential", "qwen-apikey-prod:release,proxy", "--details", details];
    let got = terminal.run_as(&planner, &get).await;
    assert!(got.code == 0 && got.err.contains("credential qwen-apikey-prod: release, proxy"), "{got:?}");
    let subject = got.out.trim();
    let shown = terminal.run(&["token", "show", subject]).await.done();
    for line in ["credential mail: proxy within {\"uses\":5}", "5 uses under t_"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // The holder narrows its own token, without a rule.
    let exchange = ["token", "exchange", subject, "--scope", "read", "--credential", "qwen-apikey-prod", "--json"];
    let child = terminal.run_as(&planner, &exchange).await.json();
    let granted = serde_json::json!([
        {"type": "credential_release", "identifier": "qwen-apikey-prod", "actions": ["proxy"]},
    ]);
    assert_eq!(child["authorization_details"], granted, "{child}");
    let wider = ["token", "exchange", child["access_token"].as_str().unwrap(), "--credential", "mail"];
    let said = terminal.run_as(&planner, &wider).await.refused(1);
    assert!(said.contains("invalid_authorization_details"), "{said}");
    for bad in ["", "a:", "a:use", "a:proxy,proxy", "a/b", "a:proxy,"] {
        assert_eq!(terminal.run_as(&planner, &["token", "get", "--credential", bad]).await.code, 2, "{bad}");
    }
    for bad in ["", "{}", "[1]", r#"[{"type":"budget","type":"budget"}]"#] {
        assert_eq!(terminal.run_as(&planner, &["token", "get", "--details", bad]).await.code, 2, "{bad}");
    }
}

#[tokio::test]
async fn a_grant_for_another_server_and_an_assertion_that_is_none() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let chat = "https://chat.example";
    terminal.run(&["resource", "create", chat, "--owner", "acme", "--scopes", "chat"]).await.done();
    let rule = ["rule", "create", "--actor", "acme.planner", "--subject", "acme.planner", "--to", chat];
    let abroad = ["--scopes", "chat<read", "--id-jag", "https://chat.example/", "--id-jag-client", "f53f"];
    let made = terminal.json(&[&rule[..], &abroad].concat()).await;
    let shown = terminal.run(&["rule", "show", made["id"].as_str().unwrap()]).await.done();
    assert!(shown.contains("https://chat.example/"), "{shown}");
    let subject = terminal.run_as(&planner, &["token", "get"]).await.done();
    let asked = ["token", "exchange", subject.trim(), "--id-jag", chat, "--json"];
    let grant = terminal.run_as(&planner, &asked).await.json();
    assert_eq!((&grant["token_type"], &grant["scope"]), (&json!("N_A"), &json!("chat")), "{grant}");
    let shown = terminal.run(&["token", "show", grant["access_token"].as_str().unwrap(), "--json"]).await.json();
    assert_eq!((&shown["header"]["typ"], &shown["claims"]["client_id"]), (&json!("oauth-id-jag+jwt"), &json!("f53f")));
    let own = ["token", "jwt-bearer", grant["access_token"].as_str().unwrap(), "--scope", "read"];
    assert!(terminal.run_as(&planner, &own).await.refused(1).contains("invalid_grant"));
}
