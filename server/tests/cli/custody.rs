//! Custody by hand: what an admin does with a credential, and what an agent gets of it.

use crate::terminal::{Ran, Terminal, fact};
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend::testing::{TestClient, TestServer};

const FIRST: &str = "sk-canary-first-7f3a9b2c5d8e1f40";
const SECOND: &str = "sk-canary-second-0e1d2c3b4a596877";

/// Of a command that says nothing of a value, anywhere.
fn silent(ran: Ran) -> Ran {
    for canary in [FIRST, SECOND] {
        assert!(!ran.out.contains(canary) && !ran.err.contains(canary), "{ran:?}");
    }
    ran
}

/// Of a command that prints a value to standard output alone.
fn clear(ran: Ran) -> String {
    assert!(ran.code == 0 && !ran.err.contains("sk-canary"), "{ran:?}");
    ran.out.trim().to_owned()
}

async fn release(terminal: &Terminal, agent: &TestClient, more: &[&str]) -> Ran {
    terminal.run_as(agent, &[&["credential", "release", "acme.llm"], more].concat()).await
}

#[tokio::test]
async fn a_credential_lives_from_its_registration_to_its_end() {
    let terminal = Terminal::new().await;
    let worker = terminal.worker().await;
    let create = ["credential", "create", "acme.llm", "--key-file", "-"];
    let modes = ["--mode", "proxy", "--mode", "plaintext", "--mode", "wrapped"];
    let made = silent(terminal.run_with_input(&format!("{FIRST}\n"), &[&create[..], &modes].concat()).await).done();
    assert_eq!(fact(&made, "modes      "), "proxy wrapped plaintext");
    let refused = silent(release(&terminal, &worker, &["--mode", "plaintext"]).await).refused(1);
    assert!(refused.contains("no such credential for this agent"), "{refused}");

    let grant = ["grant", "create", "--credential", "acme.llm", "--agent", "acme.worker"];
    let grant =
        terminal.json(&[&grant[..], &["--mode", "plaintext", "--mode", "wrapped", "--uses", "9"]].concat()).await;
    let released = release(&terminal, &worker, &["--mode", "plaintext"]).await;
    assert!(released.err.contains("acme.llm, version 1, plaintext; keep it until"), "{released:?}");
    assert_eq!(clear(released), FIRST);
    let dry = silent(release(&terminal, &worker, &["--mode", "plaintext", "--dry-run"]).await).done();
    assert_eq!(dry, "Would be released: acme.llm, version 1, plaintext.\n");

    let new = terminal.file("second.key", SECOND);
    let rotate = ["credential", "rotate", "acme.llm", "--key-file", &new, "--retire-after", "1h"];
    let shown = silent(terminal.run(&rotate).await).done();
    assert!(shown.contains("2 active") && shown.contains("1 retiring"), "{shown}");
    assert!(shown.contains("acme.worker, version 1 as plaintext"), "who has seen it: {shown}");
    assert_eq!(clear(release(&terminal, &worker, &["--mode", "plaintext"]).await), SECOND);

    stipend::jobs::note_uses(&terminal.server.app).await;
    let topology = silent(terminal.run(&["topology"]).await).done();
    let edge: Vec<&str> = topology.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(edge[..6], ["acme.worker", "acme.llm", "wrapped", "plaintext", "active", "2"], "{topology}");
    assert_eq!(edge.last(), Some(&"yes"), "exposed: {topology}");

    terminal.run(&["grant", "delete", grant["id"].as_str().unwrap()]).await.done();
    silent(release(&terminal, &worker, &["--mode", "plaintext"]).await).refused(1);
    let end = ["credential", "destroy", "acme.llm", "--reason", "test"];
    let ended = silent(terminal.run(&end).await).done();
    assert!(ended.contains("2 destroyed") && ended.contains("1 destroyed"), "{ended}");
    silent(terminal.run(&["credential", "enable", "acme.llm"]).await).refused(1);
}

