use crate::world::{KEY, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const NEXT: &str = "sk-next-6f1d2c3b4a59";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn rotating_changes_the_next_release_without_a_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.token(&world.agent).await;
    let key = |body: Value| body["value"]["api_key"]["key"].as_str().unwrap_or_default().to_owned();
    assert_eq!(key(world.release(&token, "plaintext").await.1), KEY);
    let path = format!("/credentials/{}", world.credential);
    let rotate = json!({"value": {"api_key": {"key": NEXT}}, "retire_after_seconds": 100});
    let (status, rotated) = world.admin(Method::POST, &format!("{path}/rotate"), rotate).await;
    assert_eq!(status, StatusCode::OK, "{rotated}");
    assert_eq!(
        (&rotated["versions"][0]["state"], &rotated["versions"][1]["state"]),
        (&json!("active"), &json!("retiring"))
    );
    assert_ne!(rotated["versions"][0]["fingerprint"], rotated["versions"][1]["fingerprint"]);
    assert_eq!(key(world.release(&token, "plaintext").await.1), NEXT);

    let first = rotated["versions"][1]["id"].as_str().unwrap().to_owned();
    let second = rotated["versions"][0]["id"].as_str().unwrap().to_owned();
    let (status, _) = world.admin(Method::POST, &format!("{path}/versions/{second}/destroy"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "what is in use is not destroyed");
    let (status, back) = world.admin(Method::POST, &format!("{path}/versions/{first}/activate"), json!({})).await;
    assert_eq!((status, &back["versions"][1]["state"]), (StatusCode::OK, &json!("active")), "{back}");
    assert_eq!(key(world.release(&token, "plaintext").await.1), KEY, "an earlier version can be taken back");
    let (status, gone) = world.admin(Method::POST, &format!("{path}/versions/{second}/destroy"), json!({})).await;
    assert_eq!((status, &gone["versions"][0]["state"]), (StatusCode::OK, &json!("destroyed")));
    let (status, _) = world.admin(Method::POST, &format!("{path}/versions/{second}/activate"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "destroyed is for good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_version_waits_and_a_value_of_another_kind_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let path = format!("/credentials/{}", world.credential);
    let waits = json!({"value": {"api_key": {"key": NEXT}}, "activate": false});
    let (_, rotated) = world.admin(Method::POST, &format!("{path}/rotate"), waits).await;
    assert_eq!(
        (&rotated["versions"][0]["state"], &rotated["versions"][1]["state"]),
        (&json!("pending"), &json!("active"))
    );
    let token = world.token(&world.agent).await;
    assert_eq!(world.release(&token, "plaintext").await.1["version"], 1);
    for bad in [
        json!({"value": {"basic": {"username": "u", "password": "p"}}}),
        json!({"value": {"api_key": {"key": ""}}}),
        json!({"value": {"api_key": {"key": "a\r\nb"}}}),
        json!({"value": {"api_key": {"key": NEXT}}, "retire_after_seconds": -1}),
        json!({"value": NEXT}),
        json!({}),
    ] {
        let (status, body) = world.admin(Method::POST, &format!("{path}/rotate"), bad.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}: {body}");
        assert!(!body.to_string().contains(NEXT), "a refusal quotes no value: {body}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn swapped_sealed_rows_do_not_open(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let other = json!({"owner": "acme", "name": "other", "value": {"api_key": {"key": NEXT}}, "modes": ["plaintext"]});
    world.server.create("/credentials", other).await;
    // Whoever can write to the database gives one credential the value of another.
    world
        .server
        .execute(
            "UPDATE credential_versions SET sealed = (SELECT sealed FROM credential_versions v \
             WHERE v.credential_id = 'acme.other') WHERE credential_id = 'acme.llm'",
        )
        .await;
    let token = world.token(&world.agent).await;
    let (status, body) = world.release(&token, "plaintext").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{body}");
    assert!(!body.to_string().contains(NEXT) && !body.to_string().contains(KEY));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn destroying_leaves_nothing_that_could_be_opened(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let token = world.token(&world.agent).await;
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK);
    let path = format!("/credentials/{}", world.credential);
    let (status, gone) = world.admin(Method::POST, &format!("{path}/destroy"), json!({"reason": "over"})).await;
    assert_eq!((status, &gone["state"]), (StatusCode::OK, &json!("destroyed")));
    assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::FORBIDDEN, "nor from memory");
    for (call, body) in [("rotate", json!({"value": {"api_key": {"key": NEXT}}})), ("enable", json!({}))] {
        let (status, _) = world.admin(Method::POST, &format!("{path}/{call}"), body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{call}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_severe_revocation_marks_what_the_agent_has_seen_and_brings_in_what_waits(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let path = format!("/credentials/{}", world.credential);
    let waits = json!({"value": {"api_key": {"key": NEXT}}, "activate": false});
    world.admin(Method::POST, &format!("{path}/rotate"), waits).await;
    let (mild, severe) = (World::agent(&world.server, "acme", "mild").await, world.agent.clone());
    world.allow(&mild, json!({"modes": ["plaintext"]})).await;
    for (agent, severity, state) in [(&mild, "low", "pending"), (&severe, "critical", "active")] {
        let token = world.token(agent).await;
        assert_eq!(world.release(&token, "plaintext").await.0, StatusCode::OK);
        let how = json!({"reason": "stolen", "severity": severity});
        let (status, body) = world.admin(Method::POST, &format!("/agents/{}/revoke", agent.id), how).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let (_, shown) = world.admin(Method::GET, &path, Value::Null).await;
        assert_eq!(shown["versions"][0]["state"], state, "{severity}: {shown}");
        assert_eq!(shown["versions"][1]["compromised_at"].is_i64(), severity == "critical", "{shown}");
    }
    let other = World::agent(&world.server, "acme", "other").await;
    world.allow(&other, json!({"modes": ["plaintext"]})).await;
    let body = world.release(&world.token(&other).await, "plaintext").await.1;
    assert_eq!(body["value"]["api_key"]["key"], NEXT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_whether_the_upstream_takes_the_key() {
    use crate::world::LOCAL;
    use stipend::demo::llm::Llm;
    let llm = Llm::start(stipend_keys::Secret::new(KEY.to_owned())).unwrap();
    let world = World::with(Backend::Sqlite, &LOCAL).await;
    let path = format!("/credentials/{}", world.credential);
    let (status, _) = world.admin(Method::POST, &format!("{path}/probe"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "without a template there is no call to make");
    let settings = json!({"template": "openai", "base_url": llm.base_url().unwrap()});
    world.admin(Method::PATCH, &path, settings).await;
    for (key, accepted, status) in [(KEY, true, 200), ("sk-changed-0123456", false, 401)] {
        llm.change_key(stipend_keys::Secret::new(key.to_owned()));
        let (_, probed) = world.admin(Method::POST, &format!("{path}/probe"), json!({})).await;
        assert_eq!((&probed["accepted"], &probed["status"]), (&json!(accepted), &json!(status)), "{probed}");
    }
    llm.stop().await;
    let (_, probed) = world.admin(Method::POST, &format!("{path}/probe"), json!({})).await;
    assert_eq!(probed["fault"], "connect", "{probed}");
}
