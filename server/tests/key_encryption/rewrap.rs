use crate::transit::Mood;
use crate::world::{A, B, BY_VAULT, Vault, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_schema::Backend;

/// More than one call rewraps.
const MANY: usize = 60;
const BOTH: [(&str, &str); 2] = [("STIPEND_KEK", B), ("STIPEND_KEK_PREVIOUS", A)];

async fn until_none_remains(server: &TestServer) -> i64 {
    let mut rewrapped = 0;
    for _ in 0..50 {
        let (status, body) = server.admin(Method::POST, "/key-encryption/rewrap", Some(&json!({}))).await;
        match status {
            StatusCode::OK => rewrapped += body["rewrapped"].as_i64().unwrap(),
            // The other node was quicker each time.
            StatusCode::CONFLICT => {}
            _ => panic!("{status} {body}"),
        }
        if body["remaining"] == 0 {
            return rewrapped;
        }
    }
    panic!("something remains");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_rewrap_at_once_harm_nothing(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let mut world = World::new(backend, &[]).await;
    let names: Vec<String> = (0..MANY).map(|number| format!("c{number}")).collect();
    for name in &names {
        world.keep(name).await;
    }
    world.restart(&BOTH).await;
    // Two processes on one SQLite file are not supported: there the two are callers of one node.
    let other = if backend == Backend::Postgres { Some(world.node(&BOTH).await) } else { None };
    let second = other.as_ref().unwrap_or(&world.server);
    second.admin_token().await;
    let (one, two) = tokio::join!(until_none_remains(&world.server), until_none_remains(second));
    assert_eq!(one + two, MANY as i64 + 3, "each data key was wrapped anew once");
    world.restart(&[("STIPEND_KEK", B)]).await;
    world.all_open(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// The fence: whatever is done to a credential while its data key is on the way stays done.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_destroyed_or_rotated_meanwhile_is_not_written_over(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let vault = Vault::start();
    let mut world = World::new(backend, &[]).await;
    let (gone, turned) = (world.keep("gone").await, world.keep("turned").await);
    world.restart(&vault.and(&[BY_VAULT])).await;
    vault.transit.mood(Mood::Slow(Duration::from_millis(200)));
    let asked = || vault.transit.state().asked.len();
    let before = asked();
    let meanwhile = async {
        // Two secrets, the signing key, and then the first version: both have been read.
        while asked() < before + 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let path = format!("/credentials/{gone}/destroy");
        let destroyed = world.server.admin(Method::POST, &path, Some(&json!({"reason": "over"}))).await;
        assert_eq!((destroyed.0, &destroyed.1["state"]), (StatusCode::OK, &json!("destroyed")));
        let path = format!("/credentials/{turned}/rotate");
        let next = json!({"value": {"api_key": {"key": "sk-canary-next"}}, "retire_after_seconds": 0});
        let rotated = world.server.admin(Method::POST, &path, Some(&next)).await;
        assert_eq!(rotated.0, StatusCode::OK, "{}", rotated.1);
    };
    let (rewrapped, ()) = tokio::join!(world.rewrap(), meanwhile);
    assert_eq!(rewrapped, 4, "two secrets, the signing key, and the version that was not destroyed");
    vault.transit.mood(Mood::Well);

    let kept = world
        .database
        .texts(
            "SELECT credential_id || ' ' || number || ' ' || state || ' ' || coalesce(kek_id, 'none') AS value \
             FROM credential_versions ORDER BY credential_id, number",
        )
        .await
        .unwrap();
    let key = "vault:transit/stipend";
    let expected = [
        "acme.gone 1 destroyed none".to_owned(),
        format!("acme.turned 1 retired {key}"),
        format!("acme.turned 2 active {key}"),
    ];
    assert_eq!(kept, expected);
    let sealed = "SELECT count(*) AS value FROM credential_versions WHERE sealed IS NOT NULL AND state = 'destroyed'";
    assert_eq!(world.database.number(sealed).await.unwrap(), 0);
    let (_, released) = world.release(&turned).await;
    assert_eq!(released["value"]["api_key"]["key"], "sk-canary-next", "{released}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_open_holds_up_no_other() {
    let mut world = World::new(Backend::Sqlite, &[]).await;
    for name in ["one", "two", "three"] {
        world.keep(name).await;
    }
    let swap = "UPDATE credential_versions SET sealed = (SELECT sealed FROM credential_versions v \
                WHERE v.credential_id = 'acme.two') WHERE credential_id = 'acme.one'";
    world.database.execute(swap).await.unwrap();
    world.restart(&BOTH).await;
    for (rewrapped, remaining) in [(5, 1), (0, 1)] {
        let (status, body) = world.server.admin(Method::POST, "/key-encryption/rewrap", Some(&json!({}))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!((&body["rewrapped"], &body["remaining"]), (&json!(rewrapped), &json!(remaining)), "{body}");
    }
    world.all_open(&["two", "three"]).await;
}
