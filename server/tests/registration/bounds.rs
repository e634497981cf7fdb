//! What a registered client never gets, by whatever it says.

use crate::world::{World, key};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

#[rstest]
#[tokio::test]
async fn a_client_uses_the_grants_that_it_registered_and_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let exchange = async |client: &TestClient| {
        let (_, body) = world.server.exchange(client, "no-token", &[]).await;
        body["error"].as_str().unwrap().to_owned()
    };
    let one = world.registered(json!({"grant_types": ["client_credentials"]})).await;
    assert_eq!(one.body["grant_types"], json!(["client_credentials"]));
    assert_eq!(world.get_token(&one.client(), "read").await.0, StatusCode::OK);
    assert_eq!(exchange(&one.client()).await, "unauthorized_client");
    let other = world.registered(json!({"grant_types": [EXCHANGE]})).await;
    let (status, body) = world.get_token(&other.client(), "read").await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("unauthorized_client")));
    assert_eq!(exchange(&other.client()).await, "invalid_request", "it gets as far as the subject token");
}

#[tokio::test]
async fn the_types_of_details_are_narrowed_like_the_grants() {
    let world = World::new(Backend::Sqlite).await;
    const RELEASE: &str = r#"[{"type":"credential_release","identifier":"llm","actions":["proxy"]}]"#;
    let asks = async |client: &TestClient| {
        let form = [("grant_type", "client_credentials"), ("authorization_details", RELEASE)];
        let (status, body) = world.server.form("/oauth2/token", client, &form).await;
        (status.as_u16(), body["error"].as_str().unwrap_or_default().to_owned())
    };
    let every = world.registered(json!({})).await;
    assert_eq!(every.body["authorization_details_types"], json!(["budget", "credential_release"]));
    assert_eq!(asks(&every.client()).await.0, 200);
    let one = world.registered(json!({"authorization_details_types": ["budget", "budget"]})).await;
    assert_eq!(one.body["authorization_details_types"], json!(["budget"]), "heard once");
    assert_eq!(asks(&one.client()).await, (400, "invalid_authorization_details".into()));
    // RFC 7592 section 2.2: what an update leaves out is as in a new registration.
    let updated = world.update(&one, json!({})).await;
    assert_eq!(updated.body["authorization_details_types"], json!(["budget", "credential_release"]));
    for unknown in [json!(["payment"]), json!(["budget", "payment"])] {
        let reply = world.update(&updated, json!({"authorization_details_types": unknown})).await;
        assert_eq!(reply.error(), (400, "invalid_client_metadata"));
    }
    // A template that names types is the bound, whatever is said.
    let settings = json!({"settings": {"authorization_details_types": ["budget"]}});
    let (_, token) = world.token(json!({}), settings).await;
    let wider = world.register(&token, json!({"authorization_details_types": ["credential_release"]})).await;
    assert_eq!(wider.error(), (400, "invalid_client_metadata"));
    let none = world.register(&token, json!({"authorization_details_types": []})).await;
    assert_eq!((none.status, &none.body["authorization_details_types"]), (201, &json!([])), "{}", none.body);
    let silent = world.register(&token, json!({"token_endpoint_auth_method": "client_secret_basic"})).await;
    assert_eq!(silent.body["authorization_details_types"], json!(["budget"]));
    assert_eq!(asks(&silent.client()).await, (400, "invalid_authorization_details".into()));
}

#[tokio::test]
async fn no_update_takes_back_what_an_admin_did() {
    let world = World::new(Backend::Sqlite).await;
    let made = world.registered(json!({"scope": "read write"})).await;
    let id = made.text("client_id");
    world.patch_agent(&id, json!({"scope_ceiling": ["read"]})).await;
    world
        .patch_agent(
            &id,
            json!({"settings": {"dpop_bound_access_tokens": true, "grant_types": ["client_credentials"]}}),
        )
        .await;
    let access = world.agent(&id).await["access"].clone();
    for wider in [json!({"scope": "read write"}), json!({"grant_types": [EXCHANGE]})] {
        assert_eq!(world.update(&made, wider).await.error(), (400, "invalid_client_metadata"));
    }
    let silent = world.update(&made, json!({"dpop_bound_access_tokens": false})).await;
    assert_eq!(silent.status, 200, "{}", silent.body);
    // And once more: the bound lasts, though what stands now was made by an update.
    let narrower = world.update(&silent, json!({"scope": "read"})).await;
    let last = world.update(&narrower, json!({})).await;
    assert_eq!((&last.body["scope"], &last.body["dpop_bound_access_tokens"]), (&json!("read"), &json!(true)));
    assert_eq!(last.body["grant_types"], json!(["client_credentials"]));
    let agent = world.agent(&id).await;
    assert_eq!((&agent["scope_ceiling"], &agent["access"]), (&json!(["read"]), &access));
    assert_eq!(agent["settings"], json!({"dpop_bound_access_tokens": true, "grant_types": ["client_credentials"]}));
    // Access that an admin narrowed stays narrow too.
    let narrow = json!({"access": [{"resource": crate::world::ORDERS, "scopes": ["read"], "default_scopes": []}]});
    let path = format!("/agents/{id}/narrow");
    assert_eq!(world.server.admin(Method::POST, &path, Some(&narrow)).await.0, StatusCode::OK);
    let after = world.update(&last, json!({})).await;
    assert_eq!(after.body["access"][0]["scopes"], json!(["read"]));
}

