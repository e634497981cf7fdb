use stipend::testing::TestServer;
use stipend_schema::Backend;

#[rstest::rstest]
#[tokio::test]
async fn metadata_names_what_works(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let answer = server.http.get(server.url("/.well-known/oauth-authorization-server")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["issuer"], server.issuer);
    let openid: serde_json::Value =
        server.http.get(server.url("/.well-known/openid-configuration")).send().await.unwrap().json().await.unwrap();
    assert_eq!(body, openid);
    let jwks: serde_json::Value =
        server.http.get(body["jwks_uri"].as_str().unwrap()).send().await.unwrap().json().await.unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    let token = server.admin_token().await;
    println!("{token}");
    println!("{}", server.introspect(&server.admin_client(), &token).await);
}
