use crate::world::{LEDGER, ORDERS, World, claims, error, header};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_token_says_who_for_whom_and_for_how_long(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (status, body) = world
        .server
        .form("/oauth2/token", &world.planner, &[("grant_type", "client_credentials"), ("scope", "read")])
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(300), &json!("read"))
    );
    assert!(body.get("refresh_token").is_none() && body.get("issued_token_type").is_none());
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(header(token)["typ"], "at+jwt");
    let claims = claims(token);
    assert_eq!(claims["iss"], world.server.issuer);
    assert_eq!(claims["sub"], "agent:acme.planner");
    assert_eq!(claims["client_id"], "acme.planner");
    assert_eq!(claims["aud"], ORDERS);
    assert_eq!(claims["env"], "live");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert!(claims.get("act").is_none() && claims.get("lineage").is_none());
}

#[tokio::test]
async fn scope_is_narrowed_in_part_and_refused_in_whole() {
    let world = World::new(Backend::Sqlite).await;
    let ask = |scope: &'static str| {
        let world = &world;
        async move {
            world
                .server
                .form("/oauth2/token", &world.refunds, &[("grant_type", "client_credentials"), ("scope", scope)])
                .await
        }
    };
    let (status, body) = ask("read write").await;
    assert_eq!((status, &body["scope"]), (StatusCode::OK, &json!("read")));
    for bad in ["write", "a  b", "\"", "\u{e9}"] {
        let (status, body) = ask(bad).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_scope"), "{bad}");
    }
}

#[tokio::test]
async fn targets_are_the_clients_own_and_share_their_scopes() {
    let world = World::new(Backend::Sqlite).await;
    let ask = |form: Vec<(&'static str, &'static str)>| {
        let world = &world;
        async move {
            let mut full = vec![("grant_type", "client_credentials")];
            full.extend(form);
            world.server.form("/oauth2/token", &world.planner, &full).await
        }
    };
    let (_, body) = ask(vec![("resource", LEDGER), ("scope", "post")]).await;
    assert_eq!(claims(body["access_token"].as_str().unwrap())["aud"], LEDGER);
    let (_, body) = ask(vec![("resource", ORDERS), ("audience", LEDGER), ("scope", "read post")]).await;
    let both = claims(body["access_token"].as_str().unwrap());
    assert_eq!(
        (&both["aud"], &both["scope"]),
        (&json!([ORDERS, LEDGER]), &json!("read")),
        "post means nothing at orders"
    );
    let (_, body) = ask(vec![("resource", "HTTPS://ORDERS.example/"), ("scope", "read")]).await;
    assert_eq!(claims(body["access_token"].as_str().unwrap())["aud"], ORDERS);
    for bad in ["https://unknown.example", "https://orders.example#f", "orders", "https://orders.example/x"] {
        let (status, body) = ask(vec![("resource", bad)]).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_target"), "{bad}");
    }
    let (status, body) = ask(vec![("audience", "no uri")]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_target"));
}

#[tokio::test]
async fn authorization_details_of_no_known_type_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let form = [("grant_type", "client_credentials"), ("authorization_details", r#"[{"type":"payment"}]"#)];
    let (status, body) = world.server.form("/oauth2/token", &world.planner, &form).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
}

#[tokio::test]
async fn what_no_longer_stands_gets_no_token() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.subject().await;
    let suspend = json!({"reason": "test"});
    let (status, _) = world.server.admin(reqwest::Method::POST, "/agents/acme.planner/suspend", Some(&suspend)).await;
    assert_eq!(status, StatusCode::OK);
    let grant = [("grant_type", "client_credentials")];
    let (status, body) = world.server.form("/oauth2/token", &world.planner, &grant).await;
    assert_eq!((status, error(&body)), (StatusCode::UNAUTHORIZED, "invalid_client"));
    assert!(!world.active(&token).await, "its tokens sleep with it");
    world.server.admin(reqwest::Method::POST, "/agents/acme.planner/resume", Some(&json!({}))).await;
    assert!(world.active(&token).await, "and wake with it");
    world.server.admin(reqwest::Method::POST, "/owners/acme/disable", Some(&suspend)).await;
    let (status, _) = world.server.form("/oauth2/token", &world.planner, &grant).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "an owner's standing is its agents'");
}
