use crate::world::{A, B, OWN_SECRETS, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const BOTH: [(&str, &str); 2] = [("STIPEND_KEK", B), ("STIPEND_KEK_PREVIOUS", A)];
const NEW: [(&str, &str); 1] = [("STIPEND_KEK", B)];

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_old_static_key_is_dropped_after_the_rewrap(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let mut world = World::new(backend, &[]).await;
    for name in ["one", "two"] {
        world.keep(name).await;
    }
    let before = (world.jwks().await, world.server.admin(Method::GET, "/credentials/acme.one", None).await.1);
    let old = world.status().await["current"].as_str().unwrap().to_owned();

    world.restart(&BOTH).await;
    world.all_open(&["one", "two"]).await;
    let status = world.status().await;
    assert_ne!(status["current"], old.as_str());
    assert_eq!(status["keys"], json!([{"id": old, "versions": 2, "secrets": OWN_SECRETS, "signing_keys": 1}]));
    assert_eq!(status["remaining"], OWN_SECRETS + 3);
    assert_eq!(world.rewrap().await, OWN_SECRETS + 3);
    assert_eq!(world.rewrap().await, 0, "a second time there is nothing to do");

    world.restart(&NEW).await;
    world.all_open(&["one", "two"]).await;
    let after = (world.jwks().await, world.server.admin(Method::GET, "/credentials/acme.one", None).await.1);
    assert_eq!(before.0, after.0, "the same signing keys");
    let fingerprint = |body: &Value| body["versions"][0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(fingerprint(&before.1), fingerprint(&after.1));
    let said = world.refused(&[("STIPEND_KEK", A)]).await;
    assert!(said.contains(status["current"].as_str().unwrap()), "the old key is of no use any more: {said}");
}

/// Each kind of what is sealed alone keeps the key it needs from being dropped.
#[rstest]
#[case("credential_versions", "kek_id = (SELECT kek_id FROM kept), sealed = (SELECT sealed FROM kept)")]
#[case("server_secrets", "sealed = (SELECT k.sealed FROM kept k WHERE k.name = server_secrets.name)")]
#[case("signing_keys", "sealed_private = (SELECT sealed_private FROM kept)")]
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_refuses_to_start_and_is_named(#[case] table: &str, #[case] back: &str) {
    let mut world = World::new(Backend::Sqlite, &[]).await;
    world.keep("one").await;
    let old = world.status().await["current"].as_str().unwrap().to_owned();
    world.database.execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await.unwrap();
    world.restart(&BOTH).await;
    world.rewrap().await;
    world.restart(&NEW).await;
    world.server.stop().await;
    world.database.execute(&format!("UPDATE {table} SET {back}")).await.unwrap();
    let said = world.refused(&NEW).await;
    assert_eq!(
        said,
        format!(
            "sealed values need the key-encryption key {old}, which is not configured: it is a static key; restore it \
             from your backup and add it to the previous keys (STIPEND_KEK_PREVIOUS) until everything is rewrapped"
        )
    );
    world.restart(&BOTH).await;
    world.all_open(&["one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_that_signs_no_more_keeps_no_key_encryption_key() {
    let mut world = World::new(Backend::Sqlite, &[]).await;
    world.restart(&BOTH).await;
    let kid = world.jwks().await["keys"][0]["kid"].as_str().unwrap().to_owned();
    let path = format!("/signing-keys/{kid}/distrust");
    let (status, body) = world.server.admin(Method::POST, &path, Some(&json!({"reason": "stolen"}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    // Its tokens are gone with it, those of this test as well.
    world.restart(&BOTH).await;
    assert_eq!(world.rewrap().await, OWN_SECRETS, "the deployment's secrets; the new signing key is under the new key");
    world.restart(&NEW).await;
    assert_ne!(world.jwks().await["keys"][0]["kid"], kid.as_str());
}
