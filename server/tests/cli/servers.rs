//! `serve`, `migrate`, `config`, `demo`, `healthcheck`, `doctor`: the server's own process.

use crate::process::{restart, serve, terminate};
use crate::terminal::{Terminal, run_in};
use std::io::Read;
use std::process::{Command, Stdio};
use stipend::testing::KEK;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

#[tokio::test]
async fn serve_answers_until_it_is_told_to_stop_and_leaves_a_provable_audit() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let database = TestDatabase::new(backend).await;
        let (mut served, issuer, secret) = serve(database.url(), &[]);
        let vars = [("STIPEND_ISSUER", issuer.as_str()), ("STIPEND_CLIENT_SECRET", &secret)];
        run_in(&vars, &["owner", "create", "acme"]).await.done();
        run_in(&vars, &["doctor"]).await.done();
        let address = issuer.trim_start_matches("http://");
        run_in(&[("STIPEND_LISTEN", address)], &["healthcheck"]).await.done_silently();
        terminate(&served.0);
        assert!(served.0.wait().unwrap().success(), "SIGTERM is a clean end");
        run_in(&[("STIPEND_LISTEN", address)], &["healthcheck"]).await.refused(3);
        let port = address.rsplit(':').next().unwrap();
        let (_again, issuer) = restart(database.url(), port);
        let vars = [("STIPEND_ISSUER", issuer.as_str()), ("STIPEND_CLIENT_SECRET", &secret)];
        let proof = run_in(&vars, &["audit", "verify", "--json"]).await.json();
        assert_eq!((proof["chains"].as_array().unwrap().len(), &proof["checkpoints"]), (2, &1.into()), "{backend:?}");
        assert_eq!(proof["heads_named_elsewhere"], 1, "{backend:?}");
    }
}

#[tokio::test]
async fn every_mistake_in_the_configuration_is_told_at_once() {
    let vars = [
        ("STIPEND_ISSUER", "http://as.example"),
        ("STIPEND_LISTEN", "nowhere"),
        ("STIPEND_DATABASE_URL", "postgres://h/db"),
        ("STIPEND_MAX_DEPHT", "3"),
        ("STIPEND_LOG_LEVEL", "=="),
    ];
    let said = run_in(&vars, &["serve"]).await.refused(2);
    for name in
        ["STIPEND_ISSUER", "STIPEND_LISTEN", "STIPEND_KEK", "did you mean STIPEND_MAX_DEPTH", "STIPEND_LOG_LEVEL"]
    {
        assert!(said.contains(name), "{name}: {said}");
    }
    let shown = run_in(&vars, &["config"]).await;
    assert!(shown.code == 1 && shown.out.contains("STIPEND_SIGNING_ALG"), "{shown:?}");
}

#[tokio::test]
async fn config_hides_what_is_secret() {
    let vars = [("STIPEND_DATABASE_URL", "postgres://me:hunter2@h/db"), ("STIPEND_KEK", KEK)];
    let shown = run_in(&vars, &["config"]).await.done();
    assert!(shown.contains("postgres://me:***@h/db") && !shown.contains("hunter2") && !shown.contains(KEK), "{shown}");
}

#[tokio::test]
async fn migrate_makes_the_tables_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/new.db", folder.path().display());
    let vars = [("STIPEND_DATABASE_URL", url.as_str())];
    run_in(&vars, &["migrate"]).await.done();
    run_in(&vars, &["migrate"]).await.done();
    let files = std::fs::read_dir(folder.path()).unwrap();
    assert!(files.flatten().all(|file| file.file_name().to_string_lossy().starts_with("new.db")));
}

#[tokio::test]
async fn the_demo_ends_well() {
    let said = run_in(&[], &["demo"]).await.done();
    assert!(said.contains("All 12 steps came out as they must"), "{said}");
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_what_to_do() {
    let terminal = Terminal::with_company().await;
    let stuck = ["agent", "create", "acme.stuck"];
    terminal.run(&stuck).await.done();
    terminal.run(&["agent", "create", "acme.api", "--kind", "service"]).await.done();
    let said = terminal.run(&["doctor"]).await.done();
    assert!(!said.contains("acme.api"), "a service need not get tokens: {said}");
    assert!(said.contains("acme.stuck (no_access)") && said.contains("stipend agent show"), "{said}");
    terminal.server.clock.advance(80 * 86_400);
    let said = terminal.run(&["doctor"]).await;
    assert!(said.code == 1 && said.out.contains("off by more than 30 s"), "{said:?}");
    let vars = [("STIPEND_ISSUER", terminal.server.issuer.as_str()), ("STIPEND_CLIENT_SECRET", "wrong")];
    let said = run_in(&vars, &["doctor"]).await;
    assert!(said.code == 1 && said.out.contains("✗ client"), "{said:?}");
}

/// TLS by the server itself, with an authority the client is told of.
#[tokio::test]
async fn https_with_a_certificate_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-keyout", &path("key.pem"), "-out", &path("cert.pem"), "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let database = TestDatabase::new(Backend::Sqlite).await;
    let vars = [
        ("STIPEND_ISSUER", "https://localhost:0"),
        ("STIPEND_TLS_CERT_FILE", &path("cert.pem")),
        ("STIPEND_TLS_KEY_FILE", &path("key.pem")),
    ];
    let (mut served, issuer, secret) = serve(database.url(), &vars);
    let known = [
        ("STIPEND_ISSUER", issuer.as_str()),
        ("STIPEND_CLIENT_SECRET", &secret),
        ("STIPEND_CA_FILE", &path("cert.pem")),
    ];
    let said = run_in(&known, &["doctor"]).await.done();
    assert!(said.contains("✓ transport    https"), "{said}");
    let admin = format!("{issuer}/admin");
    let token = run_in(&known, &["token", "get"]).await.done();
    run_in(&known, &["token", "verify", token.trim(), "--audience", &admin]).await.done();
    run_in(&known[..2], &["whoami"]).await.refused(3);
    terminate(&served.0);
    let mut rest = String::new();
    served.0.wait().unwrap();
    if let Some(mut out) = served.0.stdout.take() {
        out.read_to_string(&mut rest).unwrap();
    }
    assert!(!rest.contains(&secret));
}
