//! Exit codes, and errors that say what to do: on standard error, the answer's place left empty.

use crate::terminal::{Terminal, run_in};
use stipend::testing::ADMIN_SECRET;

/// Nobody listens on the discard port.
const NOBODY: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn wrong_usage_is_2_and_asks_no_server() {
    let lines: &[&[&str]] = &[
        &["agent", "create", "acme"],
        &["agent", "create", "acme.a", "--access", "orders"],
        &["agent", "create", "acme.a", "--kind", "robot"],
        &["agent", "create", "acme.a", "--ttl", "soon"],
        &["agent", "create", "acme.a", "--defaults", "https://orders.example=read"],
        &["agent", "create", "acme.a", "--jwks", "/nowhere"],
        &["agent", "update", "acme.a", "--ceiling", "read", "--no-ceiling"],
        &["agent", "update", "acme.a", "--defaults", "https://orders.example=read"],
        &["agent", "revoke", "acme.a"],
        &["rule", "create", "--actor", "acme", "--subject", "acme", "--to", "orders", "--scopes", "read"],
        &["rule", "create", "--actor", "acme", "--subject", "acme", "--to", "https://orders.example"],
        &["rule", "explain", "--actor", "acme.a"],
        &["rule", "explain", "--actor", "acme.a", "--subject", "acme.b"],
        &["rule", "explain", "--actor", "acme.a", "--subject-token", "x", "--subject-scope", "read"],
        &["revocation", "create", "--kind", "client", "--reason", "test"],
        &["revocation", "create", "--kind", "client", "--token", "x", "--reason", "test"],
        &["revocation", "create", "--kind", "key", "--value", "x", "--reason", "test"],
        &["keys", "distrust", "x"],
        &["agent", "list", "--issuer", "orders"],
        &["frobnicate"],
    ];
    for line in lines {
        let vars = [("STIPEND_ISSUER", NOBODY), ("STIPEND_CLIENT_SECRET", ADMIN_SECRET)];
        let said = run_in(&vars, line).await.refused(2);
        assert!(said.lines().count() >= 1 && !said.contains(ADMIN_SECRET), "{line:?}: {said}");
    }
}

#[tokio::test]
async fn programs_get_wrong_usage_as_json_too() {
    let error = run_in(&[], &["agent", "show", "--json"]).await.refused_json(2);
    assert_eq!(error["code"], "usage");
    assert!(error["message"].as_str().unwrap().contains("<AGENT>"), "{error}");
}

