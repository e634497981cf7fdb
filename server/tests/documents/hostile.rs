//! Documents that lie, and hosts that misbehave: refused, nothing made, and nothing remembered.

use crate::idp::Face;
use crate::world::{World, with};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend_schema::Backend;

/// Each document that is not to be believed, and the reason on record.
#[tokio::test]
async fn a_document_that_is_not_good_lets_nobody_in() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let good = agent.document();
    let secret = agent.key.jwk();
    let secret = with(secret, json!({"d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}));
    let twice = good.to_string().replacen('{', &format!(r#"{{"client_id":"{}","#, agent.url), 1);
    let big = with(good.clone(), json!({"padding": "x".repeat(5 * 1024)}));
    let raw = |body: String| Face::Raw(200, body);
    let changed = |changes: Value| Face::Json(with(good.clone(), changes));
    let html = Face::Headed("content-type: text/html\r\n".to_owned(), good.to_string());
    let untyped = Face::Headed(String::new(), good.to_string());
    let cases = [
        (changed(json!({"client_id": format!("{}/", agent.url)})), "document_other_client"),
        (changed(json!({"client_id": null})), "document_other_client"),
        (changed(json!({"client_secret": "s3cret"})), "document_secret"),
        (changed(json!({"client_secret_expires_at": 0})), "document_secret"),
        (changed(json!({"token_endpoint_auth_method": "client_secret_basic"})), "document_secret"),
        (changed(json!({"token_endpoint_auth_method": "client_secret_post"})), "document_secret"),
        (changed(json!({"token_endpoint_auth_method": "client_secret_jwt"})), "document_secret"),
        (changed(json!({"token_endpoint_auth_method": "none"})), "document_method"),
        (changed(json!({"token_endpoint_auth_method": null})), "document_method"),
        (changed(json!({"jwks": null})), "document_keys"),
        (changed(json!({"jwks": {"keys": [secret]}})), "document_keys"),
        (changed(json!({"jwks_uri": "https://keys.example/jwks"})), "document_keys"),
        (raw(twice), "document_malformed"),
        (raw("[]".to_owned()), "document_malformed"),
        (raw(String::new()), "document_malformed"),
        (Face::Json(big), "document_unavailable"),
        (html, "document_unavailable"),
        (untyped, "document_unavailable"),
        (Face::Raw(201, good.to_string()), "document_unavailable"),
        (Face::Raw(404, good.to_string()), "document_unavailable"),
        (Face::Raw(500, good.to_string()), "document_unavailable"),
        (Face::Redirect(format!("{}/b.json", world.host.issuer)), "document_unavailable"),
        (Face::Endless, "document_unavailable"),
        (Face::Closed, "document_unavailable"),
    ];
    world.host.face("/b.json", Face::Json(good.clone()));
    for (face, reason) in cases {
        world.host.face(&agent.path, face);
        world.refused(&agent, reason).await;
        // One try in a while is always to be had.
        world.server.clock.advance(10);
    }
    assert_eq!(world.host.hits("/b.json"), 0, "no redirect is followed");
    assert!(world.agents().await.is_empty());
    assert!(!Value::from(world.records("").await).to_string().contains("s3cret"));
    // A failure is not kept: what was mended is found at once.
    world.host.face(&agent.path, Face::Json(good));
    world.token(&agent).await;
}

#[tokio::test]
async fn a_host_that_is_silent_holds_nobody_for_long() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.host.face(&agent.path, Face::Silent);
    let begun = Instant::now();
    world.refused(&agent, "document_unavailable").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn five_kilobytes_are_enough_and_more_specific_kinds_of_json_are_json() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let padded = |padding: usize| with(agent.document(), json!({"x": "y".repeat(padding)})).to_string();
    let room = 5 * 1024 - padded(0).len();
    let kind = "content-type: application/oauth-client+json; charset=utf-8\r\n".to_owned();
    world.host.face(&agent.path, Face::Headed(kind.clone(), padded(room + 1)));
    world.refused(&agent, "document_unavailable").await;
    world.host.face(&agent.path, Face::Headed(kind, padded(room)));
    world.token(&agent).await;
}

#[tokio::test]
async fn private_addresses_are_not_called_and_not_admitted() {
    let world = World::on(stipend::testing::TestServer::start(Backend::Sqlite).await).await;
    let urls = [
        "http://127.0.0.1/a.json",
        "https://127.0.0.1/a.json",
        "https://10.1.2.3/a.json",
        "https://[::1]/a.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]/a.json",
        "http://tools.example/a.json",
        "https://100.64.0.1/a.json",
        "https://0.0.0.0/a.json",
        "https://[::ffff:10.0.0.1]/a.json",
    ];
    for url in urls {
        let entry = world.entry(url, json!({}));
        let (status, body) = world.server.admin(reqwest::Method::POST, "/client-documents", Some(&entry)).await;
        assert_eq!((status, &body["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!("/url")), "{url}: {body}");
    }
    // A name can lead anywhere: that shows at the fetch.
    let agent = crate::world::Agent {
        url: "https://localhost/a.json".to_owned(),
        path: String::new(),
        key: crate::idp::Key::new("k1"),
    };
    world.admit(&agent.url, json!({})).await;
    world.refused(&agent, "document_unavailable").await;
}
