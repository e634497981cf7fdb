//! The first good use of a document makes an agent of its client; nothing else does.

use crate::idp::{Face, Key};
use crate::world::{Agent, LOCAL, ORDERS, World, claims};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn an_admitted_document_becomes_an_agent_at_its_first_good_use(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (agent, entry) = world.admitted("/agents/tools.json").await;
    assert_eq!(world.host.hits(&agent.path), 0, "nothing is fetched before somebody comes");
    let token = world.token(&agent).await;
    assert_eq!(world.host.hits(&agent.path), 1);
    let agents = world.agents().await;
    let [made] = agents.as_slice() else { panic!("{agents:?}") };
    let id = made["id"].as_str().unwrap();
    // An id of ours: in tokens, in the record, in the API.
    assert!(id.starts_with("acme.127-0-0-1-"), "{id}");
    let said = claims(&token);
    assert_eq!((&said["client_id"], &said["sub"]), (&json!(id), &json!(format!("agent:{id}"))));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 600);
    assert_eq!((&said["aud"], &said["scope"]), (&json!(ORDERS), &json!("read")));
    assert_eq!(made["document"]["url"], json!(agent.url));
    assert_eq!(made["document"]["client_document"], json!(entry));
    assert_eq!((&made["purpose"], &made["auth_method"]), (&json!("Tools agent"), &json!("private_key_jwt")));
    assert_eq!((&made["kind"], &made["roles"]), (&json!("agent"), &json!([])));
    assert_eq!(made["keys"][0]["kid"], "k1");
    let records = world.records("event=client.document_enrolled").await;
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["client_id"], &records[0]["owner_id"]), (&json!(id), &json!("acme")));
    assert!(records[0]["detail"]["request_id"].as_str().is_some_and(|id| id.starts_with("req_")));
    let text = records[0].to_string();
    assert!(text.contains(&agent.url) && text.contains(&entry), "{text}");
    // From memory, and without another record.
    for _ in 0..3 {
        world.token(&agent).await;
    }
    assert_eq!(world.host.hits(&agent.path), 1);
    assert_eq!(world.records("event=client.document_enrolled").await.len(), 1);
    assert_eq!(world.admin(Method::GET, &format!("/client-documents/{entry}"), None).await["clients"], 1);
}

#[tokio::test]
async fn who_can_not_prove_to_be_the_client_leaves_nothing_behind() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let thief = Agent { url: agent.url.clone(), path: agent.path.clone(), key: Key::new("k1") };
    world.refused(&thief, "assertion_signature").await;
    let old = world.assertion(&agent, json!({"exp": world.server.now() - 100}));
    assert_eq!(world.ask_at(&world.server, &old, &[]).await.0, StatusCode::UNAUTHORIZED);
    let elsewhere = world.assertion(&agent, json!({"aud": "https://other.example"}));
    assert_eq!(world.ask_at(&world.server, &elsewhere, &[]).await.0, StatusCode::UNAUTHORIZED);
    assert!(world.agents().await.is_empty());
    assert!(world.records("event=client.document_enrolled").await.is_empty());
}

#[tokio::test]
async fn a_url_that_nobody_admits_is_fetched_by_nobody() {
    let world = World::new(Backend::Sqlite).await;
    let (admitted, _) = world.admitted("/agents/one.json").await;
    let others = ["/agents/two.json", "/agents/one.jsonx", "/agents/one.json/", "/agents/", "/other.json"];
    for path in others {
        let agent = world.agent(path);
        world.refused(&agent, "document_not_admitted").await;
        assert_eq!(world.host.hits(path), 0, "{path}");
    }
    world.token(&admitted).await;
}

#[tokio::test]
async fn a_url_has_one_spelling() {
    let world = World::new(Backend::Sqlite).await;
    world.admit(&format!("{}/", world.host.issuer), json!({"covers": "prefix", "max_clients": 100})).await;
    let host = &world.host.issuer;
    let bad = [
        format!("{host}/a/../b.json"),
        format!("{host}/./b.json"),
        format!("{host}/%62.json"),
        format!("{host}/b.json#f"),
        format!("{host}/b.json?q"),
        format!("{host}//b.json"),
        format!("{host}/"),
        format!("{host}/a/..;/b.json"),
        host.replace("http://", "HTTP://") + "/b.json",
        host.replace("http://", "http://u:p@") + "/b.json",
        host.replace("http://", "ftp://") + "/b.json",
        format!("{host}/{}", "x".repeat(600)),
    ];
    for url in bad {
        let agent = Agent { url, path: String::new(), key: Key::new("k1") };
        world.refused(&agent, "document_url").await;
    }
    assert_eq!(world.host.hits("/b.json"), 0);
}

