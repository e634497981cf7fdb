//! The conformance runner against this server, on both databases: no row of level M or H
//! may fail, and what is skipped is listed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::too_many_lines)]

#[path = "../client_auth/authority.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod authority;
mod deployment;
mod sections;

use deployment::Deployment;
use rstest::rstest;
use serde_json::{Value, json};
use std::fmt::Write;
use stipend::testing::{TestClient, TestServer};
use stipend_conformance::{Outcome, Profile, Report, run, run_only};
use stipend_keys::{Algorithm, Secret, SigningKey};
use stipend_schema::Backend;

const A: &str = "https://a.example/api";
const B: &str = "https://b.example/api";
const FORBIDDEN: &str = "https://forbidden.example/api";
const FOREIGN: &str = "https://foreign.example/api";
const SHORT: &str = "https://short.example/api";
/// Its tokens are in a status list.
const LISTED: &str = "https://listed.example/api";

/// PKCS#8 in PEM, as the runner reads it.
fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// The runner's library reads P-256 keys only in the form it writes itself.
fn ring_key() -> SigningKey {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ring::rand::SystemRandom::new()).unwrap();
    SigningKey::from_private_der(Algorithm::Es256, &Secret::new(der.as_ref().to_vec())).unwrap()
}

async fn key_client(server: &TestServer, name: &str, alg: Algorithm, legacy: bool) -> String {
    // The runner reads rsaEncryption keys only, and an RSA key signs PS256 as well.
    let kind = if alg == Algorithm::Ps256 { Algorithm::Rs256 } else { alg };
    let key = if kind == Algorithm::Es256 { ring_key() } else { SigningKey::generate(kind).unwrap() };
    let mut jwk: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    jwk["alg"] = json!(alg.as_str());
    let body = json!({
        "owner": "conf", "name": name, "kind": "agent", "purpose": "conformance", "auth_method": "private_key_jwt",
        "access": access(), "jwks": {"keys": [jwk]}, "legacy_assertion_aud": legacy,
    });
    server.create("/agents", body).await;
    format!(
        "[clients.{name}]\nid = \"conf.{name}\"\nsub = \"agent:conf.{name}\"\nalg = \"{}\"\nkid = \"{}\"\nprivate_key_pem = \"\"\"{}\"\"\"\n",
        alg.as_str(),
        key.kid(),
        pem(key.to_private_der().expose())
    )
}

fn access() -> Value {
    json!([
        {"resource": A, "scopes": ["a:read", "a:write"], "default_scopes": ["a:read", "a:write"]},
        {"resource": B, "scopes": ["b:read", "b:write"], "default_scopes": ["b:read"]},
        {"resource": FOREIGN, "scopes": ["g:read"], "default_scopes": ["g:read"]},
        {"resource": SHORT, "scopes": ["s:read"], "default_scopes": ["s:read"]},
        {"resource": LISTED, "scopes": ["l:read"], "default_scopes": ["l:read"]},
    ])
}

fn section(name: &str, client: &TestClient) -> String {
    format!("[clients.{name}]\nid = \"{}\"\nsecret = \"{}\"\nsub = \"agent:{}\"\n", client.id, client.secret, client.id)
}

async fn secret_client(server: &TestServer, name: &str, kind: &str, method: &str) -> TestClient {
    let access = if kind == "service" { json!([]) } else { access() };
    secret_client_with(server, name, kind, method, access, json!({})).await
}

async fn secret_client_with(
    server: &TestServer,
    name: &str,
    kind: &str,
    method: &str,
    access: Value,
    settings: Value,
) -> TestClient {
    let body = json!({
        "owner": "conf", "name": name, "kind": kind, "purpose": "conformance", "auth_method": method,
        "access": access, "settings": settings,
    });
    let created = server.create("/agents", body).await;
    TestClient { id: format!("conf.{name}"), secret: created["client_secret"].as_str().unwrap().to_owned() }
}