#[tokio::test]
async fn what_a_template_binds_is_bound_whatever_is_said() {
    let world = World::new(Backend::Sqlite).await;
    let template = json!({
        "settings": {"dpop_bound_access_tokens": true}, "environment": "sandbox", "client_expires_in_seconds": 600,
        "auth_methods": ["private_key_jwt"],
    });
    let (_, token) = world.token(json!({}), template).await;
    let reply = world.register(&token, json!({"dpop_bound_access_tokens": false, "jwks": key().1})).await;
    assert_eq!(reply.body["dpop_bound_access_tokens"], json!(true), "{}", reply.body);
    assert_eq!(world.register(&token, json!({})).await.error(), (400, "invalid_client_metadata"), "no secrets");
    let agent = world.agent(&reply.text("client_id")).await;
    assert_eq!(agent["environment"], "sandbox");
    assert_eq!(agent["expires_at"].as_i64().unwrap(), agent["created_at"].as_i64().unwrap() + 600);
    world.server.clock.advance(600);
    assert_eq!(world.manage(Method::GET, &reply, None).await.error(), (403, "access_denied"), "it has ended");
}

#[tokio::test]
async fn an_admin_gives_no_more_in_a_template_than_it_may_give_an_agent() {
    let world = World::new(Backend::Sqlite).await;
    world.server.create_owner("globex").await;
    world.server.create_resource("globex", "https://globex.example", &["read"], &[]).await;
    let roles = json!([{"role": "owner-admin", "owner": "acme"}]);
    let all = ["admin:read", "admin:write"];
    let access = json!([{"resource": world.server.app.urls.admin_resource, "scopes": all, "default_scopes": all}]);
    let boss = json!({
        "owner": "acme", "name": "boss", "kind": "admin", "auth_method": "client_secret_basic", "access": access,
        "roles": roles,
    });
    let made = world.server.create("/agents", boss).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let boss = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
    let boss = world.server.token(&boss, &[]).await;
    let entry = |uri: &str, scopes: &[&str]| json!([{"resource": uri, "scopes": scopes}]);
    let good = json!({"access": entry(crate::world::ORDERS, &["read"])});
    let with = |changes: Value| crate::world::with(good.clone(), changes);
    let bad = [
        (with(json!({"access": entry("https://globex.example", &["read"])})), "/template/access/0/resource"),
        (with(json!({"access": entry(&world.server.app.urls.admin_resource, &all)})), "/template/access/0/resource"),
        (with(json!({"access": entry(crate::world::ORDERS, &["delete"])})), "/template/access/0/scopes"),
        (with(json!({"access": []})), "/template/access"),
        (with(json!({"auth_methods": []})), "/template/auth_methods"),
        (with(json!({"auth_methods": ["private_key_jwt", "private_key_jwt"]})), "/template/auth_methods"),
        (with(json!({"grant_types": ["password"]})), "/template/grant_types"),
        (with(json!({"ttl_seconds": 3601})), "/template/ttl_seconds"),
        (with(json!({"secret_expires_in_seconds": 0})), "/template/secret_expires_in_seconds"),
        (with(json!({"client_expires_in_seconds": i64::MAX})), "/template/client_expires_in_seconds"),
        (with(json!({"settings": {"grant_types": ["client_credentials"]}})), "/template/settings"),
        (
            with(json!({"settings": {"authorization_details_types": ["payment"]}})),
            "/template/settings/authorization_details_types",
        ),
    ];
    let body = |template: &Value| json!({"owner": "acme", "name": "x", "template": template});
    for (template, pointer) in bad {
        let (status, problem) =
            world.server.admin_as(&boss, Method::POST, "/registration-tokens", Some(&body(&template))).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (400, &json!(pointer)), "{problem}");
    }
    for limits in [json!({"max_uses": 0}), json!({"max_uses": 10_001}), json!({"expires_in_seconds": 7_776_001})] {
        let body = crate::world::with(body(&good), limits);
        let (status, _) = world.server.admin_as(&boss, Method::POST, "/registration-tokens", Some(&body)).await;
        assert_eq!(status.as_u16(), 400, "{body}");
    }
    let (status, _) = world.server.admin_as(&boss, Method::POST, "/registration-tokens", Some(&body(&good))).await;
    assert_eq!(status.as_u16(), 201);
    let theirs = crate::world::with(body(&good), json!({"owner": "globex"}));
    let (status, _) = world.server.admin_as(&boss, Method::POST, "/registration-tokens", Some(&theirs)).await;
    assert_eq!(status.as_u16(), 404);
}
