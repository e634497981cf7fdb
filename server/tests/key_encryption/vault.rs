use crate::transit::{Mood, deserted};
use crate::world::{A, B, BY_VAULT, NO_KEY, OWN_SECRETS, Vault, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend_schema::Backend;

/// More than there are threads that may block.
const CROWD: usize = 700;

#[rstest]
// The key that was made beside the database at the first start.
#[case(Backend::Sqlite, NO_KEY)]
#[case(Backend::Postgres, ("STIPEND_KEK", A))]
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_moves_to_vault_and_back(#[case] backend: Backend, #[case] first: (&str, &str)) {
    let vault = Vault::start();
    let mut world = World::new(backend, &[first]).await;
    world.keep("one").await;
    world.restart(&vault.and(&[BY_VAULT, first])).await;
    world.all_open(&["one"]).await;
    world.keep("two").await;
    let status = world.status().await;
    assert_eq!((&status["current"], &status["remaining"]), (&json!("vault:transit/stipend"), &json!(OWN_SECRETS + 2)));
    assert_eq!(world.rewrap().await, OWN_SECRETS + 2);

    if backend == Backend::Sqlite {
        let file = format!("{}.kek", world.database.url().strip_prefix("sqlite://").unwrap());
        std::fs::remove_file(file).unwrap();
    }
    world.restart(&vault.and(&[BY_VAULT, NO_KEY])).await;
    world.all_open(&["one", "two"]).await;
    let said = world.refused(&[("STIPEND_KEK", B)]).await;
    assert!(said.contains("vault:transit/stipend") && said.contains("of a Vault or OpenBao"), "{said}");

    // Back: the static key seals, Vault opens what it sealed until all is rewrapped.
    world.restart(&vault.and(&[("STIPEND_KEK", B)])).await;
    world.all_open(&["one", "two"]).await;
    assert_eq!(world.rewrap().await, OWN_SECRETS + 3);
    vault.transit.mood(Mood::Status(503, "Vault is sealed"));
    world.restart(&[("STIPEND_KEK", B)]).await;
    world.all_open(&["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_in_trouble_at_start_is_told_in_a_sentence() {
    let vault = Vault::start();
    let world = World::new(Backend::Sqlite, &vault.and(&[BY_VAULT, NO_KEY])).await;
    let nobody = format!("http://127.0.0.1:{}", deserted());
    let away = vault.and(&[BY_VAULT, NO_KEY, ("STIPEND_VAULT_ADDRESS", &nobody)]);
    let said = world.refused(&away).await;
    assert!(said.starts_with("STIPEND_VAULT_ADDRESS: Vault cannot be reached: check"), "{said}");
    for (mood, sentence) in [
        (Mood::Status(503, "Vault is sealed"), "Vault is sealed, in standby, or not ready: unseal it"),
        (Mood::Hangs, "Vault does not answer in time"),
        (Mood::IgnoresAssociatedData, "this Vault ignores associated_data"),
    ] {
        vault.transit.mood(mood);
        let said = world.refused(&vault.and(&[BY_VAULT, NO_KEY])).await;
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    vault.transit.mood(Mood::Well);
    let said = world.refused(&vault.and(&[BY_VAULT, NO_KEY, ("STIPEND_VAULT_KEY", "gone")])).await;
    assert!(said.contains("Vault has no transit key transit/gone"), "{said}");
}

/// A reference that could not be answered is not used up, and a call is not held for.
#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_vault_that_is_away_may_be_asked_for_again() {
    let vault = Vault::start();
    let local = [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];
    let world = World::new(Backend::Sqlite, &vault.and(&[&[BY_VAULT, NO_KEY], &local[..]].concat())).await;
    let id = world.keep("one").await;
    let upstream = json!({"base_url": format!("http://127.0.0.1:{}", deserted())});
    let path = format!("/credentials/{id}");
    let (status, body) = world.server.admin(Method::PATCH, &path, Some(&upstream)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, wrapped) = world.ask(&format!("{path}/release"), &json!({"mode": "wrapped"})).await;
    assert_eq!(status, StatusCode::OK, "nothing is opened for a reference: {wrapped}");
    let reference = json!({"reference": wrapped["reference"]});
    let proxied = format!("/proxy/{id}/v1/models");

    vault.transit.mood(Mood::Status(503, "Vault is sealed"));
    for _ in 0..2 {
        assert_eq!(world.ask("/credentials/unwrap", &reference).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(world.ask(&proxied, &json!({})).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    let rotate = async || world.server.admin(Method::POST, "/signing-keys/rotate", Some(&json!({}))).await;
    assert_eq!(rotate().await.0, StatusCode::SERVICE_UNAVAILABLE, "a new signing key can't be sealed");
    vault.transit.mood(Mood::Well);
    let (status, body) = rotate().await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(world.ask(&proxied, &json!({})).await.0, StatusCode::BAD_GATEWAY, "nobody listens there");
    let (status, body) = world.ask("/credentials/unwrap", &reference).await;
    assert_eq!((status, &body["value"]["api_key"]["key"]), (StatusCode::OK, &json!("sk-canary-one")), "{body}");
    let (_, audit) = world.server.admin(Method::GET, "/audit?limit=100", None).await;
    let records = audit["items"].as_array().unwrap();
    assert!(records.iter().all(|record| record["event"] != "credential.alert"), "nobody used it twice");
    let calls = records.iter().filter(|record| record["event"] == "credential.proxied").count();
    assert!(calls > 0 && calls <= 2, "the call that was sent, and its end: {records:?}");
}

#[rstest]
#[case(Mood::Status(503, "Vault is sealed"))]
#[case(Mood::Status(403, "permission denied"))]
#[case(Mood::Hangs)]
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_goes_away_costs_releases_alone_and_only_while_it_is_away(#[case] mood: Mood) {
    let vault = Vault::start();
    let world = World::new(Backend::Sqlite, &vault.and(&[BY_VAULT, NO_KEY])).await;
    world.keep("opened").await;
    let sealed = world.keep("sealed").await;
    world.all_open(&["opened"]).await;
    vault.transit.mood(mood);

    let began = Instant::now();
    let (status, body) = world.release(&sealed).await;
    assert_eq!(
        (status, &body["error"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("temporarily_unavailable")),
        "{body}"
    );
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let (_, audit) = world.server.admin(Method::GET, "/audit?limit=100", None).await;
    let records = audit["items"].as_array().unwrap();
    let of_it = |record: &&Value| record["event"] == "credential.released" && record["detail"]["credential"] == sealed;
    assert_eq!(records.iter().find(of_it), None, "what was not released is not on record as released");
    let (_, shown) = world.server.admin(Method::GET, &format!("/credentials/{sealed}"), None).await;
    assert_eq!(shown["versions"][0].get("exposed_to"), None, "{shown}");
    let value = json!({"api_key": {"key": "sk-canary-new"}});
    let body = json!({"owner": "acme", "name": "new", "value": value, "modes": ["plaintext"]});
    let (status, _) = world.server.admin(Method::POST, "/credentials", Some(&body)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "nor can a value be sealed");

    // Whatever needs no key-encryption key goes on; an opened value is kept for a minute.
    world.all_open(&["opened"]).await;
    let admin = world.server.admin_client();
    let token = world.server.token(&admin, &[]).await;
    assert_eq!(world.server.introspect(&admin, &token).await["active"], true);
    let ready = world.server.http.get(world.server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);

    vault.transit.mood(Mood::Well);
    world.all_open(&["sealed"]).await;
    assert_eq!(world.server.admin(Method::POST, "/credentials", Some(&body)).await.0, StatusCode::CREATED);
}

/// The database of a SQLite node works on the same threads.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_waiting_for_a_vault_that_hangs_leaves_room_for_the_rest() {
    let vault = Vault::start();
    let world = World::new(Backend::Sqlite, &vault.and(&[BY_VAULT, NO_KEY])).await;
    let path = format!("/credentials/{}/release", world.keep("one").await);
    let token = world.server.token(&world.agent, &[]).await;
    vault.transit.mood(Mood::Hangs);
    let release = || {
        let call = world.server.http.post(world.server.url(&path)).bearer_auth(&token);
        async move { call.json(&json!({"mode": "plaintext"})).send().await.unwrap().status() }
    };
    let crowd = futures_util::future::join_all((0..CROWD).map(|_| release()));
    let rest = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let began = Instant::now();
            world.server.token(&world.agent, &[]).await;
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        }
    };
    let (answers, ()) = tokio::join!(crowd, rest);
    assert!(answers.iter().all(|status| *status == StatusCode::SERVICE_UNAVAILABLE), "{answers:?}");
}