#[tokio::test]
async fn a_reference_is_turned_into_the_value_once() {
    let terminal = Terminal::new().await;
    let worker = terminal.worker().await;
    let login = r#"{"basic":{"username":"u","password":"sk-canary-first-7f3a9b2c5d8e1f40"}}"#;
    let file = terminal.file("login.json", login);
    let create = ["credential", "create", "acme.llm", "--value-file", &file, "--mode", "wrapped"];
    silent(terminal.run(&create).await).done();
    let grant = ["grant", "create", "--credential", "acme.llm", "--agent", "acme.worker", "--mode", "wrapped"];
    terminal.run(&grant).await.done();
    let wrapped = silent(release(&terminal, &worker, &["--mode", "wrapped"]).await).done();
    assert!(wrapped.starts_with("cw_"), "{wrapped}");
    let unwrap = ["credential", "unwrap", wrapped.trim()];
    assert_eq!(clear(terminal.run_as(&worker, &unwrap).await), login);
    silent(terminal.run_as(&worker, &unwrap).await).refused(1);
    let programs = release(&terminal, &worker, &["--mode", "wrapped", "--json"]).await.json();
    assert_eq!((&programs["kind"], &programs["mode"]), (&json!("basic"), &json!("wrapped")));
    let denied = release(&terminal, &worker, &["--mode", "plaintext"]).await.refused(1);
    assert!(denied.contains("does not allow this mode"), "{denied}");
}

