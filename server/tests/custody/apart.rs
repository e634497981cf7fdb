//! The key-release service apart from the issuer, on one database.

use crate::world::{KEY, World};
use reqwest::StatusCode;
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn issuer_and_release_run_apart_and_revocation_reaches_over() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (url, listen) = (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{port}"));
    // SQLite is for one node.
    let world = World::with(Backend::Postgres, &[("STIPEND_SERVE", "issuer"), ("STIPEND_RELEASE_URL", &url)]).await;
    let settings = [
        ("STIPEND_ISSUER", world.server.issuer.as_str()),
        ("STIPEND_LISTEN", listen.as_str()),
        ("STIPEND_SERVE", "release"),
        ("STIPEND_RELEASE_URL", url.as_str()),
    ];
    let apart = TestServer::start_on(&world.server.database_url, &settings).await;
    let keys = format!("{url}/credentials");
    let agent = world.server.create_client("acme", "remote", "agent", &[(&keys, &["credential:release"])]).await;
    world.allow(&agent, json!({"modes": ["plaintext"]})).await;
    let token = world.token(&agent).await;
    let release = || async {
        let url = format!("{url}/credentials/{}/release", world.credential);
        let sent = apart.http.post(url).bearer_auth(&token).json(&json!({"mode": "plaintext"})).send().await.unwrap();
        (sent.status(), sent.json::<Value>().await.unwrap())
    };
    let (status, body) = release().await;
    assert_eq!((status, &body["value"]["api_key"]["key"]), (StatusCode::OK, &json!(KEY)), "{body}");
    for (server, path) in [(&world.server.issuer, "/credentials/acme.llm/release"), (&url, "/oauth2/token")] {
        let answer = apart.http.post(format!("{server}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path} is switched off there");
    }
    let metadata: Value = apart
        .http
        .get(format!("{url}/.well-known/oauth-protected-resource/credentials"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&metadata["resource"], &metadata["authorization_servers"][0]),
        (&json!(keys), &json!(world.server.issuer))
    );
    let (status, _) = world.server.form("/oauth2/revoke", &agent, &[("token", &token)]).await;
    assert_eq!(status, StatusCode::OK);
    // What commits is exact against it: no second passes.
    assert_eq!(release().await.0, StatusCode::UNAUTHORIZED);
}
