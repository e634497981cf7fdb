//! Tokens that administer nothing: none, somebody's agent's, a delegated one, one for another
//! audience, one that is over. Over every route of the document.

use crate::routes::{Things, operations};
use crate::world::{ORDERS, World, client_of};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn without_a_token_nothing_is_answered(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    for operation in operations(&world).await {
        let case = things.case(&operation);
        let reply = world.send(None, case.method.clone(), &case.path, case.body.as_ref()).await;
        assert_eq!(reply.problem(), (401, "no_token"), "{operation}");
        let challenge = format!("Bearer realm=\"admin\", scope=\"{}\"", case.scope);
        assert_eq!(reply.header("www-authenticate"), challenge, "RFC 6750 3: no error without a token: {operation}");
        assert_eq!(reply.header("cache-control"), "no-store", "{operation}");
    }
}

/// Tokens of ours that are not an admin's own for this API alone.
async fn wrong_tokens(world: &World) -> Vec<(&'static str, String)> {
    let server = &world.server;
    let audience = server.app.urls.admin_resource.clone();
    let service = server.create_client("acme", "orders-api", "service", &[]).await;
    server.create_resource("acme", ORDERS, &["read"], &[&service.id]).await;
    let agent = server.create_client("acme", "agent", "agent", &[(ORDERS, &["read"])]).await;
    let more = [json!({"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]})];
    let boss = world.admin_client("acme", "boss", json!([{"role": "platform-admin"}]), &more).await;
    let own = server.token(&boss, &[("resource", &audience)]).await;
    server.create_rule(&agent.id, &boss.id, &audience, &["admin:read", "admin:write", "admin:audit"]).await;
    let scope = [("scope", "admin:read admin:write admin:audit")];
    let (_, exchanged) = server.exchange(&agent, &own, &scope).await;
    let exchanged = exchanged["access_token"].as_str().unwrap_or_else(|| panic!("{exchanged}")).to_owned();
    let ended = world.admin_client("acme", "ended", json!([{"role": "platform-admin"}]), &[]).await;
    let ended_token = server.token(&ended, &[]).await;
    world.post("/agents/acme.ended/revoke", json!({"reason": "test", "severity": "low"})).await.ok();
    let idle = world.admin("acme", "idle", json!([{"role": "platform-admin"}])).await;
    world.post("/agents/acme.idle/suspend", json!({})).await.ok();
    let revoked = server.token(&boss, &[("resource", &audience)]).await;
    server.form("/oauth2/revoke", &boss, &[("token", &revoked)]).await;
    vec![
        ("an agent's", server.token(&agent, &[]).await),
        ("exchanged, with act", exchanged),
        ("an admin's for another service", server.token(&boss, &[("resource", ORDERS)]).await),
        ("of a revoked admin", ended_token),
        ("of a suspended admin", idle),
        ("revoked", revoked),
        ("cut", own[..own.len() - 4].to_owned()),
        ("garbage", "garbage".to_owned()),
    ]
}

#[rstest]
#[tokio::test]
async fn tokens_that_are_not_an_admins_own_open_no_route(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let tokens = wrong_tokens(&world).await;
    let operations = operations(&world).await;
    for (what, token) in &tokens {
        for operation in &operations {
            let case = things.case(operation);
            let reply = world.send(Some(token), case.method, &case.path, case.body.as_ref()).await;
            assert_eq!(reply.problem(), (401, "invalid_token"), "{what}: {operation}");
            assert!(reply.header("www-authenticate").contains("error=\"invalid_token\""), "{what}: {operation}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_impersonated_admin_administers_nothing(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let server = &world.server;
    let agent = server.create_client("acme", "agent", "agent", &[]).await;
    let rule = json!({
        "actor": {"client": agent.id}, "subject": {"client": "stipend.admin"}, "to_audience": server.app.urls.admin_resource,
        "scopes": [{"scope": "admin:read"}], "mode": "impersonation",
    });
    world.post("/exchange-rules", rule).await.ok();
    let (status, body) = server.exchange(&agent, &server.admin_token().await, &[]).await;
    assert_eq!(status, 200, "{body}");
    let reply = world.send(body["access_token"].as_str(), Method::GET, "/whoami", None).await;
    assert_eq!(reply.problem(), (401, "invalid_token"), "no act, but a lineage");
}

#[rstest]
#[tokio::test]
async fn ones_own_token_exchanged_is_not_taken(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let audience = world.server.app.urls.admin_resource.clone();
    let agent = world.server.create_client("acme", "agent", "agent", &[(&audience, &["admin:read"])]).await;
    let own = world.server.token(&agent, &[]).await;
    let taken = world.send(Some(&own), Method::GET, "/whoami", None).await;
    assert_eq!(taken.ok()["client_id"], "acme.agent");
    let (status, body) = world.server.exchange(&agent, &own, &[]).await;
    assert_eq!(status, 200, "{body}");
    let reply = world.send(body["access_token"].as_str(), Method::GET, "/whoami", None).await;
    assert_eq!(reply.problem(), (401, "invalid_token"), "its own sub and no act, but a lineage");
    let admin = world.server.admin_client();
    let (status, body) = world.server.exchange(&admin, &world.server.admin_token().await, &[]).await;
    assert_eq!((status.as_u16(), &body["error"]), (400, &json!("unauthorized_client")), "an admin exchanges nothing");
}

#[rstest]
#[tokio::test]
async fn a_token_that_another_service_gets_too_is_not_taken(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["admin:read", "read"], &[]).await;
    let more = [json!({"resource": ORDERS, "scopes": ["admin:read"], "default_scopes": ["admin:read"]})];
    let boss = world.admin_client("acme", "boss", json!([{"role": "platform-admin"}]), &more).await;
    let audience = world.server.app.urls.admin_resource.clone();
    let form =
        [("grant_type", "client_credentials"), ("resource", ORDERS), ("resource", &audience), ("scope", "admin:read")];
    let (status, body) = world.server.form("/oauth2/token", &boss, &form).await;
    assert_eq!(status, 200, "{body}");
    let reply = world.send(body["access_token"].as_str(), Method::GET, "/whoami", None).await;
    assert_eq!(reply.problem(), (401, "invalid_token"));
}

#[rstest]
#[tokio::test]
async fn each_route_needs_its_own_scope(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let scopes = ["admin:read", "admin:write", "admin:audit"];
    let boss = world.admin_client("acme", "boss", json!([{"role": "platform-admin"}]), &[]).await;
    for scope in scopes {
        let token = world.server.token(&boss, &[("scope", scope)]).await;
        for operation in operations(&world).await {
            let case = things.case(&operation);
            if case.scope == scope {
                continue;
            }
            let reply = world.send(Some(&token), case.method, &case.path, case.body.as_ref()).await;
            assert_eq!(reply.problem(), (403, "insufficient_scope"), "{operation} with {scope}");
            let challenge = format!("Bearer realm=\"admin\", error=\"insufficient_scope\", scope=\"{}\"", case.scope);
            assert_eq!(reply.header("www-authenticate"), challenge);
        }
    }
}

#[rstest]
#[tokio::test]
async fn roles_are_the_records_and_not_the_tokens(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let roles = json!([{"role": "owner-admin", "owner": "acme"}]);
    let token = world.admin("acme", "boss", roles.clone()).await;
    let who = world.send(Some(&token), Method::GET, "/whoami", None).await.ok();
    let scopes = json!(["admin:audit", "admin:read", "admin:write"]);
    assert_eq!(who, json!({"client_id": "acme.boss", "owner": "acme", "roles": roles, "scopes": scopes}));
    world.patch("/agents/acme.boss", json!({"roles": []})).await.ok();
    let who = world.send(Some(&token), Method::GET, "/whoami", None).await.ok();
    assert_eq!(who["roles"], json!([]), "taken away at once, from a token that is still good");
    let reply = world.send(Some(&token), Method::GET, "/owners/acme", None).await;
    assert_eq!(reply.problem(), (404, "not_found"));
    world.patch("/agents/acme.boss", json!({"roles": [{"role": "owner-admin", "owner": "globex"}]})).await.ok();
    assert_eq!(world.send(Some(&token), Method::GET, "/owners/globex", None).await.status, 200);
}

#[tokio::test]
async fn the_token_comes_in_one_header_and_nowhere_else() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.server.admin_token().await;
    let url = world.server.url("/admin/v1/whoami");
    let get = |url: String| world.server.http.get(url);
    let bearer = format!("Bearer {token}");
    let cases = [
        (get(format!("{url}?access_token={token}")), "no_token"),
        (get(url.clone()).header("authorization", &bearer).header("authorization", &bearer), "token_twice"),
        // RFC 9449 section 7.1: the scheme is for tokens that are bound to a key.
        (get(url.clone()).header("authorization", format!("DPoP {token}")), "invalid_token"),
        (get(url.clone()).header("authorization", &token), "no_token"),
        (get(url.clone()).basic_auth("stipend.admin", Some(stipend::testing::ADMIN_SECRET)), "no_token"),
    ];
    for (case, code) in cases {
        let answer = case.send().await.unwrap();
        // RFC 6750 section 3.1: more than one token is a malformed request, and not a lack of one.
        assert_eq!(answer.status(), if code == "token_twice" { 400 } else { 401 });
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], code);
    }
    let lower = get(url).header("authorization", format!("bearer {token}")).send().await.unwrap();
    assert_eq!(lower.status(), 200, "RFC 9110 11.1: the scheme has no case");
}

#[tokio::test]
async fn an_admin_token_ends_with_its_life() {
    let world = World::new(Backend::Sqlite).await;
    let created = world.post("/agents", json!({
        "owner": "acme", "name": "brief", "kind": "admin", "auth_method": "client_secret_basic", "ttl_seconds": 60,
        "access": [{"resource": world.server.app.urls.admin_resource, "scopes": ["admin:read"], "default_scopes": ["admin:read"]}],
    }));
    let client: TestClient = client_of(&created.await.ok());
    let token = world.server.token(&client, &[]).await;
    world.server.clock.advance(61);
    let reply = world.send(Some(&token), Method::GET, "/whoami", None).await;
    assert_eq!(reply.problem(), (401, "invalid_token"));
}
