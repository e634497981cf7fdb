//! What a document says is followed: keys and the name, for as long as it counts; never access.

use crate::idp::{Face, Key};
use crate::world::{Agent, LOCAL, World, with};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend::limits::{DEFAULT_DOCUMENT_SECONDS, MAX_DOCUMENT_SECONDS, MIN_DOCUMENT_SECONDS};
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_changed_document_changes_keys_and_the_name_and_nothing_else(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (old, _) = world.admitted("/a.json").await;
    world.token(&old).await;
    let before = world.agents().await[0].clone();
    let new = Agent { url: old.url.clone(), path: old.path.clone(), key: Key::ed25519("k2") };
    let changes = json!({
        "client_name": "Renamed", "scope": "read write admin", "grant_types": ["client_credentials"], "roles": ["x"],
        "access": [{"resource": "https://orders.example", "scopes": ["write"]}], "owner": "other",
    });
    world.host.face(&old.path, Face::Json(with(new.document(), changes)));
    // Until it is read again the old key counts.
    world.refused(&new, "assertion_key_unknown").await;
    world.token(&old).await;
    world.server.clock.advance(DEFAULT_DOCUMENT_SECONDS);
    world.token(&new).await;
    world.refused(&old, "assertion_key_unknown").await;
    let after = world.agents().await[0].clone();
    assert_eq!((&after["purpose"], &after["keys"][0]["kid"]), (&json!("Renamed"), &json!("k2")));
    assert_eq!(after["keys"].as_array().unwrap().len(), 1);
    for member in ["id", "owner", "access", "scope_ceiling", "settings", "roles", "ttl_seconds", "state", "kind"] {
        assert_eq!(before[member], after[member], "{member}");
    }
    let changed = world.records("event=client.document_changed").await;
    assert_eq!(changed.len(), 1, "{changed:?}");
    // Who names a scope that only the document names gets none of it.
    let assertion = world.assertion(&new, json!({}));
    let (status, body) = world.ask_at(&world.server, &assertion, &[("scope", "write")]).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_scope")), "{body}");
}

#[tokio::test]
async fn what_an_admin_made_of_the_agent_stays() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.token(&agent).await;
    let id = world.agents().await[0]["id"].as_str().unwrap().to_owned();
    let patch = json!({"ttl_seconds": 60, "scope_ceiling": ["read"]});
    world.admin(Method::PATCH, &format!("/agents/{id}"), Some(patch)).await;
    world.host.face(&agent.path, Face::Json(with(agent.document(), json!({"client_name": "Other"}))));
    world.server.clock.advance(DEFAULT_DOCUMENT_SECONDS);
    world.token(&agent).await;
    let after = &world.agents().await[0];
    assert_eq!((&after["ttl_seconds"], &after["scope_ceiling"]), (&json!(60), &json!(["read"])));
    assert_eq!(after["purpose"], "Other");
}

#[tokio::test]
async fn a_document_that_goes_away_lets_its_client_go_on_no_longer_than_it_counts() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let gone = [
        (Face::Raw(404, String::new()), "document_unavailable"),
        (Face::Closed, "document_unavailable"),
        (Face::Json(with(agent.document(), json!({"client_secret": "x"}))), "document_secret"),
        (Face::Json(with(agent.document(), json!({"client_id": "https://other.example/x"}))), "document_other_client"),
    ];
    for (face, reason) in gone {
        world.host.face(&agent.path, Face::Json(agent.document()));
        world.token(&agent).await;
        world.host.face(&agent.path, face);
        world.server.clock.advance(DEFAULT_DOCUMENT_SECONDS - 30);
        world.token(&agent).await;
        world.server.clock.advance(30);
        world.refused(&agent, reason).await;
        // Also when it was refused once: what was read before does not come back.
        world.refused(&agent, reason).await;
    }
    // The agent is still there, for an admin to look at.
    assert_eq!(world.agents().await[0]["state"], "active");
    world.host.face(&agent.path, Face::Json(agent.document()));
    world.token(&agent).await;
}

#[tokio::test]
async fn how_long_it_counts_its_answer_says_within_bounds() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let cases = [
        ("cache-control: max-age=120\r\n", 120),
        ("cache-control: max-age=5\r\n", MIN_DOCUMENT_SECONDS),
        ("cache-control: no-store\r\n", MIN_DOCUMENT_SECONDS),
        ("cache-control: max-age=1000000\r\n", MAX_DOCUMENT_SECONDS),
        ("cache-control: max-age=1000\r\nage: 800\r\n", 200),
        ("", DEFAULT_DOCUMENT_SECONDS),
    ];
    for (lines, seconds) in cases {
        let kind = "content-type: application/json\r\n";
        world.host.face(&agent.path, Face::Headed(format!("{kind}{lines}"), agent.document().to_string()));
        world.server.clock.advance(MAX_DOCUMENT_SECONDS);
        let before = world.host.hits(&agent.path);
        world.token(&agent).await;
        // A busy machine takes its time in between.
        world.server.clock.advance(seconds - 30);
        world.token(&agent).await;
        assert_eq!(world.host.hits(&agent.path), before + 1, "{lines}");
        world.server.clock.advance(30);
        world.token(&agent).await;
        assert_eq!(world.host.hits(&agent.path), before + 2, "{lines}");
    }
}

#[rstest]
#[tokio::test]
async fn a_node_never_goes_back_to_what_it_read_before_another(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let other = TestServer::start_on(&world.server.database_url, LOCAL).await;
    let (old, _) = world.admitted("/a.json").await;
    let at_other = async |agent: &Agent| {
        let assertion = world.assertion(agent, json!({"aud": other.issuer}));
        world.ask_at(&other, &assertion, &[]).await.0
    };
    // This node has the old document in memory, the other reads the new one.
    world.token(&old).await;
    let new = Agent { url: old.url.clone(), path: old.path.clone(), key: Key::new("k2") };
    world.host.face(&old.path, Face::Json(new.document()));
    assert_eq!(at_other(&new).await, StatusCode::OK);
    // As soon as one node knows, the old key is of no use on the other.
    world.refused(&old, "assertion_key_unknown").await;
    world.token(&new).await;
    assert_eq!(at_other(&old).await, StatusCode::UNAUTHORIZED);
    assert_eq!(at_other(&new).await, StatusCode::OK);
    assert_eq!(world.records("event=client.document_changed").await.len(), 1);
    // One reading each, one where a node was overtaken, and one where both fell into one second.
    assert!((3..=4).contains(&world.host.hits(&old.path)), "{}", world.host.hits(&old.path));
}

#[tokio::test]
async fn the_keys_of_a_document_are_not_the_admins_to_change() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.token(&agent).await;
    let made = world.agents().await[0].clone();
    let id = made["id"].as_str().unwrap();
    let key = json!({"jwk": Key::new("mine").jwk()});
    let (status, body) = world.server.admin(Method::POST, &format!("/agents/{id}/keys"), Some(&key)).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("invalid_state")), "{body}");
    let path = format!("/agents/{id}/keys/{}", made["keys"][0]["id"].as_str().unwrap());
    assert_eq!(world.server.admin(Method::DELETE, &path, None).await.0, StatusCode::CONFLICT);
    let patch = json!({"settings": {"jwks_uri": "https://mine.example/jwks"}});
    let (status, body) = world.server.admin(Method::PATCH, &format!("/agents/{id}"), Some(&patch)).await;
    assert_eq!((status, &body["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!("/settings/jwks_uri")));
    assert_eq!(world.agents().await[0], made);
}
