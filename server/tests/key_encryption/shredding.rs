use crate::world::{A, OWN_SECRETS, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use std::sync::Arc;
use stipend_keys::seal::aad_of;
use stipend_keys::{Sealer, StaticKek};
use stipend_schema::Backend;

fn hex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// The value's data key goes with the row: whoever has the key-encryption key and the
/// database opens nothing. A copy of the row that was made before still opens, which is why a
/// destroyed value is gone only when the backups that hold it are.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_value_is_gone_from_the_database_and_not_from_a_copy(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend, &[]).await;
    let id = world.keep("one").await;
    let text = match backend {
        Backend::Sqlite => "hex(sealed)",
        Backend::Postgres => "encode(sealed, 'hex')",
    };
    let query = |column: &str| format!("SELECT {column} AS value FROM credential_versions WHERE sealed IS NOT NULL");
    let copy = hex(&world.database.texts(&query(text)).await.unwrap()[0]);
    let version = world.database.texts(&query("id")).await.unwrap()[0].clone();
    let file = world.database.url().strip_prefix("sqlite://").map(str::to_owned);
    let on_disk = || {
        let file = file.as_deref()?;
        let parts = [file.to_owned(), format!("{file}-wal"), format!("{file}-journal")];
        Some(parts.iter().flat_map(|part| std::fs::read(part).unwrap_or_default()).collect::<Vec<u8>>())
    };
    if let Some(bytes) = on_disk() {
        assert!(holds(&bytes, &copy), "the file holds what the row holds");
    }

    let (status, body) =
        world.server.admin(Method::POST, &format!("/credentials/{id}/destroy"), Some(&json!({"reason": "over"}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(world.release(&id).await.0, StatusCode::FORBIDDEN);
    assert!(world.database.texts(&query(text)).await.unwrap().is_empty(), "no row has sealed bytes");
    let current = world.status().await["current"].as_str().unwrap().to_owned();
    assert_eq!(
        world.status().await["keys"],
        json!([{"id": current, "versions": 0, "secrets": OWN_SECRETS, "signing_keys": 1}]),
        "nothing is left to be opened"
    );

    world.server.stop().await;
    world.database.execute("VACUUM").await.unwrap();
    if backend == Backend::Sqlite {
        world.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    }
    if let Some(bytes) = on_disk() {
        assert!(!bytes.is_empty() && !holds(&bytes, &copy), "nor does the file, once it was vacuumed");
        assert!(!holds(&bytes, &copy[copy.len() - 32..]), "nor its end alone");
    }
    let sealer = Sealer::new(Arc::new(StaticKek::parse(A, &[]).unwrap()));
    let place = ["credential version", "acme", &id, &version];
    let opened = sealer.open(&aad_of(&place.map(str::as_bytes)), &copy).unwrap();
    assert!(holds(opened.expose(), b"sk-canary-one"), "a copy kept elsewhere opens with the key");
}
