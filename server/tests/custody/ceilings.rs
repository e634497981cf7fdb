//! `credential_release` in a token, at the service it is for.

use crate::world::{World, error};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

fn details(credential: &str, constraints: Value) -> String {
    json!([{
        "type": "credential_release", "identifier": credential, "actions": ["release"], "constraints": constraints,
    }])
    .to_string()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_child_has_none_of_its_parents_uses_afresh(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let server = &world.server;
    let keys = server.url("/credentials");
    let helper = World::agent(server, "acme", "helper").await;
    world.allow(&helper, json!({"modes": ["plaintext"]})).await;
    server.create_rule(&helper.id, &world.agent.id, &keys, &["credential:release"]).await;
    let asked = details(&world.credential, json!({"uses": 5}));
    let parent = server.token(&world.agent, &[("authorization_details", &asked)]).await;
    assert_eq!(world.release(&parent, "plaintext").await.0, StatusCode::OK);
    let child = |details: Option<String>| {
        let (parent, helper) = (parent.clone(), &helper);
        async move {
            let form: Vec<(&str, &str)> = details.iter().map(|text| ("authorization_details", text.as_str())).collect();
            let (status, body) = server.exchange(helper, &parent, &form).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            body["access_token"].as_str().unwrap().to_owned()
        }
    };
    let (heir, capped) = (child(None).await, child(Some(details(&world.credential, json!({"uses": 2})))).await);
    for _ in 0..2 {
        assert_eq!(world.release(&capped, "plaintext").await.0, StatusCode::OK);
    }
    let (status, body) = world.release(&capped, "plaintext").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "constraint_violated"), "its own two");
    for _ in 0..2 {
        assert_eq!(world.release(&heir, "plaintext").await.0, StatusCode::OK);
    }
    for token in [&heir, &parent] {
        assert_eq!(world.release(token, "plaintext").await.0, StatusCode::FORBIDDEN, "five in all");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceiling_is_no_grant_and_names_what_it_names() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    let other = server.token(&world.agent, &[("authorization_details", &details("acme.other", json!({})))]).await;
    let (status, body) = world.release(&other, "plaintext").await;
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "insufficient_scope"));
    let stranger =
        server.token(&world.stranger, &[("authorization_details", &details(&world.credential, json!({})))]).await;
    assert_eq!(world.release(&stranger, "plaintext").await.0, StatusCode::NOT_FOUND);
    let elsewhere = details(&world.credential, json!({"source": ["10.0.0.0/8"]}));
    let bound = server.token(&world.agent, &[("authorization_details", &elsewhere)]).await;
    let (status, body) = world.release(&bound, "plaintext").await;
    assert_eq!((status, &body["constraint"]), (StatusCode::FORBIDDEN, &json!("source")), "{body}");
    let watched = details(&world.credential, json!({"source": ["10.0.0.0/8"], "mode": "observe"}));
    let watched = server.token(&world.agent, &[("authorization_details", &watched)]).await;
    assert_eq!(world.release(&watched, "plaintext").await.0, StatusCode::OK, "observed");
    let record = world.record("credential.released").await;
    assert_eq!(record["detail"]["would_refuse"], json!(["source not_listed"]), "{record}");
}
