use crate::transit::Mood;
use crate::world::{A, B, BY_VAULT, OWN_SECRETS, Vault, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
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
    assert_eq!(one + two, MANY as i64 + OWN_SECRETS + 1, "each data key was wrapped anew once");
    world.restart(&[("STIPEND_KEK", B)]).await;
    world.all_open(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// The fence: whatever is done to a credential while its data key is on the way stays done.
#[rstest]
#[case("destroy", json!({"reason": "over"}), &["1 destroyed none"], 1)]
#[case(
    "rotate",
    json!({"value": {"api_key": {"key": "sk-canary-next"}}, "retire_after_seconds": 0}),
    &["1 retired vault:transit/stipend", "2 active vault:transit/stipend"],
    2
)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_destroyed_or_rotated_meanwhile_is_not_written_over(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] call: &str,
    #[case] body: Value,
    #[case] expected: &[&str],
    #[case] rewrapped: i64,
) {
    let vault = Vault::start();
    let mut world = World::new(backend, &[]).await;
    let id = world.keep("one").await;
    world.restart(&vault.and(&[BY_VAULT])).await;
    world.server.admin_token().await;
    vault.transit.mood(Mood::Slow(Duration::from_millis(400)));
    let asked = || vault.transit.state().asked.len();
    let before = asked();
    let meanwhile = async {
        // The secrets, the signing key, and then the version: it has been read.
        while asked() < before + OWN_SECRETS as usize + 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        vault.transit.mood(Mood::Well);
        let (status, body) = world.server.admin(Method::POST, &format!("/credentials/{id}/{call}"), Some(&body)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    };
    let (done, ()) = tokio::join!(world.rewrap(), meanwhile);
    assert_eq!(done, OWN_SECRETS + rewrapped, "the secrets, the signing key, and the version where there still is one");

    let kept = "SELECT number || ' ' || state || ' ' || coalesce(kek_id, 'none') AS value FROM credential_versions \
                ORDER BY number";
    assert_eq!(world.database.texts(kept).await.unwrap(), expected);
    let sealed = "SELECT count(*) AS value FROM credential_versions WHERE sealed IS NOT NULL";
    let versions = expected.iter().filter(|version| !version.contains("destroyed")).count();
    assert_eq!(world.database.number(sealed).await.unwrap(), versions as i64);
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
    for (rewrapped, remaining) in [(OWN_SECRETS + 3, 1), (0, 1)] {
        let (status, body) = world.server.admin(Method::POST, "/key-encryption/rewrap", Some(&json!({}))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!((&body["rewrapped"], &body["remaining"]), (&json!(rewrapped), &json!(remaining)), "{body}");
    }
    world.all_open(&["two", "three"]).await;
}