#[tokio::test]
async fn a_constraint_that_stops_a_release_is_named() {
    let terminal = Terminal::new().await;
    let worker = terminal.worker().await;
    let file = terminal.file("api.key", FIRST);
    terminal.run(&["credential", "create", "acme.llm", "--key-file", &file, "--mode", "plaintext"]).await.done();
    let grant = ["grant", "create", "--credential", "acme.llm", "--agent", "acme.worker", "--mode", "plaintext"];
    terminal.run(&[&grant[..], &["--constraints", r#"{"source":["192.0.2.0/24"]}"#]].concat()).await.done();
    let denied = silent(release(&terminal, &worker, &["--mode", "plaintext"]).await).refused(1);
    assert!(denied.contains("constraint_violated") && denied.contains("source"), "{denied}");
}

#[tokio::test]
async fn a_value_is_no_argument_and_a_wrong_one_is_not_repeated() {
    let terminal = Terminal::new().await;
    terminal.worker().await;
    let lines: [&[&str]; 6] = [
        &["credential", "create", "acme.llm", FIRST],
        &["credential", "create", "acme.llm", "--key", FIRST],
        &["credential", "create", "acme.llm", "--value", FIRST, "--key-file", "-"],
        &["credential", "create", "acme.llm", &format!("--api-key={FIRST}")],
        &["credential", "rotate", "acme.llm", FIRST],
        &["credential", "rotate", "acme.llm", "--password", FIRST],
    ];
    for line in lines {
        let said = silent(terminal.run(line).await).refused(2);
        assert!(said.contains("not taken as an argument") && said.contains("--key-file"), "{line:?}: {said}");
        let said = silent(terminal.run(&[line, &["--json"]].concat()).await).refused_json(2);
        assert_eq!(said["code"], "usage", "{line:?}");
    }
    let said = silent(terminal.run(&["credential", "create", "acme.llm"]).await).refused(2);
    assert!(said.contains("--value-file"), "{said}");
    for bad in [FIRST, r#"{"api_key":"sk-canary-first-7f3a9b2c5d8e1f40"}"#, ""] {
        let file = terminal.file("bad.json", bad);
        silent(terminal.run(&["credential", "create", "acme.llm", "--value-file", &file]).await).refused(2);
    }
    let file = terminal.file("two.key", &format!("{FIRST}\n{SECOND}\n"));
    silent(terminal.run(&["credential", "create", "acme.llm", "--key-file", &file]).await).refused(1);
    assert_eq!(terminal.json(&["credential", "list"]).await, json!([]));
}

/// What any user of this machine can see of a process.
#[tokio::test]
async fn a_value_stands_in_no_command_line() {
    let terminal = Terminal::new().await;
    terminal.worker().await;
    // A pipe that holds the command in its reading while it is looked at.
    let (ours, theirs) = std::io::pipe().map(|(read, write)| (write, read)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stipend"));
    command.env_clear().env("STIPEND_ISSUER", &terminal.server.issuer);
    command.args(["credential", "create", "acme.llm", "--key-file", "-"]).stdin(theirs);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut running = command.spawn().unwrap();
    drop(command);
    std::io::Write::write_all(&mut &ours, FIRST.as_bytes()).unwrap();
    let process = format!("/proc/{}", running.id());
    let seen = |file: &str| String::from_utf8(std::fs::read(format!("{process}/{file}")).unwrap()).unwrap();
    while !seen("cmdline").contains("--key-file") {
        std::thread::yield_now();
    }
    for file in ["cmdline", "environ"] {
        assert!(!seen(file).contains("sk-canary"), "{file}: {}", seen(file));
    }
    drop(ours);
    assert_eq!(running.wait().unwrap().code(), Some(1), "it has no secret of its own to go on with");
}

#[tokio::test]
async fn flags_set_and_clear_what_is_said_of_a_credential_and_a_grant() {
    let terminal = Terminal::new().await;
    terminal.worker().await;
    let file = terminal.file("api.key", FIRST);
    let create = ["credential", "create", "acme.llm", "--key-file", &file, "--template", "openai", "--metered"];
    let more = ["--max-cost", "500000", "--rate", "60/1m", "--lease", "10m"];
    let both = terminal.run(&[&create[..], &more, &["--json"]].concat()).await;
    let made: Value = both.json();
    assert_eq!(made["metering"], json!({"max_cost": 500_000}));
    assert_eq!(made["constraints"]["methods"], json!(["POST"]), "the template's stay: {made}");
    assert_eq!(made["constraints"]["rate"], json!({"count": 60, "per_s": 60}));
    let clear = ["--no-metering", "--price", "call=2", "--no-constraints", "--base-url", "https://llm.example"];
    let then = terminal.json(&[&["credential", "update", "acme.llm"], &clear[..]].concat()).await;
    assert!(then.get("metering").is_none() && then["price"]["amount"] == 2, "{then}");
    assert_eq!((&then["constraints"], &then["base_url"]), (&json!({}), &json!("https://llm.example")));
    assert_eq!(then["lease_seconds"], 600, "what nobody mentions stays");
    let both = terminal.run(&["credential", "update", "acme.llm", "--price", "call=2", "--metered"]).await;
    assert_eq!(both.code, 2, "one or the other: {both:?}");
    let then = terminal.json(&["credential", "update", "acme.llm", "--no-price"]).await;
    assert!(then.get("price").is_none(), "{then}");
    let end = terminal.server.clock.now() + 365 * 86_400;
    let year = stipend::cli::print::instant(end);
    let (jwk, _) = terminal.key_files("agent");
    let grant = ["grant", "create", "--credential", "acme.llm", "--agent", "acme.worker", "--task", "nightly"];
    terminal.run(&["credential", "update", "acme.llm", "--mode", "jwe", "--mode", "proxy"]).await.done();
    let keyed = [&grant[..], &["--mode", "jwe", "--encryption-jwk", &jwk, "--expires", &year]].concat();
    let refused = terminal.run(&keyed).await;
    assert_eq!(refused.code, 1, "a key for signatures is none for encryption: {refused:?}");
    let made = terminal.json(&[&grant[..], &["--expires", &year, "--uses", "5"]].concat()).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["task"], &made["expires_at"]), (&json!("nightly"), &json!(end)));
    let clear = ["grant", "update", id, "--no-task", "--no-expiry", "--no-constraints"];
    let then = terminal.json(&clear).await;
    assert!(then.get("task").is_none() && then.get("expires_at").is_none(), "{then}");
    assert_eq!(then["constraints"], json!({}));
}

#[tokio::test]
async fn data_keys_are_wrapped_anew_until_the_earlier_key_has_none() {
    let old = Terminal::new().await;
    old.worker().await;
    // More than one call of the API wraps. Beside these there are a signing key and two secrets
    // of the deployment.
    for number in 0..51 {
        let name = format!("c{number}");
        let value = json!({"api_key": {"key": FIRST}});
        old.server.create("/credentials", json!({"owner": "acme", "name": name, "value": value})).await;
    }
    old.server.stop().await;
    let address = old.server.issuer.trim_start_matches("http://");
    let settings = [
        ("STIPEND_ISSUER", old.server.issuer.as_str()),
        ("STIPEND_LISTEN", address),
        ("STIPEND_KEK", "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"),
        ("STIPEND_KEK_PREVIOUS", stipend::testing::KEK),
    ];
    let server = TestServer::start_on(&old.server.database_url, &settings).await;
    let terminal = Terminal { server, folder: tempfile::tempdir().unwrap() };
    let before = terminal.run(&["keys", "encryption"]).await.done();
    assert_eq!(fact(&before, "to wrap anew"), "55: `stipend keys rewrap`");
    let done = terminal.run(&["keys", "rewrap"]).await;
    assert_eq!(done.err, "", "no progress where there is no terminal");
    let done = done.done();
    assert_eq!(fact(&done, "wrapped anew"), "55");
    assert!(fact(&done, "to wrap anew").starts_with("nothing"), "{done}");
    let again = terminal.json(&["keys", "rewrap"]).await;
    assert_eq!((&again["remaining"], &again["rewrapped"]), (&json!(0), &json!(0)));
}