#[rstest]
#[tokio::test]
async fn first_uses_on_two_nodes_at_once_make_one_agent_each(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let other = TestServer::start_on(&world.server.database_url, LOCAL).await;
    let entry = world.admit(&format!("{}/", world.host.issuer), json!({"covers": "prefix", "max_clients": 3})).await;
    let agents: Vec<Agent> = (0..5).map(|n| world.agent(&format!("/{n}.json"))).collect();
    // One node's assertions name one issuer: both are the same deployment.
    let asks = agents.iter().flat_map(|agent| [(agent, &world.server), (agent, &other)]);
    let asks = asks.map(|(agent, node)| {
        let assertion = world.assertion(agent, json!({"aud": node.issuer}));
        let world = &world;
        async move { (agent.url.clone(), world.ask_at(node, &assertion, &[]).await) }
    });
    let answers = futures_util::future::join_all(asks).await;
    let made = world.agents().await;
    assert_eq!(made.len(), 3, "as many as the entry lets in: {answers:?}");
    let urls: Vec<&str> = made.iter().map(|agent| agent["document"]["url"].as_str().unwrap()).collect();
    for (url, (status, body)) in &answers {
        let is_made = urls.contains(&url.as_str());
        let may_be = if is_made { [200, 503] } else { [401, 503] };
        assert!(may_be.contains(&status.as_u16()), "{url} {is_made}: {status} {body}");
    }
    assert_eq!(world.records("event=client.document_enrolled").await.len(), 3);
    assert_eq!(world.admin(Method::GET, &format!("/client-documents/{entry}"), None).await["clients"], 3);
    for agent in agents.iter().filter(|agent| urls.contains(&agent.url.as_str())) {
        world.token(agent).await;
        let assertion = world.assertion(agent, json!({"aud": other.issuer}));
        assert_eq!(world.ask_at(&other, &assertion, &[]).await.0, StatusCode::OK);
    }
    let late = agents.iter().find(|agent| !urls.contains(&agent.url.as_str())).unwrap();
    world.server.clock.advance(60);
    world.refused(late, "document_clients_full").await;
}

#[tokio::test]
async fn an_assertion_is_used_once_also_by_a_documents_client() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let assertion = world.assertion(&agent, json!({}));
    assert_eq!(world.ask_at(&world.server, &assertion, &[]).await.0, StatusCode::OK);
    assert_eq!(world.ask_at(&world.server, &assertion, &[]).await.0, StatusCode::UNAUTHORIZED);
    // The record is the token's own: it was about to be issued.
    let records = world.records("event=token.issued").await;
    assert_eq!((&records[0]["outcome"], &records[0]["reason"]), (&json!("refused"), &json!("assertion_replayed")));
}

#[tokio::test]
async fn the_agents_own_id_is_no_way_around_its_document() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.token(&agent).await;
    let id = world.agents().await[0]["id"].as_str().unwrap().to_owned();
    let by_id = world.assertion(&agent, json!({"iss": id, "sub": id}));
    assert_eq!(world.ask_at(&world.server, &by_id, &[]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.last_refusal().await, "wrong_auth_method");
    // As `client_id` beside the assertion it names another client than that does.
    let by_url = world.assertion(&agent, json!({}));
    let (status, _) = world.ask_at(&world.server, &by_url, &[("client_id", &id)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = world.ask_at(&world.server, &by_url, &[("client_id", &agent.url)]).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_but_the_documents_keys_authenticates() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.token(&agent).await;
    let post = async |form: &[(&str, &str)]| {
        let request = world.server.http.post(world.server.url("/oauth2/token"));
        let answer = request.form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"].clone())
    };
    // RFC 6749 section 2.3, and the draft's public clients: `none` gets nothing.
    let (grant, id) = (("grant_type", "client_credentials"), ("client_id", agent.url.as_str()));
    assert_eq!(post(&[grant, id]).await, (401, json!("invalid_client")));
    assert_eq!(post(&[grant, id, ("client_secret", "x")]).await, (401, json!("invalid_client")));
    let exchange = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(post(&[exchange, id, ("subject_token", "x")]).await, (401, json!("invalid_client")));
}

#[tokio::test]
async fn keys_behind_a_jwks_uri_count_as_well() {
    let world = World::new(Backend::Sqlite).await;
    let agent = world.agent("/a.json");
    world.admit(&agent.url, json!({})).await;
    let mut document = agent.document();
    document.as_object_mut().unwrap().remove("jwks");
    document["jwks_uri"] = json!(format!("{}/keys", world.host.issuer));
    world.host.publish(&[&agent.key]);
    world.host.face(&agent.path, Face::Json(document));
    world.token(&agent).await;
    let made = &world.agents().await[0];
    assert_eq!(made["settings"]["jwks_uri"], json!(format!("{}/keys", world.host.issuer)));
    assert_eq!((&made["keys"], &made["readiness"]["ready"]), (&json!([]), &json!(true)));
    let other = Agent { url: agent.url.clone(), path: agent.path.clone(), key: Key::new("k2") };
    world.refused(&other, "assertion_key_unknown").await;
}

#[tokio::test]
async fn metadata_says_that_documents_are_taken() {
    let world = World::new(Backend::Sqlite).await;
    let url = world.server.url("/.well-known/oauth-authorization-server");
    let metadata: Value = world.server.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["client_id_metadata_document_supported"], json!(true));
}