#[tokio::test]
async fn a_server_out_of_reach_is_3() {
    let vars = [("STIPEND_ISSUER", NOBODY), ("STIPEND_CLIENT_SECRET", ADMIN_SECRET)];
    for noun in ["agent", "rule", "revocation", "keys"] {
        let said = run_in(&vars, &[noun, "list"]).await.refused(3);
        assert!(said.contains("STIPEND_ISSUER"), "{said}");
    }
    let error = run_in(&vars, &["agent", "list", "--json"]).await.refused_json(3);
    assert_eq!(error["code"], "unreachable");
    assert!(error["hint"].as_str().unwrap().contains("--issuer"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_1_and_says_what_to_do() {
    let terminal = Terminal::with_company().await;
    let lines: &[(&[&str], &str)] = &[
        (&["agent", "show", "acme.nobody"], "list"),
        (&["agent", "retire", "acme.planner"], "state"),
        (&["agent", "narrow", "acme.planner", "--ttl", "1h"], "agent update"),
        (&["agent", "create", "acme.planner", "--purpose", "another"], "`update`"),
        (&["agent", "secret", "remove", "acme.planner", "sec_none"], "stipend agent show acme.planner"),
        (&["agent", "create", "acme.a", "--access", "https://none.example=read"], "/access/0/resource"),
        (&["agent", "create", "acme.a", "--role", "auditor"], "/roles"),
        (&["agent", "suspend", "stipend.admin"], "another admin"),
        (&["rule", "accept", "none"], "list"),
        (&["keys", "distrust", "none", "--reason", "test"], "list"),
        // Ids of keys are base64url, and nobody should have to think of that when one is stolen.
        (&["keys", "distrust", "-Pq", "--reason", "test"], "list"),
        (&["keys", "distrust", "--reason", "test", "--Pq"], "list"),
        (&["revocation", "create", "--kind", "token", "--token", "x", "--reason", "test"], "/token"),
    ];
    for (line, what_to_do) in lines {
        let said = terminal.run(line).await.refused(1);
        assert!(said.contains(what_to_do), "{line:?}: {said}");
        let error = terminal.run(&[line, &["--json"][..]].concat()).await.refused_json(1);
        assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{line:?}: {error}");
    }
}

#[tokio::test]
async fn a_third_secret_is_refused_with_the_command_that_makes_room() {
    let terminal = Terminal::with_company().await;
    terminal.run(&["agent", "secret", "add", "acme.planner"]).await.done();
    let said = terminal.run(&["agent", "secret", "add", "acme.planner"]).await.refused(1);
    assert!(said.contains("stipend agent secret remove"), "{said}");
}

#[tokio::test]
async fn a_missing_or_a_wrong_secret_is_named_and_not_shown() {
    let terminal = Terminal::new().await;
    let issuer = terminal.server.issuer.as_str();
    let said = run_in(&[("STIPEND_ISSUER", issuer)], &["agent", "list"]).await.refused(1);
    assert!(said.contains("STIPEND_CLIENT_SECRET"), "{said}");
    let wrong = [("STIPEND_ISSUER", issuer), ("STIPEND_CLIENT_SECRET", "sk_wrong_wrong_wrong")];
    let said = run_in(&wrong, &["agent", "list"]).await.refused(1);
    assert!(said.contains("STIPEND_CLIENT_SECRET") && !said.contains("sk_wrong"), "{said}");
    let other = [("STIPEND_ISSUER", issuer), ("STIPEND_TOKEN", "ey.ey.ey")];
    let said = run_in(&other, &["agent", "list"]).await.refused(1);
    assert!(said.contains("STIPEND_TOKEN") && !said.contains("ey.ey"), "{said}");
}

#[tokio::test]
async fn a_secret_may_come_from_a_file() {
    let terminal = Terminal::new().await;
    let file = terminal.file("secret", &format!("{ADMIN_SECRET}\n"));
    let vars = [("STIPEND_ISSUER", terminal.server.issuer.as_str()), ("STIPEND_CLIENT_SECRET_FILE", &file)];
    run_in(&vars, &["keys", "list", "--json"]).await.json();
}

#[tokio::test]
async fn an_id_is_never_more_than_an_id() {
    let terminal = Terminal::with_company().await;
    for id in ["acme.planner/secrets", "acme.planner?x", "acme%2Eplanner", "../owners", "acme.planner#x", "é"] {
        terminal.run(&["agent", "show", id]).await.refused(1);
    }
    for id in ["", ".", ".."] {
        assert!(terminal.run(&["agent", "show", id]).await.refused(2).contains("is no id"));
    }
}

#[tokio::test]
async fn a_client_without_the_admin_api_is_told_so() {
    let terminal = Terminal::with_company().await;
    let planner = terminal.planner().await;
    let vars = [
        ("STIPEND_ISSUER", terminal.server.issuer.as_str()),
        ("STIPEND_CLIENT_ID", planner.id.as_str()),
        ("STIPEND_CLIENT_SECRET", planner.secret.as_str()),
    ];
    let said = run_in(&vars, &["agent", "list"]).await.refused(1);
    assert!(said.contains("acme.planner has no access to the admin API"), "{said}");
}

#[tokio::test]
async fn a_faulty_policy_is_shown_with_its_place() {
    let terminal = Terminal::new().await;
    terminal.run(&["owner", "create", "acme"]).await.done();
    let bad = terminal.file("bad.cedar", "// everything\npermit (principal, action, resource);\n");
    let ran = terminal.run(&["policy", "validate", "--file", &bad]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.starts_with("error at line 2, column 1: permit has no meaning here"), "{ran:?}");
    assert!(ran.err.contains("`stipend policy schema`"), "{ran:?}");
    let said = terminal.run(&["policy", "add", "bad", "--owner", "acme", "--file", &bad]).await.refused(1);
    assert!(said.contains("line 2, column 1") && said.contains("unless"), "{said}");
    assert_eq!(terminal.json(&["policy", "list"]).await, serde_json::json!([]));
    for line in [
        ["policy", "dry-run", "--owner", "acme", "--days", "3"].as_slice(),
        &["policy", "dry-run", "--policy", "pol_x", "--owner", "acme"],
        &["policy", "dry-run", "--policy", "pol_x", "--days", "32"],
        &["policy", "validate"],
        &["rule", "explain", "--actor", "acme.a", "--subject-token", "x", "--source", "nowhere"],
    ] {
        terminal.run(line).await.refused(2);
    }
}
