//! A release encrypted to the agent's key, opened by a library that nobody here wrote.

use crate::programs::required;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::Stdio;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const KEY: &str = "sk-encrypted-5c1d8e02";

/// RFC 7517 appendix A.2.
fn private_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "use": "enc", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joserfc_opens_a_release_that_only_the_agents_key_can_read() {
    let server = TestServer::start(Backend::Sqlite).await;
    server.create_owner("acme").await;
    let keys = server.app.urls.credential_resource.clone();
    let agent = server.create_client("acme", "worker", "agent", &[(&keys, &["credential:release"])]).await;
    let new = json!({"owner": "acme", "name": "llm", "value": {"api_key": {"key": KEY}}, "modes": ["jwe"]});
    server.create("/credentials", new).await;
    let mut public = private_key();
    let grant =
        |jwk: &Value| json!({"credential": "acme.llm", "agent": agent.id, "modes": ["jwe"], "encryption_jwk": jwk});
    let (status, body) = server.admin(reqwest::Method::POST, "/grants", Some(&grant(&public))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a private key is not registered");
    assert!(!body.to_string().contains("870MB6gfuTJ4"), "nor repeated: {body}");
    public.as_object_mut().unwrap().remove("d");
    server.create("/grants", grant(&public)).await;
    let token = server.token(&agent, &[]).await;
    let url = server.url("/credentials/acme.llm/release");
    let sent = server.http.post(url).bearer_auth(&token).json(&json!({"mode": "jwe"})).send().await.unwrap();
    let released: Value = sent.json().await.unwrap();
    assert!(!released.to_string().contains(KEY), "{released}");
    let opened = open(&released["jwe"]).await;
    assert_eq!((&opened["header"]["typ"], &opened["header"]["aud"]), (&json!("stipend-release+jwe"), &json!(agent.id)));
    assert_eq!(opened["header"]["exp"], released["cache_until"]);
    use base64::Engine;
    let content = base64::engine::general_purpose::STANDARD.decode(opened["content"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&content).unwrap(), json!({"api_key": {"key": KEY}}));
    server.stop().await;
}

async fn open(message: &Value) -> Value {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../keys/tests/jwe/decrypt.py");
    let mut command = Command::new(required("STIPEND_INTEROP_PYTHON"));
    command.arg("-B").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let asked = json!({"key": private_key(), "message": message});
    stdin.write_all(asked.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
