//! The state machine of agents, and what narrowing may do.

use crate::world::{ORDERS, World, jwk};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

/// What is done to an agent: a verb of the table, as a request.
async fn act(world: &World, id: &str, verb: &str, method: &str) -> (u16, String) {
    let path = format!("/agents/{id}");
    let clone = format!("{}-clone", id.split('.').next_back().unwrap());
    let reply = match verb {
        "suspend" | "resume" | "retire" => world.post(&format!("{path}/{verb}"), json!({})).await,
        "revoke" => world.post(&format!("{path}/revoke"), json!({"reason": "test", "severity": "low"})).await,
        "narrow" => world.post(&format!("{path}/narrow"), json!({"ttl_seconds": 100})).await,
        "patch" => world.patch(&path, json!({"purpose": "patched"})).await,
        "reissue" => world.post(&format!("{path}/reissue"), json!({"name": clone})).await,
        "secret" => world.post(&format!("{path}/secrets"), json!({})).await,
        "key" => world.post(&format!("{path}/keys"), json!({"jwk": jwk()})).await,
        other => panic!("{method}: {other}"),
    };
    let state = world.get(&path).await["state"].as_str().unwrap().to_owned();
    let code = reply.body["code"].as_str().unwrap_or_default().to_owned();
    let said = if code.is_empty() { state } else { format!("{state} {code}") };
    (reply.status, said)
}

#[rstest]
#[tokio::test]
async fn the_state_machine_over_http(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("client_secret_basic", "private_key_jwt")] method: &str,
) {
    let world = World::new(backend).await;
    let roads: [(&str, &[&str]); 4] =
        [("active", &[]), ("suspended", &["suspend"]), ("revoked", &["revoke"]), ("retired", &["revoke", "retire"])];
    let verbs = ["suspend", "resume", "revoke", "retire", "narrow", "patch", "reissue", "secret", "key"];
    let mut table = String::new();
    for (state, road) in roads {
        for verb in verbs {
            let name = format!("{state}-{verb}");
            let body = json!({"owner": "acme", "name": name, "auth_method": method, "purpose": "test"});
            world.post("/agents", body).await.ok();
            let id = format!("acme.{name}");
            for step in road {
                assert_eq!(act(&world, &id, step, method).await.0, 200);
            }
            assert_eq!(world.get(&format!("/agents/{id}")).await["state"], state);
            let (status, said) = act(&world, &id, verb, method).await;
            table.push_str(&format!("{state:<10} {verb:<8} {status} {said}\n"));
        }
    }
    insta::assert_snapshot!(format!("the_state_machine_with_{method}"), table);
}

#[rstest]
#[tokio::test]
async fn narrowing_narrows_and_never_widens(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
    let agent = world.server.create_client("acme", "planner", "agent", &[(ORDERS, &["read", "write"])]).await;
    let path = "/agents/acme.planner/narrow";
    let access = |scopes: &[&str]| json!([{"resource": ORDERS, "scopes": scopes, "default_scopes": scopes}]);
    let with_budget = |amount: i64| {
        let mut access = access(&["read"]);
        access[0]["default_budget"] = json!([{"unit": "call", "decimals": 0, "amount": amount}]);
        access
    };
    let body = json!({"access": with_budget(5), "scope_ceiling": ["read"], "ttl_seconds": 100});
    let narrowed = world.post(path, body.clone()).await.ok();
    assert_eq!((&narrowed["access"], &narrowed["ttl_seconds"]), (&body["access"], &body["ttl_seconds"]));
    assert_eq!(world.post(path, body).await.ok(), narrowed, "the same again changes nothing");
    for wider in [
        json!({"access": access(&["read", "write"])}),
        json!({"access": with_budget(6)}),
        json!({"access": access(&["read"])}),
        json!({"scope_ceiling": ["read", "write"]}),
        json!({"ttl_seconds": 101}),
        json!({"access": [{"resource": "https://other.example", "scopes": ["read"], "default_scopes": []}]}),
        json!({"ttl_seconds": 50, "scope_ceiling": ["write"]}),
        json!({"access": [access(&["read"])[0], access(&["read"])[0]]}),
    ] {
        assert_eq!(world.post(path, wider.clone()).await.problem(), (409, "not_narrower"), "{wider}");
    }
    assert_eq!(world.get("/agents/acme.planner").await, narrowed, "and no half of them either");
    let (_, body) = world.server.form("/oauth2/token", &agent, &[("grant_type", "client_credentials")]).await;
    assert_eq!((&body["scope"], &body["expires_in"]), (&json!("read"), &json!(100)));
    assert_eq!(
        world.post(path, json!({"access": [], "scope_ceiling": []})).await.ok()["readiness"]["reasons"],
        json!(["no_access"])
    );
}
