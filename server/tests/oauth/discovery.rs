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

/// Named in the metadata for libraries that insist on it: honest, and of no use to an attacker.
#[rstest::rstest]
#[case("")]
#[case("?response_type=code&client_id=stipend.admin&redirect_uri=https://evil.example/&state=x")]
#[case("?response_type=none&redirect_uri=https://evil.example/")]
#[tokio::test]
async fn the_authorization_endpoint_refuses_everybody_and_leads_nowhere(#[case] query: &str) {
    let server = TestServer::start(Backend::Sqlite).await;
    let metadata = server.http.get(server.url("/.well-known/oauth-authorization-server")).send().await.unwrap();
    let metadata: serde_json::Value = metadata.json().await.unwrap();
    assert_eq!(metadata["response_types_supported"], serde_json::json!(["none"]));
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(!grants.iter().any(|grant| grant == "authorization_code" || grant == "implicit"), "{grants:?}");
    let url = format!("{}{query}", metadata["authorization_endpoint"].as_str().unwrap());
    for asked in [server.http.get(&url), server.http.post(&url).header("origin", "https://evil.example")] {
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let headers = answer.headers().clone();
        assert_eq!(headers["cache-control"], "no-store");
        // RFC 9700 section 2.6: no CORS at an authorization endpoint.
        assert!(!headers.contains_key("location") && !headers.contains_key("access-control-allow-origin"));
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"], "unsupported_response_type");
        assert!(!body.to_string().contains("evil"), "{body}");
    }
    let put = server.http.put(&url).send().await.unwrap();
    assert_eq!((put.status().as_u16(), put.headers()["allow"].to_str().unwrap()), (405, "GET, POST"));
}