/// The secret client of this name, from the profile written so far.
fn secret_of(text: &str, name: &str) -> TestClient {
    let part = text.split(&format!("[clients.{name}]")).nth(1).unwrap();
    let secret = part.split("secret = \"").nth(1).unwrap().split('"').next().unwrap();
    TestClient { id: format!("conf.{name}"), secret: secret.to_owned() }
}

/// Everything the runner must know, made through the admin API.
async fn profile(deployment: &Deployment, nonces: bool) -> String {
    let server = &deployment.server;
    server.create_owner("conf").await;
    let service = secret_client(server, "service", "service", "client_secret_basic").await;
    let service_ids: &[&str] = &[&service.id];
    for (uri, scopes, introspectors) in [
        (A, vec!["a:read", "a:write"], service_ids),
        (B, vec!["b:read", "b:write"], service_ids),
        (FORBIDDEN, vec!["f:read"], &[]),
        (FOREIGN, vec!["g:read"], &[]),
    ] {
        server.create_resource("conf", uri, &scopes, introspectors).await;
    }
    server
        .create("/resources", json!({"owner": "conf", "uri": SHORT, "name": "short", "scopes": ["s:read"], "ttl_seconds": 2, "introspectors": [service.id]}))
        .await;
    let listed = json!({
        "owner": "conf", "uri": LISTED, "name": "listed", "scopes": ["l:read"], "status_list": true,
        "introspectors": [service.id],
    });
    server.create("/resources", listed).await;
    let (url, roots) = (&server.issuer, &deployment.roots_pem);
    let mut text = format!(
        "status_resource = \"listed\"\n[issuer]\nurl = \"{url}\"\ndefault_scope = \"a:read a:write\"\nca_pem = \"\"\"{roots}\"\"\"\n"
    );
    let basic = secret_client(server, "basic", "agent", "client_secret_basic").await;
    let second = server.create("/agents/conf.basic/secrets", json!({})).await;
    let _ =
        writeln!(text, "{}second_secret = \"{}\"", section("basic", &basic), second["client_secret"].as_str().unwrap());
    text += &section("service", &service).replace("agent:", "client:");
    text += &section("post", &secret_client(server, "post", "agent", "client_secret_post").await);
    for name in ["other", "hop"] {
        text += &section(name, &secret_client(server, name, "agent", "client_secret_basic").await);
    }
    let short = json!({
        "owner": "conf", "name": "expired-secret", "auth_method": "client_secret_basic", "access": access(),
        "secret_expires_in_seconds": 1,
    });
    let short = server.create("/agents", short).await;
    let short = TestClient {
        id: "conf.expired-secret".to_owned(),
        secret: short["client_secret"].as_str().unwrap().to_owned(),
    };
    text += &section("expired_secret", &short);
    let disabled = secret_client(server, "disabled", "agent", "client_secret_basic").await;
    server.admin(reqwest::Method::POST, "/agents/conf.disabled/suspend", Some(&json!({"reason": "conformance"}))).await;
    text += &section("disabled", &disabled);
    text += &section("no_exchange", &secret_client(server, "no-exchange", "admin", "client_secret_basic").await)
        .replace("agent:", "client:");
    text += &key_client(server, "jwt", Algorithm::Es256, false).await;
    for (name, alg) in [("eddsa", Algorithm::EdDsa), ("rs256", Algorithm::Rs256), ("ps256", Algorithm::Ps256)] {
        text += &key_client(server, name, alg, false).await;
    }
    text += &key_client(server, "legacy-aud", Algorithm::Es256, true)
        .await
        .replace("clients.legacy-aud", "clients.legacy_aud");
    server
        .create(
            "/exchange-rules",
            json!({
                "actor": {"client": "conf.jwt"}, "subject": {"client": "conf.basic"}, "to_audience": B,
                "scopes": [{"scope": "b:read", "stands_for": "a:read"}], "mode": "delegation",
            }),
        )
        .await;
    for (actor, subject) in [("conf.hop", "conf.jwt"), ("conf.jwt", "conf.hop")] {
        server.create_rule(actor, subject, B, &["b:read"]).await;
    }
    let template = json!({"access": access(), "grant_types": ["client_credentials"]});
    let registration = json!({"owner": "conf", "name": "runner", "max_uses": 100, "template": template});
    let registration = server.create("/registration-tokens", registration).await;
    let registration = registration["initial_access_token"].as_str().unwrap();
    // The runner publishes documents of clients there.
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let documents = json!({
        "owner": "conf", "name": "runner", "url": format!("http://{place}/"), "covers": "prefix", "max_clients": 100,
        "template": {"access": access(), "grant_types": ["client_credentials"]},
    });
    server.create("/client-documents", documents).await;
    // A token that has expired, and one that carries may_act.
    let expired = server.token(&basic, &[("resource", SHORT)]).await;
    server.clock.advance(3);
    let body = json!({"may_act": {"sub": "agent:conf.jwt"}});
    server.admin(reqwest::Method::PATCH, "/agents/conf.hop", Some(&body)).await;
    let hop = secret_of(&text, "hop");
    let may_act = server.token(&hop, &[("resource", B)]).await;
    text += &format!(
        r#"
[resources.a]
uri = "{A}"
scopes = ["a:read", "a:write"]
[resources.b]
uri = "{B}"
scopes = ["b:read", "b:write"]
[resources.forbidden]
uri = "{FORBIDDEN}"
scopes = ["f:read"]
[resources.foreign]
uri = "{FOREIGN}"
scopes = ["g:read"]
[introspection]
client = "service"
resource = "a"
foreign_resource = "foreign"
[registration]
initial_access_token = "{registration}"
[documents]
listen = "{place}"
[exchange]
subject_client = "basic"
subject_resource = "a"
subject_scope = "a:read"
actor_client = "jwt"
actor_resource = "a"
audience = "b"
scope = "b:read"
wider_scope = "b:write"
unruled_client = "other"
depth_cap = 4
chain = ["hop", "jwt", "hop", "jwt"]
[exchange.may_act]
subject_token = "{may_act}"
allowed_client = "jwt"
refused_client = "other"
[tokens]
expired = "{expired}"
[capabilities]
house = true
guesses = 60
"#
    );
    text + &sections::write(deployment, nonces).await
}

