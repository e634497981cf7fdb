//! The life of owners, agents and resources: made once, read, listed in pages, changed.

use crate::world::{ORDERS, World, jwk, keyed, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn an_owner_is_made_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let body = json!({"id": "initech", "name": "Initech"});
    let made = world.post("/owners", body.clone()).await;
    assert_eq!(made.status, 201);
    let again = world.post("/owners", body).await;
    assert_eq!((again.status, &again.body), (200, &made.body));
    assert_eq!(world.get("/owners/initech").await, made.body);
    let other = world.post("/owners", json!({"id": "initech", "name": "Other"})).await;
    assert_eq!(other.problem(), (409, "already_exists"));
    assert_eq!(world.get("/owners/initech").await["name"], "Initech");
}

#[rstest]
#[tokio::test]
async fn an_agent_is_made_once_and_its_secret_shown_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
    let body = json!({
        "owner": "acme", "name": "planner", "purpose": "plans", "auth_method": "client_secret_post", "ttl_seconds": 120,
        "access": [{"resource": ORDERS, "scopes": ["read", "write"], "default_scopes": ["read"]}],
        "scope_ceiling": ["read"], "may_act": {"sub": "agent:acme.helper"}, "environment": "live",
    });
    let made = world.post("/agents", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let agent = &made.body["agent"];
    assert!(made.body["client_secret"].as_str().unwrap().len() > 40);
    assert_eq!(made.body["client_secret_expires_at"].as_i64(), agent["created_at"].as_i64().map(|at| at + 90 * 86_400));
    for name in ["owner", "name", "purpose", "auth_method", "ttl_seconds", "access", "scope_ceiling", "may_act"] {
        assert_eq!(agent[name], body[name], "{name}");
    }
    assert_eq!(
        (&agent["id"], &agent["kind"], &agent["state"]),
        (&json!("acme.planner"), &json!("agent"), &json!("active"))
    );
    assert_eq!(agent["readiness"], json!({"ready": true, "reasons": []}));
    let again = world.post("/agents", body.clone()).await;
    assert_eq!((again.status, again.body), (200, json!({"agent": agent})), "and no secret");
    assert_eq!(&world.get("/agents/acme.planner").await, agent);
    for change in [
        json!({"purpose": "other"}),
        json!({"ttl_seconds": 121}),
        json!({"scope_ceiling": ["write"]}),
        json!({"access": []}),
        json!({"auth_method": "client_secret_basic"}),
        json!({"kind": "service"}),
        json!({"environment": "sandbox", "access": []}),
        json!({"may_act": {"sub": "agent:acme.other"}}),
        json!({"legacy_assertion_aud": true}),
    ] {
        let other = world.post("/agents", with(body.clone(), change.clone())).await;
        assert_eq!(other.problem(), (409, "already_exists"), "{change}");
    }
    assert_eq!(&world.get("/agents/acme.planner").await, agent, "nothing has changed");
}

#[rstest]
#[tokio::test]
async fn a_keyed_agent_is_the_same_only_with_the_same_keys(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let body = keyed("acme", "signer");
    let made = world.post("/agents", body.clone()).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.body.as_object().unwrap().len(), 1, "no secret: {}", made.text);
    assert_eq!(world.post("/agents", body.clone()).await.status, 200);
    let other = with(body, json!({"jwks": {"keys": [jwk()]}}));
    assert_eq!(world.post("/agents", other).await.problem(), (409, "already_exists"));
    assert_eq!(world.get("/agents/acme.signer").await["readiness"]["reasons"], json!(["no_access"]));
}

#[rstest]
#[tokio::test]
async fn a_resource_is_made_once_and_changed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let body = json!({"owner": "acme", "uri": ORDERS, "name": "Orders", "scopes": ["read"], "environment": "live", "ttl_seconds": 600});
    let made = world.post("/resources", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/resources/{}", made.body["id"].as_str().unwrap());
    let again = world.post("/resources", body.clone()).await;
    assert_eq!((again.status, &again.body), (200, &made.body));
    let other = world.post("/resources", with(body.clone(), json!({"name": "Other"}))).await;
    assert_eq!(other.problem(), (409, "already_exists"));
    let taken = world.post("/resources", with(body, json!({"owner": "globex"}))).await;
    assert_eq!(taken.problem(), (409, "already_exists"), "a URI is one owner's");
    let changes = json!({"name": "All orders", "scopes": ["read", "write"], "environment": null, "ttl_seconds": 60, "budget_capable": true, "status_list": true});
    let changed = world.patch(&path, changes.clone()).await.ok();
    for name in ["name", "scopes", "ttl_seconds", "budget_capable", "status_list"] {
        assert_eq!(changed[name], changes[name], "{name}");
    }
    assert!(changed.get("environment").is_none(), "null takes it away");
    assert_eq!(changed["uri"], ORDERS);
    assert_eq!(world.get(&path).await, changed);
    assert_eq!(world.patch(&path, json!({})).await.ok(), changed, "nothing asked, nothing changed");
    assert_eq!(world.patch(&path, json!({"uri": "https://other.example"})).await.problem(), (400, "invalid_request"));
}

