//! Entries and agents that are stopped: at once, tokens and all, and on every node.

use crate::world::{LOCAL, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn suspending_the_entry_stops_its_clients_and_resuming_lets_them_go_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let other = TestServer::start_on(&world.server.database_url, LOCAL).await;
    let entry = world.admit(&format!("{}/x/", world.host.issuer), json!({"covers": "prefix", "max_clients": 9})).await;
    let (one, two, new) = (world.agent("/x/1"), world.agent("/x/2"), world.agent("/x/3"));
    let token = world.token(&one).await;
    world.token(&two).await;
    let ids = world.agents().await;
    let id_of = |url: &str| {
        let agent = ids.iter().find(|agent| agent["document"]["url"] == json!(url)).unwrap();
        agent["id"].as_str().unwrap().to_owned()
    };
    // One is suspended for a reason of its own.
    world.admin(Method::POST, &format!("/agents/{}/suspend", id_of(&two.url)), Some(json!({"reason": "odd"}))).await;
    let path = format!("/client-documents/{entry}");
    let stopped = world.admin(Method::POST, &format!("{path}/suspend"), Some(json!({"reason": "stolen"}))).await;
    assert_eq!((&stopped["state"], &stopped["clients"]), (&json!("suspended"), &json!(2)));
    assert!(!world.active(&token).await, "what they had is of no use meanwhile");
    world.refused(&one, "document_not_admitted").await;
    world.refused(&new, "document_not_admitted").await;
    let assertion = world.assertion(&one, json!({"aud": other.issuer}));
    assert_eq!(world.ask_at(&other, &assertion, &[]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.host.hits("/x/3"), 0);
    // An agent that is resumed by itself does not come in past its entry.
    world.admin(Method::POST, &format!("/agents/{}/resume", id_of(&one.url)), None).await;
    world.refused(&one, "document_not_admitted").await;
    world.admin(Method::POST, &format!("/agents/{}/suspend", id_of(&one.url)), None).await;
    world.admin(Method::POST, &format!("/agents/{}/resume", id_of(&one.url)), None).await;

    world.admin(Method::POST, &format!("{path}/resume"), None).await;
    world.token(&one).await;
    world.refused(&two, "client_not_active").await;
    world.token(&new).await;
    let (suspended, resumed) =
        (world.records("event=client_document.suspended").await, world.records("event=client_document.resumed").await);
    assert_eq!((suspended.len(), resumed.len()), (1, 1));
}

#[tokio::test]
async fn those_that_were_stopped_with_the_entry_are_resumed_with_it() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, entry) = world.admitted("/a.json").await;
    let token = world.token(&agent).await;
    world.admin(Method::POST, &format!("/client-documents/{entry}/suspend"), None).await;
    let stopped = world.agents().await[0].clone();
    assert_eq!(
        (&stopped["state"], &stopped["state_reason"]),
        (&json!("suspended"), &json!("its client document is suspended"))
    );
    world.admin(Method::POST, &format!("/client-documents/{entry}/resume"), None).await;
    assert_eq!(world.agents().await[0]["state"], "active");
    assert!(world.active(&token).await);
    // The same again changes nothing and says so.
    let again = world.admin(Method::POST, &format!("/client-documents/{entry}/resume"), None).await;
    assert_eq!(again["state"], "active");
}

#[rstest]
#[tokio::test]
async fn revoking_the_entry_ends_its_clients_for_ever(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (agent, entry) = world.admitted("/a.json").await;
    let token = world.token(&agent).await;
    let path = format!("/client-documents/{entry}");
    world.admin(Method::POST, &format!("{path}/revoke"), Some(json!({"reason": "gone"}))).await;
    assert!(!world.active(&token).await);
    world.refused(&agent, "document_not_admitted").await;
    assert_eq!(world.agents().await[0]["state"], "revoked");
    for verb in ["resume", "suspend"] {
        let (status, _) = world.server.admin(Method::POST, &format!("{path}/{verb}"), None).await;
        assert_eq!(status, StatusCode::CONFLICT);
    }
    // Admitted anew, by the same owner, the URL is still that of an agent that was revoked.
    world.admit(&agent.url, json!({})).await;
    world.refused(&agent, "client_not_active").await;
    // By another owner it is another agent.
    world.server.create_owner("other").await;
    let (_, page) = world.server.admin(Method::GET, "/client-documents", None).await;
    let live = page["items"].as_array().unwrap().iter().find(|entry| entry["state"] == "active").unwrap();
    world.admin(Method::POST, &format!("/client-documents/{}/revoke", live["id"].as_str().unwrap()), None).await;
    world.admit(&agent.url, json!({"owner": "other"})).await;
    world.token(&agent).await;
    assert_eq!(world.agents().await.len(), 2);
}

#[tokio::test]
async fn a_suspended_document_does_not_come_in_under_a_prefix() {
    let world = World::new(Backend::Sqlite).await;
    let agent = world.agent("/x/bad.json");
    world.admit(&format!("{}/x/", world.host.issuer), json!({"covers": "prefix", "max_clients": 9})).await;
    let exact = world.admit(&agent.url, json!({})).await;
    world.admin(Method::POST, &format!("/client-documents/{exact}/suspend"), None).await;
    world.refused(&agent, "document_not_admitted").await;
    assert_eq!(world.host.hits(&agent.path), 0);
}

#[tokio::test]
async fn an_agent_that_is_suspended_revoked_or_expired_is_not_even_fetched_for() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let token = world.token(&agent).await;
    let id = world.agents().await[0]["id"].as_str().unwrap().to_owned();
    let hits = world.host.hits(&agent.path);
    world.server.clock.advance(400);
    world.admin(Method::POST, &format!("/agents/{id}/suspend"), None).await;
    world.refused(&agent, "client_not_active").await;
    world.admin(Method::POST, &format!("/agents/{id}/resume"), None).await;
    world.admin(Method::POST, "/owners/acme/disable", None).await;
    world.refused(&agent, "client_not_active").await;
    world.admin(Method::POST, "/owners/acme/enable", None).await;
    world.admin(Method::POST, &format!("/agents/{id}/revoke"), Some(json!({"reason": "x", "severity": "low"}))).await;
    world.refused(&agent, "client_not_active").await;
    assert_eq!(world.host.hits(&agent.path), hits);
    assert!(!world.active(&token).await);
}