/// Rows of level M or H that failed. A busy machine may fail what judges time alone; that the work
/// is the same has a test of its own.
fn failed(report: &Report) -> Vec<String> {
    report.failures().filter(|row| row.id != "K3/time").map(|row| format!("{row:?}")).collect()
}

fn ids(report: &Report, outcome: Outcome) -> Vec<&'static str> {
    report.rows.iter().filter(|row| row.outcome == outcome).map(|row| row.id).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_fails(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let deployment = Deployment::start(backend, true).await;
    let text = profile(&deployment, true).await;
    let report = run(Profile::from_toml(&text).unwrap()).await;
    println!("{report}");
    assert_eq!(failed(&report), Vec::<String>::new());
    assert_eq!(ids(&report, Outcome::Skipped), Vec::<&str>::new());
    assert!(report.count(Outcome::Pass) >= 194, "{}", report.summary());
}

/// The same tokens where proofs need no nonce, which is the default.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_of_bound_tokens_fails_without_nonces(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let deployment = Deployment::start(backend, false).await;
    let text = profile(&deployment, false).await;
    let only = ["DP", "TX31", "AT12", "IN9", "RG1", "TX37"].map(str::to_owned);
    let report = run_only(Profile::from_toml(&text).unwrap(), &only).await;
    println!("{report}");
    assert_eq!(failed(&report), Vec::<String>::new());
    // There is no nonce to judge.
    let nonces = ["DP15", "DP15/reuse", "DP15/wrong", "DP15/guess", "DP16", "DP17"];
    assert_eq!(ids(&report, Outcome::Skipped), nonces);
}