#[rstest]
#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_takes_away(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read"], &[]).await;
    world.create_keyed("acme", "signer").await;
    let path = "/agents/acme.signer";
    let before = world.get(path).await;
    let far = before["created_at"].as_i64().unwrap() + 1000;
    let full = json!({
        "purpose": "signs", "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": []}], "scope_ceiling": ["read"],
        "ttl_seconds": 60, "may_act": {"client_id": "acme.helper"}, "expires_at": far, "legacy_assertion_aud": true,
    });
    let changed = world.patch(path, full.clone()).await.ok();
    for (name, value) in full.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    let one = world.patch(path, json!({"purpose": ""})).await.ok();
    assert_eq!(
        one,
        with(changed.clone(), json!({"purpose": "", "updated_at": one["updated_at"]})),
        "the rest is as it was"
    );
    let cleared = world.patch(path, json!({"scope_ceiling": null, "may_act": null, "expires_at": null})).await.ok();
    for name in ["scope_ceiling", "may_act", "expires_at"] {
        assert!(cleared.get(name).is_none(), "{name}");
    }
    // RFC 7396: null takes away; what must be there is left as it is.
    for name in ["access", "ttl_seconds", "purpose", "legacy_assertion_aud"] {
        let reply = world.patch(path, json!({name: null})).await;
        assert_eq!((reply.status, &reply.body[name]), (200, &cleared[name]), "{name}");
    }
    let merge =
        world.raw(Method::PATCH, path, Some("application/merge-patch+json; charset=utf-8"), r#"{"purpose":"x"}"#).await;
    assert_eq!(merge.ok()["purpose"], "x");
}

#[rstest]
#[tokio::test]
async fn lists_come_in_pages(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("owners", "agents", "resources", "exchange-rules", "revocations")] list: &str,
) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read"], &[]).await;
    for index in 0..5 {
        let name = format!("n{index}");
        match list {
            "owners" => world.post("/owners", json!({"id": name, "name": name})).await,
            "agents" => world.post("/agents", keyed("acme", &name)).await,
            "resources" => {
                let uri = format!("https://{name}.example");
                world.post("/resources", json!({"owner": "acme", "uri": uri, "name": name, "scopes": ["read"]})).await
            }
            "exchange-rules" => {
                let party = json!({"owner": "acme"});
                let body = json!({"actor": party, "subject": party, "to_audience": ORDERS, "scopes": [{"scope": "read"}], "mode": "delegation"});
                world.post("/exchange-rules", with(body, json!({"id": format!("acme.{name}")}))).await
            }
            _ => world.post("/revocations", json!({"kind": "token", "value": name, "reason": "test", "severity": "low"})).await,
        }
        .ok();
    }
    let whole = world.get(&format!("/{list}?limit=200")).await;
    assert!(whole.get("next").is_none());
    let whole: Vec<Value> = whole["items"].as_array().unwrap().clone();
    assert!(whole.len() >= 5);
    for limit in [1, 2, whole.len() - 1, whole.len()] {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = world.get(&format!("/{list}?limit={limit}{after}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit && !items.is_empty());
            seen.extend(items.iter().cloned());
            let Some(next) = page.get("next") else { break };
            after = format!("&after={}", next.as_str().unwrap());
        }
        assert_eq!(seen, whole, "pages of {limit}");
    }
    assert_eq!(world.get(&format!("/{list}?after=~")).await, json!({"items": []}), "beyond the end there is nothing");
}

#[rstest]
#[tokio::test]
async fn built_in_things_stay(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let audience = world.server.app.urls.admin_resource.clone();
    let resources = world.get("/resources").await;
    let built_in = resources["items"].as_array().unwrap().iter().find(|item| item["uri"] == audience.as_str()).unwrap();
    let path = format!("/resources/{}", built_in["id"].as_str().unwrap());
    assert_eq!(world.patch(&path, json!({"name": "x"})).await.problem(), (409, "built_in"));
    assert_eq!(world.post(&format!("{path}/disable"), json!({})).await.problem(), (409, "built_in"));
    assert_eq!(world.post("/owners/stipend/disable", json!({})).await.problem(), (409, "built_in"));
    let roles = json!({"roles": [{"role": "auditor"}]});
    assert_eq!(world.patch("/agents/stipend.admin", roles).await.problem(), (409, "own_client"));
    for (verb, body) in [("suspend", json!({})), ("revoke", json!({"reason": "x", "severity": "low"}))] {
        let reply = world.post(&format!("/agents/stipend.admin/{verb}"), body).await;
        assert_eq!(reply.problem(), (409, "own_client"), "{verb}");
    }
    let boss = world.boss("acme").await;
    let body = json!({"owner": "acme", "uri": format!("{}/new", world.server.issuer), "name": "x", "scopes": ["read"]});
    let reserved = world.send(Some(&boss), Method::POST, "/resources", Some(&body)).await;
    assert_eq!(reserved.problem(), (400, "invalid_request"), "names under the issuer are the server's");
}
