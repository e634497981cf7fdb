//! `stipend agent`: what is said of an agent, and how it changes.

use crate::terminal::{ORDERS, Terminal, fact};
use serde_json::json;

#[tokio::test]
async fn an_agent_is_shown_with_what_it_may_and_what_it_has() {
    let terminal = Terminal::with_company().await;
    let said = terminal.run(&["agent", "show", "acme.planner"]).await.done();
    assert_eq!(fact(&said, "agent        "), "acme.planner");
    assert_eq!(fact(&said, "ready        "), "yes");
    assert_eq!(fact(&said, "access       "), format!("{ORDERS}  read refund write  (default: read refund write)"));
    assert!(fact(&said, "secrets      ").starts_with("sec_"), "{said}");
    assert!(fact(&said, "secrets      ").ends_with("(in 89 d)") || said.contains("(in 90 d)"), "{said}");
}

#[tokio::test]
async fn who_could_get_no_token_is_shown_with_the_reasons() {
    let terminal = Terminal::with_company().await;
    terminal.run(&["agent", "create", "acme.keyless", "--auth", "private_key_jwt"]).await.done();
    let said = terminal.run(&["agent", "show", "acme.keyless"]).await.done();
    assert_eq!(fact(&said, "ready        "), "no: no_key, no_access");
    terminal.run(&["agent", "suspend", "acme.refunds", "--reason", "odd requests"]).await.done();
    let said = terminal.run(&["agent", "show", "acme.refunds"]).await.done();
    assert_eq!(fact(&said, "state        "), "suspended: odd requests");
    assert_eq!(fact(&said, "ready        "), "no: not_active");
    let table = terminal.run(&["agent", "list"]).await.done();
    let row = table.lines().find(|line| line.trim_start().starts_with("acme.refunds")).unwrap();
    assert!(row.contains("suspended") && row.contains("not_active"), "{table}");
}

#[tokio::test]
async fn keys_are_shown_with_their_end() {
    let terminal = Terminal::with_company().await;
    let (jwk, jwks) = (terminal.key_files("more").0, terminal.key_files("first").1);
    let access = format!("{ORDERS}=read");
    let made = terminal.run(&["agent", "create", "acme.signer", "--jwks", &jwks, "--access", &access]).await;
    assert_eq!(made.err, "", "no secret, so no warning");
    assert_eq!(fact(&made.done(), "authenticates"), "private_key_jwt");
    let add = ["agent", "key", "add", "acme.signer", "--jwk", jwk.as_str(), "--life", "10d"];
    let first = fact(&terminal.run(&add).await.done(), "key id");
    let again = fact(&terminal.run(&add).await.done(), "key id");
    assert_eq!(first, again, "the same key is one");
    let said = terminal.run(&["agent", "show", "acme.signer"]).await.done();
    assert!(said.contains(&first) && said.contains("ES256  ends "), "{said}");
}

#[tokio::test]
async fn an_update_changes_only_what_is_given() {
    let terminal = Terminal::with_company().await;
    let before = terminal.json(&["agent", "show", "acme.planner"]).await;
    let update = ["agent", "update", "acme.planner", "--ttl", "2m", "--may-act", "client_id=acme.refunds"];
    let after = terminal.json(&update).await;
    assert_eq!((&after["ttl_seconds"], &after["may_act"]), (&json!(120), &json!({ "client_id": "acme.refunds" })));
    assert_eq!((&after["access"], &after["purpose"]), (&before["access"], &before["purpose"]));
    let bounded =
        terminal.json(&["agent", "update", "acme.planner", "--ceiling", "read", "--expires-at", "2100-01-01"]).await;
    assert_eq!((&bounded["scope_ceiling"], &bounded["expires_at"]), (&json!(["read"]), &json!(4_102_444_800_i64)));
    let cleared = ["agent", "update", "acme.planner", "--no-ceiling", "--no-expiry", "--no-may-act"];
    let cleared = terminal.json(&cleared).await;
    for gone in ["scope_ceiling", "expires_at", "may_act"] {
        assert!(cleared.get(gone).is_none(), "{gone}: {cleared}");
    }
}

#[tokio::test]
async fn narrowing_keeps_the_defaults_that_fit() {
    let terminal = Terminal::with_company().await;
    let narrowed =
        terminal.json(&["agent", "narrow", "acme.planner", "--access", &format!("{ORDERS}=read,write")]).await;
    let entry = json!([{ "resource": ORDERS, "scopes": ["read", "write"], "default_scopes": ["read", "write"] }]);
    assert_eq!(narrowed["access"], entry);
    let access = format!("{ORDERS}=read,write");
    let fewer = ["agent", "narrow", "acme.planner", "--access", &access, "--defaults", &format!("{ORDERS}=read")];
    assert_eq!(terminal.json(&fewer).await["access"][0]["default_scopes"], json!(["read"]));
    let said =
        terminal.run(&["agent", "narrow", "acme.planner", "--access", &format!("{ORDERS}=refund")]).await.refused(1);
    assert!(said.contains("agent update"), "{said}");
}

#[tokio::test]
async fn the_life_of_an_agent() {
    let terminal = Terminal::with_company().await;
    for (verb, state) in [("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")] {
        let said = terminal.run(&["agent", verb, "acme.planner"]).await.done();
        assert_eq!(fact(&said, "state        "), state);
    }
    let clone = terminal.run(&["agent", "reissue", "acme.planner", "--name", "planner-2", "--ttl", "1m"]).await.done();
    assert_eq!(fact(&clone, "clone of     "), "acme.planner");
    assert_eq!(fact(&clone, "token life   "), "60 s at most");
    let revoked = terminal.json(&["agent", "revoke", "acme.planner", "--reason", "key in a log"]).await;
    assert_eq!((&revoked["state"], &revoked["secrets"]), (&json!("revoked"), &json!([])));
    terminal.run(&["agent", "resume", "acme.planner"]).await.refused(1);
    assert_eq!(terminal.json(&["agent", "retire", "acme.planner"]).await["state"], "retired");
    assert_eq!(terminal.json(&["agent", "show", "acme.planner-2"]).await["state"], "active");
}

#[tokio::test]
async fn an_admin_made_here_works_here() {
    let terminal = Terminal::with_company().await;
    let made = terminal.json(&["agent", "create", "acme.ops", "--kind", "admin", "--role", "owner-admin:acme"]).await;
    let vars = [
        ("STIPEND_ISSUER", terminal.server.issuer.as_str()),
        ("STIPEND_CLIENT_ID", "acme.ops"),
        ("STIPEND_CLIENT_SECRET", made["client_secret"].as_str().unwrap()),
    ];
    let said = crate::terminal::run_in(&vars, &["agent", "show", "acme.ops"]).await.done();
    assert_eq!(fact(&said, "roles        "), "owner-admin:acme");
    crate::terminal::run_in(&vars, &["keys", "rotate"]).await.refused(1);
}

#[tokio::test]
async fn an_admin_gets_the_admin_api_as_far_as_its_roles_use_it() {
    let terminal = Terminal::with_company().await;
    let admin = format!("{}/admin", terminal.server.issuer);
    for (name, role, scopes) in [
        ("acme.ops", "owner-admin:acme", json!(["admin:audit", "admin:read", "admin:write"])),
        ("acme.reader", "auditor:acme", json!(["admin:audit", "admin:read"])),
    ] {
        let made = terminal.json(&["agent", "create", name, "--kind", "admin", "--role", role]).await;
        let entry = json!([{ "resource": admin, "scopes": scopes, "default_scopes": scopes }]);
        assert_eq!(made["agent"]["access"], entry);
    }
}
